"""``k8s-hub volumes`` as an admin meets it: a process of its own, beside a hub and a cluster."""

import json
import re
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devkit.minicluster.cluster import MiniCluster
from devkit.minicluster.faults import FaultRule, Slow
from devkit.minicluster.resources import CLAIMS
from devkit.testing.eventually import eventually
from devkit.testing.realhub import RealHub
from devkit.testing.runs import HOME, NAMESPACE
from k8s_hub import KubeSpawner
from k8s_hub.cli import volumes
from k8s_hub.culler import beside
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects.keys import key_of
from k8s_hub.volumes.inventory import SCOPES
from tests.cli.command import Command
from tests.volumes.objects import claim

YEAR_AGO = (datetime.now(UTC) - timedelta(days=400)).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251


class Place(Command):
    """A hub whose user ada has a home, claims of people who have left, and the command."""

    def __init__(self, hub, cluster, kubeconfig):
        super().__init__("volumes", hub, kubeconfig)
        self.hub = hub
        self.cluster = cluster

    def plant(self, name, user, server="", created=YEAR_AGO, release=None):
        body = claim(name, user, server, namespace=NAMESPACE, release=release, uid=None, created=created)
        self.cluster.database.create(CLAIMS, {"apiVersion": "v1", **body})
        self.cluster.database.update(
            CLAIMS,
            key_of(body),
            lambda made: {**made, "metadata": {**made["metadata"], "creationTimestamp": created}},
        )

    def claims(self):
        return {key_of(found).name for found in self.cluster.database.all(CLAIMS, NAMESPACE)}


@pytest.fixture
async def place(tmp_path: Path, monkeypatch):
    async with MiniCluster(directory=tmp_path / "cluster", runtime="listener") as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        config = {"KubeSpawner": {"namespace": NAMESPACE, **HOME}}
        async with RealHub(spawner_class=KubeSpawner, config=config, users=("ada", "bob")) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            place = Place(hub, cluster, tmp_path / "kubeconfig")
            place.plant("claim-gone", "gone")
            place.plant("course", "gone")
            yield place
        await InformerPool.for_current_loop().close()


@pytest.mark.hub
async def test_list_says_whose_each_claim_is(place):
    code, output, errors = await place.run("list")
    assert (code, errors) == (0, "")
    heading, *rows, total = output.splitlines()
    assert heading.split() == [
        "CLAIM",
        "BELONGS",
        "TO",
        "REQUESTED",
        "CAPACITY",
        "CLASS",
        "AGE",
        "LAST",
        "USE",
    ]
    assert [row.split("  ")[0] for row in rows] == [
        "default/claim-ada",
        "default/claim-gone",
        "default/course",
    ]
    ada, gone, _ = rows
    assert ada.split()[1] == "ada"
    assert ada.endswith("  now")
    assert "gone: no such user" in gone
    assert "10Gi" in gone
    assert "400 d" in gone
    assert gone.endswith("unknown")
    assert total == "3 claims with 21.0 GiB; without a user or server in the hub: 2 claims with 20.0 GiB"


@pytest.mark.hub
async def test_list_as_json(place):
    code, output, _ = await place.run("list", "--json")
    assert code == 0
    ada, gone, course = json.loads(output)["claims"]
    assert (ada["user"], ada["server"], ada["belonging"], ada["may_go"]) == ("ada", "", "server", False)
    assert ada["mounted_by"] == ["jupyter-ada"]
    assert ada["last_used"] is not None
    assert (gone["name"], gone["belonging"], gone["may_go"]) == ("claim-gone", "no such user", True)
    assert (gone["requested"], gone["capacity"], gone["storage_class"]) == ("10Gi", "10Gi", "fast")
    assert gone["age_days"] == 400
    assert "several users may share" in course["kept_because"]


@pytest.mark.hub
@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
async def test_prune_without_the_flag_only_says_what_it_would_do(place, flags):
    code, output, errors = await place.run("prune", *flags)
    assert (code, errors) == (0, "")
    would, keep, total = output.splitlines()
    assert would.startswith("would delete default/claim-gone (gone: no such user, 10Gi, created 400 d ago)")
    assert keep.startswith("keep         default/course")
    assert "because several users may share a claim of this name" in keep
    assert total.startswith("1 claim with 10.0 GiB would be deleted, 2 claims with 11.0 GiB kept.")
    assert total.endswith("Nothing was deleted: add --delete to delete.")
    assert place.claims() == {"claim-ada", "claim-gone", "course"}


@pytest.mark.hub
async def test_prune_with_the_flag_deletes(place):
    code, output, errors = await place.run("prune", "--delete", "--older-than", "30")
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "deleted default/claim-gone (gone: no such user, 10Gi, created 400 d ago)",
        "1 claim with 10.0 GiB deleted, 2 claims with 11.0 GiB kept.",
    ]
    assert place.claims() == {"claim-ada", "course"}


@pytest.mark.hub
async def test_prune_in_all_namespaces_spares_those_that_may_be_another_hubs(place):
    code, output, _ = await place.run("prune", "--delete", "--all-namespaces", "--json")
    assert code == 0
    gone = next(found for found in json.loads(output)["claims"] if found["name"] == "claim-gone")
    assert gone["outcome"] is None
    assert "prune it with --namespace default" in gone["kept_because"]
    assert place.claims() == {"claim-ada", "claim-gone", "course"}


@pytest.mark.hub
async def test_prune_as_json(place):
    code, output, _ = await place.run("prune", "--delete", "--json")
    assert code == 0
    outcomes = {found["name"]: found["outcome"] for found in json.loads(output)["claims"]}
    assert outcomes == {"claim-ada": None, "claim-gone": "deleted", "course": None}


@pytest.mark.hub
async def test_younger_claims_are_kept(place):
    code, output, _ = await place.run("prune", "--older-than", "500")
    assert code == 0
    assert "because it was created in the last 500 days" in output
    assert "0 claims with 0.0 GiB would be deleted" in output


@pytest.mark.hub
async def test_ctrl_c_in_the_middle_says_what_was_done_and_leaves_the_rest(place):
    for name in ("a", "b", "c"):
        place.plant(f"claim-{name}x", f"{name}x")
    slow = place.cluster.faults.add(
        FaultRule(verb="get", resource="persistentvolumeclaims", name="claim-bx", effect=Slow(seconds=30))
    )
    process = await place.begin("prune", "--delete", "--most")
    await eventually(lambda: place.cluster.faults.hits(slow))
    process.send_signal(signal.SIGINT)
    output, errors = await process.communicate()
    assert process.returncode == 130
    assert errors == b""
    assert output.decode().splitlines() == [
        "deleted default/claim-ax (ax: no such user, 10Gi, created 400 d ago)",
        "1 claim with 10.0 GiB deleted, 5 claims with 41.0 GiB kept.",
    ]
    assert place.claims() == {"claim-ada", "claim-bx", "claim-cx", "claim-gone", "course"}


@pytest.mark.hub
async def test_a_hub_that_has_few_of_the_users_may_have_lost_its_database(place):
    for name in ("a", "b", "c"):
        place.plant(f"claim-{name}x", f"{name}x")
    before = place.claims()
    code, output, errors = await place.run("prune", "--delete")
    assert (code, output) == (1, "")
    assert errors.startswith("k8s-hub volumes: nothing was deleted because 4 of 6 claims would be deleted")
    assert place.claims() == before


@pytest.mark.hub
async def test_the_release_is_that_of_the_charts_hub(place):
    place.plant("claim-eve", "eve", release="staging")
    place.environment["HELM_RELEASE_NAME"] = "staging"
    code, _, _ = await place.run("prune", "--delete")
    assert code == 0
    assert place.claims() == {"claim-ada", "claim-gone", "course"}


@pytest.mark.slow
@pytest.mark.hub
@pytest.mark.parametrize("action", [["list"], ["prune", "--delete"]])
async def test_a_token_that_sees_too_little_is_a_failure_that_names_the_scope(place, action):
    place.environment["JUPYTERHUB_API_TOKEN"] = place.hub.token(
        scopes=[scope for scope in SCOPES if scope != "admin:server_state"]
    )
    code, output, errors = await place.run(*action)
    assert (code, output) == (1, "")
    assert errors == "k8s-hub volumes: The API token lacks the scope admin:server_state for all users\n"
    assert "claim-gone" in place.claims()


@pytest.mark.hub
async def test_claims_of_other_hubs_only_are_a_failure(place):
    place.cluster.database.remove(CLAIMS, key_of(claim("claim-ada", namespace=NAMESPACE)))
    code, _, errors = await place.run("prune", "--delete")
    assert code == 1
    assert errors.startswith("k8s-hub volumes: nothing was deleted because no claim here belongs to")
    assert "claim-gone" in place.claims()


# --- Usage ---


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://127.0.0.1:9/hub/api")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret-token")
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "ACTION"),
        (["drop"], "'drop'"),
        (["prune", "--delete", "--dry-run"], "not allowed with argument"),
        (["prune", "--older-than", "-3"], "'-3' is not a number of days from 0"),
        (["list", "--older-than", "3"], "unrecognized arguments"),
        (["list", "--url", "hub:8081"], "--url or JUPYTERHUB_API_URL must be a URL such as"),
        (["list", "--url", "http://[::1/hub/api"], "--url or JUPYTERHUB_API_URL must be a URL such as"),
        (["list", "--url", "http://hub:99999/hub/api"], "--url or JUPYTERHUB_API_URL must be a URL such as"),
        (
            ["list", "--template", "claim-{user}"],
            "--template 'claim-{user}' has an unknown field (did you mean {userid}?)",
        ),
        (["prune", "--template", "course"], "a claim that all users share"),
        (["list", "--namespace", "a", "--all-namespaces"], "not allowed with argument"),
        (
            ["list", "--internal-certs-location", "/nowhere"],
            "--internal-certs-location /nowhere cannot be used",
        ),
    ],
)
def test_wrong_usage_is_named(environment, arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        volumes.run(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "token, said",
    [("", "JUPYTERHUB_API_TOKEN is not set"), ("s\x01ecret", "a character that a token cannot have")],
)
def test_a_missing_or_broken_token_is_named_but_not_shown(environment, monkeypatch, token, said, capsys):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", token)
    monkeypatch.setattr(beside, "PROCESSES", Path("/nowhere"))
    with pytest.raises(SystemExit) as ended:
        volumes.run(["list"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "ecret" not in error


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_password_in_the_url_is_refused_and_not_shown(environment, scheme, capsys):
    with pytest.raises(SystemExit) as ended:
        volumes.run(["list", "--url", f"{scheme}://ada:hush@hub:8081/hub/api"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "without user and password" in error
    assert "hush" not in error


def test_no_cluster_is_a_failure_in_one_sentence(environment, capsys):
    assert volumes.run(["list"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("k8s-hub volumes: ")
    assert "/nowhere" in error
    assert error.count("\n") == 1
    assert "secret-token" not in error


@pytest.mark.parametrize("action", ["list", "prune"])
def test_the_how_to_names_every_option_and_no_other(action, capsys):
    with pytest.raises(SystemExit):
        volumes.run([action, "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    page = (Path(__file__).parents[2] / "docs" / "howto" / "volumes.md").read_text()
    documented = {option for option, _ in re.findall(r"^\| `(--[a-z-]+)[^|]*\|(.*)\|$", page, re.MULTILINE)}
    only_prune = {"--delete", "--older-than", "--most"}
    assert documented - (only_prune if action == "list" else set()) == known - {"--dry-run"}
