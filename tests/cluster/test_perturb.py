"""A sample of `make perturb`: the hub is killed at writes of a start and a stop, on the real API server."""

import pytest

from devkit.perturb.campaign import Report, opened, run_kills
from devkit.perturb.scenarios import PLAIN, SCENARIOS

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

SAMPLE = {
    "start, create persistentvolumeclaims, replied",
    "start, create pods, committed",
    "stop, delete pods, before",
}


async def test_a_killed_hub_loses_nothing_and_leaves_nothing(tmp_path):
    """What the audit log of the undisturbed runs has is what the scenarios name."""
    report = Report()
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in {"start", "stop"}]
    async with opened(PLAIN, 6, tmp_path, report) as stage:
        await run_kills(stage, scenarios=scenarios, is_wanted=SAMPLE.__contains__, say=print)

    assert set(report.results) == SAMPLE
    assert report.violations == {}
    assert report.gaps == []
