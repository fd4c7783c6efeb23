"""Where the proxy sends each server's requests, as the hub tells it; and tokens made for others."""

from datetime import timedelta

import pytest
from aiohttp import web

from devkit.testing.realhub import RealHub
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.hub.errors import BadReply, HubForbidden, HubNotFound, Refused
from k8s_hub.hub.users import routes_of
from tests.hub.test_api import answering

ODD_NAME = "zoë o'neill@example.org"


def route(**changes):
    return {
        "routespec": "/user/ada/",
        "target": "http://10.0.0.7:8888",
        "data": {"user": "ada", "server_name": ""},
    } | changes


def test_routes_of_servers_are_read_and_all_others_skipped():
    raw = {
        "/": route(routespec="/", data={"hub": True}),
        "/services/x/": route(data={"service": "x"}),
        "/user/ada/": route(),
        "/user/ada/gpu/": route(data={"user": "ada", "server_name": "gpu"}, target="http://10.0.0.8:8888"),
        "junk": None,
        "no data": route(data=None),
        "no name": route(data={"user": "ada"}),
        "no target": route(data={"user": "bob", "server_name": ""}, target=None),
        "no user": route(data={"user": 7, "server_name": ""}),
    }
    assert routes_of(raw) == {("ada", ""): "http://10.0.0.7:8888", ("ada", "gpu"): "http://10.0.0.8:8888"}


@pytest.fixture
async def hub():
    async with RealHub(users=["ada", ODD_NAME]) as hub:
        yield hub


def api_of(hub, *scopes):
    return HubConnection(HubConnectionSettings(url=hub.api_url, token=hub.token(scopes=scopes)))


@pytest.mark.hub
async def test_a_hub_tells_all_its_routes_page_by_page(hub):
    codes = []
    for user, name in (("ada", ""), ("ada", "gpu"), (ODD_NAME, "")):
        await hub.start_server(user, name)
        await hub.wait_ready(user, name)
    target = hub.spawner("ada").server.host
    hub.app.tornado_application.settings["api_page_max_limit"] = 1
    settings = HubConnectionSettings(url=hub.api_url, token=hub.token(scopes=["proxy"]))
    async with HubConnection(settings, lambda _method, code, _seconds: codes.append(code)) as connection:
        assert await HubApi(connection).routes() == {
            ("ada", ""): target,
            ("ada", "gpu"): target,
            (ODD_NAME, ""): target,
        }
    assert codes == [200] * len(hub.routes)
    async with api_of(hub, "list:users") as connection:
        with pytest.raises(HubForbidden, match="lacks the scope proxy"):
            await HubApi(connection).routes()


@pytest.mark.hub
@pytest.mark.parametrize("user", ["ada", ODD_NAME])
async def test_a_token_is_made_for_one_server_and_ends(hub, user):
    scope, note = f"access:servers!server={user}/gpu", "Server at /user/x/: a test"
    hour = timedelta(hours=1)
    async with api_of(hub, "tokens") as connection:
        token = await HubApi(connection).new_token(user, scopes=[scope], lifetime=hour, note=note)
        with pytest.raises(Refused, match="400"):
            await HubApi(connection).new_token(user, scopes=["admin:users"], lifetime=hour, note=note)
    before = hub.app.users[user].last_activity
    async with HubConnection(HubConnectionSettings(url=hub.api_url, token=token)) as connection:
        assert scope in await HubApi(connection).scopes()
    assert hub.app.users[user].last_activity == before, "to use such a token is not its user's activity"
    (known,) = (each for each in hub.app.users[user].api_tokens if each.note == note)
    assert 3500 < known.expires_in <= 3600


@pytest.mark.hub
async def test_a_token_for_nobody_or_without_the_scope(hub):
    hour = timedelta(hours=1)
    async with api_of(hub, "tokens") as connection:
        with pytest.raises((HubForbidden, HubNotFound)):
            await HubApi(connection).new_token("nobody", scopes=[], lifetime=hour, note="")
    async with api_of(hub, "list:users") as connection:
        with pytest.raises(HubForbidden):
            await HubApi(connection).new_token("ada", scopes=[], lifetime=hour, note="")


def saying(body):
    async def say(_request):
        return web.json_response(body)

    return answering(say)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"/": {}},
        {"items": [], "_pagination": {"next": None}},
        {"items": {}, "_pagination": {}},
        {"items": {}, "_pagination": {"next": {"offset": 0}}},
        {"items": {}, "_pagination": {"next": {"offset": "x"}}},
        {"items": {}, "_pagination": {"next": 7}},
    ],
)
async def test_routes_that_make_no_sense(body):
    async with saying(body) as url, HubConnection(HubConnectionSettings(url=url, token="")) as connection:
        with pytest.raises(BadReply):
            await HubApi(connection).routes()


@pytest.mark.parametrize("body", [None, [], {}, {"token": None}, {"token": 7}])
async def test_a_new_token_that_is_not_told(body):
    async with saying(body) as url, HubConnection(HubConnectionSettings(url=url, token="")) as connection:
        with pytest.raises(BadReply, match="user ada"):
            await HubApi(connection).new_token("ada", scopes=[], lifetime=timedelta(hours=1), note="")
