"""The saved state has the server's URL, for programs that ask the server without the proxy."""

import pytest

from devkit.minicluster.resources import PODS
from devkit.testing.eventually import eventually
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

READS_STATE = ["read:servers", "admin:server_state"]
AT_ONCE = {"tornado_settings": {"slow_spawn_timeout": 0}}


async def state_of(hub, user, *, scopes=READS_STATE, **options):
    """What a program beside the hub reads."""
    async with HubConnection(
        HubConnectionSettings(url=hub.api_url, token=hub.token(scopes=scopes))
    ) as connection:
        server = (await HubApi(connection).user(user, **options)).server("")
        return None if server is None else server.state


async def test_it_is_there_while_the_server_runs_for_those_who_may_see_it(hub, cluster):
    async with hub(users=("zoë",)) as hub:
        await hub.start_server("zoë")
        await hub.wait_ready("zoë")
        (pod,) = cluster.database.all(PODS, NAMESPACE)
        state = await state_of(hub, "zoë")
        assert state["url"] == f"http://{pod['status']['podIP']}:8888/user/zo%C3%AB/"
        assert hub.app.users["zoë"].orm_spawners[""].state["url"] == state["url"]
        assert await state_of(hub, "zoë", scopes=["read:servers"]) is None

        await hub.stop_server("zoë")
        await hub.wait_stopped("zoë")
        stopped = await state_of(hub, "zoë", with_stopped=True)
        assert stopped["pvc_name"] == state["pvc_name"]
        assert "url" not in stopped
        assert "url" not in hub.app.users["zoë"].orm_spawners[""].state


async def test_a_server_of_kubespawner_7_has_it_once_it_is_adopted(hub):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        url = (await state_of(hub, "ada"))["url"]
        row = hub.app.users["ada"].orm_spawners[""]
        row.state = {name: value for name, value in row.state.items() if name != "url"}
        hub.app.db.commit()

        await hub.restart()
        await hub.wait_ready("ada")
        assert (await state_of(hub, "ada"))["url"] == url


async def test_an_old_address_in_the_state_is_not_believed(hub):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        url = (await state_of(hub, "ada"))["url"]
        row = hub.app.users["ada"].orm_spawners[""]
        row.state = {**row.state, "url": "http://10.9.9.9:8888/user/bob/"}
        hub.app.db.commit()

        await hub.restart()
        await hub.wait_ready("ada")
        assert (await state_of(hub, "ada"))["url"] == url


async def test_it_is_not_there_before_the_pod_has_an_address(hub, cluster):
    async with hub(hub=AT_ONCE) as hub:
        await hub.start_server("ada")
        await eventually(lambda: hub.spawner("ada").pending == "spawn")
        assert hub.spawner("ada").server is not None
        assert "url" not in await state_of(hub, "ada")
        await hub.wait_ready("ada")
        assert "url" in await state_of(hub, "ada")
