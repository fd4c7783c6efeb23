"""The search in the hub's process: when it looks, what it logs, and what makes it remove nothing."""

import asyncio
import logging
from contextlib import suppress

import pytest

from devkit.minicluster.faults import FaultRule, refuse
from devkit.minicluster.resources import PODS as KIND
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, edit_pod, plant_pod, struck, takes
from k8s_hub.diagnosis.projection import project_pod
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.resources import PODS, SECRETS
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.orphans.reconciler import INTERVAL, MOST_REMOVALS, OrphanOptions, Reconciler
from tests.orphans.objects import hub
from tests.spawner.conftest import cluster, wall_clock, witness
from tests.spawner.test_hub_tasks import end_pod

pytestmark = pytest.mark.looptime

__all__ = ["cluster", "wall_clock", "witness"]

FOUND = 8 * 60
AWAY = refuse({"kind": "Status", "code": 503, "message": "away"})
BROKEN = refuse({"kind": "Status", "code": 500, "message": "failed calling webhook: no endpoints"})
DENIED = refuse({"kind": "Status", "code": 422, "reason": "Invalid", "message": "a webhook denies it"})
RELEASE = {"release": "jhub"}


class Search:
    """A reconciler and what it knows of a hub."""

    def __init__(self, known, *, running=(), owned=(), **options):
        self.known = known
        self.owned = list(owned)
        self.reads = 0
        self.running_pods = frozenset(Key(NAMESPACE, name) for name in running)
        self.options = {"removes_all": True, "removes_ended": True, "release_labels": RELEASE, **options}

    async def __aenter__(self):
        pool, settings = InformerPool.for_current_loop(), ConnectionSettings()
        self.informer = await pool.informer(settings, PODS, NAMESPACE, project=project_pod)
        await self.informer.wait_synced(deadline=asyncio.get_running_loop().time() + 10)
        reconciler = Reconciler(
            api=await pool.api(settings),
            pods=lambda: pool.informers_of(settings, PODS),
            owned=self.owned,
            hub=self.hub,
            running=self.running,
            options=OrphanOptions(**self.options),
            rng=lambda: 0.5,
        )
        self.task = asyncio.create_task(reconciler.run())
        return self

    async def __aexit__(self, *exception):
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    def hub(self):
        self.reads += 1
        return self.known

    async def running(self):
        return self.running_pods


def plant(cluster, *names, username="bob", **more):
    for name in names:
        plant_pod(cluster, name, username=username, labels=RELEASE, **more)


def names(cluster):
    found = cluster.database.all(KIND, NAMESPACE)
    return {key_of(pod).name for pod in found if "deletionTimestamp" not in pod["metadata"]}


def told(caplog, level=logging.WARNING):
    return [each.getMessage() for each in caplog.records if each.levelno >= level and "orphan" in each.name]


async def test_a_hub_without_users_removes_nothing_and_says_so_once(cluster, caplog):
    plant(cluster, "a")
    async with Search(hub(users=[])) as search:
        await asyncio.sleep(2 * FOUND)
        assert names(cluster) == {"a"}
        [message] = told(caplog)
        assert message.startswith("orphans: nothing is removed: the hub has no users. Check its database")
        search.known = hub()
        await asyncio.sleep(FOUND)
        assert names(cluster) == set()


async def test_a_hub_that_would_lose_more_than_half_removes_nothing(cluster, caplog):
    plant(cluster, *"abcd")
    plant(cluster, *"xyz", username="ada")
    async with Search(hub("ada")) as search:
        await asyncio.sleep(FOUND)
        assert names(cluster) == set("abcdxyz")
        [message] = told(caplog, logging.ERROR)
        assert "4 of the hub's 7 objects have no server" in message
        plant(cluster, "w", username="ada")
        await asyncio.sleep(FOUND)
        assert names(cluster) == set("wxyz")
        plant(cluster, *"abcdefgh")
        search.known = hub("ada")
        await asyncio.sleep(FOUND)
        assert len(told(caplog, logging.ERROR)) == 2


async def test_report_removes_nothing(cluster, caplog):
    plant(cluster, "a")
    async with Search(hub(), removes_all=False):
        await asyncio.sleep(2 * FOUND)
    assert names(cluster) == {"a"}
    assert len(told(caplog)) == 1


async def test_an_orphan_that_was_reported_goes_when_it_has_ended(cluster, caplog):
    plant(cluster, "a")
    plant(cluster, *"xyz", username="ada")
    async with Search(hub("ada"), removes_all=False):
        await asyncio.sleep(FOUND)
        assert len(told(caplog)) == 1
        await end_pod(cluster, "a", "Succeeded")
        await asyncio.sleep(3 * INTERVAL)
        assert names(cluster) == set("xyz")
        assert len(told(caplog)) == 1


async def test_an_orphan_whose_server_came_back_and_went_is_reported_again(cluster, caplog):
    plant(cluster, "a")
    async with Search(hub(), removes_all=False) as search:
        for count in (1, 2):
            search.known = hub()
            await asyncio.sleep(FOUND)
            assert len(told(caplog)) == count
            search.known = hub("bob")
            await asyncio.sleep(2 * INTERVAL)


async def test_an_outage_repeats_no_report(cluster, witness, caplog):
    plant(cluster, "a")
    async with Search(hub(), removes_all=False) as search:
        await asyncio.sleep(FOUND)
        await cluster.go_away()
        await asyncio.sleep(FOUND)
        assert not search.informer.is_watching
        await cluster.come_back()
        await asyncio.sleep(FOUND)
        assert len(told(caplog)) == 1


async def test_a_server_that_is_away_for_one_look_is_no_orphan(cluster):
    """A single look may fall between two steps of the hub."""
    plant(cluster, "a")
    async with Search(hub("bob")) as search:
        await asyncio.sleep(FOUND)
        for _ in range(4):
            search.known = hub()
            await asyncio.sleep(INTERVAL * 1.1)
            search.known = hub("bob")
            await asyncio.sleep(INTERVAL * 1.1)
        assert names(cluster) == {"a"}


async def test_while_all_servers_run_the_database_of_the_hub_is_not_read(cluster):
    plant(cluster, "jupyter-ada", username="ada")
    plant(cluster, "jupyter-bob")
    async with Search(hub("ada"), running=["jupyter-ada"]) as search:
        await asyncio.sleep(4 * 60)
        assert search.reads == 0  # bob's is too young to be an orphan
        await asyncio.sleep(FOUND)
        assert search.reads > 0
        assert names(cluster) == {"jupyter-ada"}
        reads = search.reads
        await asyncio.sleep(FOUND)
        assert search.reads == reads


async def test_a_bug_is_logged_once_and_the_search_goes_on(cluster, caplog):
    plant(cluster, "a")
    async with Search(None) as search:
        await asyncio.sleep(FOUND)
        [message] = told(caplog)
        assert message == "orphans: a look failed because of a bug, going on"
        search.known = hub()
        await asyncio.sleep(FOUND)
        assert names(cluster) == set()


async def test_a_stale_view_is_no_reason(cluster, witness):
    plant(cluster, "a")
    async with Search(hub()) as search:
        await cluster.go_away()
        await asyncio.sleep(2)
        assert not search.informer.is_watching
        await asyncio.sleep(FOUND)
        assert not search.task.done()
        await cluster.come_back()
        await asyncio.sleep(FOUND)
        assert names(cluster) == set()


async def test_a_server_that_starts_between_the_look_and_the_delete_keeps_its_pod(cluster):
    plant(cluster, "a", "b")
    for name in "ab":
        edit_pod(cluster, name, creationTimestamp="2099-01-01T00:00:00Z")
    looks = []

    class Changing(Search):
        def hub(self):
            looks.append(1)
            # The second look's first answer confirms the orphans; the next one is right before a delete.
            return hub() if len(looks) < 3 else hub("bob")

    async with Changing(None):
        await asyncio.sleep(FOUND)
        assert names(cluster) == {"a", "b"}
        assert len(looks) > 4


async def test_a_refused_deletion_is_told_once_and_keeps_no_other_from_its_own(cluster, caplog):
    plant(cluster, "a", "b", "c")
    with struck(cluster, DENIED, verb="delete", name="a") as denied:
        async with Search(hub()):
            await asyncio.sleep(2 * FOUND)
            assert names(cluster) == {"a"}
            [message] = told(caplog)
            assert message.startswith("Pod default/a: it has no server, and was not deleted: ")
            assert cluster.faults.hits(denied) == 1


@pytest.mark.parametrize("broken", ["a", "abcd"])
async def test_objects_that_cannot_be_deleted_keep_no_other_from_its_own(cluster, caplog, broken):
    plant(cluster, *"abcdef")
    plant(cluster, *(f"ada-{n}" for n in range(6)), username="ada")
    rules = [
        cluster.faults.add(FaultRule(effect=BROKEN, verb="delete", resource="pods", name=n)) for n in broken
    ]
    async with Search(hub("ada")):
        await asyncio.sleep(2 * FOUND)
        assert {name for name in names(cluster) if "ada" not in name} == set(broken)
        assert len(told(caplog)) == len(broken)
        assert told(caplog)[0].startswith(
            "Pod default/a: it has no server, and its deletion fails, retrying: "
        )
        for rule in rules:
            cluster.faults.remove(rule)
        await asyncio.sleep(3 * INTERVAL)
        assert {name for name in names(cluster) if "ada" not in name} == set()


async def test_a_look_ends_where_the_api_server_deletes_nothing(cluster):
    plant(cluster, *"abcdef")
    plant(cluster, *(f"ada-{n}" for n in range(6)), username="ada")
    with struck(cluster, AWAY, verb="delete") as away:
        async with Search(hub("ada")):
            await eventually(lambda: cluster.faults.hits(away), seconds=FOUND)
            await asyncio.sleep(10)
            assert cluster.faults.hits(away) == 3


class TestRejectedCredentials:
    """A 401 says nothing about rights, however long it lasts."""

    REJECTED = refuse({"kind": "Status", "code": 401, "reason": "Unauthorized", "message": "Unauthorized"})

    async def test_what_is_to_go_goes_afterwards(self, cluster, caplog):
        plant(cluster, "a")
        async with Search(hub()):
            with struck(cluster, self.REJECTED, verb="get") as rejected:
                await asyncio.sleep(3 * FOUND)
                assert cluster.faults.hits(rejected) > 2
                assert names(cluster) == {"a"}
            await asyncio.sleep(3 * INTERVAL)
            assert names(cluster) == set()
            [message] = told(caplog)
            assert "its deletion fails, retrying" in message

    async def test_what_pods_own_is_listed_again_afterwards(self, cluster, witness, caplog):
        plant(cluster, "a")
        async with Search(hub("bob"), owned=[(SECRETS, NAMESPACE)]) as search:
            with struck(cluster, self.REJECTED, resource="secrets") as rejected:
                await asyncio.sleep(FOUND)
                assert cluster.faults.hits(rejected) > 1
            await asyncio.sleep(3 * INTERVAL)
            assert search.owned == [(SECRETS, NAMESPACE)]
            assert not told(caplog)


async def test_a_busy_api_server_is_asked_again_later(cluster, caplog):
    plant(cluster, "a")
    async with Search(hub()):
        with struck(cluster, AWAY, verb="delete"):
            await asyncio.sleep(FOUND)
            assert names(cluster) == {"a"}
        await asyncio.sleep(3 * INTERVAL)
        assert names(cluster) == set()
        assert not told(caplog)


async def test_one_look_removes_a_bounded_number(cluster):
    plant(cluster, *(f"a-{n}" for n in range(MOST_REMOVALS + 10)))
    plant(cluster, *(f"b-{n}" for n in range(MOST_REMOVALS + 10)), username="ada")
    async with Search(hub("ada")):
        most = 0
        before = len(names(cluster))
        while before > MOST_REMOVALS + 10:
            await asyncio.sleep(1)
            now = len(names(cluster))
            most, before = max(most, before - now), now
        assert most == MOST_REMOVALS
        await asyncio.sleep(FOUND)
        assert len(names(cluster)) == MOST_REMOVALS + 10


@pytest.mark.slow
async def test_500_orphans_among_2000_servers_go_and_no_other_pod(cluster, caplog):
    takes(cluster, schedule=1e9)
    plant(cluster, *(f"bob-{n}" for n in range(500)))
    plant(cluster, *(f"ada-{n}" for n in range(2000)), username="ada")
    for n in range(500):
        plant_pod(cluster, f"other-{n}", username="bob", labels={"release": "other"})
    async with Search(hub("ada")):
        await asyncio.sleep(FOUND + 500 / MOST_REMOVALS * INTERVAL * 1.2)
    left = names(cluster)
    assert not {name for name in left if name.startswith("bob-")}
    assert len(left) == 2500
    assert not told(caplog)
