"""Draw plots from the figures of runs: `python -m devkit.bench.beside.plots figures.json ...`.

It runs in `.venv-peer`, which has matplotlib. The same figures give the same files: no dates, no random ids. Text stays
text, and colours follow the reader's preference for light or dark pages.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devkit.bench.beside.plan import BARE_SCRIPT, HUB_ALONE, HUB_AND_SCRIPT, OURS, PEER, ROOT
from devkit.bench.beside.table import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = ROOT / "docs" / "images"

COLOURS = {
    HUB_ALONE.name: "#8a8f98",
    BARE_SCRIPT.name: "#b58900",
    HUB_AND_SCRIPT.name: "#9b6bcc",
    PEER.name: "#d9622b",
    OURS.name: "#2f81c9",
}
"""Subjects in the order of the legend. Each colour is readable on both pages."""

INK, GRID, PAPER = "#1f2329", "#d5d9df", "#ffffff"
DARK = {INK: "#e3e6ea", GRID: "#454b57", PAPER: "#1e2129"}
"""The same colours on a dark page."""

WIDTH, BURST_HEIGHT, ROW_HEIGHT, GROWTH_HEIGHT = 4.8, 3.2, 0.42, 4.6
"""Inches of 96 CSS pixels. On a phone's page of 360 pixels, text of 10 points then has 10 pixels."""

POINTS = 150

STYLE = {
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "k8s_hub",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure that is drawn, and its words."""

    figure: str
    title: str
    unit: str


CPU = Measure(figure="quiet.cpu", title="CPU of the quiet hub", unit="% of a core")
STALL = Measure(figure="quiet.stall", title="Longest stall of the quiet hub", unit="ms")
MEMORY = Measure(figure="memory.resident", title="Memory of the hub", unit="MB")


def by_servers(results: Results) -> dict[int, Mapping[str, Mapping[str, Any]]]:
    """Return the bursts by their number of servers, the smallest first."""
    bursts = {
        int(situation.removesuffix(" users").replace(",", "")): figures
        for situation, figures in results.items()
        if situation.endswith(" users")
    }
    return dict(sorted(bursts.items()))


def series(results: Results, figure: str) -> dict[str, list[tuple[int, float]]]:
    """Return a figure over the number of servers, by subject; a run without it has no point."""
    points = {
        name: [
            (count, seen[name][figure])
            for count, seen in by_servers(results).items()
            if figure in seen.get(name, {})
        ]
        for name in COLOURS
    }
    return {name: each for name, each in points.items() if each}


def bars(figures: Mapping[str, Mapping[str, Any]], figure: str) -> dict[str, Any]:
    """Return a figure of one run by subject."""
    return {name: figures[name][figure] for name in COLOURS if figure in figures.get(name, {})}


def ready_over_time(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, list[tuple[float, int]]]:
    """Return a curve of at most about `POINTS` points by subject: the second, and how many servers are ready by then."""
    curves = {}
    for name in bars(figures, "burst.ready"):
        seconds = sorted(figures[name]["burst.ready"])
        numbers = [*range(1, len(seconds), len(seconds) // POINTS + 1), len(seconds)]
        curves[name] = [(0.0, 0), *((seconds[number - 1], number) for number in numbers if number)]
    return curves


def merged(runs: Sequence[Results]) -> Results:
    """Return the figures of all runs; where two have the same subject in the same situation, the later one counts."""
    results: Results = {}
    for run in runs:
        for situation, figures in run.items():
            results[situation] = {**results.get(situation, {}), **figures}
    return results


def drawn(results: Results) -> "Iterator[tuple[str, Figure]]":
    """Yield the file name and the picture of each plot that the figures are enough for."""
    import matplotlib as mpl

    bursts = by_servers(results)
    with mpl.rc_context(STYLE):
        curves = {count: found for count, seen in bursts.items() if (found := ready_over_time(seen))}
        if curves:
            yield "bench-burst.svg", _burst(max(curves), curves[max(curves)])
        quiet = {count: seen for count, seen in bursts.items() if bars(seen, CPU.figure)}
        if quiet:
            yield "bench-quiet.svg", _quiet(max(quiet), quiet[max(quiet)])
        if len(quiet) > 1:
            yield "bench-growth.svg", _growth(results)


def _burst(count: int, curves: Mapping[str, Sequence[tuple[float, int]]]) -> "Figure":
    figure, axes = _panels(1, BURST_HEIGHT)
    for name, points in curves.items():
        axes[0].plot(*zip(*points, strict=True), color=COLOURS[name], label=name, linewidth=2)
    axes[0].set(
        title=f"{count:,} servers start at once",
        xlabel="seconds",
        ylabel="servers ready",
        xlim=(0, None),
        ylim=(0, None),
    )
    axes[0].yaxis.set_major_formatter("{x:,.0f}")
    _legend(figure, axes[0])
    return figure


def _quiet(count: int, figures: Mapping[str, Mapping[str, Any]]) -> "Figure":
    height = 0.8 + ROW_HEIGHT * len(bars(figures, CPU.figure))
    figure, axes = _panels(2, 2 * height)
    for panel, measure in zip(axes, (CPU, STALL), strict=True):
        found = bars(figures, measure.figure)
        names = list(found)[::-1]
        drawn_bars = panel.barh(
            names, [found[name] for name in names], color=[COLOURS[name] for name in names]
        )
        panel.bar_label(drawn_bars, [_number(found[name]) for name in names], padding=3)
        panel.set(title=f"{measure.title}, {count:,} servers", xlabel=measure.unit)
        panel.margins(x=0.2)
        panel.grid(visible=False, axis="y")
        panel.xaxis.set_major_formatter("{x:,g}")
    return figure


def _growth(results: Results) -> "Figure":
    figure, axes = _panels(2, GROWTH_HEIGHT)
    for panel, measure in zip(axes, (MEMORY, CPU), strict=True):
        for name, points in series(results, measure.figure).items():
            panel.plot(
                *zip(*points, strict=True),
                color=COLOURS[name],
                label=name,
                linewidth=2,
                marker="o",
                clip_on=False,
            )
        panel.locator_params(axis="x", nbins=5)
        panel.set(title=measure.title, xlabel="servers", ylabel=measure.unit, xlim=(0, None), ylim=(0, None))
        panel.xaxis.set_major_formatter("{x:,.0f}")
    _legend(figure, axes[0])
    return figure


def _panels(count: int, height: float) -> "tuple[Figure, list[Any]]":
    """Return a picture with so many panels, one above the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(count, 1, squeeze=False)[:, 0])


def _legend(figure: "Figure", panel: Any) -> None:
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1.2)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def with_dark_colours(svg: str) -> str:
    """Return the picture with the colours of a dark page for readers who prefer one."""
    rules = "".join(
        f'[style*="{kind}: {light}"] {{ {kind}: {dark} !important }} '
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark) {{ {rules}}}</style>"
    head, tag, rest = svg.partition("<defs>")
    return f"{head}{tag}\n  {style}{rest}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m devkit.bench.beside.plots", description=__doc__)
    parser.add_argument("figures", type=Path, nargs="+", help="files of `--json`; a later one wins")
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where the pictures go (default: docs/images)"
    )
    given = parser.parse_args()
    for name, figure in drawn(merged([json.loads(path.read_text()) for path in given.figures])):
        path = given.folder / name
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        path.write_text(with_dark_colours(path.read_text()))
        print(path)


if __name__ == "__main__":
    main()
