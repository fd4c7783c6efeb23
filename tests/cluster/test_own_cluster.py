"""What docs/howto/own-cluster.md shows is enough: its account and its configuration start a server with a home."""

import re
from pathlib import Path

import pytest
import yaml

from devkit.realcluster.controlplane import RBAC
from devkit.testing.eventually import eventually
from devkit.testing.hubprocess import HubProcess

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

PAGE = (Path(__file__).parents[2] / "docs/howto/own-cluster.md").read_text()
PLURALS = {"Role": "roles", "RoleBinding": "rolebindings", "Service": "services"}


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


async def test_the_page_is_enough(control_plane, fresh_namespace, servers, tmp_path, objects):
    core = f"/api/v1/namespaces/{fresh_namespace}"
    groups = {"v1": core, "rbac.authorization.k8s.io/v1": f"{RBAC}/namespaces/{fresh_namespace}"}
    for one in yaml.safe_load_all(block("yaml").replace("namespace: jhub", f"namespace: {fresh_namespace}")):
        plural = PLURALS.get(one["kind"], "serviceaccounts")
        control_plane.admin.create(f"{groups[one['apiVersion']]}/{plural}?fieldValidation=Strict", one)
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    }
    token = control_plane.admin.create(f"{core}/serviceaccounts/hub/token", review)["status"]["token"]
    kubeconfig = control_plane.write_kubeconfig(
        tmp_path / "kubeconfig", token=token, namespace=fresh_namespace
    )
    (tmp_path / "hub").mkdir()
    (tmp_path / "page_config.py").write_text(block("python"))

    async with HubProcess(
        tmp_path / "hub",
        users=("ada",),
        kubeconfig=kubeconfig,
        base=tmp_path / "page_config.py",
        namespace=fresh_namespace,
        port=servers,
    ) as hub:
        status, _ = await hub.api("POST", "/users/ada/server", body={})
        assert status in {201, 202}

        async def is_ready():
            return (await hub.servers())["ada"] == "ready"

        await eventually(is_ready, seconds=180)
        (pod,) = objects("pods").values()
        assert objects("persistentvolumeclaims").keys() == {"claim-ada"}
    environment = {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
    assert environment["JUPYTERHUB_API_URL"] == "http://hub.jhub:8081/hub/api"
