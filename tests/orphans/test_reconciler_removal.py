"""One orphan goes by its uid, after a second look at the cluster and the hub."""

import pytest

from devkit.minicluster.faults import FaultRule
from devkit.minicluster.resources import PODS as KIND
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, edit_pod, plant_pod, takes
from k8s_hub.clock import utcnow
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.resources import PODS
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects.keys import Key, uid_of
from k8s_hub.orphans.plan import Facts, Orphan
from k8s_hub.orphans.reconciler import remove
from tests.orphans.objects import RELEASE, hub
from tests.spawner.conftest import cluster, wall_clock, witness

pytestmark = pytest.mark.looptime

LONG_AGO = "2099-01-01T00:00:00Z"
BOB = Key(NAMESPACE, "jupyter-bob")

__all__ = ["cluster", "wall_clock", "witness"]


@pytest.fixture
async def orphan(cluster):
    plant_pod(cluster, "jupyter-bob", username="bob")
    edit_pod(cluster, "jupyter-bob", creationTimestamp=LONG_AGO)
    pod = cluster.database.get(KIND, BOB)
    return Orphan(resource=PODS, obj=pod, server=("bob", ""), cause="", doubt=None)


def uid_in(cluster):
    pod = cluster.database.get(KIND, BOB)
    return None if pod is None or "deletionTimestamp" in pod["metadata"] else uid_of(pod)


async def removed(orphan, known):
    async def facts():
        return Facts(hub=known, release_labels=RELEASE, pod_uids=(), now=utcnow())

    api = await InformerPool.for_current_loop().api(ConnectionSettings())
    return await remove(api, orphan, facts)


class Replace(FaultRule):
    """A rule without an effect that replaces the pod right before a call of this verb."""

    def __init__(self, cluster, verb):
        super().__init__(effect=None)
        object.__setattr__(self, "cluster", cluster)
        object.__setattr__(self, "when", verb)

    def matches(self, call):
        if call.verb == self.when and uid_in(self.cluster):
            self.cluster.database.remove(KIND, BOB)
            plant_pod(self.cluster, "jupyter-bob", username="bob")
            edit_pod(self.cluster, "jupyter-bob", creationTimestamp=LONG_AGO)
        return False


async def test_an_orphan_is_deleted(cluster, orphan):
    assert await removed(orphan, hub(users=["bob"])) is None
    assert uid_in(cluster) is None


async def test_a_server_that_has_started_since_keeps_its_pod(cluster, orphan):
    assert await removed(orphan, hub("bob")) == "its server runs, starts or stops now"
    assert uid_in(cluster) == orphan.uid


async def test_a_doubt_that_came_up_since_keeps_it(cluster, orphan):
    assert "may belong to another hub" in await removed(orphan, hub(users=["ada"]))
    assert uid_in(cluster) == orphan.uid


@pytest.mark.parametrize("verb", ["get", "delete"])
async def test_another_object_of_the_name_is_kept(cluster, witness, orphan, verb):
    cluster.faults.add(Replace(cluster, verb))
    assert await removed(orphan, hub(users=["bob"])) == "another object has its name now"
    assert uid_in(cluster) not in {None, orphan.uid}
    assert [call.verb for call in witness.calls].count("delete") == (verb == "delete")


async def test_a_pod_that_is_already_being_deleted_keeps_its_time_to_end(cluster, orphan):
    takes(cluster, stop=300)
    await eventually(lambda: cluster.database.get(KIND, BOB)["status"]["phase"] == "Running")
    edit_pod(cluster, "jupyter-bob", deletionTimestamp="2100-01-01T00:05:00Z", deletionGracePeriodSeconds=300)
    assert await removed(orphan, hub(users=["bob"])) == "it is already being deleted"
    assert cluster.database.get(KIND, BOB)["metadata"]["deletionGracePeriodSeconds"] == 300


async def test_what_is_gone_is_gone(cluster, orphan):
    cluster.database.remove(KIND, BOB)
    assert await removed(orphan, hub(users=["bob"])) == "it is already gone"
