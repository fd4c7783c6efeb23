"""The culler's page in a browser: a user is warned, keeps the server, within limits; an admin sees all."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from playwright.async_api import expect

from devkit.testing.eventually import eventually
from k8s_hub.clock import utcnow
from k8s_hub.objects.timestamps import parse
from tests.culler.browser.stage import CORE, SECOND_SOURCE, SWEEP_EVERY, Culling, assert_readable, look

pytestmark = pytest.mark.browser

IDLE = 60  # seconds
WARN = 30  # a slow machine takes less than the 30 seconds before it from the launcher to a cell that runs
KEEP = 40
TRIAL = 60  # longer than a slow machine takes from the launcher to a cell that runs
MARGIN = SWEEP_EVERY + 60


@asynccontextmanager
async def webhook():
    """A URL, and the warnings that were sent there."""
    warnings = []

    async def receive(request):
        warnings.append(await request.json())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/warnings", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/warnings", warnings
    finally:
        await runner.cleanup()


async def test_who_is_warned_keeps_the_server_and_not_for_ever(stage, tmp_path):
    async with webhook() as (url, warnings):
        culling = Culling(
            idle_seconds=IDLE,
            has_page=True,
            scopes=[*CORE, *SECOND_SOURCE],
            flags=[
                "--ask-servers",
                f"--warn-before={WARN}",
                *(f"--keep-longest={KEEP}", "--keep-per-week=1", f"--state-file={tmp_path}/culler.json"),
            ],
            environment={"IDLE_CULLER_WARN_URL": url},
        )
        async with stage(culling) as on:
            ada = await on.person("ada")
            await ada.open_lab()
            await ada.run_cell("print(6 * 7)", shows="42")

            warning = await eventually(lambda: warnings and warnings[0], seconds=IDLE + MARGIN)
            assert (warning["user"], warning["server"]) == ("ada", "")
            assert 0 < warning["seconds_left"] <= WARN + SWEEP_EVERY
            assert on.page_url.endswith(warning["keep_url"])

            first, second = [await ada.another_tab(on.page_url) for _ in range(2)]
            await first.get_by_role("button", name="Extend").first.click()
            assert "extended" in (await first.get_by_role("status").inner_text()).lower()
            extended_until = parse(await first.locator("[data-kept] time").first.get_attribute("datetime"))
            assert 0 < (extended_until - utcnow()).total_seconds() <= KEEP

            # It still shows the button, but the one time of this week is used up.
            await second.get_by_role("button", name="Extend").first.click()
            assert "used your one extension" in await second.get_by_role("alert").inner_text()
            assert await second.get_by_role("button", name="Extend Default server for").count() == 0
            await assert_readable(second, "the page that refuses an extension")

            await on.wait_until_gone("ada", seconds=KEEP + MARGIN)
            assert utcnow() >= extended_until
            # To keep it has put off the stop that the first warning was about: the new one has its own.
            assert [said["cause"] for said in warnings] == ["idle", "idle"]
            assert parse(warnings[1]["stop_at"]) >= extended_until
            assert warnings[1]["reason"].endswith("and its extension ends")

            await on.stop_of("ada")
            await eventually(lambda: _shows_the_stop(first), seconds=MARGIN)
            assert "Your files are kept" in await first.locator("[data-stop]").inner_text()
            assert "UTC" not in await first.inner_text("body"), "all times are the reader's own"
            await look(first, "culler-stopped", keeps_phone=False)
            await first.get_by_role("link", name="Start").click()
            await first.wait_for_url("**/user/ada/lab**", wait_until="commit")


async def test_both_pages_are_readable_at_both_widths(stage):
    rules = [
        {"name": "staff", "match": {"user": "barbara"}, "exempt": True},
        {"name": "course", "match": {"server": "course"}, "timeout": "6h", "max_age": "1d"},
        {"name": "short trials", "match": {"user": "grace"}, "timeout": TRIAL},
    ]
    culling = Culling(
        idle_seconds=3600,
        has_page=True,
        scopes=[*CORE, *SECOND_SOURCE],
        flags=["--ask-servers", "--keep-per-week=5"],
        rules=rules,
    )
    async with stage(culling) as on:
        grace = await on.person("grace")
        await grace.open_lab()
        await grace.run_cell("import time; print('begun', flush=True); time.sleep(600)", shows="begun")
        barbara = await on.person("barbara")
        await barbara.open_lab()
        ada = await on.person("ada")
        await ada.open_lab()
        await ada.open_lab("course")
        admin = await on.person("admin")
        servers = {"ada", "ada/course", "barbara", "grace"}
        await eventually(lambda: _seen(on) >= servers and "busy" in _causes(on), seconds=TRIAL + 60)

        page = await ada.another_tab(on.page_url)
        await page.get_by_role("button", name="Extend course for 4 h").click()
        await expect(page.locator("article")).to_have_count(2)
        await page.goto(on.page_url)
        await look(page, "culler-user")

        page = await admin.another_tab(on.page_url + "all")
        causes = {
            "ada": "in use",
            "ada/course": "extended",
            "barbara": "exempt",
            "grace": "busy",
        }
        await eventually(lambda: _shows(page, causes), seconds=60)
        await look(page, "culler-all")

        response = await ada.page.goto(on.page_url + "all")
        assert response.status == 403
        await assert_readable(ada.page, "the page of an error")
        assert "grace" not in await ada.page.inner_text("body")


async def _shows_the_stop(page):
    """The hub may take a moment to forget the server."""
    await page.reload()
    return await page.locator("[data-stop]").count() == 1


async def _shows(page, causes):
    """The admin's page is as of the last sweep."""
    await page.reload()
    rows = await page.locator("tr[data-server]").all()
    shown = {await row.get_attribute("data-server"): await row.get_attribute("data-cause") for row in rows}
    return shown == causes


def _seen(on):
    return {"/".join(filter(None, (each["user"], each["server"]))) for each in on.decisions}


def _causes(on):
    return {each["cause"] for each in on.decisions}
