"""One module touches the hub's database, on each version of the hub."""

import ast
from dataclasses import astuple
from datetime import timedelta
from pathlib import Path

import pytest
from jupyterhub import orm
from jupyterhub.objects import Server

import k8s_hub.spawner
from devkit.testing.realhub import RealHub
from k8s_hub.clock import utcnow
from k8s_hub.spawner.address import Address
from k8s_hub.spawner.database import NOTE, HubDatabase

ADDRESS = Address("https", "10.0.0.9", 8443)
HUBS_OBJECTS = {"db", "orm_user", "orm_spawner", "orm_spawners", "groups"}


@pytest.fixture
async def hub():
    async with RealHub(users=("ada", "bob")) as opened:
        yield opened


def row(hub, username, servername, state=None):
    """Return the row of a server, made if there is none."""
    user = hub.app.users[username].orm_user
    found = user.orm_spawners.get(servername)
    if found is None:
        found = orm.Spawner(name=servername, user=user)
        hub.app.db.add(found)
    found.state = state
    hub.app.db.commit()
    return found


def database(hub, username="ada", servername=""):
    return HubDatabase(hub.app.users[username], row(hub, username, servername))


@pytest.mark.hub
async def test_other_servers_of_the_user_and_their_states_are_known(hub):
    row(hub, "ada", "gpu", {"pvc_name": "claim-gpu", "extra_claims": {"scratch": "s"}, "namespace": "lab"})
    row(hub, "ada", "new")

    states = database(hub).states_of_other_servers()

    assert set(states) == {"gpu", "new"}
    assert states["gpu"].claims == {"claim-gpu", "s"}
    assert states["gpu"].namespace == "lab"
    assert states["new"].version is None


@pytest.mark.hub
async def test_a_claim_in_the_state_of_another_user_is_found_in_its_namespace_only(hub):
    row(hub, "bob", "", {"pvc_name": 'claim-"odd"', "namespace": "pods"})
    row(hub, "ada", "gpu", {"pvc_name": "claim-mine", "namespace": "pods"})
    known = database(hub)

    assert known.users_with_claim('claim-"odd"', "pods") == ["bob"]
    assert known.users_with_claim('claim-"odd"', "elsewhere") == []
    assert known.users_with_claim("claim-mine", "pods") == []
    assert 'claim-"odd"' in known.taken_by_others("pods")
    assert "claim-mine" not in known.taken_by_others("pods")


@pytest.mark.hub
async def test_it_is_known_since_when_the_hub_knows_a_user(hub):
    known = database(hub)
    now = utcnow()

    assert abs(known.known_since() - now) < timedelta(hours=1)
    assert known.living_users.get("bob") == HubDatabase(hub.app.users["bob"], None).known_since()
    assert known.living_users.get("eve") is None

    hub.app.users["bob"].orm_user.created = None
    assert HubDatabase(hub.app.users["bob"], None).known_since() is None
    assert known.living_users.get("bob") < now - timedelta(days=10_000)


@pytest.mark.hub
async def test_groups_are_those_of_the_user(hub):
    hub.app.users["ada"].sync_groups(["staff", "gpu"])

    assert database(hub).group_names() == {"staff", "gpu"}
    assert database(hub, "bob").group_names() == frozenset()


@pytest.mark.hub
async def test_an_address_and_a_state_are_in_the_database_for_the_next_hub(hub):
    known = database(hub)
    known.orm_spawner.server = orm.Server(base_url="/user/ada/", ip="10.0.0.1", port=1, cookie_name="c")
    hub.app.db.commit()

    known.save_state({"pvc_name": "home"})
    known.save_address(Server(orm_server=known.orm_spawner.server), ADDRESS)

    hub.app.db.expire_all()
    row = hub.app.db.query(orm.Spawner).filter_by(name="").one()
    assert (row.server.proto, row.server.ip, row.server.port) == astuple(ADDRESS)
    assert row.state == {"pvc_name": "home"}


@pytest.mark.hub
async def test_a_server_has_one_access_token(hub):
    assert await hub.start_server("ada") == 201
    known = HubDatabase(hub.app.users["ada"], hub.spawner("ada").orm_spawner)
    client = known.orm_spawner.oauth_client

    first, second = (known.renew_access_token("/user/ada/") for _ in range(2))
    hub.app.db.commit()

    notes = [token.note for token in hub.app.db.query(orm.APIToken).filter_by(client_id=client.identifier)]
    assert [note for note in notes if (note or "").endswith(NOTE)] == [f"Server at /user/ada/{NOTE}"]
    assert orm.APIToken.find(hub.app.db, first) is None
    assert orm.APIToken.find(hub.app.db, second).scopes == ["access:servers!server=ada/"]


def test_no_other_module_of_the_spawner_reaches_into_the_database():
    found = {
        f"{path.name}: {node.attr}"
        for path in Path(k8s_hub.spawner.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if path.name != "database.py" and isinstance(node, ast.Attribute) and node.attr in HUBS_OBJECTS
    }

    assert found == set()
