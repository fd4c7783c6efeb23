"""`make test-cluster`: runs the suites that need a cluster, each in its own process, and checks for leftovers.

If a suite's cluster cannot run here, the suite is skipped with a message; with CI=true that is a failure. Another version of
Kubernetes than the pinned one (`KUBERNETES=1.32.2`) runs only the control plane's suite.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import pytest

from devkit.realcluster import leftovers
from devkit.realcluster.build import WANTED, ClusterUnavailableError, build, build_helm, build_node
from devkit.realcluster.images import hub_image, user_image
from devkit.realcluster.needs import lacks_of_a_control_plane, lacks_of_a_node

NOTHING_TO_DO = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)  # `-k` may be for another suite
YES = {"1", "true", "yes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tests by their marker, and a function that returns what this machine lacks for them."""

    name: str
    marker: str
    lacks: Callable[[], list[str]]
    #: Fills the cache, which may take minutes; raises ClusterUnavailableError.
    prepare: Callable[[], object]
    #: The default folder of tests: collecting all tests takes 15 s.
    folders: Sequence[str] = ("tests",)
    #: The distribution of tests to two processes, each with its own cluster, for which they mostly wait.
    #: None: one process.
    distribution: str | None = None


def _make_what_a_control_plane_takes() -> None:
    build()
    build_helm()


def _make_what_a_node_takes() -> None:
    build()
    build_node()
    hub = int(version("jupyterhub").partition(".")[0])
    user_image(hub)
    hub_image(hub)


def _lacks_of_a_node() -> list[str]:
    wanted = os.environ.get(WANTED)
    other = [f"{WANTED} is {wanted}, of which there is no kubelet"] if wanted else []
    return [*other, *lacks_of_a_node()]


SUITES = (
    Suite(
        name="the control plane's, with nodes that kwok plays",
        marker="cluster and not containers",
        lacks=lacks_of_a_control_plane,
        prepare=_make_what_a_control_plane_takes,
        folders=("tests/cluster", "tests/conformance", "tests/helm"),
        distribution="worksteal",
    ),
    Suite(
        name="the node's, with real containers",
        marker="containers",
        lacks=_lacks_of_a_node,
        prepare=_make_what_a_node_takes,
        folders=("tests/containers",),
        # A file's tests stay together: they share what took a minute, and those of the node take stock of the machine.
        distribution="loadscope",
    ),
)


def judge(codes: Sequence[int], *, is_complete: bool, environment: Mapping[str, str]) -> int:
    """Return the exit code for those of all suites. Only this function decides whether a suite may be skipped."""
    if not is_complete and environment.get("CI", "").lower() in YES:
        return pytest.ExitCode.TESTS_FAILED
    return next((code for code in codes if code not in NOTHING_TO_DO), pytest.ExitCode.OK)


def was_interrupted(code: int) -> bool:
    """Return whether the run was interrupted by Ctrl-C or a signal."""
    return code == pytest.ExitCode.INTERRUPTED or code > 128


def main(arguments: Sequence[str], suites: Sequence[Suite] = SUITES) -> int:
    codes, skipped = [], []
    for suite in suites:
        lacks = suite.lacks()
        if lacks:
            skipped.append(f"SKIPPED: the suite {suite.name}: " + "; ".join(lacks))
        else:
            print(f"--- The suite {suite.name}", flush=True)
            codes.append(_run(suite, arguments))
            if was_interrupted(codes[-1]):
                break
    print(*skipped, sep="\n", end="\n" if skipped else "", file=sys.stderr)
    return judge(codes, is_complete=not skipped, environment=os.environ)


def _run(suite: Suite, arguments: Sequence[str]) -> int:
    try:
        suite.prepare()
    except ClusterUnavailableError as error:
        print(error, file=sys.stderr)
        return pytest.ExitCode.INTERNAL_ERROR
    dealt_out = ["--numprocesses=2", f"--dist={suite.distribution}"] if suite.distribution else []
    places = f"--override-ini=testpaths={' '.join(suite.folders)}"
    command = [sys.executable, "-m", "pytest", "-m", suite.marker, places, *dealt_out, *arguments]
    return leftovers.main(["--", *command])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
