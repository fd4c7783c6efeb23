"""``k8s-hub orphans`` as an admin meets it: a process of its own, beside a hub and a cluster."""

import json
from pathlib import Path

import pytest

from devkit.minicluster.faults import FaultRule, refuse
from devkit.minicluster.resources import SERVICES
from devkit.testing.realhub import RealHub
from devkit.testing.runs import HOME, NAMESPACE, edit_pod, listening_cluster, plant_pod, pods
from k8s_hub import KubeSpawner
from k8s_hub.cli import orphans
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming.ownership import ATTEMPT_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.volumes.inventory import SCOPES
from tests.cli.command import Command

pytestmark = pytest.mark.hub

LONG_AGO = "2026-01-01T00:00:00Z"
RELEASE = {"release": "jhub"}


class Place(Command):
    """A hub in which ada's server runs, and the command."""

    def __init__(self, hub, cluster, kubeconfig):
        super().__init__("orphans", hub, kubeconfig)
        self.hub = hub
        self.cluster = cluster

    def plant(self, name, username, **more):
        plant_pod(self.cluster, name, username=username, **more)
        edit_pod(self.cluster, name, creationTimestamp=LONG_AGO)

    def names(self):
        return {key_of(pod).name for pod in pods(self.cluster) if "deletionTimestamp" not in pod["metadata"]}


@pytest.fixture
async def place(tmp_path: Path, monkeypatch):
    async with listening_cluster(tmp_path, monkeypatch) as cluster:
        config = {"KubeSpawner": {"namespace": NAMESPACE, **HOME}}
        async with RealHub(spawner_class=KubeSpawner, config=config, users=("ada", "bob")) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            edit_pod(cluster, "jupyter-ada", creationTimestamp=LONG_AGO)
            place = Place(hub, cluster, tmp_path / "kubeconfig")
            place.plant("jupyter-bob", "bob")
            place.plant("jupyter-gone", "gone", labels=RELEASE)
            plant_pod(cluster, "young", username="bob")
            yield place
        await InformerPool.for_current_loop().close()


def plant_service(cluster, name, username):
    annotations = {USERNAME_ANNOTATION: username, ATTEMPT_ANNOTATION: "a1"}
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
    labels = {USERNAME_ANNOTATION: username}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {**metadata, "labels": labels}}
    cluster.database.create(SERVICES, {**service, "spec": {"ports": [{"port": 1}]}})
    cluster.database.update(
        SERVICES,
        Key(NAMESPACE, name),
        lambda made: {**made, "metadata": {**made["metadata"], "creationTimestamp": LONG_AGO}},
    )


async def test_list_says_which_objects_have_no_server(place):
    plant_service(place.cluster, "jupyter-bob", "bob")
    code, output, errors = await place.run("list")
    assert (code, errors) == (0, "")
    heading, *rows, total = output.splitlines()
    assert heading.split() == ["OBJECT", "SERVER", "STATE", "AGE", "REASON"]
    assert [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows] == [
        ["Pod default/jupyter-bob", "bob", "Running", ANY_AGE, "the hub has stopped the server bob"],
        ["Service default/jupyter-bob", "bob", "-", ANY_AGE, "the hub has stopped the server bob"],
        ["Pod default/jupyter-gone", "gone", "Running", ANY_AGE, "the hub has no user 'gone'"],
    ]
    assert total == "3 objects without a server"


class _Age:
    def __eq__(self, other):
        return other.endswith(" d")

    __hash__ = None


ANY_AGE = _Age()


async def test_list_as_json(place):
    code, output, _ = await place.run("list", "--json")
    assert code == 0
    bob, gone = json.loads(output)["orphans"]
    assert (bob["kind"], bob["name"], bob["user"], bob["server"]) == ("Pod", "jupyter-bob", "bob", "")
    assert (bob["created"], bob["may_go"], bob["kept_because"]) == (LONG_AGO, True, None)
    assert gone["may_go"] is False
    assert "another hub" in gone["kept_because"]


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
async def test_remove_without_the_flag_only_says_what_it_would_do(place, flags):
    code, output, errors = await place.run("remove", *flags)
    assert (code, errors) == (0, "")
    would, keep, total = output.splitlines()
    assert would.startswith("would delete Pod default/jupyter-bob (Running, created ")
    assert would.endswith(" ago: the hub has stopped the server bob)")
    assert keep.startswith("keep         Pod default/jupyter-gone")
    assert "because it may belong to another hub" in keep
    assert total == "1 object would be deleted, 1 kept. Nothing was deleted: add --delete to delete."
    assert place.names() == {"jupyter-ada", "jupyter-bob", "jupyter-gone", "young"}


async def test_remove_with_the_flag_deletes(place):
    code, output, errors = await place.run("remove", "--delete")
    assert (code, errors) == (0, "")
    deleted, kept, total = output.splitlines()
    assert deleted.startswith("deleted Pod default/jupyter-bob")
    assert kept.startswith("kept    Pod default/jupyter-gone")
    assert total == "1 object deleted, 1 kept."
    assert place.names() == {"jupyter-ada", "jupyter-gone", "young"}


async def test_the_release_says_that_what_an_unknown_user_has_is_this_hubs(place):
    code, _, errors = await place.run("remove", "--delete", "--release", "jhub")
    assert (code, errors) == (0, "")
    assert place.names() == {"jupyter-ada", "young"}
    place.plant("jupyter-gone", "gone", labels=RELEASE)
    code, output, _ = await place.run("list", "--release", "other")
    assert (code, output.splitlines()[-1]) == (0, "0 objects without a server")


async def test_without_the_release_what_releases_have_is_kept(place):
    place.plant("lab-bob", "bob", labels={"release": "other"})
    code, output, _ = await place.run("remove", "--delete")
    assert code == 0
    assert "because it may belong to another hub, because its labels name the release other" in output
    assert place.names() == {"jupyter-ada", "jupyter-gone", "lab-bob", "young"}


async def test_a_server_of_a_renamed_user_keeps_its_pod(place):
    await place.hub.api("PATCH", "/users/ada", json={"name": "eve"})
    code, _, errors = await place.run("remove", "--delete")
    assert (code, errors) == (0, "")
    assert place.names() == {"jupyter-ada", "jupyter-gone", "young"}


class StartBefore(FaultRule):
    """A rule without an effect: the hub starts bob's server right before the second look at its pod."""

    def __init__(self, place):
        super().__init__(effect=None)
        object.__setattr__(self, "place", place)

    def matches(self, call):
        if (call.verb, call.name) == ("get", "jupyter-bob"):
            self.place.hub.app.users["bob"].spawners[""]._spawn_pending = True
        return False


async def test_a_server_that_has_started_since_the_list_keeps_its_pod(place):
    place.cluster.faults.add(StartBefore(place))
    code, output, errors = await place.run("remove", "--delete")
    place.hub.app.users["bob"].spawners[""]._spawn_pending = False
    assert (code, errors) == (0, "")
    assert "because its server runs, starts or stops now" in output
    assert "jupyter-bob" in place.names()


async def test_a_hub_that_would_lose_more_than_half_keeps_everything(place):
    for n in range(3):
        place.plant(f"bob-{n}", "bob")
    code, output, errors = await place.run("remove", "--delete")
    assert (code, output) == (1, "")
    assert errors.startswith("k8s-hub orphans: nothing was deleted because 4 of the hub's 7 objects")
    assert len(place.names()) == 7


async def test_an_account_that_may_not_list_secrets_sees_the_pods(place):
    denied = refuse({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "secrets is forbidden"})
    place.cluster.faults.add(FaultRule(effect=denied, verb="list", resource="secrets"))
    code, output, errors = await place.run("list")
    assert code == 0
    assert errors.startswith("secrets were not checked: ")
    assert output.splitlines()[-1] == "2 objects without a server"


async def test_a_token_that_does_not_see_everything_is_an_error(place):
    place.environment["JUPYTERHUB_API_TOKEN"] = place.hub.token(
        scopes=[scope for scope in SCOPES if scope != "admin:server_state"]
    )
    code, output, errors = await place.run("remove", "--delete")
    assert (code, output) == (1, "")
    assert "lacks the scope admin:server_state" in errors
    assert "jupyter-bob" in place.names()


@pytest.mark.parametrize(
    "arguments, said",
    [([], "ACTION"), (["list", "--delete"], "--delete"), (["remove", "--delete", "--dry-run"], "--dry-run")],
)
def test_wrong_usage_is_told(arguments, said, capsys, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://localhost:8081/hub/api")
    with pytest.raises(SystemExit) as ended:
        orphans.run(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
