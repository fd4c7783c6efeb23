"""A namespace for each user, with each of the two sets of rights that the documentation has, and no others."""

import re
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from devkit.demo.failure import DemoError
from devkit.demo.plan import make_plan
from devkit.demo.session import browser
from devkit.demo.settings import claimed
from devkit.demo.stack import running
from devkit.realcluster.api import RefusedError
from devkit.realcluster.audit import requests_of
from devkit.testing.eventually import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

PAGE = Path(__file__).parents[2] / "docs/howto/user-namespaces.md"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PATHS = {
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    "RoleBinding": RBAC + "/namespaces/{namespace}/rolebindings",
    "Namespace": "/api/v1/namespaces",
}


def documented(rights, *, hub, user="jupyter-ada"):
    """Return the page's manifests of this title, for a hub in another namespace and another user's namespace."""
    blocks = re.findall(
        r"^```yaml\n# rights: ([^\n]+)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    (block,) = (block for title, block in blocks if title == rights)
    text = block.replace("namespace: jhub", f"namespace: {hub}").replace("jupyter-ada", user)
    return list(yaml.safe_load_all(text))


@contextmanager
def applied(admin, manifests):
    """Within it the objects are there."""
    created = []
    try:
        for manifest in manifests:
            path = PATHS[manifest["kind"]].format(**manifest["metadata"])
            admin.create(path, manifest)
            created.append(f"{path}/{manifest['metadata']['name']}")
        yield
    finally:
        for path in reversed(created):
            admin.delete(path)


@pytest.fixture
def own_namespaces(container_cluster, demo_settings, tmp_path):
    """Settings of a demo whose users have namespaces of their own; these go at the end."""
    settings = demo_settings()
    config = tmp_path / "jupyterhub_config.py"
    # Named as on the page, and different from those of the tests beside this one.
    template = f"{settings.namespace}-{{username}}"
    additions = f"""
c.KubeSpawner.enable_user_namespaces = True
c.KubeSpawner.user_namespace_template = {template!r}
c.KubeSpawner.user_namespace_labels = {{"example.org/user": "{{username}}"}}
c.JupyterHub.services = []
c.JupyterHub.load_roles = []
"""
    config.write_text(settings.hub_config.read_text() + additions)
    yield replace(settings, hub_config=config)
    admin = container_cluster.plane.admin
    for user in ("ada", "bob"):
        with suppress(RefusedError):  # never made, or gone with the test's manifests
            admin.delete(f"/api/v1/namespaces/{settings.namespace}-{user}")


async def work(plan, user):
    await user.log_in(plan.password)
    await user.start_server()
    await user.follow_progress()
    server = await user.open_server()
    async with server.kernel() as kernel:
        assert await kernel.run("print(6 * 7)") == "42\n"
    return server


def asked_by_hub(cluster, settings):
    log = cluster.plane.layout.log("audit")
    return list(requests_of(log, account="hub", namespace=settings.namespace))


async def test_a_hub_creates_the_namespaces_of_its_users(container_cluster, own_namespaces, names_of):
    settings, admin = own_namespaces, container_cluster.plane.admin
    plan = make_plan(settings)
    rights = documented("creates", hub=settings.namespace)
    of_ada, of_bob = (f"{settings.namespace}-{user}" for user in ("ada", "bob"))
    with applied(admin, rights), claimed(settings.directory):
        async with running(plan) as stack, browser(plan.url, "ada") as ada, browser(plan.url, "bob") as bob:
            server = await work(plan, ada)
            await server.write("kept.txt", "mine")
            await work(plan, bob)
            assert names_of(of_ada, "pods") == {"jupyter-ada"}
            assert names_of(of_bob, "persistentvolumeclaims") == {"claim-bob"}
            labels = admin.get(f"/api/v1/namespaces/{of_ada}")["metadata"]["labels"]
            assert labels["example.org/user"] == "ada"

            await stack.kill_part("hub")
            await stack.start_part("hub")
            await ada.wait_until_ready()
            await bob.wait_until_ready()
            await ada.call("DELETE", ada._server_api(""))
            await eventually(lambda: names_of(of_ada, "pods") == set(), seconds=180)
            server = await work(plan, ada)
            assert await server.read("kept.txt") == "mine"
    assert names_of(of_ada, "pods") == names_of(of_bob, "pods") == set()
    asked = asked_by_hub(container_cluster, settings)
    assert [one for one in asked if one.code in {401, 403}] == []
    # Nothing of the whole cluster, and nothing of others: not even of the hub's own namespace.
    everywhere = {one.resource for one in asked if one.namespace is None and one.resource != "namespaces"}
    assert everywhere == set()
    assert {one.namespace for one in asked if one.resource == "pods"} == {of_ada, of_bob}
    assert {one.verb for one in asked if one.resource == "namespaces"} == {"create", "get"}


async def test_a_hub_without_rights_uses_prepared_namespaces_only(
    container_cluster, own_namespaces, names_of
):
    settings, admin = own_namespaces, container_cluster.plane.admin
    plan = make_plan(settings)
    of_ada = f"{settings.namespace}-ada"
    once = documented("prepared, once", hub=settings.namespace)
    for_ada = documented("prepared, for each user", hub=settings.namespace, user=of_ada)
    with applied(admin, [*once, *for_ada]), claimed(settings.directory):
        async with running(plan), browser(plan.url, "ada") as ada, browser(plan.url, "bob") as bob:
            await work(plan, ada)
            assert names_of(of_ada, "pods") == {"jupyter-ada"}
            await bob.log_in(plan.password)
            await bob.start_server()
            with pytest.raises(DemoError, match=r"The hub lacks a permission in the cluster \(\w+ \w+\)"):
                await bob.follow_progress()
    assert names_of(of_ada, "pods") == set()
    assert not admin.is_ok(f"/api/v1/namespaces/{settings.namespace}-bob")
    refused = {
        (one.verb, one.resource) for one in asked_by_hub(container_cluster, settings) if one.code == 403
    }
    assert ("create", "namespaces") in refused
