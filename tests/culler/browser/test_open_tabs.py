"""JupyterLab in a browser: an open tab keeps no server alive, a cell that runs does."""

import asyncio
import time

import pytest

from k8s_hub.objects.timestamps import parse
from tests.culler.browser.stage import CORE, SECOND_SOURCE, SWEEP_EVERY, Culling

pytestmark = pytest.mark.browser

IDLE = 30  # seconds
CELL = 60  # seconds; twice as long as the limit
MARGIN = SWEEP_EVERY + 60  # seconds: a sweep, the stop, and a slow machine

PROBING = Culling(idle_seconds=IDLE, flags=["--ask-servers"], scopes=[*CORE, *SECOND_SOURCE])
NOT_ASKING = Culling(idle_seconds=IDLE)


async def test_a_tab_in_which_nothing_runs_is_no_reason_to_keep_a_server(stage):
    async with stage(PROBING) as on:
        ada = await on.person("ada")
        await ada.open_lab()
        await ada.run_cell("print(6 * 7)", shows="42")
        await on.wait_until_gone("ada", seconds=IDLE + MARGIN)

        stop = await on.stop_of("ada")
        assert (parse(stop["time"]) - parse(stop["last_execution"])).total_seconds() >= IDLE
        assert (stop["cause"], stop["busy_kernels"]) == ("idle", 0)
        assert stop["connections"] > 0
        assert stop["last_activity"] > stop["last_execution"], "to the hub, it was in use"


async def test_without_the_second_source_the_tab_keeps_it(stage):
    async with stage(NOT_ASKING) as on:
        ada = await on.person("ada")
        await ada.open_lab()
        await ada.run_cell("print(6 * 7)", shows="42")
        await asyncio.sleep(IDLE + 5 * SWEEP_EVERY)
        assert await on.has_pod("ada")
        assert {each["cause"] for each in on.decisions[-3:]} == {"in use"}


async def test_a_cell_that_runs_and_says_nothing_keeps_its_server_until_it_has_ended(stage):
    async with stage(PROBING) as on:
        ada = await on.person("ada")
        await ada.open_lab()
        begun = time.monotonic()
        await ada.run_cell(f"import time; print('begun', flush=True); time.sleep({CELL})", shows="begun")
        await ada.leave()
        await on.wait_until_gone("ada", seconds=CELL + IDLE + MARGIN)
        assert time.monotonic() - begun > CELL + IDLE

        assert (await on.stop_of("ada"))["cause"] == "idle"
        assert "busy" in {each["cause"] for each in on.decisions}
