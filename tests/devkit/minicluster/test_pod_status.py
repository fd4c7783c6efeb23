"""Facts become the status that a kubelet would write."""

from datetime import UTC, datetime, timedelta

import pytest

from devkit.minicluster.pod_status import PodFacts, Running, Terminated, Waiting, main_container, pod_status
from tests.devkit.minicluster.material import pod

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def ended(code, message=""):
    return Terminated(exit_code=code, reason="Error", started=NOW, finished=LATER, message=message)


def status(facts, now=NOW, **fields):
    return pod_status(pod() | fields, facts, "127.0.0.1", now)


@pytest.mark.parametrize(
    ("facts", "phase"),
    [
        (PodFacts(), "Pending"),
        (PodFacts(scheduled=NOW), "Pending"),
        (PodFacts(scheduled=NOW, state=Running(since=NOW)), "Running"),
        (PodFacts(scheduled=NOW, state=ended(0)), "Succeeded"),
        (PodFacts(scheduled=NOW, state=ended(1)), "Failed"),
        (PodFacts(scheduled=NOW, state=Waiting(reason="CrashLoopBackOff"), last=ended(1)), "Running"),
    ],
)
def test_phases(facts, phase):
    assert status(facts)["phase"] == phase


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [
        ("Always", 0, "Running"),
        ("OnFailure", 1, "Running"),
        ("OnFailure", 0, "Succeeded"),
        ("Never", 1, "Failed"),
    ],
)
def test_a_pod_whose_container_is_started_again_goes_on_running(policy, code, phase):
    """As a kubelet says from the first moment on; Failed is final."""
    body = pod(restartPolicy=policy)
    facts = PodFacts(scheduled=NOW, state=ended(code))
    assert pod_status(body, facts, "127.0.0.1", NOW)["phase"] == phase


def test_a_condition_that_did_not_change_keeps_its_time():
    creating = status(PodFacts(scheduled=NOW))
    running = status(PodFacts(scheduled=NOW, state=Running(since=LATER)), LATER, status=creating)
    times = {each["type"]: each["lastTransitionTime"] for each in running["conditions"]}
    assert (times["PodScheduled"], times["Ready"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (Waiting(reason="ContainerCreating"), "ContainersNotReady"),
        (ended(1), "ContainersNotReady"),
        (ended(0), "PodCompleted"),
        (Running(since=NOW), None),
    ],
)
def test_a_pod_that_is_not_ready_says_why(state, why):
    conditions = status(PodFacts(scheduled=NOW, state=state))["conditions"]
    assert next(each for each in conditions if each["type"] == "Ready").get("reason") == why


def test_how_it_ended_is_told_in_full():
    container = status(PodFacts(scheduled=NOW, state=ended(3, "no licence")))["containerStatuses"][0]
    assert container["state"]["terminated"] == {
        "exitCode": 3,
        "reason": "Error",
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:05:00Z",
        "message": "no licence",
    }


def test_init_containers_are_shown_as_completed():
    body = pod(initContainers=[{"name": "wait", "image": "tools:1"}])
    shown = pod_status(body, PodFacts(scheduled=NOW), "127.0.0.1", NOW)["initContainerStatuses"]
    assert [(each["name"], each["ready"], each["state"]["terminated"]["exitCode"]) for each in shown] == [
        ("wait", True, 0)
    ]


@pytest.mark.parametrize(
    ("names", "main"), [(["a", "notebook"], "notebook"), (["a", "b"], "a")], ids=["named", "first"]
)
def test_the_main_container_is_the_notebook_or_the_first(names, main):
    body = {"spec": {"containers": [{"name": name} for name in names]}}
    assert main_container(body)["name"] == main
