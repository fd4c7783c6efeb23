"""The hub and its users' servers use TLS: a Secret has the certificates, and the address is a Service's name."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from devkit.minicluster.cluster import MiniCluster
from devkit.minicluster.faults import Slow
from devkit.minicluster.resources import EVENTS, PODS, SECRETS, SERVICES
from devkit.testing.runs import HOME, sentence_of, struck
from k8s_hub import KubeSpawner
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects.keys import Key, key_of, owner_uids, uid_of
from tests.spawner.conftest import NAMESPACE
from tests.spawner.secure import SecureHub, SecureRuntime, serve_names

pytestmark = [pytest.mark.looptime, pytest.mark.hub, pytest.mark.slow]

LONG = "a" * 200


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch, wall_clock):
    """A mini cluster whose pods speak TLS, and whose Services have names."""
    runtime = SecureRuntime(tmp_path / "secrets")
    async with MiniCluster(directory=tmp_path / "cluster", runtime=runtime) as cluster:
        runtime.cluster = cluster
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        serve_names(monkeypatch, cluster)
        yield cluster
        await InformerPool.for_current_loop().close()


@pytest.fixture
def hub(cluster, tmp_path):
    """A function that opens a hub with internal_ssl."""

    @asynccontextmanager
    async def open_hub(*, spawner_class=KubeSpawner, users=("ada", LONG), **options):
        config = {
            "KubeSpawner": {"namespace": NAMESPACE, **HOME, **options},
            "JupyterHub": {
                "internal_ssl": True,
                "internal_certs_location": str(tmp_path / "certs"),
                "trusted_alt_names": ["IP:127.0.0.1"],
            },
        }
        async with SecureHub(spawner_class=spawner_class, config=config, users=users) as opened:
            yield opened

    return open_hub


def names(cluster, kind):
    return {key_of(obj).name for obj in cluster.database.all(kind, NAMESPACE)}


async def test_a_server_is_reached_by_name_with_its_own_certificate(hub, cluster):
    """The hub itself has asked it before it is ready: name, authority and both certificates are right."""
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert hub.routes["/user/ada/"]["target"] == "https://jupyter-ada.default.svc.cluster.local:8888"

        (pod,) = cluster.database.all(PODS, NAMESPACE)
        (secret,) = cluster.database.all(SECRETS, NAMESPACE)
        (service,) = cluster.database.all(SERVICES, NAMESPACE)
        assert {key_of(secret).name, key_of(service).name} == {"jupyter-ada"}
        assert owner_uids(secret) == owner_uids(service) == {uid_of(pod)}

        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert names(cluster, SECRETS) == names(cluster, SERVICES) == set()


async def test_a_restarted_hub_finds_the_server_at_its_name(hub, cluster):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        hub.routes.clear()
        await hub.restart()
        assert (await hub.spawner("ada").get_url()).startswith("https://jupyter-ada.default.svc")
        assert await hub.spawner("ada").poll() is None
        await hub.spawner("ada").stop()
        assert names(cluster, SECRETS) == names(cluster, SERVICES) == set()


@pytest.mark.slow
async def test_a_name_of_200_characters_has_valid_names_and_a_certificate(hub, cluster):
    """The pod's name is longer than a Service's may be, and the user's longer than a certificate's."""
    async with hub(pod_name_template="jupyter.{escaped_username}") as hub:
        await hub.start_server(LONG)
        await hub.wait_ready(LONG)
        assert max(map(len, names(cluster, SERVICES))) == 63
        assert names(cluster, PODS) == {f"jupyter.{LONG}"}


async def test_two_servers_of_a_user_that_start_at_once_have_their_own_certificates(hub, cluster):
    async with hub() as hub:
        await asyncio.gather(hub.start_server("ada"), hub.start_server("ada", "gpu"))
        await hub.wait_ready("ada")
        await hub.wait_ready("ada", "gpu")
        contents = {secret["data"]["ssl.crt"] for secret in cluster.database.all(SECRETS, NAMESPACE)}
        assert len(contents) == 2


async def test_until_the_secret_is_there_nobody_reads_of_trouble(hub, cluster):
    """The node misses the Secret first, and looks again only after more time than a missing object is given."""
    said = []

    class Told(KubeSpawner):
        def _tell(self, diagnosis):
            said.append(diagnosis)
            super()._tell(diagnosis)

    settings = cluster.kubelet.settings
    cluster.kubelet.settings = replace(settings, back_off=replace(settings.back_off, initial=20, ceiling=20))
    with struck(cluster, Slow(seconds=1), verb="create", resource="secrets"):
        async with hub(spawner_class=Told) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada", seconds=60)
    events = cluster.database.all(EVENTS, NAMESPACE)
    assert any('secret "jupyter-ada" not found' in event["message"] for event in events)
    assert not [diagnosis.sentence for diagnosis in said if diagnosis.reason is not None]


async def test_leftovers_of_an_earlier_pod_make_room(hub, cluster):
    """Without a garbage collector, what an earlier pod owned may still be there."""
    earlier = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "jupyter-ada",
            "namespace": NAMESPACE,
            "annotations": {"hub.jupyter.org/username": "ada"},
        },
        "data": {},
    }
    old = cluster.database.create(SECRETS, earlier).obj
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (secret,) = cluster.database.all(SECRETS, NAMESPACE)
        assert uid_of(secret) != uid_of(old)
        assert set(secret["data"]) == {"ssl.key", "ssl.crt", "notebooks-ca_trust.crt"}


@pytest.mark.parametrize("kind", [SECRETS, SERVICES])
async def test_somebody_elses_object_stays_and_is_named(hub, cluster, kind):
    foreign = {
        "apiVersion": "v1",
        "kind": kind.kind,
        "metadata": {
            "name": "jupyter-ada",
            "namespace": NAMESPACE,
            "annotations": {"hub.jupyter.org/username": "bob"},
        },
    }
    other = cluster.database.create(kind, foreign).obj
    async with hub() as hub:
        await hub.start_server("ada")
        with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
            await hub.wait_ready("ada")
        assert 'user "bob" already uses the name "jupyter-ada"' in sentence_of(failure.value)
        assert hub.failure_count == 0
    assert uid_of(cluster.database.get(kind, Key(NAMESPACE, "jupyter-ada"))) == uid_of(other)
    assert names(cluster, PODS) == set()


async def test_a_subclass_may_change_secret_and_service(hub, cluster):
    class Changed(KubeSpawner):
        def get_secret_manifest(self, owner_reference):
            secret = super().get_secret_manifest(owner_reference)
            secret.metadata.labels["course"] = "biology"
            return secret

        def get_service_manifest(self, owner_reference, port):
            service = super().get_service_manifest(owner_reference, port)
            service.metadata.labels["course"] = f"{owner_reference.kind} {port}"
            return service

    async with hub(spawner_class=Changed) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (secret,) = cluster.database.all(SECRETS, NAMESPACE)
        (service,) = cluster.database.all(SERVICES, NAMESPACE)
        assert secret["metadata"]["labels"]["course"] == "biology"
        assert service["metadata"]["labels"]["course"] == "Pod 8888"
