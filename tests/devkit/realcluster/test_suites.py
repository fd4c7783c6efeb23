import sys

import pytest

from devkit.realcluster import needs
from devkit.realcluster.build import ClusterUnavailableError
from devkit.realcluster.suites import Suite, judge, main


def suite(*lacks, prepare=lambda: None):
    """One without a single test."""
    marker = "containers and not cluster"
    return Suite(name="of nothing", marker=marker, lacks=lambda: list(lacks), prepare=prepare)


def test_a_suite_that_cannot_run_is_skipped_and_said_so(monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    assert main([], [suite("there is no spoon", "nor a fork")]) == 0
    assert capsys.readouterr().err == "SKIPPED: the suite of nothing: there is no spoon; nor a fork\n"


def test_in_ci_a_skipped_suite_is_a_failure(monkeypatch, capsys):
    monkeypatch.setenv("CI", "true")
    assert main([], [suite("there is no spoon")]) == 1
    assert "SKIPPED: the suite of nothing: there is no spoon" in capsys.readouterr().err


def test_what_cannot_be_made_fails_with_its_message(monkeypatch, capsys):
    def fail():
        raise ClusterUnavailableError("no mirror has it")

    monkeypatch.delenv("CI", raising=False)
    assert main([], [suite(prepare=fail)]) != 0
    assert capsys.readouterr().err == "no mirror has it\n"


@pytest.mark.slow
def test_after_ctrl_c_no_other_suite_is_begun(tmp_path, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    interrupted = tmp_path / "test_interrupted.py"
    interrupted.write_text("raise KeyboardInterrupt")
    begun = []
    suites = [suite(prepare=lambda number=number: begun.append(number)) for number in (1, 2)]
    assert main([str(interrupted)], suites) == pytest.ExitCode.INTERRUPTED
    assert begun == [1]


@pytest.mark.parametrize(
    "codes, expected", [([], 0), ([0, 0], 0), ([0, 5], 0), ([5, 1], 1), ([2, 1], 2), ([0, 143], 143)]
)
def test_one_failing_suite_fails_all_and_one_of_which_nothing_is_selected_does_not(codes, expected):
    for environment in ({}, {"CI": "true"}):
        assert judge(codes, is_complete=True, environment=environment) == expected


def test_one_message_names_what_is_missing_and_the_packages_that_have_it(monkeypatch):
    monkeypatch.setattr(
        needs,
        "DEBIAN",
        (
            needs.Tool(program="no-such-containerd", package="containerd"),
            needs.Tool(program="no-such-ctr", package="containerd"),
            needs.Tool(program=sys.executable, package="python3"),
            needs.Tool(program="no-such-runc", package="runc"),
        ),
    )
    assert needs.packages_to_install(needs.DEBIAN) == ["containerd", "runc"]
    with pytest.raises(needs.ClusterUnavailableError) as unavailable:
        needs.demand_a_node()
    assert (
        "there is no no-such-containerd, no-such-ctr, no-such-runc; "
        "run devkit/realcluster/install.sh as root (apt-get install containerd runc)"
    ) in str(unavailable.value)


def test_without_root_a_node_says_that_it_needs_it(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "only root can run containers; run as root" in needs.lacks_of_a_node()
