"""Calls of one spawner to the cluster."""

import pytest

from devkit.minicluster.resources import PODS as PODS_OF_CLUSTER
from devkit.testing.runs import Run, plant_pod, pods
from k8s_hub.kube.core.resources import PODS
from k8s_hub.objects.keys import is_terminating, key_of, uid_of

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


async def test_a_later_pod_of_the_name_is_not_deleted(cluster):
    connected = await Run().spawner._connect()
    earlier = plant_pod(cluster)
    cluster.database.remove(PODS_OF_CLUSTER, key_of(earlier))
    later = plant_pod(cluster)

    assert not await connected.delete(PODS, earlier)

    [pod] = pods(cluster)
    assert uid_of(pod) == uid_of(later)
    assert not is_terminating(pod)


async def test_a_pod_that_is_gone_counts_as_deleted_before(cluster):
    connected = await Run().spawner._connect()
    gone = plant_pod(cluster)
    cluster.database.remove(PODS_OF_CLUSTER, key_of(gone))

    assert not await connected.delete(PODS, gone)
