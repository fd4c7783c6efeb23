"""The acceptance table: the same decisions from library, dry run, explain and page."""

import json
import logging
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser

import aiohttp
import pytest

from devkit.demo.settings import free_port
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.core.decision import Action
from k8s_hub.culler.core.page_settings import PageSettings
from k8s_hub.culler.core.report import Board, Pulse
from k8s_hub.culler.explain import Explain
from k8s_hub.culler.web.app import serve_page
from k8s_hub.culler.web.handlers import Site
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from tests.culler import table
from tests.culler.tablehub import CULLER_TOKEN, PERSON_TOKEN, hub_of

ROWS = pytest.mark.parametrize("row", table.rows(), ids=lambda row: row.what)


def test_the_table_is_as_large_as_promised():
    rows = table.rows()
    assert len(rows) >= 60
    assert len({row.what for row in rows}) == len(rows)
    assert all("#" in row.source for row in rows)


# --- The library ---


async def decided(row):
    return await row.decider.decide(row.facts(), row.now)


@ROWS
async def test_library(row):
    decision = await decided(row)
    verdict, expected = decision.verdict, row.expected
    assert ("stop" if verdict.culls else "keep", verdict.cause.value, decision.matched.name) == (
        expected.verdict,
        expected.cause,
        expected.rule,
    )
    if expected.looks_at_due:
        assert verdict.deadline == expected.deadline


# --- The program: dry run and explain ---


@pytest.fixture
def configured(monkeypatch, tmp_path):
    """Return a function that configures the program for a row, as its admin would, and gives it the row's clock."""

    def configure(application, row, hub, *arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("JUPYTERHUB_SERVICE_URL", raising=False)
        monkeypatch.setenv("JUPYTERHUB_API_URL", hub.api_url)
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", CULLER_TOKEN)
        warns = {"warn_url": f"{hub.url}/warnings"} if "warn_before" in row.settings else {}
        options = {
            **row.settings,
            **warns,
            "rules": row.rules,
            "ask_servers": row.is_asked,
            "state_file": str(tmp_path / "state.json"),
        }
        (tmp_path / "config.json").write_text(json.dumps({"IdleCuller": options}))
        row.store(tmp_path / "state.json")
        application.clock = lambda: row.now
        application.initialize([*arguments, "--config=config.json"])
        return application

    return configure


def written_at(path):
    """Return what changes when the file is written, even with the same content."""
    return path.stat().st_mtime_ns, path.stat().st_ino


async def assert_is_as_decided(record, row):
    """Check a record as JSON against the table, and against what the library says of the same."""
    decision = await decided(row)
    action = Action.WOULD_STOP if decision.verdict.culls else Action.KEPT
    assert (record["verdict"], record["cause"], record["rule"]) == (
        row.expected.verdict,
        row.expected.cause,
        row.expected.rule,
    )
    facts_of_the_server = {"busy_kernels", "connections", "last_execution"}  # asked only where it matters
    expected = decision.as_json(action)
    same = expected.keys() - facts_of_the_server
    assert {key: record[key] for key in same} == {key: expected[key] for key in same}


@ROWS
async def test_dry_run(row, configured, tmp_path, capfd):
    async with hub_of(row) as hub:
        culler = configured(IdleCuller(), row, hub, "--dry-run", "--once", "--decision-log=decisions.jsonl")
        before = written_at(tmp_path / "state.json")
        assert await culler.serve() == 0
        assert hub.changes == []  # nothing stopped, nobody warned
        assert (hub.asked_servers > 0) == (row.is_asked and row.expected.cause != "too old")
    assert capfd.readouterr().out.splitlines() == [(await decided(row)).sentence()]
    (line,) = (tmp_path / "decisions.jsonl").read_text().splitlines()
    await assert_is_as_decided(json.loads(line), row)
    assert written_at(tmp_path / "state.json") == before


@ROWS
async def test_explain(row, configured, tmp_path, capfd):
    async with hub_of(row) as hub:
        which = f"{row.user_name}/{row.server_name}"
        explain = configured(Explain(), row, hub, which, "--json")
        before = written_at(tmp_path / "state.json")
        assert await explain.serve() == 0
        assert hub.changes == []
    (line,) = capfd.readouterr().out.splitlines()
    await assert_is_as_decided(json.loads(line), row)
    assert written_at(tmp_path / "state.json") == before


# --- The page ---


class Servers(HTMLParser):
    """Reads the servers of a page: what its elements say of themselves, and the time that is shown as due."""

    def __init__(self, page):
        super().__init__()
        self.found = {}
        self._is_due = False
        self._server = None
        self.feed(page)

    def handle_starttag(self, _tag, attributes):
        given = dict(attributes)
        if "data-server" in given:
            self._server = {
                key.removeprefix("data-"): value for key, value in given.items() if key[:5] == "data-"
            }
            self.found[given["data-server"]] = self._server
        if "data-due" in given:
            self._is_due = True
        if "datetime" in given and self._is_due:
            self._server["due"] = datetime.fromisoformat(given["datetime"])
            self._is_due = False

    def handle_endtag(self, tag):
        if tag in {"td", "span"}:
            self._is_due = False


@asynccontextmanager
async def shown_on_pages(row):
    """Yield the user's page and the admins', as they show a row."""
    decision = await decided(row)
    board = Board()
    board.on_decision(decision, Action.WOULD_STOP if decision.verdict.culls else Action.KEPT)
    port = free_port()
    environment = {"JUPYTERHUB_SERVICE_NAME": "culler", "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}"}
    async with hub_of(row) as hub:
        settings = PageSettings.of(environment, api_url=hub.api_url, token=CULLER_TOKEN)
        connection_settings = HubConnectionSettings(url=hub.api_url, token=CULLER_TOKEN)
        async with (
            HubConnection(connection_settings) as connection,
            serve_page(
                Site(
                    settings=settings,
                    board=board,
                    decider=row.decider,
                    store=row.store(None),
                    hub=HubApi(connection),
                    now=lambda: row.now,
                    health=Pulse(timedelta(minutes=5), lambda: row.now).health,
                )
            ),
            aiohttp.ClientSession(headers={"Authorization": f"token {PERSON_TOKEN}"}) as person,
        ):
            pages = []
            for name in ("", "all"):
                reply = await person.get(f"http://127.0.0.1:{port}/services/culler/{name}")
                pages.append(await reply.text())
                assert reply.status == 200, pages[-1]
            yield pages
        assert hub.changes == []


@ROWS
async def test_page(row):
    """The user's page decides anew by what the hub and the last sweep said; the admin's shows that sweep's decision."""
    decision = await decided(row)
    async with shown_on_pages(row) as (own, all_servers):
        for page in (own, all_servers):
            [server] = Servers(page).found.values()
            assert server["server"] == str(decision.facts.server)
            assert (server["verdict"], server["cause"], server["rule"] or None) == (
                row.expected.verdict,
                row.expected.cause,
                row.expected.rule,
            )
            if page is all_servers or not decision.verdict.culls:  # a user reads "at the next sweep"
                assert server.get("due") == decision.verdict.deadline


# --- Names that would forge a line ---

FORGED = "x\n[I 2026-07-01 12:00:00,000 k8s_hub.culler] boss: stopped: was idle for 9 h\x1b[2K\u202e"
END = r"\x1b[2K\u202e"


def renamed(row, user="ann", server=FORGED):
    """Return the row with these names, which JupyterHub 5.5 takes."""
    (told,) = row.user["servers"].values()
    servers = {server: {**told, "name": server}}
    return replace(row, user={**row.user, "name": user, "servers": servers}, server_name=server)


@pytest.fixture
def idle_row():
    rows = (row for row in table.rows() if not row.is_asked and not row.rules)
    return next(row for row in rows if row.expected.cause == "idle")


@pytest.mark.parametrize(
    "names",
    [{}, {"user": FORGED, "server": ""}, {"user": FORGED}],
    ids=["server", "user", "both"],
)
async def test_an_odd_name_is_one_line_of_all_that_is_printed(names, idle_row, configured, capfd):
    row = renamed(idle_row, **names)
    shown = str((await decided(row)).facts.server)
    async with hub_of(row) as hub:
        assert await configured(IdleCuller(), row, hub, "--dry-run", "--once", "--debug").serve() == 0
        dry_run = capfd.readouterr()
        which = f"{row.user_name}/{row.server_name}"
        assert await configured(Explain(), row, hub, which).serve() == 0
        explained = capfd.readouterr()
    assert len([line for line in dry_run.out.splitlines() if shown in line]) == 1
    assert f"{shown}: would be stopped: was idle for" in dry_run.err
    assert explained.out.startswith(f"{shown}: would be stopped: was idle for")
    for line in f"{dry_run.out}{dry_run.err}{explained.out}{explained.err}".split("\n"):
        assert line.isprintable()
        assert not line.startswith("[I 2026-07-01")


async def test_an_odd_name_is_one_line_of_a_log_that_quotes_it_as_it_is(configured, idle_row, capfd):
    """Whoever logs it, and in tracebacks: the culler's formatter escapes it."""
    async with hub_of(idle_row) as hub:
        configured(IdleCuller(), idle_row, hub, "--once")
    capfd.readouterr()  # what is said of the options
    log = logging.getLogger("k8s_hub.culler.sweep")
    log.error("%s", FORGED, exc_info=KeyError(FORGED, ValueError(FORGED)))
    logging.getLogger("tornado.general").warning(FORGED)
    lines = capfd.readouterr().err.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[0].endswith(END)
    assert lines[-1].endswith(END)
    assert len([line for line in lines if END in line]) == 3  # two messages, and an exception's


async def test_an_odd_name_is_shown_escaped_on_the_pages(idle_row):
    async with shown_on_pages(renamed(idle_row)) as pages:
        for page in pages:
            assert FORGED not in page.partition("<form")[0]
            assert END in page
