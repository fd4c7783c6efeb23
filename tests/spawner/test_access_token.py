"""The access token for one server in its saved state: new when it runs, gone when it ends, shown nowhere else."""

import logging
from contextlib import suppress
from dataclasses import replace

import aiohttp
import jupyterhub
import pytest
from jupyterhub import orm

from devkit.minicluster.faults import refuse
from devkit.minicluster.resources import PODS
from devkit.testing.eventually import eventually
from devkit.testing.runs import restart_process, struck, takes
from k8s_hub.claims.saved_state import ACCESS_TOKEN, SavedState
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.objects.keys import Key
from k8s_hub.spawner.database import NOTE
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

ON = {"save_access_token": True}
NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}}
CULLER = ["list:users", "read:servers", "delete:servers", "admin:server_state"]


async def start(hub, name="", user="ada"):
    await hub.start_server(user, name)
    await hub.wait_ready(user, name)


def saved(hub, name="", user="ada"):
    """The token in the database's row of a server; None: there is none."""
    return (hub.app.users[user].orm_spawners[name].state or {}).get(ACCESS_TOKEN)


def known(hub):
    """The tokens of this kind that the hub knows, by their notes."""
    return [token.note for token in hub.app.db.query(orm.APIToken) if (token.note or "").endswith(NOTE)]


def is_valid(hub, token):
    return orm.APIToken.find(hub.app.db, token) is not None


async def asked(hub, token, path="/user"):
    """What the hub answers to somebody with this token."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"token {token}"}) as session,
        session.get(hub.api_url + path) as reply,
    ):
        return reply.status, await reply.json()


async def test_without_the_option_there_is_none(hub):
    async with hub() as hub:
        await start(hub)
        assert (saved(hub), known(hub)) == (None, [])


@pytest.mark.parametrize("name", ["", "gpu"])
async def test_it_opens_this_server_only_and_to_use_it_is_no_activity(hub, name):
    async with hub(**ON) as hub:
        for each in ("", "gpu"):
            await start(hub, each)
        token = saved(hub, name)
        ada = hub.app.users["ada"]
        before = ada.last_activity
        status, owner = await asked(hub, token)
        assert (status, owner["name"]) == (200, "ada")
        opens = {scope for scope in owner["scopes"] if scope.startswith("access:")}
        assert opens == {f"access:servers!server=ada/{name}"}
        assert set(owner["scopes"]) - opens <= {f"read:users:{what}!user=ada" for what in ("name", "groups")}
        assert (await asked(hub, token, "/users"))[0] == 403
        assert ada.last_activity == before
        assert known(hub) == [f"Server at /user/ada/{each}{NOTE}" for each in ("", "gpu/")]


async def test_who_may_see_the_state_reads_it_and_nobody_else(hub):
    async with hub(**ON) as hub:
        await start(hub)
        for scopes, token in ((CULLER, saved(hub)), (CULLER[:-1], None)):
            settings = HubConnectionSettings(url=hub.api_url, token=hub.token(scopes=scopes))
            async with HubConnection(settings) as connection:
                server = (await HubApi(connection).user("ada")).server("")
            assert server.access_token == token
            assert ACCESS_TOKEN not in (server.state or {})
        _, ada = await hub.api("GET", "/users/ada", user="ada")
        assert ACCESS_TOKEN not in str(ada), "not even its user"


async def test_each_start_has_one_of_its_own(hub):
    async with hub(**ON) as hub:
        tokens = []
        for _ in range(2):
            await start(hub)
            tokens.append(saved(hub))
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
            assert (saved(hub), known(hub)) == (None, [])
        assert len(set(tokens)) == 2
        assert not any(is_valid(hub, token) for token in tokens)


async def test_one_that_was_left_behind_is_revoked_at_the_next_start(hub, monkeypatch):
    """A stop that fails in the hub leaves the OAuth client where it is, and its tokens."""
    async with hub(**ON) as hub:
        await start(hub)
        left = saved(hub)

        async def fails(self, now=False):
            raise RuntimeError("as a hook may")

        with monkeypatch.context() as patch:
            patch.setattr("k8s_hub.KubeSpawner.stop", fails)
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
        assert saved(hub) is None
        assert is_valid(hub, left)
        await start(hub)
        assert not is_valid(hub, left)
        assert is_valid(hub, saved(hub))


# --- However a server ends ---


async def removed(hub, _cluster):
    await hub.stop_server("ada", "lab", remove=True)


async def pod_removed(hub, cluster):
    cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-ada--lab"))


async def user_deleted(hub, _cluster):
    await hub.stop_server("ada", "lab")
    await hub.wait_stopped("ada", "lab")
    await hub.api("DELETE", "/users/ada")


async def hub_killed_and_pod_gone(hub, cluster):
    await hub.kill()
    await restart_process()
    cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-ada--lab"))
    await hub.boot()


async def row_lost(hub, cluster):
    """The hub's database is of a moment before the token was saved."""
    hub.app.users["ada"].orm_spawners["lab"].state = {}
    hub.app.db.commit()
    await hub_killed_and_pod_gone(hub, cluster)


async def user_renamed(hub, _cluster):
    status, _ = await hub.api("PATCH", "/users/ada", json={"name": "eve"})
    assert status == 200
    await hub.stop_server("eve", "lab")


async def user_renamed_and_hub_restarted(hub, cluster):
    status, _ = await hub.api("PATCH", "/users/ada", json={"name": "eve"})
    assert status == 200
    await hub.restart()
    await hub.wait_ready("eve", "lab")
    await hub.stop_server("eve", "lab")


ENDS = [
    removed,
    pod_removed,
    user_deleted,
    hub_killed_and_pod_gone,
    row_lost,
    user_renamed,
    user_renamed_and_hub_restarted,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_it_ends_with_its_server(hub, cluster, end):
    async with hub(**ON, poll_interval=2) as hub:
        await start(hub, "lab")
        token = saved(hub, "lab")
        assert is_valid(hub, token)
        await end(hub, cluster)
        await eventually(lambda: not known(hub), seconds=120)
        assert not is_valid(hub, token)


async def test_a_start_that_fails_leaves_none(hub, cluster):
    async with hub(**ON) as hub:
        refused = refuse({"kind": "Status", "code": 422, "message": "no"})
        with struck(cluster, refused, verb="create"), suppress(Exception):
            await start(hub)
        await hub.wait_stopped("ada")
        assert (saved(hub), known(hub)) == (None, [])


async def test_a_server_that_never_answers_leaves_none(hub, cluster):
    async with hub(**ON, http_timeout=5, get_pod_url=lambda _spawner, _pod: "http://127.0.0.1:9") as hub:
        with suppress(Exception):
            await start(hub)
        await hub.wait_stopped("ada")
        assert (saved(hub), known(hub)) == (None, [])


@pytest.mark.parametrize("by", ["its user", "a killed hub"])
async def test_a_start_that_is_cut_off_leaves_none(hub, cluster, by):
    takes(cluster, pull=600)
    async with hub(**ON, hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        if by == "its user":
            await hub.stop_server("ada")
        else:
            await hub.kill()
            await restart_process()
            cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-ada"))
            await hub.boot()
        await hub.wait_stopped("ada", seconds=120)
        assert (saved(hub), known(hub)) == (None, [])


async def test_it_outlives_a_restart_of_the_hub(hub):
    async with hub(**ON) as hub:
        await start(hub)
        token = saved(hub)
        await hub.kill()
        await restart_process()
        await hub.boot()
        await hub.wait_ready("ada")
        assert saved(hub) == token
        assert hub.spawner("ada").get_state()[ACCESS_TOKEN] == token
        assert (await asked(hub, token))[0] == 200


async def test_a_user_who_gets_the_name_of_a_renamed_one_is_not_opened(hub):
    async with hub(**ON) as hub:
        await start(hub)
        token = saved(hub)
        await hub.api("PATCH", "/users/ada", json={"name": "eve"})
        await hub.api("POST", "/users/ada")
        await start(hub, user="ada")
        _, owner = await asked(hub, token)
        assert owner["name"] == "eve"
        assert "access:servers!server=ada/" not in owner["scopes"]


# --- SameNode it ---


async def test_a_user_who_may_not_access_their_own_server_starts_it_without(hub, caplog):
    roles = [{"name": "user", "scopes": ["servers!user", "read:users!user", "users:activity!user"]}]
    async with hub(**ON, hub={"load_roles": roles}) as hub:
        await start(hub)
        assert (saved(hub), known(hub)) == (None, [])
    assert "no access token is saved" in caplog.text


async def test_it_is_in_no_log_and_no_representation(hub, caplog):
    caplog.set_level(logging.DEBUG)
    async with hub(**ON) as hub:
        await start(hub)
        token = saved(hub)
        state = SavedState.load(hub.spawner("ada").get_state())
        assert state.access_token == token
        assert token not in repr(state)
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
    assert token not in caplog.text


def test_a_state_without_it_has_no_key():
    assert ACCESS_TOKEN not in SavedState(pod_name="jupyter-ada").dump()
    assert SavedState.load({ACCESS_TOKEN: 7}).access_token is None
    assert replace(SavedState(), access_token="x").dump() == {ACCESS_TOKEN: "x"}


@pytest.mark.skipif(jupyterhub.version_info < (6,), reason="servers can be renamed since JupyterHub 6")
async def test_a_renamed_server_has_one_of_its_new_name(hub):
    async with hub(**ON) as hub:
        await start(hub, "lab")
        await hub.stop_server("ada", "lab")
        await hub.wait_stopped("ada", "lab")
        await hub.api("PATCH", "/users/ada/servers/lab", json={"name": "gpu"})
        assert saved(hub, "gpu") is None
        await start(hub, "gpu")
        _, owner = await asked(hub, saved(hub, "gpu"))
        assert "access:servers!server=ada/gpu" in owner["scopes"]
