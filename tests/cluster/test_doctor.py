"""``k8s-hub doctor`` on the real API server: well with the chart's Role, and what each thing that is missing makes of it."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import pytest
import yaml

from devkit.chart.values import FILES
from devkit.realcluster.controlplane import RBAC, RULES
from k8s_hub.hub.api import SERVICE_SCOPES
from k8s_hub.volumes.inventory import SCOPES

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

CULLER = ["list:users", "read:servers", "delete:servers"]
ALL = [*CULLER, *SCOPES, *SERVICE_SCOPES]


DOCTOR = """
import sys
from pathlib import Path
from k8s_hub.cli.main import main
from k8s_hub.culler import beside
beside.PROCESSES = Path(sys.argv.pop(1))
sys.exit(main())
"""
"""The command, with the folder of the processes that it sees: other tests have cullers, too."""


@pytest.fixture
def examine(control_plane, fresh_namespace, tmp_path, monkeypatch):
    """A function that runs the doctor beside a hub, and returns its exit code and what it found."""

    async def run(hub, *arguments, scopes=ALL, as_admin=False, culler=False):
        kubeconfig = tmp_path / "kubeconfig"
        if as_admin:
            kubeconfig = control_plane.write_kubeconfig(tmp_path / "admin", namespace=fresh_namespace)
        api = {
            "JUPYTERHUB_API_URL": hub.api_url,
            "JUPYTERHUB_API_TOKEN": hub.token(scopes=list(dict.fromkeys(scopes))),
        }
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        processes = tmp_path / "processes"
        processes.mkdir(exist_ok=True)
        async with culling({**environment, **api}, processes) if culler else nothing():
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", DOCTOR, str(processes), "doctor"),
                f"--namespace={fresh_namespace}",
                *arguments,
                env=environment if culler else {**environment, **api},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            output, errors = await process.communicate()
        assert errors == b""
        return process.returncode, output.decode()

    return run


@asynccontextmanager
async def nothing():
    yield


@asynccontextmanager
async def culling(environment, processes):
    """A culler that runs, as the hub starts one: its token is in its environment."""
    culler = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "k8s_hub.culler"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        (processes / str(culler.pid)).symlink_to(f"/proc/{culler.pid}")
        await culler.stderr.readline()  # it runs
        yield
    finally:
        culler.kill()
        await culler.communicate()


def wrong(output):
    """What is wrong, by check and subject."""
    findings = json.loads(output)["findings"]
    return {(one["check"], one["subject"]): one["message"] for one in findings if one["status"] == "wrong"}


async def test_all_is_well_with_the_charts_role_and_a_server_that_runs(hub, examine):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)
        code, output = await examine(hub, "--json")
        assert (code, wrong(output)) == (0, {})
        found = {(one["check"], one["subject"]): one for one in json.loads(output)["findings"]}
        assert found["homes", "ada"]["message"].startswith("claim-ada: ")
        assert found["culler", "scopes of the token"]["status"] == "ok"
        assert found["pods", "servers' pods"]["status"] == "ok"
        assert found["versions", "Kubernetes"]["status"] == "ok"
        code, table = await examine(hub)
    assert code == 0
    assert "get pods ... list events" in table or "all 20" in table


async def test_an_administrator_sees_more(hub, examine):
    """... and the hub's rights, not the administrator's own."""
    async with hub() as hub:
        code, output = await examine(hub, "--json", "--service-account=hub", as_admin=True)
    found = {(one["check"], one["subject"]): one["status"] for one in json.loads(output)["findings"]}
    assert code == 0
    assert "unknown" not in found.values()
    assert found["storage", "default class"] == "ok"
    assert found["rights", "patch persistentvolumeclaims"] == "note"


@pytest.mark.parametrize("as_admin", [False, True], ids=["the hub's account", "an administrator"])
async def test_a_verb_that_is_missing(hub, examine, control_plane, fresh_namespace, as_admin):
    kept = [verb for verb in RULES[0]["verbs"] if verb != "delete"]
    rules = [
        {**RULES[0], "resources": RULES[0]["resources"][1:]},
        {**RULES[0], "resources": ["pods"], "verbs": kept},
        RULES[1],
    ]
    path = f"{RBAC}/namespaces/{fresh_namespace}/roles/hub"
    account = ["--service-account=hub"] if as_admin else []
    async with hub() as hub:
        control_plane.admin.patch(path, {"rules": rules})
        code, output = await examine(hub, "--json", *account, as_admin=as_admin)
    assert code == 1
    assert wrong(output) == {("rights", "delete pods"): "not allowed"}


async def test_pods_that_may_not_be_listed_are_unknown_and_the_right_is_missing(
    hub, examine, control_plane, fresh_namespace
):
    rules = [{**RULES[0], "resources": RULES[0]["resources"][1:]}, RULES[1]]
    path = f"{RBAC}/namespaces/{fresh_namespace}/roles/hub"
    async with hub() as hub:
        control_plane.admin.patch(path, {"rules": rules})
        code, output = await examine(hub, "--json")
    assert code == 1
    assert set(wrong(output)) == {
        ("rights", f"{verb} pods") for verb in ("get", "list", "watch", "create", "delete")
    }
    found = {(one["check"], one["subject"]): one["status"] for one in json.loads(output)["findings"]}
    assert found["pods", "servers' pods"] == "unknown"


async def test_a_storage_class_that_is_missing(hub, examine):
    async with hub() as hub:
        code, output = await examine(
            hub, "--json", "--service-account=hub", "--storage-class=golden", as_admin=True
        )
    assert code == 1
    assert list(wrong(output)) == [("storage", "golden")]


@pytest.mark.parametrize("culler", [False, True], ids=["given", "of a culler that runs"])
async def test_a_scope_of_the_culler_that_is_missing(hub, examine, culler):
    async with hub() as hub:
        scopes = [scope for scope in ALL if scope != "delete:servers"]
        flags = [] if culler else ["--culler-flags="]
        code, output = await examine(hub, "--json", *flags, scopes=scopes, culler=culler)
    assert code == 1
    ((key, message),) = wrong(output).items()
    assert key == ("culler", "scopes of the token")
    assert "delete:servers" in message


async def test_a_foreign_pod_of_a_servers_name(hub, examine, control_plane, fresh_namespace):
    foreign = {
        "metadata": {"name": "jupyter-bob"},
        "spec": {"containers": [{"name": "web", "image": "example.test/web:1"}]},
    }
    control_plane.admin.create(f"/api/v1/namespaces/{fresh_namespace}/pods", foreign)
    async with hub() as hub:
        code, output = await examine(hub, "--json")
    assert code == 1
    assert list(wrong(output)) == [("pods", "jupyter-bob")]


async def test_a_policy_that_lets_nobody_in(hub, examine, control_plane, fresh_namespace):
    policy = {
        "metadata": {"name": "closed"},
        "spec": {
            "podSelector": {"matchLabels": {"component": "singleuser-server"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": "http", "protocol": "TCP"}]}],
        },
    }
    path = f"/apis/networking.k8s.io/v1/namespaces/{fresh_namespace}/networkpolicies"
    control_plane.admin.create(path, policy)
    async with hub() as hub:
        code, output = await examine(hub, "--json", "--service-account=hub", as_admin=True)
    assert code == 1
    assert list(wrong(output)) == [("network", "into servers, port 8888")]


async def test_an_api_server_that_is_away_is_said(hub, examine, control_plane):
    async with hub() as hub:
        with control_plane.absent_apiserver():
            code, output = await examine(hub, "--json")
    assert code == 1
    assert list(wrong(output)) == [("cluster", "API server")]


async def test_with_the_rights_for_it_nothing_is_unknown_to_the_hub(
    hub, examine, control_plane, fresh_namespace
):
    text = (
        (FILES / "rbac/doctor.yaml").read_text().replace("namespace: jhub", f"namespace: {fresh_namespace}")
    )
    text = text.replace("jupyterhub-doctor", f"doctor-{fresh_namespace}")  # of the cluster
    made = []
    for one in yaml.safe_load_all(text):
        inner = f"/namespaces/{fresh_namespace}" if "namespace" in one["metadata"] else ""
        path = f"{RBAC}{inner}/{one['kind'].lower()}s"
        control_plane.admin.create(f"{path}?fieldValidation=Strict", one)
        made.append(f"{path}/{one['metadata']['name']}")
    try:
        async with hub() as hub:
            code, output = await examine(hub, "--json")
    finally:
        for path in made:
            control_plane.admin.delete(path)
    assert code == 0
    assert "unknown" not in {one["status"] for one in json.loads(output)["findings"]}
