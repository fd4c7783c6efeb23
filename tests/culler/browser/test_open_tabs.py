"""JupyterLab in a browser: an open tab keeps no server alive, a cell that runs does."""

import asyncio

import pytest

from tests.culler.browser.stage import Culling

pytestmark = pytest.mark.browser

IDLE = 20  # seconds


async def test_without_the_second_source_an_open_tab_keeps_its_server(stage):
    async with stage(Culling(idle_seconds=IDLE)) as on:
        ada = await on.person("ada")
        await ada.open_lab()
        await ada.run_cell("print(6 * 7)", shows="42")
        await ada.page.screenshot(path="/tmp/h8-lab.png")
        await asyncio.sleep(2 * IDLE)
        assert await on.has_pod("ada")
