"""Whether the culler runs and sweeps, as the doctor judges it."""

import pytest

from k8s_hub.culler.beside import ProcessState
from k8s_hub.doctor.checks.findings import Status
from k8s_hub.doctor.checks.idle_culler import check_cullers, check_health
from k8s_hub.hub.api import Service

CULLER = Service(name="culler", command=("k8s-hub", "cull"), pid=7)
MISTAKES = ["unknown flag '--timout'; did you mean --timeout?", "rules_file is empty"]
WHY = "did you mean --timeout? rules_file is empty. The hub's log has all errors of the service"


@pytest.mark.parametrize(
    ("service", "state", "status"),
    [
        (CULLER, ProcessState.RUNS, Status.FINE),
        (CULLER, ProcessState.ENDED, Status.WRONG),
        (CULLER, ProcessState.ABSENT, Status.UNKNOWN),
        (Service(name="culler", command=("k8s-hub", "cull"), pid=0), ProcessState.RUNS, Status.WRONG),
    ],
)
def test_a_culler_of_the_hub_is_judged_by_its_process(service, state, status):
    (found,) = check_cullers([service], {7: state}.get, lambda _: MISTAKES)
    assert (found.status, "service culler" in found.message) == (status, True)
    assert found.message.endswith(WHY) is (status is Status.WRONG)


def test_a_hub_that_starts_no_culler_is_noted():
    (found,) = check_cullers([], {}.get, lambda _: [])
    assert found.status is Status.NOTED


@pytest.mark.parametrize("health", [{}, {"healthy": None}, {"status": "ok"}])
def test_a_page_that_says_nothing_of_the_culler_is_unknown(health):
    found = check_health("service culler", health)
    assert (found.status, "does not say whether it sweeps" in found.message) == (Status.UNKNOWN, True)


def test_a_culler_is_as_its_page_says():
    found = check_health("service culler", {"healthy": False, "reason": "no sweep has succeeded for 15 min"})
    assert found.status is Status.WRONG
    assert found.message == "service culler stops no servers: no sweep has succeeded for 15 min"
    found = check_health(
        "service culler", {"healthy": True, "reason": "the last successful sweep ended 3 s ago"}
    )
    assert found.status is Status.FINE
