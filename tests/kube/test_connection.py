"""Requests and streams over loopback: what arrives, what goes wrong, and how it is told."""

import asyncio
import json
import ssl
import time

import pytest
from aiohttp import web

from devkit.testing.eventually import eventually
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.connection import AT_ONCE, _proxy_from_environment, stall_tolerant_timeout
from k8s_hub.kube.core.errors import ConfigurationError, Forbidden, Invalid, KubeError, NotFound, Unavailable
from k8s_hub.kube.core.resources import CLAIMS
from k8s_hub.objects.keys import Key
from tests.kube.certificates import self_signed
from tests.kube.odd import DEEP, DIGITS, NAMED, NAMELESS, a_list, stored, text


def json_answer(**reply):
    async def answer(_request):
        return web.json_response(reply)

    return answer


async def lines_of(connection, **limits):
    async with connection.stream("/watch", **({"opening": 5, "silence": 60} | limits)) as lines:
        return [line async for line in lines]


async def test_a_request_is_json_both_ways(serve, connect):
    async def echo(request):
        return web.json_response(
            {"method": request.method, "query": request.query_string, "body": await request.json()}
        )

    server = await serve(echo)
    connection = await connect(ConnectionSettings(host=server.url))

    reply = await connection.request("POST", "/x", params={"labelSelector": "a in (b, c)"}, body={"k": "ü"})

    assert reply == {"method": "POST", "query": "labelSelector=a in (b, c)", "body": {"k": "ü"}}
    assert server.requests[0].headers["Content-Type"] == "application/json"
    assert server.requests[0].headers["User-Agent"].startswith("k8s_hub/")


async def test_a_patch_is_a_merge_patch(serve, connect):
    async def echo(request):
        return web.json_response(stored("claim-ada", method=request.method, body=await request.json()))

    server = await serve(echo)
    api = KubeApi(await connect(ConnectionSettings(host=server.url)))

    reply = await api.patch(CLAIMS, Key("jhub", "claim-ada"), {"spec": {"a": 1}})

    assert reply == stored("claim-ada", method="PATCH", body={"spec": {"a": 1}})
    assert server.requests[0].path == "/api/v1/namespaces/jhub/persistentvolumeclaims/claim-ada"
    assert server.requests[0].headers["Content-Type"] == "application/merge-patch+json"


async def test_a_kubeconfigs_token_is_sent(connection, cluster):
    reply = await connection.request("GET", "/api/v1/namespaces/hub")

    assert reply["metadata"]["name"] == "hub"


async def test_a_refused_token_is_renewed_once_and_the_request_repeated(cluster, settings, connect, tmp_path):
    good = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(good.replace(cluster.token, "old"))
    connection = await connect(settings)
    (tmp_path / "kubeconfig").write_text(good)

    replies = await asyncio.gather(*(connection.request("GET", "/api/v1/namespaces/hub") for _ in range(20)))

    assert {reply["metadata"]["name"] for reply in replies} == {"hub"}


async def test_a_watch_opened_later_uses_the_renewed_token(cluster, settings, connect, tmp_path):
    good = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(good.replace(cluster.token, "old"))
    connection = await connect(settings)
    (tmp_path / "kubeconfig").write_text(good)

    path = "/api/v1/namespaces/hub/pods"
    async with connection.stream(path, params={"watch": "1"}, opening=5, silence=60):
        pass


async def test_a_token_that_stays_refused_is_told_after_one_repetition(serve, connect):
    async def refuse(_request):
        return web.json_response({"kind": "Status", "code": 401, "message": "Unauthorized"}, status=401)

    server = await serve(refuse)
    connection = await connect(ConnectionSettings(host=server.url))

    with pytest.raises(Forbidden, match="Unauthorized"):
        await connection.request("GET", "/x")
    assert len(server.requests) == 1  # there is no other token to try


class TestRenewalFails:
    """An exec plugin gives a token once, and then does what ``next_run`` says, while the server rejects the token."""

    @pytest.fixture
    def plugin(self, tmp_path):
        return tmp_path / "plugin"

    @pytest.fixture
    async def rejecting(self, serve, connect, tmp_path, plugin):
        """A server that rejects each token but "good", and a connection to it."""

        async def answer(request):
            if request.headers["Authorization"] == "Bearer good":
                return web.json_response(stored("claim-ada"))
            status = {"kind": "Status", "code": 401, "message": "Unauthorized"}
            return web.json_response(status, status=401)

        user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin)}}
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": (await serve(answer)).url}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (tmp_path / "exec").write_text(json.dumps(kubeconfig))
        self.next_run(plugin, self.gives("old"))
        return await connect(ConnectionSettings(kubeconfig=str(tmp_path / "exec")))

    @staticmethod
    def gives(token):
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
        return f"echo '{json.dumps({**credential, 'status': {'token': token}})}'"

    @staticmethod
    def next_run(plugin, command):
        plugin.write_text(f"#!/bin/sh\n{command}\n")
        plugin.chmod(0o700)

    @pytest.mark.parametrize("command", ["exit 1", "echo []", None], ids=["fails", "odd", "hangs"])
    async def test_the_servers_answer_is_raised_and_the_next_request_renews_again(
        self, rejecting, plugin, hangs, monkeypatch, caplog, command
    ):
        monkeypatch.setattr("k8s_hub.kube.configuration.LOADING", 0.5)
        monkeypatch.setattr("k8s_hub.kube.connection.RENEWAL", 0.3)
        self.next_run(plugin, command or hangs)
        for _ in range(2):
            async with asyncio.timeout(10):
                with pytest.raises(Forbidden, match="Unauthorized"):
                    await rejecting.request("GET", "/x")
        told = ": the credentials were rejected, and their renewal fails, retrying: "
        assert len([message for message in caplog.messages if told in message]) == 1

        self.next_run(plugin, self.gives("good"))
        await eventually(rejecting._renewal.done)
        monkeypatch.setattr("k8s_hub.kube.configuration.LOADING", 10)
        monkeypatch.setattr("k8s_hub.kube.connection.RENEWAL", 10)
        assert await rejecting.request("GET", "/x")

    async def test_a_plugin_that_hangs_runs_once(self, rejecting, plugin, hangs, monkeypatch, tmp_path):
        monkeypatch.setattr("k8s_hub.kube.connection.RENEWAL", 1.0)
        self.next_run(plugin, hangs)
        async with asyncio.timeout(8):
            for _ in range(2):
                requests = (rejecting.request("GET", "/x") for _ in range(20))
                errors = await asyncio.gather(*requests, return_exceptions=True)
                assert {type(error) for error in errors} == {Forbidden}
        assert len((tmp_path / "pids").read_text().splitlines()) == 1

    async def test_a_failed_renewal_is_no_accepted_request(self, rejecting, plugin):
        """The API server may accept the credentials again for `UNAUTHORIZED_GRACE` seconds."""
        api = KubeApi(rejecting)
        self.next_run(plugin, self.gives("good"))
        await api.get(CLAIMS, Key("jhub", "claim-ada"))
        self.next_run(plugin, "exit 1")
        rejecting._access.configuration.api_key = {"BearerToken": "Bearer old"}
        with pytest.raises(Unavailable, match="Unauthorized"):
            await api.get(CLAIMS, Key("jhub", "claim-ada"))


async def test_a_status_is_raised(connection):
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        await connection.request("GET", "/api/v1/namespaces/nowhere")
    with pytest.raises(Invalid):
        await connection.request("PATCH", "/api/v1/namespaces/hub", body={})


async def test_a_page_in_between_is_unavailable_and_not_quoted(serve, connect):
    async def login_page(_request):
        return web.Response(text="<html>s3cret</html>", content_type="text/html")

    connection = await connect(ConnectionSettings(host=(await serve(login_page)).url))

    with pytest.raises(Unavailable, match="19 bytes of text/html that cannot be read: "):
        await connection.request("GET", "/x")


@pytest.mark.parametrize("status", [200, 404, 409, 500, 503])
@pytest.mark.parametrize(
    "body", [DEEP, DIGITS, f'{{"metadata": {DEEP}}}', "[]", "null", '"text"', "1e999"], ids=len
)
async def test_a_reply_that_cannot_be_read_is_bad_input_and_no_bug(serve, connect, status, body, decoder):
    async def odd(_request):
        return web.Response(status=status, text=body, content_type="application/json")

    connection = await connect(ConnectionSettings(host=(await serve(odd)).url))

    with pytest.raises(KubeError) as caught:
        await connection.request("GET", "/x")
    assert caught.value.code == status
    assert isinstance(caught.value, Unavailable) is (status in {200, 500, 503})
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", [name for name in NAMED if not name.startswith("a status")] + list(NAMELESS))
async def test_of_an_odd_object_nothing_is_known(serve, connect, name, decoder):
    async def odd(_request):
        return web.Response(text=(NAMED | NAMELESS)[name], content_type="application/json")

    api = KubeApi(await connect(ConnectionSettings(host=(await serve(odd)).url)))

    with pytest.raises(Unavailable):
        await api.get(CLAIMS, Key("jhub", "odd"))
    with pytest.raises(Unavailable):
        await api.create(CLAIMS, "jhub", {})
    with pytest.raises(Unavailable):
        await api.patch(CLAIMS, Key("jhub", "odd"), {})


async def test_who_acts_on_what_is_missing_is_not_given_a_list_with_an_odd_object(serve, connect):
    async def listed(_request):
        return web.Response(body=a_list(text("ada"), NAMED["nested deep"]), content_type="application/json")

    api = KubeApi(await connect(ConnectionSettings(host=(await serve(listed)).url)))

    with pytest.raises(
        Unavailable, match="persistentvolumeclaims cannot be listed because of hub/odd: it cannot be read"
    ):
        _ = [page async for page in api.list_pages(CLAIMS, "hub")]


async def test_a_redirect_is_not_followed_with_the_token(serve, connect):
    elsewhere = await serve(json_answer())

    async def redirect(_request):
        raise web.HTTPFound(elsewhere.url)

    connection = await connect(ConnectionSettings(host=(await serve(redirect)).url))

    with pytest.raises(Unavailable, match="HTTP 302"):
        await connection.request("GET", "/x")
    assert elsewhere.requests == []


async def test_nobody_there(connect, unused_tcp_port):
    connection = await connect(ConnectionSettings(host=f"http://127.0.0.1:{unused_tcp_port}"))

    with pytest.raises(
        Unavailable, match=f"^no connection to http://127.0.0.1:{unused_tcp_port}: "
    ) as caught:
        await connection.request("GET", "/x")
    assert caught.value.code == 0


@pytest.mark.looptime
async def test_a_server_that_does_not_answer_is_unavailable_after_the_request_timeout(serve, connect):
    async def hang(_request):
        await asyncio.sleep(3600)

    connection = await connect(ConnectionSettings(host=(await serve(hang)).url, request_timeout=3.0))
    loop = asyncio.get_running_loop()

    start = loop.time()
    with pytest.raises(Unavailable, match="did not answer within 3 s"):
        await connection.request("GET", "/x")
    assert loop.time() - start == 3

    start = loop.time()
    with pytest.raises(Unavailable, match="did not answer within 7 s"):
        await connection.request("GET", "/x", timeout=7)
    assert loop.time() - start == 7


@pytest.mark.looptime
async def test_so_many_requests_at_a_time_and_the_others_time_is_not_up_while_they_wait(serve, connect):
    under_way = []

    async def take_two_seconds(_request):
        under_way.append(len(under_way) + 1)
        await asyncio.sleep(2)
        return web.json_response({"at_once": under_way.pop()})

    server = await serve(take_two_seconds)
    connection = await connect(ConnectionSettings(host=server.url, request_timeout=3.0))
    start = asyncio.get_running_loop().time()

    replies = await asyncio.gather(*(connection.request("GET", "/x") for _ in range(3 * AT_ONCE)))

    assert max(reply["at_once"] for reply in replies) == AT_ONCE
    assert asyncio.get_running_loop().time() - start == 3 * 2


@pytest.mark.looptime
async def test_a_reply_that_stops_in_the_middle_is_unavailable(serve, connect):
    async def stop_in_the_middle(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"half": ')
        await asyncio.sleep(3600)

    connection = await connect(ConnectionSettings(host=(await serve(stop_in_the_middle)).url))

    with pytest.raises(Unavailable, match="did not answer within 3 s"):
        await connection.request("GET", "/x")


def streaming(*pieces, pause=0.0, hang=False):
    async def answer(request):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(pause)
        if hang:
            await asyncio.sleep(3600)
        return response

    return answer


async def test_a_stream_is_cut_into_lines_wherever_the_network_cuts_it(serve, connect):
    server = await serve(streaming(b"on", b"e\ntwo\n\nth", b"ree\n", pause=0.01))

    assert await lines_of(await connect(ConnectionSettings(host=server.url))) == [b"one", b"two", b"three"]


async def test_a_line_may_be_larger_than_any_buffer(serve, connect):
    """An object may have 1.5 MB, and a watch event holds a whole one."""
    large = b"x" * 3_000_000
    server = await serve(streaming(large + b"\n", b"small\n"))

    assert await lines_of(await connect(ConnectionSettings(host=server.url))) == [large, b"small"]


async def test_a_line_that_is_cut_off_is_dropped(serve, connect):
    server = await serve(streaming(b"one\ntw"))

    assert await lines_of(await connect(ConnectionSettings(host=server.url))) == [b"one"]


async def test_a_stream_that_breaks_is_unavailable(serve, connect):
    async def break_off(request):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"one\n")
        request.transport.abort()
        return response

    connection = await connect(ConnectionSettings(host=(await serve(break_off)).url))

    with pytest.raises(Unavailable, match="no connection to"):
        await lines_of(connection)


@pytest.mark.looptime
async def test_a_stream_whose_peer_vanished_is_noticed(serve, connect):
    server = await serve(streaming(b"one\n", hang=True))
    connection = await connect(ConnectionSettings(host=server.url))
    loop = asyncio.get_running_loop()
    start = loop.time()

    with pytest.raises(Unavailable, match="did not answer within 75 s"):
        await lines_of(connection, silence=75)
    assert loop.time() - start == pytest.approx(75, abs=1.5)  # aiohttp rounds long time-outs up


@pytest.mark.looptime
async def test_a_stream_may_last_as_long_as_it_says_something(serve, connect):
    server = await serve(streaming(*[b"one\n"] * 10, pause=60))

    assert len(await lines_of(await connect(ConnectionSettings(host=server.url)), silence=75)) == 10


async def test_a_stream_that_is_refused_raises_on_entering(connection):
    with pytest.raises(NotFound):
        async with connection.stream("/api/v1/nothing", opening=5, silence=60):
            pytest.fail("it was entered")


async def test_leaving_a_stream_early_closes_it(serve, connect):
    closed = asyncio.Event()

    async def endless(request):
        try:
            return await streaming(b"one\n", hang=True)(request)
        finally:
            closed.set()

    connection = await connect(ConnectionSettings(host=(await serve(endless)).url))

    async with connection.stream("/watch", opening=5, silence=60) as lines:
        assert await anext(lines) == b"one"
    async with asyncio.timeout(5):
        await closed.wait()


async def test_the_environments_proxy_is_used_and_no_proxy_obeyed(serve, connect, monkeypatch):
    proxy = await serve(json_answer(by="proxy"))
    server = await serve(json_answer(by="server"))
    monkeypatch.setenv("http_proxy", proxy.url)

    monkeypatch.setenv("no_proxy", "")
    connection = await connect(ConnectionSettings(host=server.url))
    assert await connection.request("GET", "/x") == {"by": "proxy"}

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    connection = await connect(ConnectionSettings(host=server.url))
    assert await connection.request("GET", "/x") == {"by": "server"}


@pytest.mark.parametrize(
    ("no_proxy", "host"),
    [
        ("fd00::1", "https://[fd00::1]:443"),
        ("[fd00::1]", "https://[fd00::1]"),
        ("10.0.0.1", "https://10.0.0.1:443"),
        (".svc", "https://kubernetes.default.svc"),
        ("10.0.0.1:443", "https://10.0.0.1:443"),
    ],
)
def test_no_proxy_names_hosts_with_and_without_port_and_brackets(monkeypatch, no_proxy, host):
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert _proxy_from_environment(host) is None
    monkeypatch.setenv("no_proxy", "fd00::2,10.0.0.2")
    assert _proxy_from_environment(host) == "http://proxy:3128"


@pytest.fixture
def tls_files(tmp_path):
    certificate, key = self_signed()
    (tmp_path / "ca.crt").write_text(certificate)
    (tmp_path / "tls.key").write_text(key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "tls.key")
    return context, str(tmp_path / "ca.crt")


class TestCertificatesChange:
    """Files that a cluster renews while the hub runs."""

    @staticmethod
    def write(directory, number):
        certificate, key = self_signed(number)
        (directory / "tls.crt").write_text(certificate)
        (directory / "tls.key").write_text(key)

    @staticmethod
    def kubeconfig(directory, server, **user):
        cluster = {"server": server, "certificate-authority": str(directory / "ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        (directory / "kubeconfig").write_text(json.dumps(config))
        return ConnectionSettings(kubeconfig=str(directory / "kubeconfig"))

    async def test_a_new_ca_is_trusted(self, serve, connect, tls_files, tmp_path):
        async def answer(_request):
            return web.json_response({"ok": True}, headers={"Connection": "close"})

        tls, _ = tls_files
        server = await serve(answer, tls)
        connection = await connect(self.kubeconfig(tmp_path, server.url, token="one"))
        assert await connection.request("GET", "/x") == {"ok": True}

        self.write(tmp_path, 2)
        tls.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
        with pytest.raises(Unavailable, match="certificate verify failed"):
            await connection.request("GET", "/x")
        (tmp_path / "ca.crt").write_text(self_signed(2)[0])
        replies = await asyncio.gather(*(connection.request("GET", "/x") for _ in range(5)))
        assert replies == 5 * [{"ok": True}]

    async def test_a_new_client_certificate_is_shown(self, serve, connect, tls_files, tmp_path):
        """Also where the API server keeps the earlier connections open."""

        async def answer(request):
            shown = request.transport.get_extra_info("peercert")
            if int(shown["serialNumber"], 16) == wanted:
                return web.json_response({"ok": True})
            return web.json_response({"kind": "Status", "code": 401, "message": "Unauthorized"}, status=401)

        tls, _ = tls_files
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(cadata=self_signed(2)[0] + self_signed(3)[0])
        server, wanted = await serve(answer, tls), 2
        self.write(tmp_path, 2)
        files = {"client-certificate": str(tmp_path / "tls.crt"), "client-key": str(tmp_path / "tls.key")}
        connection = await connect(self.kubeconfig(tmp_path, server.url, **files))
        assert await connection.request("GET", "/x") == {"ok": True}

        wanted = 3
        with pytest.raises(Forbidden):
            await connection.request("GET", "/x")
        self.write(tmp_path, 3)
        assert await connection.request("GET", "/x") == {"ok": True}


async def test_tls_is_verified_with_the_ca_of_the_settings(serve, connect, tls_files):
    tls, ca = tls_files
    server = await serve(json_answer(ok=True), tls)

    trusting = await connect(ConnectionSettings(host=server.url, ssl_ca_cert=ca))
    assert await trusting.request("GET", "/x") == {"ok": True}

    careless = await connect(ConnectionSettings(host=server.url, verify_ssl=False))
    assert await careless.request("GET", "/x") == {"ok": True}

    wary = await connect(ConnectionSettings(host=server.url))
    with pytest.raises(Unavailable, match=r"(?i)certificate verify failed"):
        await wary.request("GET", "/x")


async def test_a_ca_file_that_is_not_there_is_named(connect):
    with pytest.raises(ConfigurationError, match=r"^the certificates /nowhere/ca.crt cannot be used: "):
        await connect(ConnectionSettings(host="https://127.0.0.1:1", ssl_ca_cert="/nowhere/ca.crt"))


@pytest.mark.looptime
async def test_it_ends_what_takes_too_long():
    loop = asyncio.get_running_loop()
    start = loop.time()

    with pytest.raises(TimeoutError):
        async with stall_tolerant_timeout(3):
            await asyncio.sleep(10)
    assert loop.time() - start == 3


@pytest.mark.looptime
async def test_it_leaves_alone_what_is_in_time():
    async with stall_tolerant_timeout(3):
        await asyncio.sleep(2.9)
    await asyncio.sleep(10)


async def test_a_loop_that_stood_still_is_not_the_servers_fault():
    """The reply is there when the loop turns again, a second after the deadline; an ordinary time-out fires first."""
    loop = asyncio.get_running_loop()
    reply = loop.create_future()

    async def answer_when_heard():
        # Two turns, as a reply takes from the socket to whoever awaits it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reply.set_result("there")

    async with stall_tolerant_timeout(0.05), asyncio.TaskGroup() as group:
        group.create_task(answer_when_heard())
        loop.call_soon(time.sleep, 0.4)
        assert await reply == "there"


@pytest.mark.looptime
async def test_cancelling_the_body_is_no_time_out():
    async def body():
        async with stall_tolerant_timeout(3):
            await asyncio.sleep(10)

    task = asyncio.create_task(body())
    await asyncio.sleep(1)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
