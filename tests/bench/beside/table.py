"""The figures side by side, beside what k8s_hub is to reach."""

from collections.abc import Mapping

Results = dict[str, dict[str, Mapping[str, float]]]


def print_tables(results: Results) -> None:
    for situation, subjects in results.items():
        print(situation)
        names = list(dict.fromkeys(name for figures in subjects.values() for name in figures))
        print(f"{'':28}" + "".join(f"{name:>16}" for name in subjects))
        for name in names:
            print(
                f"{name:28}"
                + "".join(f"{figures.get(name, float('nan')):16.2f}" for figures in subjects.values())
            )
