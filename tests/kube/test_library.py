"""The client library's API classes, for code of administrators: they find the cluster as everything here does."""

import pytest
from kubernetes_asyncio.client import CustomObjectsApi, V1ObjectMeta, V1Secret
from kubernetes_asyncio.client.rest import ApiException

from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.errors import ConfigurationError
from k8s_hub.kube.library import core_v1
from k8s_hub.kube.pool import InformerPool
from k8s_hub.minicluster.cluster import MiniCluster

NAMESPACE = "default"


@pytest.fixture
async def settings(tmp_path):
    async with MiniCluster(directory=tmp_path / "cluster", runtime="listener") as cluster:
        path = tmp_path / "kubeconfig"
        cluster.write_kubeconfig(path)
        yield ConnectionSettings(kubeconfig=str(path))
        await InformerPool.for_current_loop().close()


async def test_objects_are_created_and_read_through_the_library(settings):
    api = core_v1(InformerPool.for_current_loop().library(settings))

    await api.create_namespaced_secret(
        NAMESPACE, V1Secret(metadata=V1ObjectMeta(name="token"), string_data={"a": "b"})
    )

    assert (await api.read_namespaced_secret("token", NAMESPACE)).metadata.name == "token"


async def test_a_refusal_is_the_library_s_exception(settings):
    api = core_v1(InformerPool.for_current_loop().library(settings))

    with pytest.raises(ApiException) as refused:
        await api.read_namespaced_secret("nobody", NAMESPACE)

    assert refused.value.status == 404


async def test_the_client_is_shared_and_serves_other_api_classes(settings):
    pool = InformerPool.for_current_loop()
    client = pool.library(settings)

    assert pool.library(settings) is client
    with pytest.raises(ApiException) as refused:
        await CustomObjectsApi(core_v1(client).api_client).list_namespaced_custom_object(
            "example.org", "v1", NAMESPACE, "widgets"
        )
    assert refused.value.status == 404


async def test_without_a_cluster_the_request_says_what_was_looked_at(tmp_path):
    api = core_v1(
        InformerPool.for_current_loop().library(ConnectionSettings(kubeconfig=str(tmp_path / "none")))
    )

    with pytest.raises(ConfigurationError, match="there is no kubeconfig at"):
        await api.list_namespaced_pod(NAMESPACE)

    await InformerPool.for_current_loop().close()


async def test_a_closed_client_opens_again(settings):
    client = InformerPool.for_current_loop().library(settings)
    await core_v1(client).list_namespaced_pod(NAMESPACE)
    await client.close()

    assert (await core_v1(client).list_namespaced_pod(NAMESPACE)).items == []
