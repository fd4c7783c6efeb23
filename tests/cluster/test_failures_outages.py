"""The API server and the hub go away in the middle of twenty starts: each ends well, once, and nobody else's server does."""

import pytest

from tests.outages import SILENT, kill_the_hub, restart_the_api_server

pytestmark = [pytest.mark.cluster, pytest.mark.hub]
WHERE = "pods played by kwok"


async def test_the_api_server_restarts_during_twenty_starts(control_plane, servers, tmp_path, failure_table):
    seen = await restart_the_api_server(control_plane, tmp_path, port=servers)

    assert seen.read[SILENT]
    assert not seen.reasons
    assert seen.failure_count == 0
    failure_table.slow_callbacks[f"API server restarted, {WHERE}"] = seen.slow_callbacks
    failure_table.see(seen.row(WHERE))


MOMENTS = {
    "nobody has a pod": lambda stage: len(stage.all("persistentvolumeclaims")) > 1,
    "some have a pod": lambda stage: len(stage.all("pods")) > 5,
    "all have a pod": lambda stage: len(stage.all("pods")) > 20,
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_hub_is_killed_during_twenty_starts(
    control_plane, servers, tmp_path, failure_table, moment
):
    seen = await kill_the_hub(control_plane, tmp_path, MOMENTS[moment], port=servers)

    assert seen.ready >= seen.pods, "whatever had a pod has its server again"
    failure_table.slow_callbacks[f"hub killed when {moment}, {WHERE}"] = seen.slow_callbacks
    failure_table.see(seen.row(f"{WHERE}; {moment} yet" if "nobody" in moment else f"{WHERE}; {moment}"))
