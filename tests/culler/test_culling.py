"""The culler against a real hub: what a user and an admin see of it."""

import asyncio
import contextlib
import sys
from datetime import UTC, datetime, timedelta

import pytest

from devkit.testing.eventually import eventually
from devkit.testing.realhub import QuietSpawner, RealHub
from k8s_hub.clock import utcnow
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.hub.errors import HubForbidden

pytestmark = pytest.mark.hub

LIMITS = Limits(timeout=timedelta(hours=1))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CHART_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")
NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0, "slow_stop_timeout": 0}}
ODD_NAME = "zoë o'neill@example.org"


@contextlib.asynccontextmanager
async def sweep_of(hub, *, scopes=CHART_SCOPES, limits=LIMITS, **options):
    settings = HubConnectionSettings(url=hub.api_url, token=hub.token(scopes=scopes))
    async with HubConnection(settings) as connection:
        yield Sweep(HubApi(connection), SweepOptions(**options), Decider(limits=limits), utcnow)


async def start_idle(hub, user, name=""):
    await hub.start_server(user, name)
    await hub.wait_ready(user, name)
    hub.set_activity(user, LONG_AGO, name)


async def test_idle_servers_stop_and_the_others_run_on():
    async with RealHub(users=["idle", "busy", ODD_NAME]) as hub, sweep_of(hub, page_size=1) as sweep:
        await start_idle(hub, "idle")
        await start_idle(hub, ODD_NAME, "lab")
        await hub.start_server("busy")
        await start_idle(hub, "busy", "old")

        report = await sweep.run()

        assert (report.servers, report.stopped, report.failed) == (4, 3, 0)
        assert report.kept == {"in use": 1}
        assert hub.spawner("busy").ready
        assert {spec for spec in hub.routes if spec.startswith("/user")} == {"/user/busy/"}


async def test_servers_that_start_or_stop_are_left_alone(monkeypatch):
    config = {"JupyterHub": NO_WAIT}
    async with RealHub(users=["starts", "stops"], config=config) as hub, sweep_of(hub) as sweep:
        await hub.start_server("stops")
        await hub.wait_ready("stops")
        hub.set_activity("stops", LONG_AGO)
        gate = asyncio.Event()
        monkeypatch.setattr(QuietSpawner, "gate", gate)
        assert await hub.stop_server("stops") == 202
        assert await hub.start_server("starts") == 202

        report = await sweep.run()

        assert report.kept == {"pending": 2}
        gate.set()
        await hub.wait_ready("starts")
        await hub.wait_stopped("stops")


async def test_a_server_that_stops_slowly_is_told_as_such_and_left_alone_by_the_next_sweep(monkeypatch):
    async with RealHub(config={"JupyterHub": NO_WAIT}) as hub, sweep_of(hub) as sweep:
        await hub.start_server("alice")
        await hub.wait_ready("alice")
        hub.set_activity("alice", LONG_AGO)
        gate = asyncio.Event()
        monkeypatch.setattr(QuietSpawner, "gate", gate)
        assert (await sweep.run()).stopping == 1
        assert (await sweep.run()).kept == {"pending": 1}
        gate.set()
        await hub.wait_stopped("alice")


async def test_a_hub_that_restarts_meanwhile_loses_no_sweep():
    async with RealHub() as hub, sweep_of(hub) as sweep:
        await start_idle(hub, "alice")
        await hub.restart()
        assert (await sweep.run()).stopped == 1


async def test_named_servers_are_kept_or_removed():
    for remove, left in ((False, 202), (True, 404)):
        async with RealHub() as hub, sweep_of(hub, remove_named_servers=remove) as sweep:
            await start_idle(hub, "alice", "lab")
            assert (await sweep.run()).stopped == 1
            status, user = await hub.api("GET", "/users/alice?include_stopped_servers")
            assert status == 200
            assert ("lab" in user["servers"]) is (left == 202)


async def test_users_without_servers_are_deleted_when_told_to():
    """Those who are active, have a server left, or are exempt admins stay."""
    scopes = (*CHART_SCOPES, "admin:users")
    limits = Limits(timeout=LIMITS.timeout, admins=False)
    async with (
        RealHub(users=[ODD_NAME, "away", "active", "half"]) as hub,
        sweep_of(hub, scopes=scopes, limits=limits, cull_users=True) as sweep,
    ):
        await start_idle(hub, ODD_NAME)
        await start_idle(hub, "half")
        await hub.start_server("half", "lab")
        for name in (ODD_NAME, "away", "half", "admin"):
            hub.app.users[name].last_activity = LONG_AGO.replace(tzinfo=None)
        hub.app.db.commit()

        report = await sweep.run()

        assert (report.deleted, report.delete_failed) == (2, 0)
        _, users = await hub.api("GET", "/users")
        assert {user["name"] for user in users} == {"admin", "active", "half"}


@pytest.mark.parametrize("missing", ["list:users", "read:servers"])
async def test_a_token_without_scopes_says_which(missing):
    scopes = [scope for scope in CHART_SCOPES if scope != missing]
    async with RealHub() as hub, sweep_of(hub, scopes=scopes) as sweep:
        await start_idle(hub, "alice")
        with pytest.raises(HubForbidden, match=f"lacks the scope {missing}"):
            await sweep.run()


async def test_a_token_that_may_not_stop_says_so(caplog):
    async with RealHub() as hub, sweep_of(hub, scopes=["list:users", "read:servers"]) as sweep:
        await start_idle(hub, "alice")
        assert (await sweep.run()).failed == 1
        assert "lacks the scope delete:servers" in caplog.text


async def test_the_hub_starts_the_culler_as_its_service():
    """The whole of it: command line, environment, role, process; and nothing left after the hub's end."""
    command = [sys.executable, "-m", "k8s_hub.culler", "--timeout=3600", "--cull-every=1"]
    config = {
        "JupyterHub": {
            "services": [{"name": "idle-culler", "command": command}],
            "load_roles": [
                {"name": "idle-culler", "services": ["idle-culler"], "scopes": list(CHART_SCOPES)}
            ],
        }
    }
    async with RealHub(config=config) as hub:
        await hub.start_server("alice")
        hub.set_activity("alice", LONG_AGO)
        await hub.wait_stopped("alice", seconds=20)
        process = hub.app._service_map["idle-culler"].spawner.proc
        assert process.poll() is None
    await eventually(lambda: process.poll() is not None)


async def test_a_scope_that_does_not_include_a_server_is_a_failure_that_names_it(caplog):
    """The hub shows the server, and answers its stop with 404 as if there were none."""
    scopes = (*CHART_SCOPES[:-1], "delete:servers!user=bob", "delete:users!user=bob")
    async with RealHub(users=["alice", "bob", "carol"]) as hub, sweep_of(hub, scopes=scopes) as sweep:
        for name in ("alice", "bob"):
            await start_idle(hub, name)
        report = await sweep.run()
        assert (report.stopped, report.gone, report.failed) == (1, 0, 1)
        assert hub.spawner("alice").ready
        assert "lacks the scope delete:servers for alice" in caplog.text

    async with (
        RealHub(users=["bob", "carol"]) as hub,
        sweep_of(hub, scopes=scopes, cull_users=True, limits=Limits(timeout=timedelta())) as sweep,
    ):
        for name in ("bob", "carol"):
            hub.app.users[name].last_activity = LONG_AGO.replace(tzinfo=None)
        report = await sweep.run()
        assert (report.deleted, report.delete_failed) == (1, 2)  # the admin, too
        assert "lacks the scope delete:users for user" in caplog.text
