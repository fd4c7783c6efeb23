"""What the wired application does with a real hub: explain, dry run, decision log, scopes, warnings."""

import asyncio
import functools
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from jupyterhub.orm import User

from devkit.testing.realhub import RealHub
from k8s_hub.clock import utcnow
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.event_bus import DecisionLog
from k8s_hub.culler.explain import Explain
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.wiring import CannotStart
from k8s_hub.retries import RetryPolicy

pytestmark = pytest.mark.hub

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CHART_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")
ODD_NAME = "zoë o'neill@example.org"


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    for name in ("JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SERVICE_NAME", "JUPYTERHUB_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


async def run(hub, monkeypatch, *arguments, kind=IdleCuller, scopes=CHART_SCOPES) -> int:
    monkeypatch.setenv("JUPYTERHUB_API_URL", hub.api_url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", hub.token(scopes=scopes))
    app = kind()
    app.initialize([*arguments, "--timeout=3600"])
    return await app.serve()


async def start_idle(hub, user, name=""):
    await hub.start_server(user, name)
    await hub.wait_ready(user, name)
    hub.set_activity(user, LONG_AGO, name)


async def test_once_stops_what_is_idle_and_a_dry_run_does_not(monkeypatch, capsys, tmp_path):
    async with RealHub(users=["idle", "busy"]) as hub:
        await start_idle(hub, "idle")
        await hub.start_server("busy")
        assert await run(hub, monkeypatch, "--once", "--dry-run", "--decision-log=log", "--state-file=s") == 0
        assert hub.spawner("idle").ready
        assert not (tmp_path / "s").exists()
        records = {
            record["user"]: record for record in map(json.loads, (tmp_path / "log").read_text().splitlines())
        }
        assert {user: record["action"] for user, record in records.items()} == {
            "idle": "would stop",
            "busy": "kept",
        }
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == 2
        assert any(line.startswith("idle") for line in printed)

        assert await run(hub, monkeypatch, "--once") == 0
        await hub.wait_stopped("idle")
        assert hub.spawner("busy").ready


async def test_a_sink_that_takes_no_record_costs_the_others_none(monkeypatch, capsys, tmp_path):
    def takes_none(_self, _decision, _action):
        raise ValueError("Exceeds the limit for integer string conversion")

    monkeypatch.setattr(DecisionLog, "__call__", takes_none)
    async with RealHub(users=["ada", "bob"]) as hub:
        await start_idle(hub, "ada")
        await start_idle(hub, "bob")
        assert await run(hub, monkeypatch, "--once", "--dry-run", "--decision-log=log") == 0
        printed = capsys.readouterr()
    assert sorted(line.partition(":")[0] for line in printed.out.splitlines()) == ["ada", "bob"]
    assert printed.err.count("decision_log: skipped a record") == 1


async def test_explain(monkeypatch, capsys):
    async with RealHub(users=[ODD_NAME, "nothing"]) as hub:
        await start_idle(hub, ODD_NAME, "lab")
        await hub.start_server(ODD_NAME, "old")
        await hub.stop_server(ODD_NAME, "old")

        assert await run(hub, monkeypatch, f"{ODD_NAME}/lab", kind=Explain) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"{ODD_NAME}/lab")
        assert "idle limit:" in text
        assert "What would change it:" in text
        assert hub.spawner(ODD_NAME, "lab").ready

        assert await run(hub, monkeypatch, ODD_NAME, "--json", kind=Explain) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        answers = {line["server"]: line for line in lines}
        assert {line["time"][-1] for line in lines} == {"Z"}
        assert answers["lab"]["verdict"] == "stop"
        assert answers["lab"]["changes"]
        assert answers["old"] | {"time": None} == {
            "time": None, "user": ODD_NAME, "server": "old", "action": None, "verdict": None, "cause": None,
            "reason": "is stopped", "changes": [],
        }  # fmt: skip


async def test_explain_says_what_the_culler_stopped_and_why(monkeypatch, capsys, tmp_path):
    async with RealHub() as hub:
        await start_idle(hub, "alice", "lab")
        await start_idle(hub, "alice")
        assert await run(hub, monkeypatch, "--once", "--state-file=s") == 0
        await hub.wait_stopped("alice", "lab")
        await hub.wait_stopped("alice")
        await hub.start_server("alice")
        assert await run(hub, monkeypatch, "--once", "--state-file=s") == 0

        assert await run(hub, monkeypatch, "alice", "--state-file=s", kind=Explain) == 0
        text = capsys.readouterr().out
        assert re.search(
            r"alice/lab: stopped\n  The culler stopped it at 20\S+ \d\d:\d\d:\d\d UTC: it was idle for \d+ days",
            text,
        )
        assert text.count("The culler stopped it") == 1
        assert await run(hub, monkeypatch, "alice/lab", "--state-file=s", "--json", kind=Explain) == 0
        line = json.loads(capsys.readouterr().out)
        assert line["stopped_because"].startswith("was idle for ")
        assert [len(line[key]) for key in ("time", "stopped_at")] == [len("2026-07-01T12:00:00.250000Z")] * 2


async def test_explain_names_the_rule_of_a_stop(monkeypatch, capsys, tmp_path):
    (tmp_path / "r.json").write_text('[{"name": "labs", "match": {"server": "lab"}, "timeout": "1h"}]')
    flags = ["--state-file=s", "--rules-file=r.json"]
    async with RealHub() as hub:
        await start_idle(hub, "alice", "lab")
        assert await run(hub, monkeypatch, "--once", *flags) == 0
        await hub.wait_stopped("alice", "lab")
        assert await run(hub, monkeypatch, "alice/lab", *flags, kind=Explain) == 0
        assert capsys.readouterr().out.endswith(" (rule 'labs').\n")


async def test_explain_says_where_a_stop_would_be_recorded(monkeypatch, capsys):
    """Without a state file it cannot know why; it must not look as if the culler had not stopped it."""
    async with RealHub() as hub:
        await hub.start_server("alice")
        await hub.stop_server("alice")
        assert await run(hub, monkeypatch, "alice", kind=Explain) == 0
        assert capsys.readouterr().out.splitlines() == [
            "alice: stopped",
            "  Only the culler's log says whether the culler stopped it: state_file is not set.",
        ]
        assert await run(hub, monkeypatch, "alice", "--state-file=s", kind=Explain) == 0
        assert capsys.readouterr().out.splitlines() == [
            "alice: stopped",
            "  The state file has no stop of it by the culler within the last 7 days.",
            "  The hub's log says how a server ended otherwise, and its user's next spawn page does.",
        ]


async def test_a_server_that_never_was_is_not_stopped(monkeypatch, capsys):
    """The hub lists a default server of every user who has logged in."""
    async with RealHub() as hub:
        assert await run(hub, monkeypatch, "alice", kind=Explain) == 0
        assert capsys.readouterr().out == "alice: was never started\n"
        assert await run(hub, monkeypatch, "alice", "--json", kind=Explain) == 0
        assert json.loads(capsys.readouterr().out)["reason"] == "was never started"


async def test_explain_shows_all_times_in_one_way_and_without_fractions(monkeypatch, capsys):
    async with RealHub() as hub:
        await hub.start_server("alice")
        await hub.wait_ready("alice")
        assert await run(hub, monkeypatch, "alice", kind=Explain) == 0
    text = capsys.readouterr().out
    for label in ("started", "last activity", "stops if nothing changes"):
        assert re.search(rf"^  {label}: +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("kind", "arguments"), [(Explain, ["alice"]), (IdleCuller, ["--once", "--dry-run", "--state-file=s"])]
)
async def test_what_warns_nobody_needs_no_target_of_warnings(monkeypatch, capsys, kind, arguments):
    """The service has it in its environment, which an admin's shell lacks."""
    monkeypatch.delenv("IDLE_CULLER_WARN_URL", raising=False)
    async with RealHub() as hub:
        await start_idle(hub, "alice")
        assert await run(hub, monkeypatch, *arguments, "--warn-before=600", kind=kind) == 0
        assert hub.spawner("alice").ready
    assert "alice: kept: was idle for" in (said := capsys.readouterr().out)
    assert "but the culler sends a warning first" in said


async def test_one_server_that_cannot_be_explained_costs_no_other(monkeypatch, capsys, tmp_path):
    (tmp_path / "idle_culler_config.py").write_text(
        "def hook(inactive, inactive_limit, server):\n"
        "    return 1 / 0 if server['name'] == 'odd' else False\n"
        "c.IdleCuller.cull_arbiter_hook = hook\n"
    )
    async with RealHub() as hub:
        for name in ("odd", "lab"):
            await start_idle(hub, "alice", name)
        assert await run(hub, monkeypatch, "alice", kind=Explain) == 1
    printed = capsys.readouterr()
    assert "alice/lab: kept: is not idle according to the arbiter hook" in printed.out
    assert printed.err.endswith(
        "k8s-hub cull explain: alice/odd: could not decide: ZeroDivisionError('division by zero')\n"
    )


@pytest.mark.parametrize(
    ("subject", "words"),
    [("nobody", "no user 'nobody'"), ("alice/nowhere", "'alice' has no server 'nowhere'")],
)
async def test_explain_of_what_is_not_there(monkeypatch, capsys, subject, words):
    async with RealHub() as hub:
        assert await run(hub, monkeypatch, subject, kind=Explain) == 1
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["/lab"]])
def test_explain_asks_for_one_user(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        Explain().initialize(arguments)
    assert caught.value.code == 2
    assert "USER or USER/SERVER" in capsys.readouterr().err


def test_explain_leaves_the_log_file_to_the_running_culler(tmp_path):
    for path in (tmp_path / "cull.log", tmp_path / "absent" / "cull.log"):
        Explain().initialize(["ada", f"--log_file_prefix={path}"])
    assert not (tmp_path / "cull.log").exists()


def test_explain_refuses_a_name_that_is_no_text(capsys):
    with pytest.raises(SystemExit) as caught:
        Explain().initialize(["\udcff"])
    assert caught.value.code == 2
    assert "is not UTF-8: no user or server" in capsys.readouterr().err


async def test_sweeping_once_now_and_then_is_no_outage_of_the_hub(monkeypatch, tmp_path):
    """As a CronJob with a state file: each run would find a silence since the one before, and stop nothing ever."""
    state = {"version": 1, "last_contact": LONG_AGO.isoformat(), "keeps": {}, "notices": []}
    (tmp_path / "s").write_text(json.dumps(state))
    async with RealHub() as hub:
        await start_idle(hub, "alice")
        assert await run(hub, monkeypatch, "--once", "--state-file=s") == 0
        await hub.wait_stopped("alice")


async def test_an_address_that_no_host_can_have_is_told(monkeypatch):
    async with RealHub() as hub:
        with pytest.raises(CannotStart, match=r"metrics_port 9877 on a\.\.b cannot be used"):
            await run(hub, monkeypatch, "--metrics-port=9877", "--metrics-ip=a..b")


async def told(hub, monkeypatch, caplog, *arguments, scopes) -> list[str]:
    """Return what the start says of scopes."""
    caplog.clear()
    # traitlets' configuration of logging takes the package's loggers away from pytest.
    monkeypatch.setattr(IdleCuller, "_configure_logging", lambda _self: None)
    await run(hub, monkeypatch, "--once", *arguments, scopes=scopes)
    return [
        r.getMessage()
        for r in caplog.records
        if r.name == "k8s_hub.culler.wiring" and "scope" in r.getMessage()
    ]


async def test_the_chart_s_scopes_are_all_that_the_core_needs(monkeypatch, caplog):
    async with RealHub() as hub:
        assert await told(hub, monkeypatch, caplog, scopes=CHART_SCOPES) == []
        assert not [r for r in caplog.records if "lacks the scope" in r.getMessage()]


@pytest.mark.parametrize("missing", ["list:users", "read:servers", "delete:servers"])
async def test_a_missing_scope_of_the_core_is_named_once(monkeypatch, caplog, missing):
    async with RealHub() as hub:
        scopes = [scope for scope in CHART_SCOPES if scope != missing]
        (sentence,) = await told(hub, monkeypatch, caplog, scopes=scopes)
        assert f"lacks the scope {missing}:" in sentence


async def test_what_options_need_is_named_once(monkeypatch, caplog, tmp_path):
    (tmp_path / "r.json").write_text('[{"match": {"group": "a"}, "timeout": "1h"}]')
    flags = ["--cull-users", "--rules-file=r.json", "--ask-servers"]
    async with RealHub() as hub:
        sentences = await told(
            hub, monkeypatch, caplog, *flags, scopes=["list:users", "read:servers", "delete:servers"]
        )
        named = [sentence.partition("scope ")[2].split()[0].removesuffix(":") for sentence in sentences]
        assert named == [
            "read:users:activity",
            "read:users",
            "delete:users",
            "read:users:groups",
            "admin:server_state",
        ]
        everything = [*CHART_SCOPES, "delete:users", "read:users", "admin:server_state"]
        assert await told(hub, monkeypatch, caplog, *flags, scopes=everything) == []


@pytest.mark.parametrize("too_much", ["tokens", "access:servers"])
async def test_a_scope_that_is_too_much_is_named(monkeypatch, caplog, too_much):
    async with RealHub() as hub:
        scopes = [*CHART_SCOPES, "admin:server_state", too_much]
        (sentence,) = await told(hub, monkeypatch, caplog, "--ask-servers", scopes=scopes)
        assert f"has the scope {too_much}" in sentence


async def test_explain_says_when_the_user_is_deleted(monkeypatch, capsys):
    scopes = [*CHART_SCOPES, "read:users"]
    async with RealHub(users=["gone", "new"]) as hub:
        hub.app.users["gone"].last_activity = datetime(2020, 1, 1)  # noqa: DTZ001 - as the database has it
        await hub.start_server("new")
        await hub.wait_ready("new")
        ask = functools.partial(run, hub, monkeypatch, kind=Explain, scopes=scopes)

        assert await ask("gone", "--cull-users") == 0
        said = capsys.readouterr().out
        assert "user gone: would be deleted: was idle for" in said
        assert await ask("gone") == 0
        assert "deleted" not in capsys.readouterr().out

        assert await ask("new", "--cull-users", "--user-timeout=1") == 0
        assert "user new: kept: has running servers (new)" in capsys.readouterr().out

        assert await ask("gone", "--cull-users", "--json") == 0
        line = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert (line["user"], line["server"], line["action"]) == ("gone", None, "would delete")


async def test_explain_names_the_scope_that_would_show_whether_a_rule_holds(monkeypatch, capsys, tmp_path):
    (tmp_path / "r.json").write_text(
        '[{"name": "instructors", "match": {"group": "instructors"}, "exempt": true},'
        ' {"name": "gpu", "match": {"profile": "gpu"}, "timeout": "1d"}]'
    )
    async with RealHub() as hub:
        await start_idle(hub, "alice")
        assert await run(hub, monkeypatch, "alice", "--rules-file=r.json", kind=Explain) == 0
        said = capsys.readouterr().out
        assert (
            "alice: kept: may be exempt by a rule that the culler cannot check (rule 'instructors' in doubt, rule 'gpu' in doubt)"
            in said
        )
        for rule, scope in (("instructors", "read:users:groups"), ("gpu", "admin:server_state")):
            assert (
                f"The culler cannot tell whether rule '{rule}' matches: the API token lacks the scope {scope}."
                in said
            )
        assert await run(hub, monkeypatch, "--once", "--rules-file=r.json") == 0
        assert hub.spawner("alice").ready


@pytest.mark.parametrize(
    ("saved", "said", "change"),
    [
        (
            {"grace_until": "{later}"},
            "alice: held back: was idle for",
            "unless somebody uses it before then: after the hub's outage, the culler first gives",
        ),
        (
            {"brakes": [{"user": "alice", "server": "", "until": "{later}"}]},
            "alice: held back: was idle for",
            "stops it unless somebody uses it before then: the brake holds for one sweep only.",
        ),
        (
            {"brakes": [{"user": "alice", "server": "", "until": "{earlier}"}]},
            "alice: would be stopped: was idle for",
            "Activity before the stop keeps it running.",
        ),
    ],
)
async def test_explain_says_what_the_running_culler_holds_back(
    monkeypatch, capsys, tmp_path, saved, said, change
):
    now = utcnow()
    times = {"later": now + timedelta(minutes=4), "earlier": now - timedelta(minutes=4)}
    text = json.dumps(saved)
    for name, at in times.items():
        text = text.replace(f"{{{name}}}", at.isoformat())
    state = {"version": 1, "last_contact": now.isoformat(), "keeps": {}, "notices": [], **json.loads(text)}
    (tmp_path / "s").write_text(json.dumps(state))
    async with RealHub() as hub:
        await start_idle(hub, "alice")
        assert await run(hub, monkeypatch, "alice", "--state-file=s", kind=Explain) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(said)
        assert change in shown
        assert await run(hub, monkeypatch, "alice", "--state-file=s", "--json", kind=Explain) == 0
        line = json.loads(capsys.readouterr().out)
    if "held back" in said:
        assert (line["verdict"], line["action"]) == ("keep", "kept")
        assert datetime.fromisoformat(line["due"]) == times["later"]
    assert json.loads((tmp_path / "s").read_text()) == state, "explain changes nothing"


async def test_without_a_state_file_explain_does_not_know_what_is_held_back(monkeypatch, capsys):
    async with RealHub() as hub:
        await start_idle(hub, "alice")
        assert await run(hub, monkeypatch, "alice", kind=Explain) == 0
    assert "the culler may hold the stop back: only a state_file shows this here." in capsys.readouterr().out


async def test_a_dry_run_shows_whom_it_would_delete(monkeypatch, capsys, tmp_path):
    scopes = [*CHART_SCOPES, "read:users", "delete:users"]
    async with RealHub(users=["gone", "idle"]) as hub:
        await start_idle(hub, "idle")
        for name in ("gone", "idle"):
            hub.app.users[name].last_activity = datetime(2020, 1, 1)  # noqa: DTZ001 - as the database has it
        flags = ["--once", "--dry-run", "--cull-users", "--decision-log=log"]
        assert await run(hub, monkeypatch, *flags, scopes=scopes) == 0
        printed = capsys.readouterr().out
        for name in ("gone", "idle"):
            assert f"user {name}: would be deleted" in printed
            assert name in {user.name for user in hub.app.db.query(User)}
        lines = map(json.loads, (tmp_path / "log").read_text().splitlines())
        assert {(each["user"], each["server"], each["action"]) for each in lines} == {
            ("idle", "", "would stop"), ("idle", None, "would delete"), ("gone", None, "would delete")
        }  # fmt: skip


async def test_a_state_file_that_another_culler_has_is_waited_for_and_then_refused(monkeypatch, tmp_path):
    """The culler of a hub that was killed ends within two seconds; the next hub's starts meanwhile."""
    monkeypatch.setattr(
        "k8s_hub.culler.wiring.PREDECESSOR", RetryPolicy(initial=0.01, factor=1, deadline=0.05)
    )
    other = StateStore(tmp_path / "s", ExtensionLimits(), lambda: LONG_AGO)
    async with RealHub() as hub:
        with pytest.raises(CannotStart, match="is in use by another culler"):
            await run(hub, monkeypatch, "--once", "--state-file=s")
        monkeypatch.setattr("k8s_hub.culler.wiring.PREDECESSOR", RetryPolicy(deadline=30))
        asyncio.get_running_loop().call_later(0.1, other.close)
        assert await run(hub, monkeypatch, "--once", "--state-file=s") == 0
        StateStore(tmp_path / "s", ExtensionLimits(), lambda: LONG_AGO).close()


async def test_a_webhook_warns_and_the_server_stays_for_now(monkeypatch, tmp_path):
    got = []

    async def answer(request):
        got.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with RealHub() as hub:
            await start_idle(hub, "alice", "lab")
            monkeypatch.setenv("IDLE_CULLER_WARN_URL", f"http://127.0.0.1:{port}/hook")
            flags = ["--once", "--warn-before=600", "--state-file=s"]
            assert await run(hub, monkeypatch, *flags) == 0
            assert await run(hub, monkeypatch, *flags) == 0
            assert hub.spawner("alice", "lab").ready
    finally:
        await runner.cleanup()
    (warning,) = got
    assert (warning["user"], warning["server"]) == ("alice", "lab")
    assert 590 <= warning["seconds_left"] <= 600
    assert warning["keep_url"] is None
