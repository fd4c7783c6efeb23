"""The client library's API classes, for code of administrators: they find the cluster as everything here does."""

import asyncio

import pytest
from kubernetes_asyncio.client import (
    ApiClient,
    Configuration,
    CoreV1Api,
    CustomObjectsApi,
    V1ObjectMeta,
    V1PersistentVolumeClaim,
    V1Secret,
)
from kubernetes_asyncio.client.rest import ApiException

from devkit.minicluster.cluster import MiniCluster
from devkit.minicluster.faults import FaultRule, ReplyLost, RequestLost, Slow, refuse
from devkit.minicluster.statuses import status_body
from devkit.testing.eventually import eventually
from k8s_hub.kube import library
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.errors import ConfigurationError
from k8s_hub.kube.library import core_v1, create_once, delete_once, exists, set_default
from k8s_hub.kube.pool import InformerPool
from tests.kube.certificates import self_signed

NAMESPACE = "default"


@pytest.fixture
async def cluster(tmp_path):
    async with MiniCluster(directory=tmp_path / "cluster", runtime="listener") as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        yield cluster
        await InformerPool.for_current_loop().close()


@pytest.fixture
def settings(cluster, tmp_path):
    return ConnectionSettings(kubeconfig=str(tmp_path / "kubeconfig"))


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


# --- The library's default ---


@pytest.fixture
def _no_default(monkeypatch, tmp_path):
    """No pod, no kubeconfig, an empty home; and nothing set by another test."""
    monkeypatch.setattr(Configuration, "_default", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    library._set_default.cache_clear()
    yield
    library._set_default.cache_clear()


@pytest.mark.usefixtures("_no_default")
async def test_clients_of_administrators_own_find_the_cluster(cluster, settings):
    set_default(settings)

    async with ApiClient() as client:
        assert (await CoreV1Api(client).list_namespaced_pod(NAMESPACE)).items == []
    async with CoreV1Api().api_client as client:
        assert (await CoreV1Api(client).list_namespaced_secret(NAMESPACE)).items == []


@pytest.mark.usefixtures("_no_default")
async def test_what_is_configured_of_the_connection_counts_for_the_default_too(monkeypatch):
    set_default(ConnectionSettings(host="https://10.1.2.3:6443/", ssl_ca_cert="/ca.pem", verify_ssl=False))

    default = Configuration.get_default_copy()
    assert (default.host, default.ssl_ca_cert, default.verify_ssl) == (
        "https://10.1.2.3:6443",
        "/ca.pem",
        False,
    )


@pytest.mark.usefixtures("_no_default")
async def test_without_a_cluster_there_is_no_default_until_there_is_one(tmp_path, cluster, monkeypatch):
    set_default(ConnectionSettings())
    assert Configuration._default is None

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    set_default(ConnectionSettings())
    assert Configuration.get_default_copy().host == cluster.url


@pytest.mark.usefixtures("_no_default")
async def test_the_kubelets_new_token_is_used_by_clients_that_were_made_before(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "ca.crt").write_text(self_signed()[0])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    async def token(configuration):
        return await configuration.get_api_key_with_prefix("BearerToken")

    set_default(ConnectionSettings(), service_account=tmp_path)
    early, late = Configuration.get_default_copy(), Configuration.get_default_copy()
    assert await token(early) == "Bearer one"

    (tmp_path / "new").write_text("two\n")
    (tmp_path / "new").rename(tmp_path / "token")  # as the kubelet swaps it
    assert [await token(each) for each in (early, late, Configuration.get_default_copy())] == 3 * [
        "Bearer two"
    ]


@pytest.fixture
def kubeconfig_of_a_program(tmp_path):
    """A function that writes a kubeconfig whose credentials come from this shell script."""

    def write(script):
        return _with_program(tmp_path, script)

    return write


def _with_program(tmp_path, script):
    program = tmp_path / "token.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (tmp_path / "config").write_text(
        f"""
        apiVersion: v1
        kind: Config
        clusters: [{{name: c, cluster: {{server: "https://10.0.0.1:6443"}}}}]
        users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, command: "{program}"}}}}}}]
        contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
        current-context: x
        """
    )
    return ConnectionSettings(kubeconfig=str(tmp_path / "config"))


CREDENTIAL = (
    '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "t"}}'
)


@pytest.mark.usefixtures("_no_default")
async def test_a_kubeconfig_whose_token_a_program_gives_is_waited_for(kubeconfig_of_a_program):
    set_default(kubeconfig_of_a_program(f"echo '{CREDENTIAL}'"))

    assert await Configuration.get_default_copy().get_api_key_with_prefix("BearerToken") == "Bearer t"


@pytest.mark.usefixtures("_no_default")
async def test_a_program_that_is_slow_does_not_hold_the_hub_and_counts_when_it_has_answered(
    kubeconfig_of_a_program, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(library, "CREDENTIALS_TIMEOUT", 0.01)
    settings = kubeconfig_of_a_program(
        f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo '{CREDENTIAL}'"
    )
    for _ in range(2):
        set_default(settings)
    assert Configuration._default is None
    assert caplog.messages == ["client library: no default cluster: no credentials within 0.01 s"]

    (tmp_path / "go").touch()
    await eventually(lambda: Configuration._default is not None)


# --- One object ---


@pytest.fixture
async def api(settings):
    return core_v1(InformerPool.for_current_loop().library(settings))


SECRET = {"metadata": {"name": "token"}, "stringData": {"a": "b"}}


async def test_an_object_is_there_whether_it_was_before_or_not(api):
    for manifest in (SECRET, SECRET, V1Secret(metadata=V1ObjectMeta(name="token"))):
        assert await create_once(api, "secret", NAMESPACE, manifest, seconds=3)

    assert await exists(api, "secret", NAMESPACE, "token", seconds=3) is True
    assert await delete_once(api, "secret", NAMESPACE, "token", seconds=3)
    assert await delete_once(api, "secret", NAMESPACE, "token", seconds=3)
    assert await exists(api, "secret", NAMESPACE, "token", seconds=3) is False


FULL = refuse(
    status_body(403, "Forbidden", 'secrets "token" is forbidden: exceeded quota: q', {"kind": "secrets"})
)
LOST_RACE = refuse(status_body(409, "Conflict", 'Operation cannot be fulfilled on resourcequotas "q"', {}))
BUSY = refuse(status_body(429, "TooManyRequests", "too many requests", {}))
BROKEN = refuse(status_body(500, "InternalError", "etcdserver: request timed out", {}))


async def test_a_full_quota_refuses_what_is_there_too(cluster, api):
    await create_once(api, "secret", NAMESPACE, SECRET, seconds=3)
    cluster.faults.add(FaultRule(verb="create", resource="secrets", effect=FULL))

    assert await create_once(api, "secret", NAMESPACE, SECRET, seconds=3)
    assert await create_once(
        api, "secret", NAMESPACE, V1Secret(metadata=V1ObjectMeta(name="token")), seconds=3
    )
    with pytest.raises(ApiException, match="exceeded quota"):
        await create_once(api, "secret", NAMESPACE, {"metadata": {"name": "other"}}, seconds=3)


@pytest.mark.parametrize("effect", [LOST_RACE, BUSY, BROKEN, RequestLost(), ReplyLost()])
async def test_what_may_help_is_to_ask_again(cluster, api, effect):
    rule = cluster.faults.add(FaultRule(verb="create", resource="secrets", effect=effect))
    assert not await create_once(api, "secret", NAMESPACE, SECRET, seconds=3)

    cluster.faults.remove(rule)
    assert await create_once(api, "secret", NAMESPACE, SECRET, seconds=3)


@pytest.mark.parametrize("effect", [BUSY, BROKEN, RequestLost()])
async def test_where_nobody_answers_nothing_is_known(cluster, api, effect):
    await create_once(api, "secret", NAMESPACE, SECRET, seconds=3)
    for verb in ("get", "delete"):
        cluster.faults.add(FaultRule(verb=verb, resource="secrets", effect=effect))

    assert await exists(api, "secret", NAMESPACE, "token", seconds=3) is None
    assert not await delete_once(api, "secret", NAMESPACE, "token", seconds=3)


@pytest.mark.looptime
async def test_a_server_that_says_nothing_is_not_waited_for_longer(cluster, api):
    cluster.faults.add(FaultRule(verb="create", resource="persistentvolumeclaims", effect=Slow(seconds=60)))
    clock, claim = asyncio.get_running_loop().time, V1PersistentVolumeClaim(metadata=V1ObjectMeta(name="c"))

    begun = clock()
    assert not await create_once(api, "persistent_volume_claim", NAMESPACE, claim, seconds=3)
    assert clock() - begun < 10
