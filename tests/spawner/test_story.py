"""The shortest complete story: one user starts a server with one pod and one claim, stops it, and starts it again."""

import pytest

from devkit.minicluster.resources import CLAIMS, PODS
from k8s_hub.objects.keys import uid_of
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


async def test_a_server_comes_back_to_its_claim(hub, cluster):
    """Two runs are two pods and one claim."""
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (first_pod,) = cluster.database.all(PODS, NAMESPACE)
        (first_claim,) = cluster.database.all(CLAIMS, NAMESPACE)

        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert not list(cluster.database.all(PODS, NAMESPACE))

        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (second_pod,) = cluster.database.all(PODS, NAMESPACE)
        (second_claim,) = cluster.database.all(CLAIMS, NAMESPACE)

    assert uid_of(first_pod) != uid_of(second_pod)
    assert uid_of(first_claim) == uid_of(second_claim)


async def test_a_named_server_has_its_own_pod_and_claim(hub, cluster):
    async with hub() as hub:
        for name in ("", "gpu"):
            await hub.start_server("ada", name)
            await hub.wait_ready("ada", name)

        claims = {claim["metadata"]["name"] for claim in cluster.database.all(CLAIMS, NAMESPACE)}
        pods = {pod["metadata"]["name"] for pod in cluster.database.all(PODS, NAMESPACE)}

    assert claims == {"claim-ada", "claim-ada--gpu"}
    assert pods == {"jupyter-ada", "jupyter-ada--gpu"}
