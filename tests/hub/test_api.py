"""The calls, against a real hub and against servers that answer nonsense."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from urllib.parse import unquote

import pytest
from aiohttp import web
from jupyterhub.app import JupyterHub
from jupyterhub.utils import make_ssl_context

from devkit.testing.realhub import QuietSpawner, RealHub
from k8s_hub.hub.api import HubApi, UserState
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings, internal_ssl_context
from k8s_hub.hub.errors import BadReply, HubError, HubForbidden, HubNotFound, HubUnavailable, Refused
from k8s_hub.hub.listing import read_all
from tests.kube.odd import DEEP, DIGITS

CULLER_SCOPES = ["list:users", "read:servers", "delete:servers"]
ODD_NAME = "zoë o'neill@example.org?"


@asynccontextmanager
async def api_of(url: str, token: str = "token", **settings):
    async with HubConnection(HubConnectionSettings(url=url, token=token, **settings)) as connection:
        yield HubApi(connection)


@pytest.mark.hub
class TestRealHub:
    """With the scopes of a culler, on every supported version."""

    @pytest.fixture
    async def hub(self):
        async with RealHub(users=["alice", "bob", ODD_NAME, *(f"u{index}" for index in range(5))]) as hub:
            yield hub

    @pytest.fixture
    async def api(self, hub):
        async with api_of(hub.api_url, hub.token(scopes=CULLER_SCOPES)) as api:
            yield api

    async def test_pages(self, api):
        sizes = []

        async def read_page(offset):
            page = await api.page(offset=offset, limit=3)
            sizes.append(len(page.users))
            return page

        listing = await read_all(read_page, page_size=3)
        names = [user.name for page in listing.pages for user in page.users]
        assert sizes == [3, 3, 3]
        assert len(names) == len(set(names)) == 9  # with the admin
        assert listing.lost == ()

    async def test_active_users_and_their_servers(self, hub, api):
        await hub.start_server("alice")
        await hub.start_server("alice", "lab")
        page = await api.page(offset=0, limit=50, state=UserState.ACTIVE)
        assert [user.name for user in page.users] == ["alice"]
        assert [server.name for server in page.users[0].servers] == ["", "lab"]
        assert all(
            server.ready and server.started and server.last_activity for server in page.users[0].servers
        )

    @pytest.mark.parametrize("user", ["alice", ODD_NAME])
    @pytest.mark.parametrize("name", ["", "lab"])
    async def test_a_server_is_seen_and_stopped(self, hub, api, user, name):
        await hub.start_server(user, name)
        assert (await api.user(user)).server(name).ready
        assert await api.stop_server(user, name)
        assert (await api.user(user)).server(name) is None
        assert await api.stop_server(user, name), "a stopped server is gone"

    async def test_a_named_server_is_removed(self, hub, api):
        await hub.start_server("alice", "lab")
        assert await api.stop_server("alice", "lab", remove=True)
        with pytest.raises(HubNotFound):
            await api.stop_server("alice", "lab")

    async def test_users_are_deleted(self, hub):
        async with api_of(hub.api_url, hub.token(scopes=["delete:users", "read:servers"])) as api:
            await api.delete_user(ODD_NAME)
            with pytest.raises(HubNotFound):
                await api.user(ODD_NAME)

    @pytest.mark.parametrize(
        ("scope", "call"),
        [
            ("list:users", lambda api: api.page(offset=0, limit=1)),
            ("delete:servers", lambda api: api.stop_server("alice")),
            ("delete:users", lambda api: api.delete_user("alice")),
        ],
    )
    async def test_the_missing_scope_is_named(self, hub, scope, call):
        async with api_of(hub.api_url, hub.token(scopes=["read:servers"])) as api:
            with pytest.raises(HubForbidden, match=f"lacks the scope {scope}"):
                await call(api)

    async def test_servers_are_hidden_without_their_scope(self, hub):
        await hub.start_server("alice")
        async with api_of(hub.api_url, hub.token(scopes=["list:users"])) as api:
            page = await api.page(offset=0, limit=50, state=UserState.ACTIVE)
            assert [user.servers for user in page.users] == [None]

    async def test_stopped_servers_and_their_state_are_shown_to_whom_asks_and_may(self, hub, api):
        for name in ("", "lab"):
            await hub.start_server("alice", name)
        await hub.stop_server("alice", "lab")
        assert (await api.user("alice")).server("lab") is None
        (shown,) = [
            user
            for user in (await api.page(offset=0, limit=50, with_stopped=True)).users
            if user.name == "alice"
        ]
        for alice in (shown, await api.user("alice", with_stopped=True)):
            assert not alice.server("lab").ready
            assert alice.server("lab").state is None, "hidden"
        scopes = ["list:users", "read:servers", "admin:server_state"]
        async with api_of(hub.api_url, hub.token(scopes=scopes)) as api:
            alice = await api.user("alice", with_stopped=True)
            assert alice.server("").state["running"]
            assert not alice.server("lab").state["running"]

    async def test_a_token_knows_its_scopes_and_the_filters_in_them(self, hub):
        async with api_of(hub.api_url, hub.token(scopes=["list:users!user=bob", "read:servers"])) as api:
            scopes = await api.scopes()
        assert {"read:servers", "list:users!user=bob"} <= scopes
        assert "list:users" not in scopes

    async def test_a_wrong_token_is_named_as_such(self, hub):
        async with api_of(hub.api_url, "wrong") as api:
            with pytest.raises(HubForbidden, match="not valid for this hub") as caught:
                await api.page(offset=0, limit=1)
        assert "wrong" not in str(caught.value)

    async def test_a_url_that_is_not_the_api_is_named(self, hub):
        async with api_of(hub.url.removesuffix("hub/"), "token") as api:
            with pytest.raises(Refused, match="such as http://localhost:8081/hub/api"):
                await api.page(offset=0, limit=1)

    async def test_a_killed_hub_is_unavailable(self, hub, api):
        await hub.kill()
        with pytest.raises(HubUnavailable, match="failed"):
            await api.user("alice")


@pytest.mark.hub
async def test_a_server_that_stops_slowly_is_not_gone(monkeypatch):
    config = {"JupyterHub": {"tornado_settings": {"slow_stop_timeout": 0.01}}}
    async with (
        RealHub(spawner_class=QuietSpawner, config=config) as hub,
        api_of(hub.api_url, hub.token(scopes=CULLER_SCOPES)) as api,
    ):
        await hub.start_server("alice")
        gate = asyncio.Event()
        monkeypatch.setattr(QuietSpawner, "gate", gate)
        assert not await api.stop_server("alice")
        assert (await api.user("alice")).server("").pending == "stop"
        gate.set()
        await hub.wait_stopped("alice")


@asynccontextmanager
async def observed(url, told, **settings):
    def on_reply(method, code, seconds):
        told.append((method, code, seconds))

    settings = HubConnectionSettings(url=url, token="token", **settings)
    async with HubConnection(settings, on_reply) as connection:
        yield HubApi(connection)


@asynccontextmanager
async def answering(handler, *, ssl_context=None):
    """A server that answers every request with this handler; yields its URL."""
    server = web.Server(handler, shutdown_timeout=0.1)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
    await site.start()
    host, port = site._server.sockets[0].getsockname()
    try:
        yield f"{'https' if ssl_context else 'http'}://{host}:{port}/hub/api"
    finally:
        await runner.cleanup()


class TestNonsense:
    async def call(self, response, **settings):
        async def handler(_request):
            return response() if callable(response) else response

        async with answering(handler) as url, api_of(url, **settings) as api:
            return await api.page(offset=0, limit=10)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("<html>", "6 bytes that are not JSON"),
            pytest.param("[" * 100_000, "100000 bytes that are not JSON", id="deep"),
            pytest.param(f'{{"items": {DEEP}}}', "bytes that are not JSON", id="deep within"),
            pytest.param("9" * 5_000, "5000 bytes that are not JSON", id="a number without an end"),
            pytest.param(f'{{"items": [{{"name": {DIGITS}}}]}}', "bytes that are not JSON", id="one within"),
            ("", "has no pagination"),
            ("[]", "has no pagination"),
            ('{"items": []}', "has no pagination"),
            ('{"items": [], "_pagination": {"limit": "x", "total": 1, "next": null}}', "invalid pagination"),
            ('{"items": [], "_pagination": {"limit": 1}}', "invalid pagination"),
            (
                '{"items": [], "_pagination": {"limit": Infinity, "total": 1, "next": null}}',
                "invalid pagination",
            ),
            (
                '{"items": [], "_pagination": {"limit": 1, "total": 9, "next": {"offset": 0}}}',
                "invalid pagination",
            ),
            (
                f'{{"items": [], "_pagination": {{"limit": 1, "total": {"9" * 4300}, "next": null}}}}',
                "invalid pagination",
            ),
            (
                f'{{"items": [], "_pagination": {{"limit": 1, "total": 1, "next": {{"offset": {"9" * 4300}}}}}}}',
                "invalid pagination",
            ),
            ('{"items": [], "_pagination": {"limit": -1, "total": 1, "next": null}}', "invalid pagination"),
            ('{"items": [], "_pagination": {"limit": 1, "total": 1}}', "invalid pagination"),
        ],
    )
    async def test_bodies(self, text, words):
        with pytest.raises(BadReply, match=words):
            await self.call(web.Response(text=text))

    @pytest.mark.parametrize("odd", [f'"{DIGITS}"', "1e999", "[" * 900 + "]" * 900, '"x"', "{}"], ids=len)
    @pytest.mark.parametrize("part", ["limit", "total", "next"])
    async def test_pages_that_make_no_sense_are_told_shortly(self, part, odd):
        pagination = {"limit": "9", "total": "9", "next": "null"}
        pagination[part] = odd if part != "next" else f'{{"offset": {odd}}}'
        text = ", ".join(f'"{key}": {value}' for key, value in pagination.items())
        with pytest.raises(BadReply, match="invalid pagination") as caught:
            await self.call(web.Response(text=f'{{"items": [], "_pagination": {{{text}}}}}'))
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize("text", ["<html>Not Found</html>", "404: Not Found", "{}"])
    async def test_a_404_of_another_page_means_no_user_who_is_gone(self, text):
        with pytest.raises(BadReply, match="not of JupyterHub's REST API: check that the URL") as caught:
            await self.call(web.Response(status=404, text=text))
        assert caught.value.code == 404

    @pytest.mark.parametrize("status", [400, 403, 404, 409, 429, 500, 503])
    @pytest.mark.parametrize(
        "body", [DEEP, DIGITS, f'{{"message": {DEEP}}}', '{"message": [1]}', "[]"], ids=len
    )
    async def test_a_refusal_with_a_body_that_cannot_be_read_is_a_refusal(self, status, body):
        with pytest.raises(HubError) as caught:
            await self.call(web.Response(status=status, text=body))
        assert caught.value.code == status
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(
        "scopes", ["[1]", "[" * 900 + "]" * 900, '[["users"]]', "{}", '"users"'], ids=len
    )
    async def test_scopes_that_are_no_words(self, scopes):
        async def handler(_request):
            return web.Response(text=f'{{"scopes": {scopes}}}')

        async with answering(handler) as url, api_of(url) as api:
            with pytest.raises(BadReply, match="has no list of scopes"):
                await api.scopes()

    @pytest.mark.parametrize("name", [".", "..", "a/../b", "50%", "%2e", "a+b c", "用户"])
    async def test_a_name_stays_a_name_in_the_url(self, name):
        """An address with dots in it would be tidied up to that of the default server, or of all users."""
        asked = []

        async def handler(request):
            asked.append(request.raw_path)
            return web.Response(status=204)

        async with answering(handler) as url, api_of(url) as api:
            await api.stop_server("ada", name)
        (path,) = asked
        assert path.startswith("/hub/api/users/ada/servers/")
        assert unquote(path.removeprefix("/hub/api/users/ada/servers/")) == name

    async def test_one_bad_user_leaves_the_others(self):
        text = '{"items": [{"name": "a", "servers": {}}, {}], "_pagination": {"limit": 9, "total": 2, "next": null}}'
        page = await self.call(web.Response(text=text))
        assert [user.name for user in page.users] == ["a"]
        assert [str(error) for error in page.unreadable] == ["a user without a name"]

    async def test_a_proxys_error_page(self):
        with pytest.raises(HubUnavailable, match="returned 503: Service Unavailable"):
            await self.call(web.Response(status=503, text="<html>"))

    async def test_retry_after(self):
        with pytest.raises(HubUnavailable) as caught:
            await self.call(web.Response(status=429, headers={"Retry-After": "7"}))
        assert caught.value.retry_after == 7

    @pytest.mark.parametrize("text", ["9" * 5_000, "1" + "0" * 400], ids=len)
    async def test_a_retry_after_without_end_ends(self, text):
        with pytest.raises(HubUnavailable) as caught:
            await self.call(web.Response(status=429, headers={"Retry-After": text}))
        assert caught.value.retry_after == 3600

    @pytest.mark.parametrize(
        "message", ["x" * 1_000_000, 10**4300 - 1, [["x" * 1000]] * 1000], ids=["text", "number", "list"]
    )
    async def test_a_message_without_end_is_cut(self, message):
        with pytest.raises(Refused) as caught:
            await self.call(web.json_response({"message": message}, status=400))
        assert 90 < len(str(caught.value)) < 800

    async def test_a_body_without_end_is_not_read(self, monkeypatch):
        monkeypatch.setattr("k8s_hub.hub.connection.LONGEST_REPLY", 1000)
        with pytest.raises(BadReply, match="more than 1000 bytes"):
            await self.call(web.Response(text=" " * 1001))

    @pytest.mark.parametrize("text", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "inf", "x"])
    async def test_a_retry_after_that_nobody_can_keep_to_is_nothing(self, text):
        with pytest.raises(HubUnavailable) as caught:
            await self.call(web.Response(status=429, headers={"Retry-After": text}))
        assert caught.value.retry_after is None


async def test_a_request_has_a_time_limit():
    released = asyncio.Event()

    async def handler(_request):
        await released.wait()
        return web.Response()

    async with answering(handler) as url, api_of(url, request_timeout=0.05) as api:
        with pytest.raises(HubUnavailable, match="timed out"):
            await api.user("alice")
        released.set()


class TestObserver:
    """Whoever wants to know how the hub does is told of each request once."""

    async def test_answers_good_and_bad_with_their_time(self):
        codes, told = iter([204, 503, 404]), []

        async def handler(_request):
            await asyncio.sleep(0.02)
            return web.Response(status=next(codes))

        async with answering(handler) as url, observed(url, told) as api:
            await api.stop_server("ada")
            with pytest.raises(HubUnavailable):
                await api.user("ada")
            with pytest.raises(HubNotFound):
                await api.delete_user("ada")
        assert [(method, code) for method, code, _ in told] == [
            ("DELETE", 204),
            ("GET", 503),
            ("DELETE", 404),
        ]
        assert all(0.02 <= seconds < 5 for _, _, seconds in told)

    async def test_an_answer_that_makes_no_sense_was_an_answer(self):
        told = []

        async def handler(_request):
            return web.Response(text="<html>")

        async with answering(handler) as url, observed(url, told) as api:
            with pytest.raises(BadReply):
                await api.user("ada")
        assert [(method, code) for method, code, _ in told] == [("GET", 200)]

    async def test_no_answer_is_zero(self):
        told, released = [], asyncio.Event()

        async def handler(request):
            if request.method == "DELETE":
                request.transport.abort()
            await released.wait()
            return web.Response()

        async with answering(handler) as url, observed(url, told, request_timeout=0.05) as api:
            for call in (api.stop_server, api.user):
                with pytest.raises(HubUnavailable):
                    await call("ada")
            released.set()
        assert [(method, code) for method, code, _ in told] == [("DELETE", 0), ("GET", 0)]
        assert told[1][2] >= 0.05

    async def test_who_gives_up_was_not_left_without_an_answer(self):
        told, arrived, released = [], asyncio.Event(), asyncio.Event()

        async def handler(_request):
            arrived.set()
            await released.wait()
            return web.Response()

        async with answering(handler) as url, observed(url, told) as api:
            asking = asyncio.create_task(api.user("ada"))
            await arrived.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            released.set()
        assert told == []


async def test_as_many_requests_are_under_way_as_the_caller_likes():
    """One that waited for a connection would use up its time, and fail though the hub never saw it."""
    most = 150
    all_arrived = asyncio.Barrier(most)

    async def handler(_request):
        await all_arrived.wait()
        return web.Response(status=204)

    async with answering(handler) as url, api_of(url, request_timeout=10) as api:
        gone = await asyncio.gather(*(api.stop_server(f"u{number}") for number in range(most)))
    assert gone == [True] * most


@pytest.mark.hub
async def test_internal_ssl_speaks_with_the_hubs_own_certificates(tmp_path):
    """With the files that JupyterHub makes, where it puts them; a client without them is not heard."""
    app = JupyterHub(internal_ssl=True, internal_certs_location=str(tmp_path))
    app.init_internal_ssl()
    context = make_ssl_context(
        app.internal_ssl_key,
        app.internal_ssl_cert,
        cafile=app.internal_ssl_ca,
        purpose=ssl.Purpose.CLIENT_AUTH,
    )

    async def handler(_request):
        return web.json_response({"name": "alice", "servers": {}})

    async with answering(handler, ssl_context=context) as url:
        async with api_of(url, ssl_context=internal_ssl_context(tmp_path)) as api:
            assert (await api.user("alice")).name == "alice"
        async with api_of(url) as api:
            with pytest.raises(HubUnavailable, match="certificate"):
                await api.user("alice")


def test_internal_ssl_says_which_file_is_missing(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        internal_ssl_context(tmp_path)
