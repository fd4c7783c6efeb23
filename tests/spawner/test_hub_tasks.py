"""What has no server is found by the hub, and only that: it knows what is starting, stopping or renamed."""

import asyncio
import logging
import sqlite3

import pytest
from jupyterhub import orm
from sqlalchemy.exc import OperationalError

from devkit.minicluster.faults import refuse
from devkit.minicluster.resources import CLAIMS, PODS, SERVICES
from devkit.testing.eventually import eventually
from devkit.testing.realhub import RealHub
from devkit.testing.runs import NAMESPACE, NO_WAIT, edit_pod, plant_pod, pods, restart_process, struck, takes
from k8s_hub import KubeSpawner
from k8s_hub.naming.ownership import ATTEMPT_ANNOTATION, SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.orphans.reconciler import ORPHANS
from k8s_hub.spawner.hub_tasks import hub_servers, running_pods
from k8s_hub.spawner.lifecycle import Failed, Starting

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

FOUND = 8 * 60
"""Seconds after which an orphan certainly is found: a grace, a second look, and what the chance adds."""

AWAY = refuse({"kind": "Status", "code": 503, "message": "away"})
FORBIDDEN = refuse({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "services is forbidden"})

RELEASE = {"app.kubernetes.io/instance": "jhub"}


def names(cluster):
    return {key_of(pod).name for pod in pods(cluster) if "deletionTimestamp" not in pod["metadata"]}


def told(caplog, text="has no server"):
    return [each.getMessage() for each in caplog.records if text in each.getMessage()]


async def end_pod(cluster, name, phase="Failed"):
    """End a pod as a kubelet that evicts it, after its own kubelet has started it."""
    await eventually(lambda: cluster.database.get(PODS, Key(NAMESPACE, name))["status"]["phase"] == "Running")
    cluster.database.update(
        PODS, Key(NAMESPACE, name), lambda pod: {**pod, "status": {"phase": phase, "reason": "Evicted"}}
    )


def plant_service(cluster, name, username="bob", **metadata):
    annotations = {USERNAME_ANNOTATION: username, SERVERNAME_ANNOTATION: "", ATTEMPT_ANNOTATION: "a1"}
    labels = {USERNAME_ANNOTATION: username}
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "annotations": annotations,
        "labels": labels,
        **metadata,
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 1}]}}
    cluster.database.create(SERVICES, service)


async def restarted(hub):
    """Kill the hub and start another one, without anything that the first had in memory."""
    await hub.kill()
    await restart_process()
    await hub.boot()


def own_address(spawner, pod):
    """The test cannot resolve the Service's name."""
    return f"http://{pod['status']['podIP']}:{spawner.port}"


def counted(kind="Pod"):
    return ORPHANS.labels(kind=kind)._value.get()


@pytest.fixture
def running(hub):
    """A function that opens a hub in which ada's server runs."""

    def opened(**options):
        return _Running(hub(**options))

    return opened


class _Running:
    def __init__(self, hub):
        self.hub = hub

    async def __aenter__(self):
        hub = await self.hub.__aenter__()
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        return hub

    async def __aexit__(self, *exception):
        await self.hub.__aexit__(*exception)


async def test_an_orphan_is_reported_once_and_counted(running, cluster, caplog):
    async with running():
        plant_pod(cluster, "jupyter-bob", username="bob")
        await asyncio.sleep(4 * 60)
        assert not told(caplog)
        await asyncio.sleep(FOUND)
        [message] = told(caplog)
        assert message == (
            "Pod default/jupyter-bob: it has no server: the hub has stopped the server bob. "
            "Delete it, or set KubeSpawner.orphans to 'remove'"
        )
        assert counted() == 1
        assert names(cluster) == {"jupyter-ada", "jupyter-bob"}
        cluster.database.remove(PODS, Key(NAMESPACE, "jupyter-bob"))
        await asyncio.sleep(3 * 60)
        assert counted() == 0
        assert len(told(caplog)) == 1


async def test_a_hub_where_no_server_runs_looks_once_somebody_visits(hub, cluster, caplog):
    plant_pod(cluster, "jupyter-bob", username="bob")
    async with hub(orphans="remove") as hub:
        assert hub.app.users["ada"].spawner  # as the home page does
        await asyncio.sleep(FOUND)
        assert names(cluster) == set()


async def test_an_orphan_is_removed_where_that_is_wanted(running, cluster, caplog):
    caplog.set_level(logging.INFO)
    async with running(orphans="remove"):
        plant_pod(cluster, "jupyter-bob", username="bob")
        plant_pod(cluster, "jupyter-gone", username="gone")
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada", "jupyter-gone"}
        deleted, kept = sorted(told(caplog, "no server"))
        assert deleted.startswith("Pod default/jupyter-bob: deleted because it had no server: the hub has")
        assert kept.startswith(
            "Pod default/jupyter-gone: it has no server: the hub has no user 'gone'. It is"
        )


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_a_pod_that_has_ended_is_removed_in_any_case(running, cluster, caplog, phase):
    async with running():
        plant_pod(cluster, "jupyter-bob", username="bob")
        await end_pod(cluster, "jupyter-bob", phase)
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada"}
        assert not told(caplog)


async def test_an_ended_pod_that_is_kept_for_inspection_is_no_orphan(running, cluster, caplog):
    async with running(delete_stopped_pods=False, orphans="remove"):
        plant_pod(cluster, "jupyter-bob", username="bob")
        await end_pod(cluster, "jupyter-bob")
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada", "jupyter-bob"}
        assert not told(caplog)


async def test_the_pods_of_servers_that_run_or_start_are_known_without_the_database(running, cluster):
    async with running(start_timeout=3600, hub=NO_WAIT) as hub:
        takes(cluster, pull=60)
        await hub.start_server("bob")
        await eventually(lambda: "jupyter-bob" in names(cluster))
        found = await running_pods(hub.app.users)
        assert found == {Key(NAMESPACE, "jupyter-ada"), Key(NAMESPACE, "jupyter-bob")}
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert await running_pods(hub.app.users) == {Key(NAMESPACE, "jupyter-bob")}


async def test_a_start_under_way_is_never_touched(running, cluster, caplog):
    async with running(orphans="remove", start_timeout=3600, hub=NO_WAIT) as hub:
        takes(cluster, pull=FOUND + 60)
        await hub.start_server("bob")
        await hub.start_server("ada", "gpu")
        plant_pod(cluster, "elsewhere", username="bob")
        plant_pod(
            cluster,
            "gone",
            username="ada",
            labels={},
            annotations={USERNAME_ANNOTATION: "ada", SERVERNAME_ANNOTATION: "gone"},
        )
        await asyncio.sleep(FOUND)
        assert hub.spawner("bob").pending == hub.spawner("ada", "gpu").pending == "spawn"
        assert names(cluster) == {"jupyter-ada", "jupyter-bob", "jupyter-ada--gpu", "elsewhere"}
        takes(cluster, pull=0)
        await hub.wait_ready("bob", seconds=3600)
        assert not told(caplog)


async def test_a_renamed_users_start_under_way_is_never_touched(running, cluster, caplog):
    async with running(orphans="remove", start_timeout=3600, hub=NO_WAIT) as hub:
        takes(cluster, pull=FOUND + 60)
        await hub.start_server("bob")
        await eventually(lambda: "jupyter-bob" in names(cluster))
        hub.app.users["bob"].orm_user.name = "eve"
        hub.app.db.commit()
        plant_pod(cluster, "jupyter-ada--gone", username="ada")
        edit_pod(cluster, "jupyter-ada--gone", annotations={USERNAME_ANNOTATION: "admin"})
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada", "jupyter-bob"}
        assert not told(caplog)


async def test_a_stop_under_way_is_never_touched(running, cluster, caplog):
    async with running(
        orphans="remove", stop_timeout=3600, k8s_api_request_retry_timeout=3600, hub=NO_WAIT
    ) as hub:
        plant_pod(cluster, "jupyter-bob", username="bob")
        with struck(cluster, AWAY, verb="delete"):
            await hub.stop_server("ada")
            await asyncio.sleep(FOUND)
            assert hub.spawner("ada").pending == "stop"
            assert counted() == 1  # bob's
        await hub.wait_stopped("ada", seconds=3600)
        assert not told(caplog)


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_the_pod_of_a_renamed_user_is_theirs_even_if_somebody_has_the_earlier_name(
    running, cluster, caplog, is_restarted
):
    async with running(orphans="remove") as hub:
        await hub.api("PATCH", "/users/ada", json={"name": "eve"})
        await hub.api("POST", "/users/ada")
        plant_pod(cluster, "jupyter-bob", username="bob")
        if is_restarted:
            await restarted(hub)
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada"}
        assert hub.spawner("eve").ready
        assert not told(caplog)


async def test_a_server_whose_saved_state_was_lost_keeps_its_pod(running, cluster, caplog):
    async with running(orphans="remove") as hub:
        hub.app.users["ada"].orm_spawners[""].state = {}
        hub.app.db.commit()
        plant_pod(cluster, "jupyter-bob", username="bob")
        await restarted(hub)
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada"}
        assert hub.spawner("ada").ready


async def test_a_lost_server_that_cannot_be_adopted_is_found(running, cluster, caplog):
    """The hub's database is back by some minutes, and nothing says that the pod was made for this bob."""
    async with running(orphans="remove") as hub:
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        row = hub.app.users["bob"].orm_spawners[""]
        hub.app.db.delete(row.server)
        row.state = {}
        hub.app.db.commit()
        edit_pod(cluster, "jupyter-bob", annotations={USERNAME_ANNOTATION: "bob", SERVERNAME_ANNOTATION: ""})
        await restarted(hub)
        assert names(cluster) == {"jupyter-ada", "jupyter-bob"}
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada"}
        assert len({claim.name for claim in map(key_of, cluster.database.all(CLAIMS, NAMESPACE))}) == 2


async def test_another_hubs_pods_in_the_namespace_are_never_touched(running, cluster, caplog):
    async with running(orphans="remove", common_labels=RELEASE):
        for name, username, release in [("x", "bob", "other"), ("y", "gone", "other"), ("z", "gone", "jhub")]:
            plant_pod(cluster, name, username=username, labels={"app.kubernetes.io/instance": release})
        await end_pod(cluster, "y")
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada", "x", "y"}
        assert not told(caplog)


async def test_services_without_a_server_are_found(running, cluster, caplog):
    async with running(orphans="remove", services_enabled=True, get_pod_url=own_address):
        plant_service(cluster, "jupyter-bob")
        plant_service(cluster, "jupyter-gone", "gone")
        await asyncio.sleep(FOUND)
        left = {key_of(service).name for service in cluster.database.all(SERVICES, NAMESPACE)}
        assert left == {"jupyter-ada", "jupyter-gone"}
        assert [message.partition(":")[0] for message in told(caplog)] == ["Service default/jupyter-gone"]
        await asyncio.sleep(2 * 60)  # the next look counts without those that were removed
        assert counted("Service") == 1


async def test_a_hub_that_may_not_list_services_looks_for_pods_all_the_same(running, cluster, caplog):
    with struck(cluster, FORBIDDEN, verb="list", resource="services") as refusal:
        async with running(orphans="remove", services_enabled=True, get_pod_url=own_address):
            plant_service(cluster, "jupyter-bob")
            await asyncio.sleep(2 * FOUND)
            asked = cluster.faults.hits(refusal)
            plant_pod(cluster, "jupyter-bob", username="bob")
            await asyncio.sleep(FOUND)
            assert names(cluster) == {"jupyter-ada"}
            assert len(told(caplog, "are not checked")) == 1
            assert cluster.faults.hits(refusal) == asked


async def test_a_list_of_services_that_fails_keeps_no_pod_from_being_found(running, cluster, caplog):
    async with running(orphans="remove", services_enabled=True, get_pod_url=own_address):
        plant_service(cluster, "jupyter-bob")
        plant_pod(cluster, "jupyter-bob", username="bob")
        with struck(cluster, AWAY, verb="list", resource="services"):
            await asyncio.sleep(FOUND)
        assert names(cluster) == {"jupyter-ada"}
        assert cluster.database.get(SERVICES, Key(NAMESPACE, "jupyter-bob"))
        await asyncio.sleep(FOUND)
        assert not cluster.database.get(SERVICES, Key(NAMESPACE, "jupyter-bob"))
        assert not told(caplog, "not checked")


async def test_a_hub_with_neither_services_nor_secrets_lists_none(running, cluster, witness):
    async with running():
        await asyncio.sleep(FOUND)
    asked = {(call.verb, call.resource) for call in witness.calls}
    assert not {("list", "services"), ("list", "secrets")} & asked


class TestWhatTheHubKnows:
    """The facts by which objects are judged."""

    async def test_users_and_their_servers(self, running):
        async with running() as hub:
            row(hub, "bob", "lab", {})
            known = hub_servers(hub.app.users)
            pod_id = hub.spawner("ada").pod_id
        assert known.users == {"ada", "bob", "admin"}
        assert {("ada", ""), ("bob", "lab")} <= known.servers
        assert known.active == {("ada", "")}
        assert known.by_pod_uid == {pod_id: ("ada", "")}
        assert known.active_pods == {Key(NAMESPACE, "jupyter-ada")}

    async def test_a_pod_in_the_state_of_a_stopped_server_is_that_servers(self, running):
        async with running() as hub:
            row(hub, "bob", "lab", {"pod_uid": "uid-1", "pod_name": "x", "namespace": NAMESPACE})
            row(hub, "bob", "odd", {"pod_uid": 5})
            known = hub_servers(hub.app.users)
        assert known.by_pod_uid["uid-1"] == ("bob", "lab")
        assert ("bob", "lab") not in known.active
        assert Key(NAMESPACE, "x") not in known.active_pods

    @pytest.mark.parametrize("pending", ["_spawn_pending", "_stop_pending", "_check_pending"])
    async def test_what_is_pending_counts_before_the_database_has_it(self, running, pending):
        async with running() as hub:
            spawner = hub.app.users["bob"].spawners[""]
            assert ("bob", "") not in hub_servers(hub.app.users).active
            setattr(spawner, pending, True)
            spawner.pod_id = "uid-bob"
            known = hub_servers(hub.app.users)
            setattr(spawner, pending, False)
        assert ("bob", "") in known.active
        assert known.by_pod_uid["uid-bob"] == ("bob", "")
        assert Key(NAMESPACE, "jupyter-bob") in known.active_pods

    @pytest.mark.parametrize("life", [Starting("a1"), Starting(), Failed("a1")])
    async def test_a_start_that_may_have_left_something_counts_until_its_stop(self, running, life):
        async with running() as hub:
            hub.app.users["bob"].spawners[""]._life = life
            assert ("bob", "") in hub_servers(hub.app.users).active

    async def test_the_hubs_transaction_is_left_as_it_was(self, running):
        async with running() as hub:
            db, user = hub.app.db, hub.app.users["bob"].orm_user
            db.commit()
            hub_servers(hub.app.users)
            assert not db.in_transaction()
            user.admin = True
            hub_servers(hub.app.users)
            assert db.in_transaction()
            db.rollback()
            assert not user.admin

    async def test_spawners_of_another_class(self):
        async with RealHub(users=("ada",)) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            known = hub_servers(hub.app.users)
        assert known.active == {("ada", "")}
        assert not known.by_pod_uid
        assert not known.active_pods


def row(hub, username, servername, state):
    """Add the row of a server that does not run."""
    user = hub.app.users[username].orm_user
    hub.app.db.add(orm.Spawner(name=servername, user=user, state=state))
    hub.app.db.commit()


async def test_a_hub_with_user_namespaces_lists_no_services(running, cluster, witness):
    async with running(
        enable_user_namespaces=True, services_enabled=True, get_pod_url=own_address, api_token_in_secret=True
    ):
        await asyncio.sleep(FOUND)
    asked = {(call.verb, call.resource) for call in witness.calls}
    assert not {("list", "services"), ("list", "secrets")} & asked


class TestTheSearchCannotBegin:
    """As while the hub's database is locked. A start, stop or poll goes on without it, and the next one begins it."""

    class SearchFails(KubeSpawner):
        failures = 0

        @property
        def orphans(self):
            """What only the search asks for."""
            if self.failures:
                type(self).failures -= 1
                raise OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))
            return "report"

    @pytest.mark.parametrize("failures", [1, 3])
    async def test_the_next_poll_or_start_begins_it(self, hub, cluster, caplog, monkeypatch, failures):
        monkeypatch.setattr(self.SearchFails, "failures", failures)
        async with hub(spawner_class=self.SearchFails, users=("ada", "eve", "joe")) as hub:
            plant_pod(cluster, "jupyter-bob", username="bob")
            for user in ("ada", "eve", "joe"):
                await hub.start_server(user)
                await hub.wait_ready(user)
            await asyncio.sleep(2 * FOUND)
            assert len(told(caplog, "the search failed to begin")) == failures
            assert len(told(caplog)) == 1
            assert [task.get_name() for task in asyncio.all_tasks()].count("orphans") == 1

    async def test_the_next_visit_begins_it(self, hub, cluster, caplog, monkeypatch):
        monkeypatch.setattr(self.SearchFails, "failures", 1)
        plant_pod(cluster, "jupyter-bob", username="bob")
        async with hub(spawner_class=self.SearchFails) as hub:
            assert hub.app.users["ada"].spawner
            await eventually(lambda: told(caplog, "the search failed to begin"))
            assert hub.app.users["bob"].spawner
            await asyncio.sleep(FOUND)
            assert len(told(caplog)) == 1


async def test_there_is_one_search_for_all_spawners_and_it_ends_with_the_hub(running, cluster):
    async with running() as hub:
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        assert [task.get_name() for task in asyncio.all_tasks()].count("orphans") == 1
        await restarted(hub)
        await eventually(lambda: hub.spawner("bob") is not None and hub.spawner("bob").ready)
        assert [task.get_name() for task in asyncio.all_tasks()].count("orphans") == 1
    assert "orphans" not in [task.get_name() for task in asyncio.all_tasks()]


@pytest.mark.parametrize("is_given_up", [False, True], ids=["the stop still waits", "the stop has given up"])
async def test_a_stop_that_a_hub_could_not_deliver_before_its_end_is_noticed_by_the_next(
    running, cluster, caplog, is_given_up
):
    """The hub is told to end while the API server is away: it cancels the stop, and has no server any more."""
    async with running(hub=NO_WAIT, k8s_api_request_retry_timeout=30) as hub:
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        await cluster.go_away()
        await hub.stop_server("bob")
        if is_given_up:
            await hub.wait_stopped("bob", seconds=60)
        await hub.kill()
        await restart_process()
        await cluster.come_back()
        await hub.boot()

        await asyncio.sleep(FOUND)
        [message] = told(caplog)
        assert "jupyter-bob: it has no server: the hub has stopped the server bob" in message
        assert counted() == 1

        await hub.start_server("bob")
        await hub.wait_ready("bob")
        assert names(cluster) == {"jupyter-ada", "jupyter-bob"}
        await asyncio.sleep(3 * 60)
        assert counted() == 0
