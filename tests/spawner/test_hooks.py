"""Where an administrator's own code takes part: hooks and overridden methods, in the forms of KubeSpawner."""

import pytest
from kubernetes_asyncio import client

from k8s_hub import KubeSpawner
from k8s_hub.minicluster.resources import CLAIMS, PODS
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


def the_pod(cluster):
    (pod,) = cluster.database.all(PODS, NAMESPACE)
    return pod


async def test_modify_pod_hook_gets_a_v1pod_and_its_changes_are_created(hub, cluster):
    async def add_label(spawner, pod):
        assert isinstance(pod, client.V1Pod)
        pod.metadata.labels["course"] = spawner.user.name
        return pod

    async with hub(modify_pod_hook=add_label) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        assert the_pod(cluster)["metadata"]["labels"]["course"] == "ada"


async def test_after_pod_created_hook_gets_the_created_pod_as_a_dict(hub, cluster):
    seen = []

    async def note(spawner, pod):
        seen.append((spawner.user.name, pod["metadata"]["uid"], pod["spec"]["containers"][0]["name"]))

    async with hub(after_pod_created_hook=note) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        assert seen == [("ada", the_pod(cluster)["metadata"]["uid"], "notebook")]


async def test_an_exception_in_after_pod_created_hook_ends_the_start_and_leaves_no_pod(hub, cluster):
    def fail(spawner, pod):
        raise RuntimeError("no licence left")

    async with hub(after_pod_created_hook=fail) as hub:
        await hub.start_server("ada")
        with pytest.raises(RuntimeError, match="no licence left"):
            await hub.wait_ready("ada")

        assert not list(cluster.database.all(PODS, NAMESPACE))


async def test_get_pod_url_decides_where_the_hub_looks(hub, cluster):
    def address(spawner, pod):
        return f"http://{pod['status']['podIP']}:8888"

    async with hub(get_pod_url=address) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        assert the_pod(cluster)["status"]["podIP"] in hub.spawner("ada").server.url


class Overriding(KubeSpawner):
    """A subclass as administrators write them."""

    async def get_pod_manifest(self):
        pod = await super().get_pod_manifest()
        pod.metadata.annotations["cost-centre"] = "physics"
        return pod

    def get_pvc_manifest(self):
        claim = super().get_pvc_manifest()
        claim.metadata.labels["backup"] = "daily"
        return claim


async def test_a_subclass_overrides_the_manifests(hub, cluster):
    async with hub(spawner_class=Overriding) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (claim,) = cluster.database.all(CLAIMS, NAMESPACE)

        assert the_pod(cluster)["metadata"]["annotations"]["cost-centre"] == "physics"
        assert claim["metadata"]["labels"]["backup"] == "daily"


async def test_a_pre_spawn_hook_may_name_the_claim(hub, cluster):
    """A claim that a hook names is used, and found again when the hook is gone."""

    def shared_home(spawner):
        spawner.pvc_name = "claim-of-the-course"

    async with hub(pre_spawn_hook=shared_home) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

    (claim,) = cluster.database.all(CLAIMS, NAMESPACE)
    assert claim["metadata"]["name"] == "claim-of-the-course"


async def test_an_administrator_s_code_takes_part_in_this_order(hub, cluster):
    order = []

    class InOrder(KubeSpawner):
        async def load_user_options(self):
            order.append("load_user_options")
            await super().load_user_options()

        def get_pvc_manifest(self):
            order.append("get_pvc_manifest")
            return super().get_pvc_manifest()

        async def get_pod_manifest(self):
            order.append("get_pod_manifest")
            return await super().get_pod_manifest()

    def noting(name, result=lambda *_: None):
        def hook(*given):
            order.append(name)
            return result(*given)

        return hook

    hooks = {
        "auth_state_hook": noting("auth_state_hook"),
        "pre_spawn_hook": noting("pre_spawn_hook"),
        "modify_pod_hook": noting("modify_pod_hook", lambda _, pod: pod),
        "after_pod_created_hook": noting("after_pod_created_hook"),
        "get_pod_url": noting("get_pod_url", lambda _, pod: f"http://{pod['status']['podIP']}:8888"),
        "post_stop_hook": noting("post_stop_hook"),
    }
    async with hub(spawner_class=InOrder, **hooks) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")

    assert order == [
        "auth_state_hook",
        "pre_spawn_hook",
        "load_user_options",
        "get_pvc_manifest",
        "get_pod_manifest",
        "modify_pod_hook",
        "after_pod_created_hook",
        "get_pod_url",
        "get_pod_url",  # by the poll before the stop
        "post_stop_hook",
    ]


async def test_a_hook_sees_the_claim_that_will_be_used(hub, cluster):
    """Hooks run when the home claim exists, so that they may mount it."""
    seen = []

    def look(spawner, pod):
        seen.append(
            (
                spawner.pvc_name,
                [claim["metadata"]["name"] for claim in cluster.database.all(CLAIMS, NAMESPACE)],
            )
        )
        return pod

    async with hub(modify_pod_hook=look) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

    assert seen == [("claim-ada", ["claim-ada"])]


async def test_an_exception_in_modify_pod_hook_ends_the_start_before_there_is_a_pod(hub, cluster):
    async def fail(spawner, pod):
        raise RuntimeError("no licence left")

    async with hub(modify_pod_hook=fail) as hub:
        await hub.start_server("ada")
        with pytest.raises(RuntimeError, match="no licence left"):
            await hub.wait_ready("ada")

        assert not list(cluster.database.all(PODS, NAMESPACE))
