"""The spawner deletes files only if somebody asked for it and nobody else uses them."""

import asyncio
from datetime import timedelta

import pytest

from devkit.minicluster.faults import FaultRule, Slow, refuse
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.testing.eventually import eventually
from devkit.testing.runs import NO_WAIT, ReplaceClaim, pods, struck, takes
from k8s_hub import KubeSpawner
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import Key
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


def claim_names(cluster):
    return {claim["metadata"]["name"] for claim in cluster.database.all(CLAIMS, NAMESPACE)}


async def run_once(hub, user, name=""):
    await hub.start_server(user, name)
    await hub.wait_ready(user, name)
    await hub.stop_server(user, name)
    await hub.wait_stopped(user, name)


async def test_a_removed_named_server_keeps_its_claim_by_default(hub, cluster):
    async with hub() as hub:
        await run_once(hub, "ada", "gpu")
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"claim-ada--gpu"}


async def test_with_delete_pvc_a_removed_named_server_takes_its_own_claim_along(hub, cluster):
    async with hub(delete_pvc=True) as hub:
        await run_once(hub, "ada")
        await run_once(hub, "ada", "gpu")
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"claim-ada"}


async def test_with_delete_pvc_a_deleted_user_takes_all_claims_along_and_nobody_elses(hub, cluster):
    async with hub(delete_pvc=True) as hub:
        for user, name in (("ada", ""), ("ada", "gpu"), ("bob", "")):
            await run_once(hub, user, name)
        status, _ = await hub.api("DELETE", "/users/ada")

        assert status == 204
        assert claim_names(cluster) == {"claim-bob"}


async def test_a_claim_that_all_users_share_is_never_deleted(hub, cluster):
    async with hub(delete_pvc=True, pvc_name_template="claim-of-the-course") as hub:
        await run_once(hub, "ada")
        await hub.api("DELETE", "/users/ada")

        assert claim_names(cluster) == {"claim-of-the-course"}


async def test_a_claim_that_all_users_shared_by_an_earlier_template_is_kept(hub, cluster, caplog):
    """It has the annotations of its first user, and no state of another user names it any more."""
    async with hub(delete_pvc=True, pvc_name_template="course-files") as hub:
        await run_once(hub, "ada")
        hub.app.config.KubeSpawner.pvc_name_template = "claim-{user_server}"
        hub.app.users["ada"].spawners.pop("", None)
        await run_once(hub, "ada")
        await hub.api("DELETE", "/users/ada")

        assert "course-files" in claim_names(cluster)
    assert "course-files: the claim is kept because its name does not contain the user's" in caplog.text


async def test_a_claim_that_a_starting_server_uses_is_kept(hub, cluster, caplog):
    """Both have the name from a hook, and the start has not saved it yet."""

    def choose(spawner):
        spawner.pvc_name = f"team-{spawner.user.name}"

    async with hub(delete_pvc=True, pre_spawn_hook=choose, hub=NO_WAIT) as hub:
        await run_once(hub, "ada", "gpu")
        takes(cluster, pull=20)
        await hub.start_server("ada")
        await eventually(lambda: pods(cluster))
        await hub.stop_server("ada", "gpu", remove=True)
        await hub.wait_ready("ada", seconds=60)

        (claim,) = cluster.database.all(CLAIMS, NAMESPACE)
        assert "deletionTimestamp" not in claim["metadata"]
    assert (
        "team-ada: the claim is kept because it is used by the start of ada, the pod jupyter-ada"
        in caplog.text
    )


def made_for_another(claim):
    metadata = claim["metadata"]
    user_id = {"hub.jupyter.org/user-id": "77@2020-01-01T00:00:00.000001Z"}
    return {**claim, "metadata": {**metadata, "annotations": {**metadata["annotations"], **user_id}}}


async def test_a_claim_of_an_earlier_user_of_the_name_is_kept(hub, cluster, caplog):
    async with hub(delete_pvc=True) as hub:
        await run_once(hub, "ada", "gpu")
        cluster.database.update(CLAIMS, Key(NAMESPACE, "claim-ada--gpu"), made_for_another)
        await hub.restart()
        hub.app.users["ada"].orm_spawners["gpu"].state = {}
        hub.app.db.commit()
        hub.app.users["ada"].spawners.pop("gpu", None)
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"claim-ada--gpu"}
    assert "kept because it was made for an earlier user of this name" in caplog.text


async def test_a_server_that_shares_the_users_claim_does_not_take_it_along(hub, cluster):
    async with hub(delete_pvc=True, pvc_name_template="claim-{username}") as hub:
        await run_once(hub, "ada")
        await run_once(hub, "ada", "gpu")
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"claim-ada"}


async def test_a_claim_that_another_users_server_has_in_its_state_is_kept(hub, cluster):
    """Two users may have come to one claim by a hook, or by a name that was given away."""

    def one_home(spawner):
        spawner.pvc_name = "claim-ada"

    async with hub(delete_pvc=True, pre_spawn_hook=one_home) as hub:
        await run_once(hub, "ada")
        await run_once(hub, "bob")
        await hub.api("DELETE", "/users/ada")

        assert claim_names(cluster) == {"claim-ada"}


async def test_a_renamed_user_keeps_the_home_and_the_next_bearer_of_the_name_gets_another(hub, cluster):
    async with hub(users=("bob",)) as hub:
        await run_once(hub, "bob")
        (old,) = cluster.database.all(CLAIMS, NAMESPACE)
        status, _ = await hub.api("PATCH", "/users/bob", json={"name": "robert"})
        assert status == 200
        await hub.api("POST", "/users/bob")
        later = timestamps.parse(old["metadata"]["creationTimestamp"]) + timedelta(days=1)
        hub.app.users["bob"].orm_user.created = later.replace(tzinfo=None)
        hub.app.db.commit()
        for user in ("robert", "bob"):
            await hub.start_server(user)
            await hub.wait_ready(user)

        mounted = {
            pod["metadata"]["annotations"]["hub.jupyter.org/username"]: pod["spec"]["volumes"][0][
                "persistentVolumeClaim"
            ]["claimName"]
            for pod in cluster.database.all(PODS, NAMESPACE)
        }

    assert mounted == {"robert": "claim-bob", "bob": "claim-bob--2"}


async def test_the_home_that_a_users_servers_share_goes_with_the_user(hub, cluster):
    async with hub(delete_pvc=True, pvc_name_template="claim-{username}") as hub:
        await run_once(hub, "ada", "gpu")
        await run_once(hub, "ada")
        await hub.api("DELETE", "/users/ada")

        assert claim_names(cluster) == set()


async def test_a_claim_of_a_custom_template_for_each_server_goes_with_its_own(hub, cluster):
    async with hub(delete_pvc=True, pvc_name_template="home-{username}--{servername}") as hub:
        await run_once(hub, "ada")
        await run_once(hub, "ada", "gpu")
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"home-ada"}


class Courses(KubeSpawner):
    """A subclass with a template field of its own."""

    def _expand_user_properties(self, template, slug_scheme=None):
        return super()._expand_user_properties(template.replace("{course}", "physics"), slug_scheme)


OF_COURSES = {
    "spawner_class": Courses,
    "delete_pvc": True,
    "pvc_name_template": "claim-{user_server}-{course}",
}


async def test_a_claim_of_a_template_with_a_field_of_a_subclass_goes_with_its_own(hub, cluster, caplog):
    async with hub(**OF_COURSES) as hub:
        await run_once(hub, "ada")
        await run_once(hub, "ada", "gpu")
        await hub.stop_server("ada", "gpu", remove=True)
        assert claim_names(cluster) == {"claim-ada-physics"}

        status, _ = await hub.api("DELETE", "/users/ada")
        assert status == 204
        assert claim_names(cluster) == set()
    assert "Traceback" not in caplog.text


async def test_the_ids_of_a_removed_server_are_no_run_of_the_default_server(hub, cluster):
    """The user's default server keeps them at once: the hub rolls back what another request finds uncommitted."""
    async with hub(**OF_COURSES) as hub:
        await run_once(hub, "ada", "gpu")
        with struck(cluster, Slow(seconds=1), "delete", resource="persistentvolumeclaims") as slow:
            removal = asyncio.create_task(hub.stop_server("ada", "gpu", remove=True))
            await eventually(lambda: cluster.faults.hits(slow))
            assert not hub.app.db.dirty
            await removal
        state = hub.app.users["ada"].orm_spawners[""].state

        assert len(state["earlier_starts"]) == 1
        assert state["kubespawner_version"]
        assert claim_names(cluster) == set()


async def test_a_claim_that_a_server_with_a_subclass_s_field_may_use_is_kept(hub, cluster, caplog):
    """The other server has run without a saved claim, and no template tells this class's name of it."""
    async with hub(**OF_COURSES) as hub:
        await run_once(hub, "ada")
        await run_once(hub, "ada", "gpu")
        hub.app.users["ada"].orm_spawners[""].state = {"pod_name": "jupyter-ada"}
        hub.app.db.commit()
        hub.app.users["ada"].spawners.pop("", None)
        await hub.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == {"claim-ada-physics", "claim-ada--gpu-physics"}
    assert "claim-ada--gpu-physics: the claim is kept because" in caplog.text


async def test_an_option_that_a_hook_broke_keeps_the_claim_and_is_logged(hub, cluster, caplog):
    async with hub(delete_pvc=True) as hub:
        await run_once(hub, "ada", "gpu")
        spawner = hub.app.users["ada"].spawners["gpu"]
        spawner.extra_claims.append("scratch")  # traitlets checks only what is assigned
        await spawner.delete_forever()

        assert claim_names(cluster) == {"claim-ada--gpu"}
    assert "ada:gpu: the claim is kept because its deletion failed" in caplog.text


async def test_a_claim_of_an_earlier_version_is_found_and_deleted_though_no_state_names_it(hub, cluster):
    async with hub(delete_pvc=True, pvc_name_template="claim-{username}{servername}") as opened:
        await run_once(opened, "ada", "gpu")
        opened.app.users["ada"].orm_spawners["gpu"].state = {"pod_name": "jupyter-ada--gpu"}
        opened.app.db.commit()
        opened.app.users["ada"].spawners.pop("gpu", None)
        opened.app.config.KubeSpawner.pvc_name_template = "claim-{user_server}"
        assert claim_names(cluster) == {"claim-adagpu"}
        await opened.stop_server("ada", "gpu", remove=True)

        assert claim_names(cluster) == set()


async def test_the_next_bearer_of_a_name_takes_nothing_of_a_renamed_users_along(hub, cluster):
    async with hub(users=("bob",), delete_pvc=True) as hub:
        await run_once(hub, "bob")
        await hub.api("PATCH", "/users/bob", json={"name": "robert"})
        await hub.api("POST", "/users/bob")
        await hub.api("DELETE", "/users/bob")

        assert claim_names(cluster) == {"claim-bob"}


@pytest.mark.slow
@pytest.mark.parametrize("code", [403, 404, 409, 422, 500, 503])
async def test_what_the_cluster_refuses_keeps_no_server_in_the_hub(hub, cluster, code):
    """The hub forgets the server whatever happens; an exception would only be a traceback in its log."""
    async with hub(delete_pvc=True) as hub:
        await run_once(hub, "ada", "gpu")
        spawner = hub.app.users["ada"].spawners["gpu"]
        refused = refuse({"kind": "Status", "code": code, "message": "no"})
        cluster.faults.add(FaultRule(verb="delete", resource="persistentvolumeclaims", effect=refused))
        await spawner.delete_forever()

        assert claim_names(cluster) == {"claim-ada--gpu"}


async def test_a_cluster_that_is_away_is_no_error_either(hub, cluster):
    async with hub(delete_pvc=True) as hub:
        await run_once(hub, "ada", "gpu")
        cluster.faults.add(FaultRule(effect=refuse({"kind": "Status", "code": 503, "message": "away"})))
        assert await hub.stop_server("ada", "gpu", remove=True) == 204

        assert claim_names(cluster) == {"claim-ada--gpu"}


async def test_a_claim_that_took_the_name_meanwhile_is_not_deleted(hub, cluster):
    """An administrator restores a backup in the moment in which the hub deletes the user."""
    async with hub(delete_pvc=True) as hub:
        await run_once(hub, "ada")
        cluster.faults.add(ReplaceClaim(cluster))
        status, _ = await hub.api("DELETE", "/users/ada")

        assert status == 204
        assert claim_names(cluster) == {"claim-ada"}
