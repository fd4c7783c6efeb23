"""The stage: the demo's processes with a culler of the test's choice, and people who use chromium."""

import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from devkit.demo.cluster_reader import ClusterReader, open_cluster_reader
from devkit.demo.plan import Plan, make_plan
from devkit.demo.settings import REPOSITORY, Settings, claimed, free_port
from devkit.demo.stack import running
from devkit.realcluster.needs import BROWSER
from devkit.realcluster.suites import YES
from devkit.testing.eventually import eventually

PEOPLE = ("ada", "grace", "barbara", "admin")
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
SWEEP_EVERY = 2  # seconds
IMAGES = REPOSITORY / "docs" / "images"
AXE = REPOSITORY / "proxy/node_modules/axe-core/axe.min.js"
END = "Math.max(...[...document.body.children].map(each => each.getBoundingClientRect().bottom))"
PATIENCE = 60.0  # seconds for a page; a slow machine with much to do needs 20

CORE = ("list:users", "read:servers", "delete:servers")
SECOND_SOURCE = ("admin:server_state",)

CONFIG = """
import json

c = get_config()  # noqa: F821
exec(compile({base!r}, "jupyterhub_config.py", "exec"))
c.JupyterHub.services = json.loads({services!r})
c.JupyterHub.load_roles = json.loads({roles!r})
c.Authenticator.admin_users = {{"admin"}}
c.KubeSpawner.save_access_token = True
c.KubeSpawner.profile_list = json.loads({profiles!r})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Culling:
    """How the culler is to run; a sweep every other second, and a decision log, come with it."""

    flags: Sequence[str] = ()
    rules: Sequence[Mapping[str, Any]] = ()
    scopes: Sequence[str] = CORE
    idle_seconds: int = 20
    has_page: bool = False
    profiles: Sequence[Mapping[str, Any]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the tests see and touch."""

    plan: Plan
    browser: Browser
    cluster: ClusterReader

    @property
    def page_url(self) -> str:
        """The culler's own page."""
        return f"{self.plan.url}/services/idle-culler/"

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """What the culler wrote into its decision log so far."""
        log = decision_log(self.plan.directory)
        lines = log.read_text().splitlines() if log.is_file() else []
        return [json.loads(line) for line in lines]

    async def person(self, name: str, size: Mapping[str, int] = DESKTOP, **options: Any) -> "Person":
        """Somebody who is logged in, with a browser profile of their own."""
        context = await self.browser.new_context(viewport=dict(size), **options)
        context.set_default_timeout(PATIENCE * 1000)
        page = await context.new_page()
        # JupyterLab gives its style sheet a few seconds, which on a slow machine is too short; it works without.
        dialog = page.get_by_role("dialog", name="Error Loading Theme")
        await page.add_locator_handler(dialog, dialog.get_by_role("button").last.click)
        await page.goto(f"{self.plan.url}/hub/login?next=/hub/home")
        await page.fill("#username_input", name)
        await page.fill("#password_input", self.plan.password or "any")
        await page.click("#login_submit")
        await page.wait_for_url("**/hub/home")
        return Person(name=name, stage=self, page=page)

    async def wait_until_gone(self, name: str, *, seconds: float) -> None:
        """Return once that user has no pod; DemoError after so long."""
        await self.cluster.wait_for_pods(
            lambda pods: all(pod.username != name for pod in pods),
            meaning=f"the removal of {name}'s pod",
            deadline=seconds,
        )

    async def stop_of(self, name: str) -> dict[str, Any]:
        """Return the decision that stopped a server of this user; it is written once the hub has answered."""
        stopped = {"stopped", "stopping"}
        stops = await eventually(
            lambda: [each for each in self.decisions if each["action"] in stopped and each["user"] == name],
            seconds=20,
        )
        return stops[0]

    async def has_pod(self, name: str) -> bool:
        return any(pod.username == name for pod in await self.cluster.pods())


@dataclass(slots=True, kw_only=True)
class Person:
    """A user at their browser."""

    name: str
    stage: Stage
    page: Page

    async def open_lab(self, server: str = "") -> None:
        """Start the server and wait until JupyterLab's launcher is there."""
        path = f"{self.name}/{server}".rstrip("/")
        await self.page.goto(f"{self.stage.plan.url}/hub/spawn/{path}")
        await self.page.wait_for_url(f"**/user/{path}/lab**", wait_until="commit")
        await self.page.locator(".jp-Launcher").wait_for()

    async def run_cell(self, code: str, *, shows: str) -> None:
        """Open a new notebook, run one cell, and wait for what it prints."""
        await self.page.locator('.jp-LauncherCard[data-category="Notebook"]').first.click()
        cell = self.page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
        await cell.click()
        # A kernel that is not there yet would let the cell wait without a word.
        await self.page.locator('.jp-NotebookPanel-toolbar [data-status="idle"]').wait_for()
        await cell.fill(code)
        prompt = self.page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").first

        async def runs() -> bool:
            """Press the keys, again where they were lost: the notebook may still be drawing."""
            if "[ ]" in await prompt.inner_text():
                await cell.press("Shift+Enter")
            return "[ ]" not in await prompt.inner_text()

        await eventually(runs, seconds=PATIENCE)
        await self.page.locator(".jp-OutputArea-output", has_text=shows).wait_for()

    async def another_tab(self, url: str) -> Page:
        """Open a page beside the others."""
        tab = await self.page.context.new_page()
        await tab.goto(url)
        return tab

    async def leave(self) -> None:
        """Close the browser with all its tabs."""
        await self.page.context.close()


async def look(page: Page, name: str, *, part: str = "html", keeps_phone: bool = True) -> None:
    """Assert that everybody can read the page; SCREENSHOTS=1 keeps pictures in docs/images."""
    await assert_readable(page, name, part=part)
    for size in (DESKTOP, PHONE):
        await page.set_viewport_size(dict(size))
        if os.environ.get("SCREENSHOTS", "").lower() in YES and (size is DESKTOP or keeps_phone):
            ending = "-phone" if size is PHONE else ""
            clip = {"x": 0, "y": 0, **size, "height": min(size["height"], await page.evaluate(END) + 24)}
            await page.screenshot(path=IMAGES / f"{name}{ending}.png", clip=clip)


async def assert_readable(page: Page, name: str, *, part: str = "html") -> None:
    """Nothing is wider than the screen, and axe finds no fault in ``part``: wide and narrow, dark and light."""
    for theme, size in itertools.product(("dark", "light"), (DESKTOP, PHONE)):
        # Without motion a new colour is there at once.
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await page.set_viewport_size(dict(size))
        await page.locator(f"html[data-bs-theme={theme}]").wait_for()
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{name} is {width} pixels wide at {size['width']}"
        assert not await _faults(page, part), f"{name}, {theme}, {size['width']} pixels wide"


async def _faults(page: Page, part: str) -> list[str]:
    """Return the rules of axe that the part of the page violates, and where; a selector is the part."""
    await page.evaluate(AXE.read_text())
    report = await page.evaluate("part => axe.run(part)", part)
    return [f"{rule['help']}: {node['html']}" for rule in report["violations"] for node in rule["nodes"]]


def decision_log(directory: Path) -> Path:
    """Where the culler of this stage writes its decisions."""
    return directory / "decisions.jsonl"


@asynccontextmanager
async def raised(directory: Path, culling: Culling) -> AsyncIterator[Stage]:
    """A stage that is ready; nothing is left of it when the context ends."""
    settings = Settings(
        directory=directory / "demo",
        port=free_port(),
        idle_seconds=culling.idle_seconds,
        activity_seconds=1,
        hub_config=directory / "hub_config.py",
    )
    settings.hub_config.write_text(_hub_config(settings, culling))
    with claimed(settings.directory):
        plan = make_plan(settings)
        async with (
            running(plan),
            open_cluster_reader(plan.kubeconfig, settings.namespace, frozenset(PEOPLE)) as cluster,
            chromium() as browser,
        ):
            yield Stage(plan=plan, browser=browser, cluster=cluster)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's, without a window; root runs it without its sandbox."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=BROWSER.path, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        try:
            yield browser
        finally:
            await browser.close()


def _hub_config(settings: Settings, culling: Culling) -> str:
    command = [
        *(sys.executable, "-m", "k8s_hub.culler"),
        *(f"--timeout={culling.idle_seconds}", f"--cull-every={SWEEP_EVERY}"),
        f"--decision-log={decision_log(settings.directory)}",
        *culling.flags,
    ]
    if culling.rules:
        rules = settings.hub_config.with_name("rules.json")
        rules.write_text(json.dumps(list(culling.rules)))
        command.append(f"--rules-file={rules}")
    page = {"url": f"http://127.0.0.1:{free_port()}", "oauth_no_confirm": True} if culling.has_page else {}
    role = {"name": "idle-culler", "services": ["idle-culler"], "scopes": list(culling.scopes)}
    user = {"name": "user", "scopes": ["self", "access:services!service=idle-culler"]}
    return CONFIG.format(
        base=(REPOSITORY / "jupyterhub_config.py").read_text(),
        services=json.dumps(
            [{"name": "idle-culler", "command": command, "environment": dict(culling.environment), **page}]
        ),
        roles=json.dumps([role, user] if culling.has_page else [role]),
        profiles=json.dumps(list(culling.profiles)),
    )
