"""Claims besides the home, and servers of one user that share a claim, on a cluster."""

import asyncio
import logging
import re
from pathlib import Path

import jupyterhub
import pytest
from tornado.web import HTTPError
from traitlets import TraitError
from traitlets.config import Config

from devkit.minicluster.faults import CutWatch, Refuse, Slow, refuse
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.minicluster.statuses import status_body
from devkit.testing.bare import bare_spawner
from devkit.testing.eventually import eventually
from devkit.testing.runs import Run, claims, pods, restart_process, sentence_of, sentences, struck, takes
from k8s_hub import KubeSpawner
from k8s_hub.claims.extra import KEEP_ANNOTATION
from k8s_hub.kube.core.store import View
from k8s_hub.naming.ownership import (
    EXTRA_CLAIM_ANNOTATION,
    SAME_NODE_ANNOTATION,
    SERVERNAME_ANNOTATION,
    USERNAME_ANNOTATION,
)
from k8s_hub.objects.keys import Key, annotations_of, key_of, labels_of, uid_of
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "extra-volumes.md"
SCRATCH = {"name": "scratch", "capacity": "5Gi", "mount_path": "/scratch"}
FIELDS = "requiredDuringSchedulingIgnoredDuringExecution"


def claim_names(cluster):
    return {key_of(claim).name for claim in claims(cluster)}


def claim_of(cluster, name):
    return cluster.database.get(CLAIMS, Key(NAMESPACE, name))


def plant_claim(cluster, name, *, user="ada", server="", use="scratch", **metadata):
    """Create a claim behind everybody's back."""
    annotations = {USERNAME_ANNOTATION: user, EXTRA_CLAIM_ANNOTATION: use, SERVERNAME_ANNOTATION: server}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {key: value for key, value in annotations.items() if value},
            **metadata,
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Bound"},
    }
    return cluster.database.create(CLAIMS, claim).obj


def mounted(pod):
    """Return the claims of a pod by where they are mounted."""
    sources = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"]
    }
    return {
        mount["mountPath"]: sources[mount["name"]] for mount in pod["spec"]["containers"][0]["volumeMounts"]
    }


async def rejection(run):
    with pytest.raises(HTTPError) as failed:
        await run.start()
    return failed.value


# --- Claims besides the home ---


async def test_an_extra_claim_is_created_and_mounted_beside_the_home(cluster):
    extra = {**SCRATCH, "storage_class": "standard", "access_modes": ["ReadWriteMany"], "read_only": True}
    await Run(
        extra_claims=[{**extra, "sub_path": "of-{username}"}], storage_extra_labels={"tier": "x"}
    ).start()

    (pod,) = pods(cluster)
    claim = claim_of(cluster, "scratch--ada")
    assert mounted(pod) == {"/home/jovyan": "claim-ada", "/scratch": "scratch--ada"}
    assert pod["spec"]["containers"][0]["volumeMounts"][1] == {
        "name": "extra-scratch",
        "mountPath": "/scratch",
        "subPath": "of-ada",
        "readOnly": True,
    }
    assert claim["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "standard",
    } | {
        key: claim["spec"][key]
        for key in claim["spec"].keys() - {"accessModes", "resources", "storageClassName"}
    }
    assert annotations_of(claim)[EXTRA_CLAIM_ANNOTATION] == "scratch"
    assert annotations_of(claim)[USERNAME_ANNOTATION] == "ada"
    assert labels_of(claim)["component"] == "singleuser-storage"
    assert labels_of(claim)["tier"] == "x"


async def test_extra_claims_need_no_home(cluster):
    await Run(extra_claims=[SCRATCH], storage_pvc_ensure=False, volumes=[], volume_mounts=[]).start()

    (pod,) = pods(cluster)
    assert mounted(pod) == {"/scratch": "scratch--ada"}
    assert claim_names(cluster) == {"scratch--ada"}


async def test_each_server_has_its_own_and_keeps_it(cluster):
    first = Run(extra_claims=[SCRATCH])
    await first.start()
    await Run("ada", "gpu", extra_claims=[SCRATCH]).start()
    await first.stop()
    before = uid_of(claim_of(cluster, "scratch--ada"))
    await first.next(extra_claims=[SCRATCH]).start()

    assert claim_names(cluster) == {"claim-ada", "claim-ada--gpu", "scratch--ada", "scratch--ada--gpu"}
    assert uid_of(claim_of(cluster, "scratch--ada")) == before


async def test_a_new_template_leads_to_the_old_claim_with_and_without_the_saved_state(cluster):
    first = Run(extra_claims=[SCRATCH])
    await first.start()
    await first.stop()
    renamed = [{**SCRATCH, "name_template": "tmp-{user_server}"}]
    second = first.next(extra_claims=renamed)
    await second.start()
    await second.stop()
    await restart_process()
    await Run(extra_claims=renamed).start()

    (pod,) = pods(cluster)
    assert mounted(pod)["/scratch"] == "scratch--ada"
    assert claim_names(cluster) == {"claim-ada", "scratch--ada"}


async def test_a_profile_or_hook_may_give_a_server_other_claims(cluster):
    """A plain assignment to the spawner is what a profile's kubespawner_override does."""
    run = Run()
    run.spawner.extra_claims = {"big": {"capacity": "9Gi", "mount_path": "/big"}}
    await run.start()

    (pod,) = pods(cluster)
    assert mounted(pod)["/big"] == "big--ada"
    assert run.state["extra_claims"] == {"big": "big--ada"}


@pytest.mark.skipif(jupyterhub.version_info < (6,), reason="servers can be renamed since JupyterHub 6")
async def test_a_renamed_server_keeps_its_extra_claim(hub, cluster):
    async with hub(extra_claims=[SCRATCH]) as hub:
        for name in ("gpu", "big"):
            if name == "big":
                await hub.stop_server("ada", "gpu")
                await hub.wait_stopped("ada", "gpu")
                status, _ = await hub.api("PATCH", "/users/ada/servers/gpu", json={"name": "big"})
                assert status == 200
            await hub.start_server("ada", name)
            await hub.wait_ready("ada", name)

    assert claim_names(cluster) == {"claim-ada--gpu", "scratch--ada--gpu"}


async def test_one_that_is_being_deleted_is_waited_for_and_made_anew(cluster):
    old = plant_claim(cluster, "scratch--ada", deletionTimestamp="2099-12-31T00:00:00Z")
    backup = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "backup", "namespace": NAMESPACE},
        "spec": {
            "containers": [{"name": "backup", "image": "backup"}],
            "volumes": [{"name": "old", "persistentVolumeClaim": {"claimName": "scratch--ada"}}],
        },
        "status": {"phase": "Running"},
    }
    cluster.database.create(PODS, backup)
    run = Run(extra_claims=[SCRATCH])
    starting = asyncio.create_task(run.start())
    await eventually(lambda: "claim-ada" in claim_names(cluster))
    await asyncio.sleep(1)
    assert claim_of(cluster, "scratch--ada") == old
    cluster.database.remove(PODS, Key(NAMESPACE, "backup"))
    await starting

    assert uid_of(claim_of(cluster, "scratch--ada")) != uid_of(old)
    assert (
        'Your volume "scratch" (scratch--ada) is being deleted. Your server then gets a '
        "new, empty one." in await sentences(run)
    )


async def test_that_of_another_user_is_refused_in_a_sentence_and_stays(cluster):
    plant_claim(cluster, "scratch--ada", user="bob")
    error = await rejection(Run(extra_claims=[SCRATCH]))

    assert sentence_of(error) == (
        "Your home volume cannot be opened because a volume of its name belongs to another user. "
        "Contact your administrator."
    )
    assert error.reason == "foreign_object"
    assert pods(cluster) == []


async def test_a_home_of_that_name_is_refused_in_a_sentence(cluster):
    error = await rejection(Run(extra_claims=[{**SCRATCH, "name_template": "claim-{user_server}"}]))

    assert sentence_of(error).startswith(
        'Your volume "scratch" cannot be opened because another volume has its name.'
    )
    assert pods(cluster) == []


async def test_a_saved_name_that_is_a_home_by_now_leads_to_a_new_claim(cluster, witness):
    """... and not to requests without an end: the view has shown that claim all the time."""
    plant_claim(cluster, "restored", use="")
    await Run(state={"extra_claims": {"scratch": "restored"}}, extra_claims=[SCRATCH]).start()
    (pod,) = pods(cluster)
    assert mounted(pod)["/scratch"] == "scratch--ada"
    assert len([call for call in witness.calls if call.verb == "get"]) < 5


async def test_a_refused_claim_is_named_to_the_user(cluster):
    words = "exceeded quota: q, requested: requests.storage=5Gi, used: requests.storage=1Gi, limited: requests.storage=2Gi"
    refused = Refuse(code=403, body={"kind": "Status", "code": 403, "reason": "Forbidden", "message": words})
    with struck(cluster, refused, "create", "persistentvolumeclaims", name="scratch--*"):
        error = await rejection(Run(extra_claims=[SCRATCH]))

    assert sentence_of(error).startswith('Not enough quota: your volume "scratch" needs 5 GiB')
    assert error.reason == "quota"


async def test_the_claim_that_has_a_trouble_is_the_one_that_is_named(cluster):
    error = await rejection(
        Run(extra_claims=[SCRATCH, {**SCRATCH, "name": "b", "mount_path": "/b", "storage_class": "no"}])
    )

    assert sentence_of(error) == (
        'Your volume "b" could not be created: the cluster does not have its kind of storage (storage class "no"). '
        "Contact your administrator."
    )


async def test_a_wrong_extra_claim_is_refused_at_once_with_its_place_and_value():
    config = Config({"KubeSpawner": {"extra_claims": [{**SCRATCH, "capacity": "big"}]}})
    with pytest.raises(
        TraitError, match=r"^KubeSpawner\.extra_claims\[0\]\.capacity: 'big' is not a Kubernetes"
    ):
        bare_spawner(config=config)

    spawner = bare_spawner(extra_claims=[SCRATCH])
    with pytest.raises(TraitError, match=r"^KubeSpawner\.extra_claims\['x'\]\.mount_path: is missing$"):
        spawner.extra_claims = {"x": {"capacity": "1Gi"}}
    assert spawner.extra_claims == [SCRATCH]


async def test_the_saved_state_names_extra_claims_and_forgets_what_is_no_name():
    spawner = bare_spawner()
    spawner.load_state({"pod_name": "jupyter-ada", "extra_claims": {"scratch": "s", "data": 7}})
    assert spawner.get_state()["extra_claims"] == {"scratch": "s"}

    spawner.load_state({"pod_name": "jupyter-ada", "extra_claims": "junk"})
    assert "extra_claims" not in spawner.get_state()


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
async def test_a_server_starts_with_each_piece_of_the_page(cluster, code):
    c = Config()
    exec(code.replace('"fast"', '"standard"'), {"c": c})
    await Run(**c.KubeSpawner).start()

    (pod,) = pods(cluster)
    assert pod["status"]["phase"] == "Running"


# --- Its end ---


async def run_once(hub, user="ada", name=""):
    await hub.start_server(user, name)
    await hub.wait_ready(user, name)
    await hub.stop_server(user, name)
    await hub.wait_stopped(user, name)


BOTH = [{**SCRATCH, "keep": "with-server"}, {"name": "data", "capacity": "1Gi", "mount_path": "/data"}]


async def test_a_removed_server_takes_along_what_is_to_go_with_it(hub, cluster):
    async with hub(extra_claims=BOTH) as hub:
        for name in ("", "gpu"):
            await run_once(hub, name=name)
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {
            "claim-ada",
            "scratch--ada",
            "data--ada",
            "claim-ada--gpu",
            "data--ada--gpu",
        }
        await hub.api("DELETE", "/users/ada")
        assert claim_names(cluster) == {"claim-ada", "data--ada", "claim-ada--gpu", "data--ada--gpu"}


async def test_what_a_profile_gave_goes_too_although_nobody_chooses_it_any_more(hub, cluster):
    def give(spawner):
        spawner.extra_claims = BOTH

    async with hub(pre_spawn_hook=give) as hub:
        await run_once(hub, name="gpu")
        hub.config.KubeSpawner.pre_spawn_hook = None
        await hub.restart()
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"claim-ada--gpu", "data--ada--gpu"}


async def test_one_that_somebody_has_deleted_does_not_keep_the_next(hub, cluster):
    both = [{**extra, "keep": "with-server"} for extra in BOTH]
    async with hub(extra_claims=both) as hub:
        await run_once(hub, name="gpu")
        cluster.database.remove(CLAIMS, Key(NAMESPACE, "scratch--ada--gpu"))
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"claim-ada--gpu"}


async def test_what_is_to_be_kept_by_now_is_kept(hub, cluster):
    async with hub(extra_claims=BOTH) as hub:
        await run_once(hub, name="gpu")
        hub.config.KubeSpawner.extra_claims = [SCRATCH]
        await hub.restart()
        await hub.stop_server("ada", "gpu", remove=True)

        assert "scratch--ada--gpu" in claim_names(cluster)


async def test_one_whose_annotation_was_taken_away_is_kept(hub, cluster):
    def keep(claim):
        kept = {key: text for key, text in annotations_of(claim).items() if key != KEEP_ANNOTATION}
        return {**claim, "metadata": {**claim["metadata"], "annotations": kept}}

    async with hub(extra_claims=BOTH) as hub:
        await run_once(hub, name="gpu")
        cluster.database.update(CLAIMS, Key(NAMESPACE, "scratch--ada--gpu"), keep)
        await hub.stop_server("ada", "gpu", remove=True)

        assert "scratch--ada--gpu" in claim_names(cluster)


# --- Several servers with one claim ---

SHARED = {"pvc_name_template": "claim-{username}"}


def pod_of(cluster, name):
    return next(pod for pod in pods(cluster) if annotations_of(pod).get(SERVERNAME_ANNOTATION, "") == name)


async def test_a_second_server_goes_where_the_claim_is_and_its_user_reads_why(cluster):
    await Run(**SHARED).start()
    term = {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}
    second = Run("ada", "gpu", node_affinity_required=[term], **SHARED)
    await second.start()

    pod = pod_of(cluster, "gpu")
    node = {"key": "metadata.name", "operator": "In", "values": ["mini"]}
    assert pod["spec"]["affinity"]["nodeAffinity"][FIELDS]["nodeSelectorTerms"] == [
        {**term, "matchFields": [node]}
    ]
    assert annotations_of(pod)[SAME_NODE_ANNOTATION] == ""
    assert (
        "Your default server uses the same volume, so this server starts on the same machine."
        in await sentences(second)
    )
    assert "affinity" not in pod_of(cluster, "")["spec"]


async def test_a_server_from_before_a_rename_of_its_user_binds_too(hub, cluster):
    async with hub(**SHARED) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await hub.api("PATCH", "/users/ada", json={"name": "lovelace"})
        await hub.start_server("lovelace", "gpu")
        await hub.wait_ready("lovelace", "gpu")

        assert len(claim_names(cluster)) == 1
        assert annotations_of(pod_of(cluster, "gpu"))[SAME_NODE_ANNOTATION] == ""


async def test_an_extra_claim_binds_as_the_home_does(cluster):
    extra = [{**SCRATCH, "name_template": "scratch-{username}"}]
    await Run("ada", "gpu", extra_claims=extra).start()
    second = Run(extra_claims=extra)
    await second.start()

    assert annotations_of(pod_of(cluster, ""))[SAME_NODE_ANNOTATION] == "gpu"
    assert (
        'Your server "gpu" uses the same volume, so this server starts on the same machine.'
        in await sentences(second)
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {**SHARED, "storage_access_modes": ["ReadWriteMany"]},
        {**SHARED, "storage_same_node": False},
        {**SHARED, "volumes": [], "volume_mounts": []},
    ],
    ids=["claims of their own", "a volume for many machines", "switched off", "not mounted"],
)
async def test_without_need_no_server_is_bound_to_a_node(cluster, options):
    await Run(**options).start()
    await Run("ada", "gpu", **options).start()

    assert "affinity" not in pod_of(cluster, "gpu")["spec"]
    assert SAME_NODE_ANNOTATION not in annotations_of(pod_of(cluster, "gpu"))


async def test_a_server_that_starts_again_is_not_bound_by_its_own_earlier_pod(cluster):
    first = Run(**SHARED)
    await first.start()
    await first.next(**SHARED).start()

    (pod,) = pods(cluster)
    assert "affinity" not in pod["spec"]


async def test_a_claim_of_all_users_binds_nobody(cluster):
    for user in ("ada", "bob"):
        await Run(user, pvc_name_template="claim-of-the-course").start()

    assert [pod["spec"].get("affinity") for pod in pods(cluster)] == [None, None]


@pytest.mark.parametrize(
    "mode, read",
    [("ReadWriteOnce", ["jupyter-ada--gpu", "jupyter-ada--gpu"]), ("ReadWriteMany", [])],
    ids=["one machine", "many"],
)
async def test_of_a_claim_of_all_users_only_pods_that_can_bind_this_server_are_read(
    cluster, monkeypatch, mode, read
):
    everybody = {"pvc_name_template": "claim-of-the-course", "storage_access_modes": [mode]}
    for user, name in (("bob", ""), ("eve", ""), ("ada", "gpu")):
        await Run(user, name, **everybody).start()
    seen, find = [], View.find

    def watched(view, value):
        found = find(view, value)
        seen.extend(key_of(each).name for each in found)
        return found

    monkeypatch.setattr(View, "find", watched)
    await Run(**everybody).start()

    # Once before its turn and once in it.
    assert [name for name in seen if name.startswith("jupyter-")] == read


async def test_a_claim_for_one_pod_is_refused_at_once_with_the_server_that_has_it(cluster, looptime):
    exclusive = {**SHARED, "storage_access_modes": ["ReadWriteOncePod"]}
    await Run(**exclusive).start()
    error = await rejection(Run("ada", "gpu", **exclusive))

    assert sentence_of(error) == (
        "Only one server at a time can use the volume of this server, and your default server uses it. "
        "Stop that server first."
    )
    assert error.reason == "volume_in_use"
    assert looptime < 5
    assert len(pods(cluster)) == 1


async def test_a_server_between_two_machines_is_refused_with_both_names(cluster):
    takes(cluster, schedule=1000)
    for server, node, claim in (("a", "one", "claim-ada"), ("b", "two", "scratch-ada")):
        holder = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"jupyter-ada--{server}",
                "namespace": NAMESPACE,
                "labels": {"component": "singleuser-server"},
                "annotations": {USERNAME_ANNOTATION: "ada", SERVERNAME_ANNOTATION: server},
            },
            "spec": {
                "nodeName": node,
                "containers": [{"name": "notebook", "image": "singleuser"}],
                "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": claim}}],
            },
            "status": {"phase": "Running"},
        }
        cluster.database.create(PODS, holder)
    extra = [{**SCRATCH, "name_template": "scratch-{username}"}]
    error = await rejection(Run(extra_claims=extra, **SHARED))

    assert sentence_of(error) == (
        'This server shares volumes with your server "a" and your server "b", which run on different machines. '
        "Stop one of them first."
    )
    assert error.reason == "volume_in_use"


async def test_a_server_whose_node_is_named_elsewhere_is_refused(cluster):
    await Run(**SHARED).start()
    error = await rejection(Run("ada", "gpu", extra_pod_config={"nodeName": "other"}, **SHARED))

    assert "on another machine" in sentence_of(error)
    assert error.reason == "volume_in_use"


async def test_a_server_without_a_machine_yet_is_waited_for(cluster):
    takes(cluster, schedule=20)
    first, second = Run(**SHARED), Run("ada", "gpu", **SHARED)
    starting = asyncio.create_task(first.start())
    await eventually(lambda: len(pods(cluster)) == 1)
    await second.start()
    await starting

    assert annotations_of(pod_of(cluster, "gpu"))[SAME_NODE_ANNOTATION] == ""
    assert (
        "Your default server uses the same volume and has no machine yet. This server is waiting for the same "
        "machine." in await sentences(second)
    )


@pytest.mark.parametrize("seconds", [0.0, 0.5])
async def test_servers_that_are_started_at_once_are_placed_one_after_the_other(cluster, seconds):
    takes(cluster, schedule=1)
    with struck(cluster, Slow(seconds=seconds), "create", "pods"):
        await asyncio.gather(*(Run("ada", name, **SHARED).start() for name in ("", "a", "b")))

    bound = [SAME_NODE_ANNOTATION in annotations_of(pod) for pod in pods(cluster)]
    assert sorted(bound) == [False, True, True]


async def test_a_server_is_not_placed_before_the_view_shows_where_the_last_one_went(cluster):
    await Run("bob").start()
    with (
        struck(cluster, CutWatch(), "watch", "pods", count=1) as cut,
        struck(cluster, Slow(seconds=2), "watch", "pods"),
    ):
        first = asyncio.create_task(Run(**SHARED).start())
        await eventually(lambda: cluster.faults.hits(cut) == 1)
        await Run("ada", "gpu", **SHARED).start()
        await first

    assert annotations_of(pod_of(cluster, "gpu"))[SAME_NODE_ANNOTATION] == ""


async def test_servers_with_claims_of_their_own_do_not_wait_for_each_other(cluster, looptime):
    with struck(cluster, Slow(seconds=2), "create", "pods"):
        await asyncio.gather(*(Run("ada", name).start() for name in ("", "a", "b")))

    assert looptime < 4


async def test_a_start_that_is_cancelled_in_its_turn_gives_it_to_the_next(cluster, looptime):
    takes(cluster, schedule=1000)
    first, second = Run(**SHARED), Run("ada", "a", **SHARED)
    starting = [asyncio.create_task(run.start()) for run in (first, second)]
    await eventually(lambda: len(pods(cluster)) == 1)
    for task in starting:
        task.cancel()
    await asyncio.wait(starting)
    for run in (first, second):
        await run.spawner.stop()
    takes(cluster, schedule=0)
    await Run("ada", "b", **SHARED).start()

    assert "affinity" not in pod_of(cluster, "b")["spec"]


async def test_a_server_whose_earlier_pod_is_slow_to_go_holds_up_no_other(cluster, looptime):
    first = Run(**SHARED, stop_timeout=1)
    await first.start()
    takes(cluster, stop=40)
    await first.stop()
    again = asyncio.create_task(first.next(**SHARED).start())
    await asyncio.sleep(2)
    await Run("ada", "gpu", **SHARED).start()
    assert looptime < 10

    await again
    assert annotations_of(pod_of(cluster, ""))[SAME_NODE_ANNOTATION] == "gpu"


async def test_a_server_that_gets_no_machine_is_waited_for_until_the_deadline(cluster, looptime):
    takes(cluster, schedule=1000)
    starting = asyncio.create_task(Run(**SHARED).start())
    await eventually(lambda: len(pods(cluster)) == 1)
    error = await rejection(Run("ada", "gpu", **SHARED))
    starting.cancel()
    await asyncio.wait([starting])

    assert sentence_of(error) == (
        "Your default server uses the same volume and got no machine within 1 min. "
        "Stop that server first, or try again later."
    )
    assert error.reason == "volume_in_use"
    assert looptime < 60


async def test_each_of_several_servers_that_wait_for_a_machine_says_so(cluster):
    takes(cluster, schedule=1000)
    starting = asyncio.create_task(Run(**SHARED).start())
    await eventually(lambda: len(pods(cluster)) == 1)
    errors = await asyncio.gather(*(rejection(Run("ada", name, **SHARED)) for name in ("a", "b")))
    starting.cancel()
    await asyncio.wait([starting])

    assert [error.reason for error in errors] == ["volume_in_use", "volume_in_use"]


async def test_after_a_restart_of_the_hub_a_holder_is_still_known(cluster):
    await Run(**SHARED).start()
    await restart_process()
    await Run("ada", "gpu", **SHARED).start()

    assert annotations_of(pod_of(cluster, "gpu"))[SAME_NODE_ANNOTATION] == ""


# --- Growth: what a cluster makes of it is shown on a real one ---


async def test_a_growth_that_is_refused_is_one_line_in_the_log_and_the_server_starts(cluster, caplog):
    """The mini cluster supports no PATCH."""
    first = Run()
    await first.start()
    await first.stop()
    caplog.set_level(logging.INFO)
    await first.next(storage_capacity="2Gi", storage_grow=True).start()

    lines = [record for record in caplog.records if "grow" in record.message]
    assert [record.levelname for record in lines] == ["WARNING"]
    assert lines[0].message.startswith("default/claim-ada: cannot grow the claim to 2Gi: ")


@pytest.mark.parametrize(
    "options",
    [
        {"storage_capacity": "2Gi"},
        {"storage_grow": True},
        {"storage_grow": True, "storage_capacity": "512Mi"},
    ],
    ids=["not asked for", "equal", "smaller"],
)
async def test_nothing_is_asked_for_without_need(cluster, caplog, options):
    first = Run()
    await first.start()
    await first.stop()
    caplog.set_level(logging.INFO)
    await first.next(**options).start()

    assert [record for record in caplog.records if "grow" in record.message] == []


# --- Who named the home ---


def home(cluster, name, user="ada"):
    """Create a home claim that is no extra claim."""
    plant_claim(cluster, name, annotations={USERNAME_ANNOTATION: user})


def project(name, **override):
    return {"display_name": name, "slug": name, "kubespawner_override": override}


PROJECTS = [
    project("a", pvc_name_template="project-a", pvc_name="project-a"),
    project("b", pvc_name_template="project-b", pvc_name="project-b"),
    project("none"),
]


async def test_a_claim_for_each_project_is_the_one_that_the_profile_names_every_time(cluster):
    """... although the saved state names another, and although the template would say the same."""
    run, used = Run(profile_list=PROJECTS), []
    for slug in ("a", "b", "b", "a", "none"):
        run.spawner.user_options = {"profile": slug}
        await run.start()
        (pod,) = pods(cluster)
        used.append(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"])
        await run.stop()
        run = run.next(profile_list=PROJECTS)

    # Without a name from the profile it is the claim of last time, as with KubeSpawner.
    assert used == ["project-a", "project-b", "project-b", "project-a", "project-a"]
    assert claim_names(cluster) == {"project-a", "project-b"}


async def test_a_name_that_is_assigned_counts_although_the_template_names_it_too(cluster):
    """The home of before is not taken instead: whoever assigns a name knows what they do."""
    home(cluster, "claim-old")

    await Run(profile_list=[project("p", pvc_name="claim-ada")]).start()

    assert claim_names(cluster) == {"claim-old", "claim-ada"}


class NamesAtStart(KubeSpawner):
    async def start(self):
        self.pvc_name = "claim-ada"
        return await super().start()


class NamesWhenMade(KubeSpawner):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pvc_name = "claim-ada"


def by_hook(spawner):
    spawner.pvc_name = "claim-ada"


@pytest.mark.parametrize(
    "options",
    [
        {"pre_spawn_hook": by_hook},
        {"auth_state_hook": lambda spawner, auth_state: by_hook(spawner)},
        {"profile_list": [project("p", pvc_name=lambda spawner: "claim-ada")]},
        {"spawner_class": NamesAtStart},
        {"spawner_class": NamesWhenMade},
    ],
    ids=lambda options: next(iter(options)),
)
async def test_whoever_assigns_a_name_it_counts(hub, cluster, options):
    home(cluster, "claim-old")
    async with hub(**options) as hub:
        for _ in range(2):
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")

    assert claim_names(cluster) == {"claim-old", "claim-ada"}


@pytest.mark.parametrize("state", [None, {"pod_name": "jupyter-ada-40example-2eorg", "namespace": NAMESPACE}])
@pytest.mark.parametrize("template", ["claim-{username}-dev", "claim-{user_server}", "shared", "{nonsense}"])
async def test_a_template_that_comes_after_the_names_hides_no_home(cluster, state, template):
    home(cluster, "claim-ada-40example-2eorg", "ada@example.org")
    profile = project("t", pvc_name_template=template)
    run = Run("ada@example.org", state=state, profile_list=[profile])
    await run.start()

    assert claim_names(cluster) == {"claim-ada-40example-2eorg"}


async def test_a_template_that_comes_after_the_names_names_no_new_home_either(cluster):
    await Run(profile_list=[project("t", pvc_name_template="shared")]).start()

    assert claim_names(cluster) == {"claim-ada"}


async def test_a_name_whose_claim_was_never_there_is_not_remembered(cluster):
    """A start that fails before the claim exists leaves the state with the home that does."""
    first = Run()
    await first.start()
    await first.stop()
    full = refuse(
        status_body(403, "Forbidden", "exceeded quota: q, requested: a=1, used: a=1, limited: a=1", {})
    )
    second = first.next(profile_list=[project("b", pvc_name="project-b")])
    with struck(cluster, full, "create", "persistentvolumeclaims"), pytest.raises(HTTPError):
        await second.start()

    assert second.spawner.get_state()["pvc_name"] == "claim-ada"


async def test_a_home_with_a_suffix_that_could_not_be_created_is_looked_for_again(cluster):
    """The name of an attempt is nobody's wish: the next start chooses anew."""
    plant_claim(cluster, "claim-ada", use="", user="")
    taken = Run("ada", "gpu", pvc_name_template="claim-{username}-{servername}")
    assert taken.spawner._manifests.home_claim("claim-ada--2")["metadata"]["name"] == "claim-ada--2"

    assert taken.spawner.pvc_name == "claim-ada-gpu"


# --- Without claims ---


def denied(verb, resource):
    message = f'{resource} is forbidden: User "hub" cannot {verb} resource "{resource}" in API group ""'
    return refuse(status_body(403, "Forbidden", message, {"kind": resource}))


@pytest.mark.parametrize(
    "volumes",
    [[], [{"name": "shared", "persistentVolumeClaim": {"claimName": "of-the-course"}}]],
    ids=["no volume", "a claim of the administrator's"],
)
async def test_a_hub_that_sees_to_no_claim_needs_no_right_to_list_them(cluster, witness, volumes):
    home(cluster, "of-the-course")
    run = Run(storage_pvc_ensure=False, volumes=volumes, volume_mounts=[])
    with struck(cluster, denied("list", "persistentvolumeclaims"), "*", "persistentvolumeclaims"):
        await run.start()
        assert await run.spawner.poll() is None
        await run.stop()
        await run.spawner.delete_forever()

    assert not [call for call in witness.calls if call.resource == "persistentvolumeclaims"]


async def test_a_hub_that_sees_to_claims_says_which_right_is_missing(cluster):
    with (
        struck(cluster, denied("list", "persistentvolumeclaims"), "list", "persistentvolumeclaims"),
        pytest.raises(HTTPError) as failed,
    ):
        await Run().start()

    assert "lacks a permission in the cluster (list persistentvolumeclaims)" in sentence_of(failed.value)


async def test_a_profile_may_be_the_first_that_needs_a_claim(cluster):
    profile = project("scratch", extra_claims=[SCRATCH])
    await Run(storage_pvc_ensure=False, volumes=[], volume_mounts=[], profile_list=[profile]).start()

    assert claim_names(cluster) == {"scratch--ada"}
