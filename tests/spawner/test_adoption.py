"""A hub that starts with an older database adopts the servers that it has lost, and no others."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from jupyterhub.utils import compare_token
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from devkit.minicluster.faults import FaultRule, Refuse, Slow
from devkit.minicluster.resources import PODS
from devkit.testing.eventually import eventually
from devkit.testing.memoryproxy import MemoryProxy
from devkit.testing.runs import NAMESPACE, NO_WAIT, claims, edit_pod, pods, restart_process, struck, takes
from k8s_hub import KubeSpawner
from k8s_hub.naming.ownership import USER_ID_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import Key, annotations_of, is_terminating, uid_of
from k8s_hub.spawner.adoption import _is_of_another_name
from tests.spawner.conftest import FailsBeforeStart

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

USERS = ("ada", "bob", "eve", "joe", "kim", "lea")

SOON = 5
"""Seconds after a hub's start in which nothing more is adopted."""


class Lost:
    """A hub, and a copy of its database from before bob's server started."""

    def __init__(self, hub, cluster):
        self.hub = hub
        self.cluster = cluster

    async def started(self, user="bob", name=""):
        """Copy the database, and start a server."""
        await self.hub.start_server("ada")
        await self.hub.wait_ready("ada")
        self.copy = self.hub.copy_database()
        await self.hub.start_server(user, name)
        await self.hub.wait_ready(user, name)

    async def starting(self, seconds, user="bob"):
        """Copy the database, and start a server that takes so long; return once it has a pod."""
        await self.hub.start_server("ada")
        await self.hub.wait_ready("ada")
        self.copy = self.hub.copy_database()
        await self.begin(seconds, user)

    async def begin(self, seconds, user):
        """Start a server that takes so long; return once it has a pod."""
        takes(self.cluster, pull=seconds)
        count = len(pods(self.cluster))
        await self.hub.start_server(user)
        await eventually(lambda: len(pods(self.cluster)) > count)

    async def adopting(self, user="bob"):
        """Return while the hub adopts the server."""
        await eventually(
            lambda: self.hub.spawner(user) is not None and self.hub.spawner(user).pending == "spawn"
        )

    async def back(self):
        """Kill the hub, and start it with the copy."""
        await self.hub.kill()
        await restart_process()
        self.hub.restore_database(self.copy)
        await self.hub.boot()


@pytest.fixture
def lost(hub, cluster):
    class _Opened:
        def __init__(self, options):
            self.hub = hub(**options)

        async def __aenter__(self):
            return Lost(await self.hub.__aenter__(), cluster)

        async def __aexit__(self, *exception):
            await self.hub.__aexit__(*exception)

    return lambda **options: _Opened(options)


def bobs(cluster):
    return [pod for pod in pods(cluster) if annotations_of(pod)[USERNAME_ANNOTATION] == "bob"]


def token_of(pod):
    [token] = [e["value"] for e in pod["spec"]["containers"][0]["env"] if e["name"] == "JUPYTERHUB_API_TOKEN"]
    return token


async def whose(hub, token):
    """Return the user of a token, and the server that the hub knows it for."""
    async with hub._session.get(f"{hub.api_url}/user", headers={"Authorization": f"token {token}"}) as reply:
        return (await reply.json()).get("name") if reply.status == 200 else None


def told(caplog, text="adopted"):
    return [each.getMessage() for each in caplog.records if text in each.getMessage()]


@pytest.mark.parametrize("name", ["", "gpu"])
async def test_a_lost_server_runs_on(lost, cluster, caplog, name):
    async with lost() as lost:
        await lost.started(name=name)
        hub, [pod] = lost.hub, bobs(cluster)
        saved, route = hub.spawner("bob", name).get_state(), f"/user/bob/{name}".rstrip("/") + "/"
        assert await whose(hub, token_of(pod)) == "bob"
        address = hub.routes[route]["target"]
        await lost.back()

        await eventually(lambda: hub.spawner("bob", name) is not None and hub.spawner("bob", name).ready)
        await eventually(lambda: route in hub.routes)
        assert hub.routes[route]["target"] == address
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
        assert told(caplog, "specified its own API token that's not in the database")
        assert await whose(hub, token_of(pod)) == "bob"
        [message] = told(caplog)
        assert message.startswith(f"Pod {NAMESPACE}/jupyter-bob")
        assert "because the hub's database has lost its start" in message
        new = hub.spawner("bob", name).get_state()
        assert {**new, "pvc_name": saved["pvc_name"]} == saved
        assert len(claims(cluster)) == 2

        # From now on it is a server like any other.
        assert await hub.stop_server("bob", name) == 204
        assert bobs(cluster) == []
        assert route not in hub.routes
        assert await whose(hub, token_of(pod)) is None
        await hub.start_server("bob", name)
        await hub.wait_ready("bob", name)
        assert len(claims(cluster)) == 2


async def test_its_oauth_client_and_its_age_are_those_of_the_lost_start(lost, cluster):
    async with lost(oauth_client_allowed_scopes=["read:users:name!user"]) as lost:
        await lost.started()
        hub = lost.hub

        def client():
            row = hub.spawner("bob").orm_spawner.oauth_client
            return row.secret is not None, row.allowed_scopes, row.redirect_uri

        before = client()
        await lost.back()
        await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready)
        assert client() == before
        [pod] = bobs(cluster)
        started = hub.spawner("bob").orm_spawner.started
        assert f"{started:%Y-%m-%dT%H:%M:%SZ}" == pod["metadata"]["creationTimestamp"]
        row = hub.spawner("bob").orm_spawner.oauth_client
        assert compare_token(row.secret, token_of(pod))


async def test_its_end_is_noticed(lost, cluster):
    async with lost() as lost:
        await lost.started()
        await lost.back()
        hub = lost.hub
        await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready)
        cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-bob"))
        await hub.wait_stopped("bob")
        assert "/user/bob/" not in hub.routes


async def test_a_server_that_was_stopped_and_started_since(lost, cluster, caplog):
    """The hub believes in the earlier run, and refuses the token of this one."""
    async with lost() as lost:
        await lost.started()
        hub = lost.hub
        lost.copy = hub.copy_database()
        await hub.stop_server("bob")
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        [pod] = bobs(cluster)
        await lost.back()
        assert await whose(hub, token_of(pod)) is None

        await eventually(lambda: told(caplog, "has lost its start"))
        await hub.wait_ready("bob")
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
        assert await whose(hub, token_of(pod)) == "bob"
        assert compare_token(hub.spawner("bob").orm_spawner.oauth_client.secret, token_of(pod))
        assert "/user/bob/" in hub.routes
        cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-bob"))
        await hub.wait_stopped("bob")
        assert "/user/bob/" not in hub.routes


async def test_a_hub_that_died_in_a_start_adopts_nothing(lost, cluster, caplog):
    """Its database has the token of the start, and its own check takes the server back."""
    async with lost(hub=NO_WAIT) as lost:
        await lost.started()
        hub = lost.hub
        await hub.stop_server("bob")
        await hub.wait_stopped("bob")
        takes(cluster, pull=30)
        await hub.start_server("bob")
        await eventually(lambda: bobs(cluster))
        [pod] = bobs(cluster)
        lost.copy = hub.copy_database()
        await lost.back()
        await asyncio.sleep(60)
        assert hub.spawner("bob").ready
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
        assert await whose(hub, token_of(pod)) == "bob"
        assert not told(caplog)


class TestAdoptionTakesLong:
    """The search for orphans leaves the pods that wait for their turn."""

    UNREADABLE = Refuse(code=500, body="unable to transform key")

    @staticmethod
    async def until_old(lost, *users):
        """Start the servers in this order: the youngest has its turn first. Return once the search could find them."""
        for user in ("ada", "joe", "kim", "lea"):
            await lost.hub.start_server(user)
            await lost.hub.wait_ready(user)
        lost.copy = lost.hub.copy_database()
        for user in users:
            await asyncio.sleep(2)
            await lost.hub.start_server(user)
            await lost.hub.wait_ready(user)
        await asyncio.sleep(360)

    async def test_no_pod_that_may_be_adopted_is_removed(self, lost, cluster, caplog):
        async with lost(users=USERS, orphans="remove") as lost:
            await self.until_old(lost, "bob")
            [pod], hub = bobs(cluster), lost.hub
            with struck(cluster, self.UNREADABLE, verb="get", resource="pods", name="jupyter-bob"):
                await lost.back()
                await asyncio.sleep(300)
                assert [(uid_of(each), is_terminating(each)) for each in bobs(cluster)] == [
                    (uid_of(pod), False)
                ]
                [message] = told(caplog, "its adoption waits")
                assert message.startswith(
                    f"Pod {NAMESPACE}/jupyter-bob: its adoption waits for the API server: "
                )
            await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready, seconds=60)
            assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]

    async def test_no_pod_that_may_be_adopted_is_reported(self, lost, cluster, caplog):
        async with lost(users=USERS) as lost:
            await self.until_old(lost, "bob")
            with struck(cluster, self.UNREADABLE, verb="get", resource="pods", name="jupyter-bob"):
                await lost.back()
                await asyncio.sleep(300)
                assert not told(caplog, "it has no server")

    async def test_a_pod_that_cannot_be_read_keeps_no_other_from_its_adoption(
        self, lost, cluster, monkeypatch
    ):
        monkeypatch.setattr("k8s_hub.spawner.adoption.AT_ONCE", 1)
        async with lost(users=USERS) as lost:
            await self.until_old(lost, "bob", "eve")
            with struck(
                cluster, self.UNREADABLE, verb="get", resource="pods", name="jupyter-eve"
            ) as unreadable:
                await lost.back()
                hub = lost.hub
                await eventually(lambda: cluster.faults.hits(unreadable))
                assert hub.spawner("bob") is None
                await eventually(
                    lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready, seconds=60
                )

    async def test_a_pod_that_is_not_adopted_is_an_orphan(self, lost, cluster):
        async with lost(users=USERS, orphans="remove") as lost:
            await self.until_old(lost, "bob")
            lost.hub.config.Authenticator.blocked_users = {"bob"}
            await lost.back()
            await asyncio.sleep(180)
            assert not bobs(cluster)


async def test_a_database_that_cannot_be_read_is_read_again(lost, cluster, caplog):
    failures = []

    def fail_once(*_statement):
        if not failures and asyncio.current_task().get_name() == "adoption":
            failures.append(OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked")))
            raise failures[0]

    async with lost() as lost:
        await lost.started()
        [pod], hub = bobs(cluster), lost.hub
        event.listen(Engine, "before_cursor_execute", fail_once)
        try:
            await lost.back()
            await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready, seconds=60)
        finally:
            event.remove(Engine, "before_cursor_execute", fail_once)
        assert failures
        assert len(told(caplog, "the search for lost servers failed, retrying")) == 1
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]


async def test_a_proxy_that_is_away_leaves_the_route_to_the_hubs_next_check(lost, cluster, monkeypatch):
    async with lost() as lost:
        await lost.started()
        hub, add_route = lost.hub, MemoryProxy.add_route

        async def refuse(self, routespec, target, data):
            if "bob" in routespec:
                raise ConnectionError("the proxy is away")
            await add_route(self, routespec, target, data)

        with monkeypatch.context() as patched:
            patched.setattr(MemoryProxy, "add_route", refuse)
            await lost.back()
            await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready)
        hub.routes.pop("/user/bob/", None)
        await hub.app.proxy.check_routes(hub.app.users, hub.app._service_map)
        assert "/user/bob/" in hub.routes
        cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-bob"))
        await hub.wait_stopped("bob")


async def test_a_token_in_a_secret(lost, cluster):
    async with lost(api_token_in_secret=True) as lost:
        await lost.started()
        [pod], hub = bobs(cluster), lost.hub
        assert "value" not in next(
            e for e in pod["spec"]["containers"][0]["env"] if e["name"] == "JUPYTERHUB_API_TOKEN"
        )
        token = hub.spawner("bob").api_token
        await lost.back()
        await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready)
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
        assert await whose(hub, token) == "bob"


async def test_a_lost_server_that_still_starts(lost, cluster):
    async with lost(hub=NO_WAIT) as lost:
        hub = lost.hub
        await lost.starting(30)
        [pod] = bobs(cluster)
        await lost.back()
        await lost.adopting()
        await hub.wait_ready("bob", seconds=120)
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]


async def test_an_adoption_waits_for_no_other_start(lost, cluster):
    """The pod runs already: it takes no place in the queue for starts."""
    async with lost(hub=NO_WAIT, users=("ada", "bob", "eve")) as lost:
        hub = lost.hub
        await lost.starting(30, "eve")
        await lost.begin(3600, "bob")
        hub.config.KubeSpawner.concurrent_starts = 1
        await lost.back()
        await lost.adopting()
        await hub.wait_ready("eve", seconds=120)
        assert hub.spawner("bob").pending == "spawn"


async def test_a_hub_that_dies_while_it_adopts(lost, cluster):
    """The next one does not take the row of the unfinished adoption for the server of the pod."""
    async with lost(hub=NO_WAIT) as lost:
        hub = lost.hub
        await lost.starting(30)
        [pod] = bobs(cluster)
        await lost.back()
        await lost.adopting()
        await hub.kill()
        await restart_process()
        await hub.boot()
        await asyncio.sleep(120)
        assert hub.spawner("bob").ready
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
        assert await whose(hub, token_of(pod)) == "bob"


async def test_a_user_who_is_renamed_while_the_hub_adopts(lost, cluster, caplog):
    """Their pod has the OAuth client of the earlier name, so that nobody can log in. The next start replaces it."""
    async with lost() as lost:
        hub = lost.hub
        await lost.started()
        with struck(cluster, Slow(seconds=2), "get", resource="pods", name="jupyter-bob") as slow:
            await lost.back()
            await eventually(lambda: cluster.faults.hits(slow))
            assert (await hub.api("PATCH", "/users/bob", json={"name": "robert"}))[0] == 200
            await eventually(lambda: told(caplog, "was not adopted: its JUPYTERHUB_SERVICE_PREFIX or"))
        await hub.start_server("robert")
        await hub.wait_ready("robert")
        assert not bobs(cluster)


@pytest.mark.parametrize(
    ("prefix", "is_of_another"),
    [
        ("/user/eve/gpu/", True),
        ("/user/bob/gpu/", False),
        ("/user/eve/", False),
        ("/user/eve/lab/", False),
        ("/hub2/user/bob/gpu/", False),
        ("/hub2/user/eve/gpu/", False),
        ("", False),
    ],
)
def test_only_the_user_s_name_may_differ_in_the_url_of_a_pod_that_is_deleted(prefix, is_of_another):
    """A database with another base_url would otherwise cost all servers that it has lost."""
    bob = SimpleNamespace(base_url="/user/bob/")
    assert _is_of_another_name(prefix, "/user/bob/gpu/", bob) == is_of_another


async def test_its_user_stops_it_while_it_is_adopted(lost, cluster):
    async with lost(hub=NO_WAIT) as lost:
        hub = lost.hub
        await lost.starting(3600)
        await lost.back()
        await lost.adopting()
        await hub.stop_server("bob")
        await hub.wait_stopped("bob")
        assert bobs(cluster) == []


async def test_a_refused_adoption_leaves_the_pod(lost, cluster, caplog):
    """An administrator's hook, which runs before each start, fails."""
    is_broken = []

    def hook(spawner):
        if is_broken:
            raise RuntimeError("no badge")

    async with lost(pre_spawn_hook=hook) as lost:
        await lost.started()
        [pod] = bobs(cluster)
        is_broken.append(True)
        await lost.back()
        await eventually(lambda: told(caplog, "was not adopted"))
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
        await lost.hub.wait_stopped("bob")
        assert not any(is_terminating(each) for each in bobs(cluster))
        is_broken.clear()
        await lost.hub.start_server("bob")
        await lost.hub.wait_ready("bob")
        assert [uid_of(each) for each in bobs(cluster)] != [uid_of(pod)]


async def stays_stopped(lost, cluster, caplog, reason):
    [pod] = bobs(cluster)
    await lost.back()
    await asyncio.sleep(SOON)
    spawner = lost.hub.spawner("bob")
    assert spawner is None or not spawner.active
    assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
    assert not any(is_terminating(each) for each in bobs(cluster))
    assert [message for message in told(caplog) if reason in message] == told(caplog)
    assert len(told(caplog)) == bool(reason)


async def test_a_server_that_the_hub_has_stopped_is_not_adopted(lost, cluster, caplog):
    """Its stop could not be delivered before the hub died."""
    async with lost(hub=NO_WAIT, k8s_api_request_retry_timeout=30) as lost:
        await lost.started()
        hub = lost.hub
        await cluster.go_away()
        await hub.stop_server("bob")
        await hub.wait_stopped("bob", seconds=60)
        lost.copy = hub.copy_database()
        await hub.kill()
        await restart_process()
        await cluster.come_back()
        await stays_stopped(
            lost, cluster, caplog, "the hub knows of its start, and has stopped the server since"
        )


async def test_a_named_server_that_its_user_has_removed_is_not_adopted(lost, cluster, caplog):
    """The stop could not be delivered before the hub died, and the server's row is gone from the database."""
    async with lost(hub=NO_WAIT, k8s_api_request_retry_timeout=30) as lost:
        await lost.started(name="gpu")
        hub, [pod] = lost.hub, bobs(cluster)
        await cluster.go_away()
        await hub.stop_server("bob", "gpu", remove=True)
        await eventually(lambda: "gpu" not in hub.app.users["bob"].orm_spawners, seconds=60)
        lost.copy = hub.copy_database()
        await hub.kill()
        await restart_process()
        await cluster.come_back()
        await stays_stopped(lost, cluster, caplog, "has stopped the server since")
        assert "gpu" not in hub.app.users["bob"].orm_spawners

        # The default server's next start keeps this knowledge.
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        lost.copy = hub.copy_database()
        caplog.clear()
        await lost.back()
        await asyncio.sleep(SOON)
        assert told(caplog, "has stopped the server since")
        assert uid_of(pod) in map(uid_of, bobs(cluster))


async def test_a_server_whose_next_start_failed_is_not_adopted(lost, cluster, caplog):
    """Neither its stop nor the next start reached the cluster before the hub died."""
    async with lost(hub=NO_WAIT, k8s_api_request_retry_timeout=30, start_timeout=60) as lost:
        await lost.started()
        hub = lost.hub
        first = hub.spawner("bob")._remembered.last_start
        await cluster.go_away()
        await hub.stop_server("bob")
        await hub.wait_stopped("bob", seconds=60)
        await hub.start_server("bob")
        await hub.wait_stopped("bob", seconds=200)
        lost.copy = hub.copy_database()
        saved = hub.app.users["bob"].orm_spawners[""].state
        assert saved["last_start"] != first
        assert saved["earlier_starts"] == [first]
        await hub.kill()
        await restart_process()
        await cluster.come_back()
        await stays_stopped(
            lost, cluster, caplog, "the hub knows of its start, and has stopped the server since"
        )


class ReplacePod(FaultRule):
    """A fault rule that replaces a pod by another release's of its name, right before the pod is read."""

    def __init__(self, cluster):
        super().__init__(effect=None, verb="get", resource="pods", name="jupyter-bob")
        object.__setattr__(self, "cluster", cluster)

    def matches(self, call):
        if super().matches(call):
            self.cluster.faults.remove(self)
            old = self.cluster.database.remove(PODS, Key(call.namespace, call.name))
            kept = {name: old["metadata"][name] for name in ("name", "namespace", "annotations")}
            labels = {**old["metadata"]["labels"], "app.kubernetes.io/instance": "other"}
            self.cluster.database.create(PODS, {**old, "metadata": {**kept, "labels": labels}})
        return False


async def test_a_pod_that_was_replaced_since_the_search_is_not_adopted(lost, cluster, caplog):
    async with lost(common_labels={"app.kubernetes.io/instance": "jhub"}) as lost:
        await lost.started()
        [pod] = bobs(cluster)
        rule = cluster.faults.add(ReplacePod(cluster))
        await lost.back()
        await asyncio.sleep(SOON)
        assert rule not in cluster.faults._rules
        assert [uid_of(each) for each in bobs(cluster)] != [uid_of(pod)]
        assert not told(caplog)
        spawner = lost.hub.spawner("bob")
        assert spawner is None or not spawner.active


class ScopesFailSecond(KubeSpawner):
    """The hub's own spawn gets the scopes; the adoption, right after it, does not."""

    asked = 0

    async def _get_oauth_client_allowed_scopes(self):
        self.asked += 1
        if self.asked == 2:
            raise RuntimeError("no scopes")
        return await super()._get_oauth_client_allowed_scopes()


async def test_an_adoption_that_fails_once_the_hub_has_the_server_is_logged_with_its_traceback(
    lost, cluster, caplog
):
    async with lost(spawner_class=ScopesFailSecond) as lost:
        await lost.started()
        [pod], hub = bobs(cluster), lost.hub
        await lost.back()
        await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready)
        await eventually(lambda: "/user/bob/" in hub.routes)
        [record] = [each for each in caplog.records if "does not know the age" in each.getMessage()]
        assert "no scopes" in str(record.exc_info[1])
        assert [uid_of(each) for each in bobs(cluster)] == [uid_of(pod)]
        assert await hub.stop_server("bob") == 204
        assert bobs(cluster) == []


@pytest.mark.parametrize(
    "metadata, reason",
    [
        (
            {"annotations": {USER_ID_ANNOTATION: "2@2001-01-01T00:00:00.000001Z"}},
            "",
        ),
        ({"annotations": {USER_ID_ANNOTATION: None}}, ""),
        ({"annotations": {"hub.jupyter.org/start-attempt": None}}, "no token of a hub, or no id of a start"),
        ({"labels": {"app.kubernetes.io/instance": "other", "component": "singleuser-server"}}, ""),
        ({"deletionTimestamp": "2100-01-01T00:00:00Z", "finalizers": ["x/y"]}, ""),
    ],
    ids=["another user of the name", "no user id", "no id of a start", "another release", "being deleted"],
)
async def test_a_pod_that_is_not_certainly_this_servers_is_not_adopted(
    lost, cluster, caplog, metadata, reason
):
    async with lost(common_labels={"app.kubernetes.io/instance": "jhub"}) as lost:
        await lost.started()
        [pod] = bobs(cluster)
        if "annotations" in metadata:
            annotations = {**annotations_of(pod), **metadata["annotations"]}
            metadata = {"annotations": {k: v for k, v in annotations.items() if v is not None}}
        edit_pod(cluster, "jupyter-bob", **metadata)
        if "deletionTimestamp" not in metadata:
            await stays_stopped(lost, cluster, caplog, reason)
        else:
            await lost.back()
            await asyncio.sleep(SOON)
            assert not told(caplog)
            edit_pod(cluster, "jupyter-bob", finalizers=[])


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_server_that_its_user_cannot_reach_any_more_is_deleted(lost, cluster, caplog, is_known):
    """Its URL has a name of its user that the hub does not use: the rename is lost, or JupyterHub kept the earlier URL."""
    async with lost() as lost:
        hub = lost.hub
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        if not is_known:
            lost.copy = hub.copy_database()
        assert hub.app.users["bob"].base_url == "/user/bob/"
        await hub.api("PATCH", "/users/bob", json={"name": "eve"})
        if is_known:
            lost.copy = hub.copy_database()
        else:
            hub.app.users.pop(hub.app.users["eve"].id)  # as a hub that was started since the rename
        await hub.start_server("eve")
        await hub.wait_ready("eve")
        assert len(pods(cluster)) == 2
        busy = Refuse(code=503, body="etcdserver: leader changed")
        with struck(cluster, busy, "delete", resource="pods", count=1) as refused:
            await lost.back()
            await eventually(lambda: len(pods(cluster)) == 1)
        assert cluster.faults.hits(refused) == 1
        [message] = told(caplog, "its user cannot reach it")
        assert f"it serves /user/{'bob' if is_known else 'eve'}/" in message
        user = "eve" if is_known else "bob"
        await hub.start_server(user)
        await hub.wait_ready(user)
        assert len(claims(cluster)) == 2


async def test_all_servers_count_as_active_where_the_database_is_old(lost, cluster, caplog):
    """The hub does not know who has used their servers since: a culler would stop them."""
    async with lost() as lost:
        hub = lost.hub
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        hub.set_activity("ada", datetime(2001, 1, 1, tzinfo=UTC))
        hub.app.users["ada"].orm_user.last_activity = datetime(2001, 1, 1)  # noqa: DTZ001 - as the hub has it
        hub.app.db.commit()
        lost.copy = hub.copy_database()
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        await lost.back()
        await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready)
        ada = hub.app.users["ada"]
        assert ada.orm_spawners[""].last_activity.year > 2001
        assert ada.last_activity.year > 2001
        assert len(told(caplog, "all count as active now")) == 1


async def test_a_blocked_users_server_is_not_adopted(lost, cluster, caplog):
    async with lost() as lost:
        await lost.started()
        lost.hub.config.Authenticator.blocked_users = {"bob"}
        await stays_stopped(lost, cluster, caplog, "its user is blocked")


async def test_a_hub_that_lost_nothing_adopts_nothing(lost, cluster, caplog):
    async with lost() as lost:
        await lost.started()
        lost.copy = lost.hub.copy_database()
        await lost.back()
        await asyncio.sleep(SOON)
        assert lost.hub.spawner("bob").ready
        assert not told(caplog)


async def test_a_pod_that_is_not_adopted_makes_nobody_active(lost, caplog):
    """Else a pod that stays would keep the culler from all servers at each start of the hub."""
    async with lost(environment={"JUPYTERHUB_CLIENT_ID": "something-else"}) as lost:
        await lost.started()
        await lost.back()
        await asyncio.sleep(120)
        assert told(caplog, "it runs without a server, and was not adopted")
        assert not told(caplog, "all count as active now")


async def test_an_adoption_that_fails_is_not_taken_off_the_hubs_count(lost, caplog, monkeypatch):
    """The hub counts its own spawns only: less than zero would keep it from its exit after real failures."""
    async with lost(spawner_class=FailsBeforeStart) as lost:
        await lost.started()
        monkeypatch.setattr(FailsBeforeStart, "is_broken", True)
        await lost.back()
        await eventually(lambda: told(caplog, "was not adopted"), seconds=SOON)
        assert lost.hub.failure_count == 0
