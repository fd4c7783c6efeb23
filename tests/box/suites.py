"""`make test-cluster`: the suites that need a cluster, each in its own process, each leaving nothing behind.

A suite whose cluster cannot run here is skipped, and said so. Where CI is true that is a failure.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.box import leftovers
from tests.box.needs import lacks_of_a_control_plane, lacks_of_a_node

NOTHING_TO_DO = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)  # `-k` may be for another suite
YES = {"1", "true", "yes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Some tests, by their marker, and a question for what this machine lacks to run them."""

    name: str
    marker: str
    lacks: Callable[[], list[str]]


SUITES = (
    Suite(
        name="the control plane's, with nodes that kwok plays",
        marker="cluster and not containers",
        lacks=lacks_of_a_control_plane,
    ),
    Suite(name="the node's, with real containers", marker="containers", lacks=lacks_of_a_node),
)


def judge(codes: Sequence[int], *, is_complete: bool, environment: Mapping[str, str]) -> int:
    """The exit code for those of all suites; the one place that decides whether one may be skipped."""
    if not is_complete and environment.get("CI", "").lower() in YES:
        return pytest.ExitCode.TESTS_FAILED
    return next((code for code in codes if code not in NOTHING_TO_DO), pytest.ExitCode.OK)


def main(arguments: Sequence[str], suites: Sequence[Suite] = SUITES) -> int:
    codes, skipped = [], []
    for suite in suites:
        lacks = suite.lacks()
        if lacks:
            skipped.append(f"SKIPPED: the suite {suite.name}: " + "; ".join(lacks))
        else:
            print(f"--- The suite {suite.name}", flush=True)
            command = [sys.executable, "-m", "pytest", "-m", suite.marker, *arguments]
            codes.append(leftovers.main(["--", *command]))
    print(*skipped, sep="\n", end="\n" if skipped else "", file=sys.stderr)
    return judge(codes, is_complete=not skipped, environment=os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
