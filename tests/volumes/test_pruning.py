"""What goes, goes by its uid and after a second look; what is in doubt stays; an end in the middle is told."""

import asyncio

import pytest

from devkit.minicluster.faults import CommitAfterDisconnect, FaultRule, ReplyLost, refuse
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.testing.eventually import eventually
from devkit.testing.runs import ReplaceClaim, plant_pod
from k8s_hub.clock import utcnow
from k8s_hub.hub.errors import HubError
from k8s_hub.kube.core.errors import Forbidden, KubeError
from k8s_hub.objects.keys import uid_of
from k8s_hub.volumes.plan import OwnerIndex, PruneOptions, plan
from k8s_hub.volumes.pruning import ClaimDeleted, ClaimKept, ClaimUnclear, prune
from tests.volumes.conftest import key, run_once

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


class Pruning:
    """One run of the command, in its two halves: what is planned, and what is done some time later."""

    def __init__(self, sources):
        self.sources = sources
        self.seen_claim = {}

    async def look(self):
        found = await self.sources.read()
        self.options = PruneOptions(now=utcnow())
        self.findings = plan(found.claims, found.mounts, OwnerIndex.of(found.users), self.options).findings
        return {finding.key.name for finding in self.findings if finding.deletable}

    async def act(self):
        await prune(self.sources, self.findings, self.options, self.on_outcome)
        return self.seen_claim

    def on_outcome(self, finding, outcome):
        self.seen_claim[finding.key.name] = outcome


@pytest.fixture
async def pruning(hub, sources):
    """A hub whose user ada has a home, and a function that says what may go."""
    async with hub() as hub:
        await run_once(hub, "ada")
        async with sources(hub) as sources:
            pruning = Pruning(sources)
            pruning.hub = hub
            yield pruning


async def test_the_claims_of_gone_users_and_servers_go_and_no_other(pruning, plant, names):
    hub = pruning.hub
    for server in ("gpu", "cpu"):
        await run_once(hub, "ada", server)
    await hub.stop_server("ada", "gpu", remove=True)
    plant("claim-gone", "gone")
    plant("course", "gone")
    assert await pruning.look() == {"claim-ada--gpu", "claim-gone"}
    assert names() == {"claim-ada", "claim-ada--gpu", "claim-ada--cpu", "claim-gone", "course"}

    assert await pruning.act() == {"claim-ada--gpu": ClaimDeleted(), "claim-gone": ClaimDeleted()}
    assert names() == {"claim-ada", "claim-ada--cpu", "course"}


async def test_the_home_of_a_renamed_user_stays(pruning, names):
    await pruning.hub.api("PATCH", "/users/ada", json={"name": "lovelace"})
    await run_once(pruning.hub, "bob")
    assert await pruning.look() == set()
    await pruning.act()
    assert names() == {"claim-ada", "claim-bob"}


async def test_the_home_of_a_renamed_user_stays_though_no_state_names_it(pruning, names):
    """Only its annotation tells that the user has it: when the user was created."""
    hub = pruning.hub
    await run_once(hub, "bob")
    hub.app.users["ada"].orm_spawners[""].state = {}
    hub.app.db.commit()
    await hub.api("PATCH", "/users/ada", json={"name": "lovelace"})
    assert await pruning.look() == set()
    await pruning.act()
    assert names() == {"claim-ada", "claim-bob"}


async def test_a_claim_whose_owner_changes_in_between_stays(pruning, names):
    """Its server is gone at the first look, its user renamed at the second: the server may be there again, under that name."""
    hub = pruning.hub
    await run_once(hub, "ada", "gpu")
    await hub.stop_server("ada", "gpu", remove=True)
    assert await pruning.look() == {"claim-ada--gpu"}
    await hub.api("PATCH", "/users/ada", json={"name": "lovelace"})
    (outcome,) = (await pruning.act()).values()
    assert "its owner has changed" in outcome.reason
    assert names() == {"claim-ada", "claim-ada--gpu"}


async def test_the_ids_of_a_removed_server_are_no_run_of_the_default_server(pruning, names):
    hub = pruning.hub
    await run_once(hub, "bob", "gpu")
    await hub.stop_server("bob", "gpu", remove=True)
    assert await pruning.look() == {"claim-bob--gpu"}


async def test_nothing_is_asked_to_be_deleted_that_may_not_go(pruning, plant, witness):
    plant("course", "gone")
    await pruning.look()
    await pruning.act()
    assert not [call for call in witness.calls if call.verb == "delete" and "claim" in call.resource]


# --- Between the look and the act ---


async def test_a_user_who_came_back_keeps_the_claim(pruning, plant, names):
    plant("claim-gone", "gone")
    await pruning.look()
    await pruning.hub.api("POST", "/users/gone")
    seen_claim = await pruning.act()
    assert seen_claim == {"claim-gone": ClaimKept(reason="it belongs to gone")}
    assert "claim-gone" in names()


async def test_a_server_that_came_back_keeps_the_claim(pruning, names):
    await run_once(pruning.hub, "ada", "gpu")
    await pruning.hub.stop_server("ada", "gpu", remove=True)
    assert await pruning.look() == {"claim-ada--gpu"}
    await run_once(pruning.hub, "ada", "gpu")
    assert await pruning.act() == {"claim-ada--gpu": ClaimKept(reason="it belongs to ada/gpu")}
    assert "claim-ada--gpu" in names()


async def test_a_claim_that_a_pod_has_mounted_since_stays(pruning, plant, names, cluster):
    plant("claim-gone", "gone")
    await pruning.look()
    plant_pod(cluster, "copy", username=None)
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "claim-gone"}}]
    cluster.database.update(
        PODS, key("copy"), lambda pod: {**pod, "spec": {**pod["spec"], "volumes": volumes}}
    )
    assert await pruning.act() == {"claim-gone": ClaimKept(reason="it is mounted by the pod copy")}
    assert "claim-gone" in names()


async def test_a_claim_that_took_the_name_after_the_second_look_stays(pruning, plant, names, cluster):
    plant("claim-gone", "gone")
    await pruning.look()
    cluster.faults.add(ReplaceClaim(cluster))
    assert await pruning.act() == {"claim-gone": ClaimKept(reason="a new claim now has its name")}
    assert "claim-gone" in names()


async def test_another_claim_of_the_same_name_stays(pruning, plant, names, cluster):
    old = plant("claim-gone", "gone")
    await pruning.look()
    cluster.database.remove(CLAIMS, key("claim-gone"))
    assert uid_of(plant("claim-gone", "gone")) != uid_of(old)
    assert await pruning.act() == {"claim-gone": ClaimKept(reason="a new claim now has its name")}
    assert "claim-gone" in names()


async def test_a_claim_that_gets_another_owner_stays(pruning, plant, names, cluster):
    plant("claim-gone", "gone")
    await pruning.look()
    cluster.database.update(
        CLAIMS,
        key("claim-gone"),
        lambda claim: {**claim, "metadata": {**claim["metadata"], "annotations": {}}},
    )
    assert await pruning.act() == {"claim-gone": ClaimKept(reason="it has no username annotation")}
    assert "claim-gone" in names()


async def test_a_claim_that_is_gone_by_itself_is_no_error(pruning, plant, cluster):
    plant("claim-gone", "gone")
    await pruning.look()
    cluster.database.remove(CLAIMS, key("claim-gone"))
    assert await pruning.act() == {"claim-gone": ClaimKept(reason="it is already gone")}


# --- When something fails in the middle ---


async def test_a_hub_that_dies_in_the_middle_ends_it(pruning, plant, names):
    for name in ("a", "b", "c"):
        plant(f"claim-{name}", name)
    await pruning.look()
    on_outcome = pruning.on_outcome

    def tell_and_kill(finding, outcome):
        on_outcome(finding, outcome)
        pruning.hub.app.http_server.stop()
        for connection in tuple(pruning.hub.app.http_server._connections):
            connection.stream.close()

    pruning.on_outcome = tell_and_kill
    with pytest.raises(HubError):
        await pruning.act()
    assert pruning.seen_claim == {"claim-a": ClaimDeleted()}
    assert names() == {"claim-ada", "claim-b", "claim-c"}


async def test_a_missing_right_ends_it_before_anything_is_deleted(pruning, plant, names, cluster):
    plant("claim-gone", "gone")
    await pruning.look()
    forbidden = refuse({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no delete"})
    cluster.faults.add(FaultRule(verb="delete", resource="persistentvolumeclaims", effect=forbidden))
    with pytest.raises(Forbidden, match="no delete"):
        await pruning.act()
    assert "claim-gone" in names()


async def test_pods_that_cannot_be_listed_again_end_it(pruning, plant, names, cluster):
    plant("claim-gone", "gone")
    await pruning.look()
    cluster.faults.add(
        FaultRule(
            verb="list", resource="pods", effect=refuse({"kind": "Status", "code": 503, "message": "no"})
        )
    )
    with pytest.raises(KubeError):
        await pruning.act()
    assert "claim-gone" in names()


async def test_a_lost_reply_is_asked_for_again_and_the_claim_counts_as_deleted(
    pruning, plant, names, cluster
):
    plant("claim-gone", "gone")
    await pruning.look()
    cluster.faults.add(
        FaultRule(verb="delete", resource="persistentvolumeclaims", effect=ReplyLost(), count=1)
    )
    assert await pruning.act() == {"claim-gone": ClaimDeleted()}
    assert "claim-gone" not in names()


@pytest.mark.slow
async def test_an_api_server_that_goes_away_in_the_middle_of_a_deletion_leaves_it_unclear(
    pruning, plant, cluster
):
    plant("claim-gone", "gone")
    plant("claim-x", "x")
    await pruning.look()
    away = refuse({"kind": "Status", "code": 503, "message": "away"})
    cluster.faults.add(FaultRule(verb="delete", resource="persistentvolumeclaims", effect=away))
    with pytest.raises(KubeError):
        await pruning.act()
    assert pruning.seen_claim == {"claim-gone": ClaimUnclear(error="away")}


# --- Ctrl-C ---


async def test_ctrl_c_in_the_middle_of_a_deletion_tells_its_outcome_and_begins_no_other(
    pruning, plant, names, cluster
):
    for name in ("a", "b", "c"):
        plant(f"claim-{name}", name)
    await pruning.look()
    slow = cluster.faults.add(
        FaultRule(
            verb="delete",
            resource="persistentvolumeclaims",
            name="claim-b",
            effect=CommitAfterDisconnect(seconds=1),
        )
    )
    acting = asyncio.create_task(pruning.act())
    await eventually(lambda: cluster.faults.hits(slow), seconds=10)
    acting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acting
    assert pruning.seen_claim == {"claim-a": ClaimDeleted(), "claim-b": ClaimDeleted()}
    assert names() == {"claim-ada", "claim-c"}


async def test_ctrl_c_while_nobody_answers_says_that_the_outcome_is_not_known(pruning, plant, cluster):
    plant("claim-gone", "gone")
    await pruning.look()
    slow = cluster.faults.add(
        FaultRule(verb="delete", resource="persistentvolumeclaims", effect=CommitAfterDisconnect(seconds=60))
    )
    acting = asyncio.create_task(pruning.act())
    await eventually(lambda: cluster.faults.hits(slow), seconds=10)
    acting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await acting
    assert isinstance(pruning.seen_claim["claim-gone"], ClaimUnclear)
