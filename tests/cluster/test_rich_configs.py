"""What configurations as administrators write them make for odd user names is accepted by the real API server.

Each file of tests/data/configs goes on top of what the chart sets by default.
"""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from certipy import Certipy
from kubernetes_asyncio.client import V1Container
from traitlets.config import Config

from devkit.realcluster.api import RefusedError, wait_for
from devkit.testing.bare import bare_spawner
from k8s_hub.spawner.compat.models import to_json, to_model

pytestmark = pytest.mark.cluster

DATA = Path(__file__).parents[1] / "data"
OWNER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "name": "jupyter-somebody",
    "uid": "4a2ae6d3-3a3c-4c38-9a3c-0d1f3ec3b1a5",
}

SERVERS = [
    ("ada", ""),
    ("ada", "gpu"),
    ("jane.doe@example.org", ""),
    ("jane.doe@example.org", "data-lab"),
    ("Ünal Çelik", ""),
    ("用户", ""),
    ("9LIVES", ""),
    ("trailing-", ""),
    ("a" * 63, ""),
    ("a.very.long.name.of.somebody.at.a.university@students.informatics.example.org", "second-server"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rich:
    """One configuration, and what its users choose."""

    name: str
    #: Traits that the chart sets, and these administrators do not.
    unset: tuple[str, ...] = ()
    user_options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.name, *self.user_options.values()])


RICH = [
    Rich(name="chart"),
    Rich(name="gpu_profiles"),
    Rich(name="gpu_profiles", user_options={"profile": "gpu", "count": "4"}),
    Rich(
        name="gpu_profiles",
        user_options={"profile": "gpu", "image--unlisted-choice": "example.org/me/my-image:1.0"},
    ),
    Rich(name="sidecars", unset=("init_containers", "extra_containers", "volumes", "volume_mounts")),
    Rich(name="static_storage"),
    Rich(name="user_namespaces"),
    Rich(name="internal_ssl"),
]


def chart_config() -> Config:
    """What the chart sets, with its init container as the object that it is there."""
    sections = json.loads((DATA / "golden" / "chart_default_config.json").read_text())
    sections.pop("_about")
    traits = sections["KubeSpawner"]
    pod = {"spec": {"containers": [one["value"] for one in traits["init_containers"]]}}
    traits["init_containers"] = list(to_model(pod, "V1Pod").spec.containers)
    assert isinstance(traits["init_containers"][0], V1Container)
    return Config(sections)


def config_of(rich: Rich) -> Config:
    """Let the administrator's file go on with what the chart has set, as `hub.extraConfig` does."""
    config = chart_config()
    for trait in rich.unset:
        del config["KubeSpawner"][trait]
    path = DATA / "configs" / f"{rich.name}.py"
    if rich.name != "chart":
        exec(compile(path.read_text(), path, "exec"), {"get_config": lambda: config})
    return config


@pytest.fixture
def accepted(control_plane, fresh_namespace):
    """A function that has an object of a namespace judged, with every field known; nothing is created."""
    token = control_plane.make_hub_account(fresh_namespace)

    def dry_run(plural, manifest, namespace):
        api = control_plane.api(token) if namespace == fresh_namespace else control_plane.admin
        path = f"/api/v1/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict"
        try:
            return api.create(path, to_json(manifest))
        except RefusedError as error:
            pytest.fail(f"{plural} {to_json(manifest)}: {error}")

    return dry_run


@pytest.fixture
def namespaces(control_plane):
    """A function that creates a namespace and waits until pods may come; all go at the end."""
    names = []

    def create(manifest):
        path = "/api/v1/namespaces"
        made = control_plane.admin.create(f"{path}?fieldValidation=Strict", to_json(manifest))
        names.append(made["metadata"]["name"])
        account = f"{path}/{names[-1]}/serviceaccounts/default"
        wait_for(lambda: control_plane.admin.is_ok(account), account)
        return names[-1]

    yield create
    for name in names:
        control_plane.admin.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The authorities that a hub makes when it starts with `internal_ssl`."""
    folder = tmp_path_factory.mktemp("authority")
    certipy = Certipy(store_dir=str(folder))
    for name in ("hub-ca", "notebooks-ca"):
        certipy.create_ca(name)
    bundles = {name: certipy.store.get_record(name)["files"]["cert"] for name in ("hub-ca", "notebooks-ca")}
    return {"internal_certs_location": str(folder), "internal_trust_bundles": bundles}


async def has_certificates(spawner) -> None:
    """Do what the hub does before a start."""
    spawner.cert_paths = await spawner.move_certs(await spawner.create_certs())


@pytest.mark.parametrize("rich", RICH, ids=str)
async def test_the_api_server_accepts_all_of_it(
    rich, accepted, fresh_namespace, namespaces, authority, monkeypatch
):
    config = config_of(rich)
    config.KubeSpawner.namespace = fresh_namespace
    monkeypatch.setattr("k8s_hub.spawner.overridable.pod_namespace", lambda: f"hub-{secrets.token_hex(3)}")
    from_hub = {**authority, "internal_ssl": bool(config.JupyterHub.get("internal_ssl"))}
    for username, servername in SERVERS:
        spawner = bare_spawner(username, servername, config=config, **from_hub)
        spawner.user_options = rich.user_options
        await spawner.load_user_options()
        if spawner.enable_user_namespaces:
            assert namespaces(spawner.get_namespace_manifest()) == spawner.namespace
        if spawner.internal_ssl:
            await has_certificates(spawner)
            accepted("secrets", spawner.get_secret_manifest(OWNER), spawner.namespace)
            accepted("services", spawner.get_service_manifest(OWNER, 8888), spawner.namespace)
        if spawner.storage_pvc_ensure:
            accepted(
                "persistentvolumeclaims", spawner._manifests.home_claim(spawner.pvc_name), spawner.namespace
            )
        pod = accepted("pods", await spawner._manifests.pod(), spawner.namespace)
        expect_of(rich, pod, spawner)


def expect_of(rich: Rich, pod: dict[str, Any], spawner: Any) -> None:
    """The pod that came back has what the configuration is about."""
    spec = pod["spec"]
    notebook = spec["containers"][0]
    inits = [container["name"] for container in spec.get("initContainers", ())]
    if rich.user_options.get("profile") == "gpu":
        image = rich.user_options.get(
            "image--unlisted-choice", "quay.io/jupyter/pytorch-notebook:cuda12-2025-03-31"
        )
        assert notebook["image"] == image
        assert notebook["resources"]["limits"]["nvidia.com/gpu"] == rich.user_options.get("count", "1")
        assert {"name": "shm", "mountPath": "/dev/shm"} in notebook["volumeMounts"]
    if rich.name == "sidecars":
        assert [container["name"] for container in spec["containers"]] == ["notebook", "database"]
        assert inits == ["volume-mount-hack", "git-clone"]
    else:
        assert inits == ["block-cloud-metadata"]
    if rich.name == "static_storage":
        paths = {mount["mountPath"]: mount.get("subPath") for mount in notebook["volumeMounts"]}
        assert paths["/home/jovyan"] == f"home/{spawner._expand_user_properties('{username}')}"
        assert paths["/home/jovyan/shared"] is None
    if rich.name == "internal_ssl":
        mounted = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
        assert mounted == [spawner.secret_name]


async def test_a_field_that_there_is_not_is_refused(accepted, fresh_namespace):
    """Otherwise the tests above would say nothing."""
    spawner = bare_spawner(namespace=fresh_namespace, extra_container_config={"imagePullPolice": "Always"})
    with pytest.raises(pytest.fail.Exception, match="imagePullPolice"):
        accepted("pods", await spawner._manifests.pod(), fresh_namespace)
