"""Real single-user servers of a real hub are asked what they run; the fields mean what work.py says."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from devkit.demo.kernel import PROTOCOL, Kernel
from devkit.minicluster.cluster import MiniCluster
from devkit.testing.eventually import eventually
from devkit.testing.realhub import RealHub
from devkit.testing.runs import HOME, NAMESPACE
from k8s_hub import KubeSpawner
from k8s_hub.clock import utcnow
from k8s_hub.culler.core.policy import Work
from k8s_hub.culler.probe import ProbeSettings, ServerProbe, ServerTokens, Silence
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects import timestamps

pytestmark = [pytest.mark.hub, pytest.mark.slow]

CHART = ("list:users", "read:users:activity", "read:servers", "delete:servers")
SERVICES = {
    "state": (*CHART, "admin:server_state"),  # reads the token of each server in its state
    "mints": (*CHART, "tokens", "proxy"),  # makes one for each server, with a scope of an earlier version
    "own": (*CHART, "access:servers", "proxy"),  # shows its own token to servers, as it was ordered
    "chart": CHART,
    "no-access": (*CHART, "proxy"),
    "one-user": (*CHART, "access:servers!user=bob", "proxy"),
}


@pytest.fixture
async def lab(tmp_path, monkeypatch):
    """Ada's JupyterLab, which tells the hub of its activity every second."""
    async with MiniCluster(directory=tmp_path / "cluster", runtime="process") as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        roles = [{"name": name, "services": [name], "scopes": scopes} for name, scopes in SERVICES.items()]
        config = {
            "JupyterHub": {
                "services": [{"name": name, "api_token": token_of(name)} for name in SERVICES],
                "load_roles": roles,
                "activity_resolution": 0,
            },
            "KubeSpawner": {
                "namespace": NAMESPACE,
                "cmd": ["jupyterhub-singleuser"],
                "save_access_token": True,
                "environment": {"JUPYTERHUB_ACTIVITY_INTERVAL": "1"},
                **HOME,
            },
        }
        async with RealHub(spawner_class=KubeSpawner, config=config, users=("ada", "bob")) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada", seconds=60)
            async with Lab.opened(hub) as lab:
                yield lab
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
        await InformerPool.for_current_loop().close()


class Lab:
    """A user's server, as its user has it with a token of their own."""

    def __init__(self, hub, session, url):
        self.hub, self.url = hub, url
        self._session = session

    @classmethod
    @asynccontextmanager
    async def opened(cls, hub):
        headers = {"Authorization": f"token {hub.token('ada')}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield cls(hub, session, hub.spawner("ada").server.url)

    async def call(self, method, path, body=None):
        async with self._session.request(method, self.url + path, json=body) as reply:
            assert reply.status < 300, await reply.text()
            return await reply.json()

    async def last_activity(self):
        """What the server itself holds for its last activity; to ask for it is none."""
        return timestamps.parse((await self.call("GET", "api/status"))["last_activity"])

    @asynccontextmanager
    async def kernel(self):
        """Start a kernel and connect to it, as an open tab does."""
        started = await self.call("POST", "api/kernels", {"name": "python3"})
        async with self.tab(started["id"]) as kernel:
            yield kernel

    @asynccontextmanager
    async def tab(self, kernel_id):
        url = f"{self.url}api/kernels/{kernel_id}/channels"
        async with self._session.ws_connect(url, protocols=[PROTOCOL]) as socket:
            yield Kernel(socket)

    @asynccontextmanager
    async def terminal(self):
        name = (await self.call("POST", "api/terminals"))["name"]
        async with self._session.ws_connect(f"{self.url}terminals/websocket/{name}") as socket:
            yield socket


def token_of(service):
    return service.ljust(32, "-")


@asynccontextmanager
async def asked_by(lab, service):
    """A function that asks ada's server as this service does, and whom it asks."""
    token, scopes = token_of(service), SERVICES[service]
    async with HubConnection(HubConnectionSettings(url=lab.hub.api_url, token=token)) as connection:
        api = HubApi(connection)
        assert set(scopes) <= await api.scopes()
        settings = ProbeSettings(token=token if service != "mints" else "")
        tokens = ServerTokens(api, utcnow)
        async with ServerProbe(settings, api.routes, tokens, api.scopes) as servers:
            await servers.refresh()

            async def ask():
                return await servers.work((await api.user("ada")).server(""))

            yield ask, servers


async def test_kernels_tabs_and_terminals(lab):
    async with asked_by(lab, "state") as (ask, _):
        assert await ask() == Work(busy=0, connections=0, last_execution=None)

        async with lab.kernel() as kernel:
            await kernel.run("1")
            begun = utcnow()
            cell = asyncio.create_task(
                kernel.run("import os, time\nwhile not os.path.exists('go'): time.sleep(.05)")
            )
            busy = await eventually(lambda: busy_of(ask))
            assert busy.connections == 1
            assert begun <= busy.last_execution <= utcnow()
            assert await ask() == busy  # it prints nothing, and nothing has changed
            await lab.call("PUT", "api/contents/go", {"type": "file", "format": "text", "content": ""})
            await cell
            done = await ask()
            assert done.busy == 0
            assert done.last_execution > busy.last_execution

            # What tabs do without their user is no work: a second one is opened, and asks what there is.
            [running] = await lab.call("GET", "api/kernels")
            async with lab.tab(running["id"]):
                again = await eventually(lambda: connected(ask, 2))
                assert (again.busy, again.last_execution) == (0, done.last_execution)

        left = await eventually(lambda: connected(ask, 0))
        assert left.last_execution == done.last_execution

        async with lab.terminal() as terminal:
            opened = utcnow()
            await terminal.send_json(["stdin", "echo hello\r"])
            assert (await eventually(lambda: newer(ask, opened))).connections == 0


async def busy_of(ask):
    work = await ask()
    return work if work.busy else None


async def connected(ask, number):
    work = await ask()
    return work if work.connections == number else None


async def newer(ask, moment):
    work = await ask()
    return work if work.last_execution > moment else None


async def test_to_be_asked_is_no_activity(lab):
    async with lab.kernel() as kernel:
        await kernel.run("1")  # until then it says things of its own accord
    ada, row = lab.hub.app.users["ada"], lab.hub.spawner("ada").orm_spawner
    await eventually(lambda: heard(lab, row))
    at_the_server, of_ada, of_the_server = await lab.last_activity(), ada.last_activity, row.last_activity
    for service in ("state", "mints", "own"):
        async with asked_by(lab, service) as (ask, servers):
            assert await ask() == await ask() != None  # noqa: E711 - an answer, and the same again
            assert not servers.silent
    assert await lab.last_activity() == at_the_server
    assert (ada.last_activity, row.last_activity) == (of_ada, of_the_server)

    await lab.call("GET", "api/kernels")  # the same question without the words that make it none
    assert await lab.last_activity() > at_the_server
    await eventually(lambda: row.last_activity > of_the_server)


async def heard(lab, row):
    """Whether the hub has heard of the server's latest activity."""
    latest = (await lab.last_activity()).replace(tzinfo=None)
    return row.last_activity is not None and row.last_activity >= latest


async def test_a_token_of_a_server_opens_only_that(lab):
    settings = HubConnectionSettings(url=lab.hub.api_url, token=token_of("mints"))
    async with HubConnection(settings) as connection:
        api = HubApi(connection)
        server = (await api.user("ada")).server("")
        token = await ServerTokens(api, utcnow).token_for(server)
    async with HubConnection(HubConnectionSettings(url=lab.hub.api_url, token=token)) as connection:
        has = await HubApi(connection).scopes()
    assert "access:servers!server=ada/" in has
    assert has - {"access:servers!server=ada/"} <= {
        f"read:users:{what}!user=ada" for what in ("name", "groups")
    }


async def test_without_its_scopes_nothing_is_asked_and_the_scope_is_named(lab, caplog):
    for service, kind, words in (
        ("chart", Silence.NO_ADDRESS, "grant the scope admin:server_state"),
        ("no-access", Silence.NO_TOKEN, "KubeSpawner.save_access_token"),
        ("one-user", Silence.REFUSED, "token opens the server"),
    ):
        async with asked_by(lab, service) as (ask, servers):
            assert await ask() is None
            assert servers.silent == {kind: 1}
            assert words in caplog.text
        caplog.clear()
    async with ServerProbe(ProbeSettings(token="of nobody")) as servers:
        async with HubConnection(
            HubConnectionSettings(url=lab.hub.api_url, token=token_of("state"))
        ) as connection:
            described = (await HubApi(connection).user("ada")).server("")
            assert await servers.work(replace(described, access_token=None)) is None
        assert servers.silent == {Silence.REFUSED: 1}
