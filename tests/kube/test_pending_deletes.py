"""A delete is delivered in the end, and only to the object it was meant for."""

import asyncio
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from devkit.minicluster.faults import FaultRule, ReplyLost, Slow, refuse
from devkit.minicluster.resources import PODS as STORED_PODS
from devkit.minicluster.statuses import status_body
from k8s_hub.kube.core.resources import PODS
from k8s_hub.kube.pending_deletes import Delete, DeleteMatching, PendingDeletes
from k8s_hub.objects.keys import uid_of
from tests.kube.samples import key, plant, pod, remove

pytestmark = pytest.mark.looptime


@pytest.fixture
async def pending(api):
    pending = PendingDeletes(api)
    yield pending
    await pending.close()


@pytest.fixture
def names(cluster):
    return lambda: {stored.name for stored in cluster.database.records(STORED_PODS)}


def delete(obj):
    return Delete(resource=PODS, key=key(obj["metadata"]["name"]), uid=uid_of(obj), grace_seconds=0)


def gauge():
    return REGISTRY.get_sample_value("k8s_hub_kube_undelivered_deletes")


async def test_all_are_delivered_when_the_server_is_back(pending, cluster, names, caplog):
    caplog.set_level("INFO")
    pods = [plant(cluster, pod(f"p{number}")) for number in range(30)]
    await cluster.go_away()
    for one in pods:
        pending.add(delete(one), "away")
        pending.add(delete(one), "away")
    await asyncio.sleep(600)
    assert pending.count == gauge() == 30

    await cluster.come_back()
    await asyncio.sleep(31)

    assert names() == set()
    assert pending.count == gauge() == 0
    assert len(caplog.records) == 60  # one when taken over, one when delivered


async def test_gone_already_is_delivered(pending, cluster):
    planted = plant(cluster, pod())
    remove(cluster, "ada")

    pending.add(delete(planted), "away")
    await asyncio.sleep(2)

    assert pending.count == 0


async def test_a_successor_of_that_name_is_spared(pending, cluster, names):
    planted = plant(cluster, pod())
    remove(cluster, "ada")
    plant(cluster, pod())

    pending.add(delete(planted), "away")
    await asyncio.sleep(2)

    assert pending.count == 0
    assert names() == {"ada"}


async def test_a_lost_reply_is_no_loss(pending, cluster, names):
    cluster.faults.add(FaultRule(effect=ReplyLost(), verb="delete", count=1))
    pending.add(delete(plant(cluster, pod())), "away")
    await asyncio.sleep(10)

    assert names() == set()
    assert pending.count == 0


async def test_one_that_is_refused_keeps_its_place_and_stops_no_other(pending, cluster, names):
    rule = cluster.faults.add(
        FaultRule(effect=refuse(status_body(403, "Forbidden", "no", {})), verb="delete", name="ada")
    )
    for name in ("ada", "bob"):
        pending.add(delete(plant(cluster, pod(name))), "away")
    await asyncio.sleep(60)
    assert names() == {"ada"}
    assert pending.count == 1

    cluster.faults.remove(rule)
    await asyncio.sleep(31)
    assert names() == set()


async def test_one_that_is_never_taken_stops_no_other(pending, cluster, names):
    """A webhook that fails for one pod gives the answer of a server that is away."""
    cluster.faults.add(
        FaultRule(effect=refuse(status_body(500, "InternalError", "no", {})), verb="delete", name="ada")
    )
    for name in ("ada", "bob", "cyd"):
        pending.add(delete(plant(cluster, pod(name))), "ended")
    await asyncio.sleep(60)
    assert names() == {"ada"}
    assert pending.count == 1


async def test_one_that_fails_by_a_bug_stops_no_other_and_is_told_once(pending, cluster, names, caplog):
    def matches(found):
        return found["metadata"]["annotations"]["attempt"] == "1"  # there are none

    plant(cluster, pod("ada"))
    pending.add(replace(delete_matching("ada"), matches=matches), "away")
    pending.add(delete(plant(cluster, pod("bob"))), "away")
    await asyncio.sleep(60)

    assert names() == {"ada"}
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]


async def test_closing_names_what_was_never_delivered(pending, cluster, caplog):
    planted = plant(cluster, pod())
    await cluster.go_away()
    pending.add(delete(planted), "away")
    await asyncio.sleep(5)

    await pending.close()

    assert "Pod hub/ada: gave up its deletion: the API server never accepted it" in caplog.text
    assert pending.count == gauge() == 0
    await cluster.come_back()


async def test_a_hub_that_ends_names_what_was_never_delivered(pending, cluster, caplog):
    """JupyterHub cancels all tasks, and nothing calls `close`."""
    planted = plant(cluster, pod())
    await cluster.go_away()
    pending.add(delete(planted), "away")
    await asyncio.sleep(5)

    [task] = [task for task in asyncio.all_tasks() if task.get_name() == "pending deletes"]
    task.cancel()
    await asyncio.wait([task])

    told = "Pod hub/ada: gave up its deletion: the API server never accepted it"
    assert caplog.messages.count(told) == 1
    await pending.close()
    assert caplog.messages.count(told) == 1
    assert pending.count == gauge() == 0
    await cluster.come_back()


async def test_one_that_comes_later_starts_anew(pending, cluster, names):
    pending.add(delete(plant(cluster, pod("ada"))), "away")
    await asyncio.sleep(10)
    pending.add(delete(plant(cluster, pod("bob"))), "away")
    await asyncio.sleep(10)

    assert names() == set()


def delete_matching(name="ada", *, uid="", seconds=60.0):
    """Look for a pod by its looks, for as long as a late create may take."""
    expires = asyncio.get_running_loop().time() + seconds
    return DeleteMatching(
        resource=PODS,
        key=key(name),
        matches=lambda raw: uid in {"", uid_of(raw)},
        grace_seconds=0,
        expires=expires,
    )


async def test_a_delete_by_match_finds_what_is_created_late(pending, cluster, names):
    pending.add(delete_matching(), "its create was never answered")
    await asyncio.sleep(20)
    plant(cluster, pod())
    await asyncio.sleep(31)

    assert names() == set()
    assert pending.count == 0


async def test_a_delete_by_match_ends_when_nothing_can_come_any_more(pending, counted):
    pending.add(delete_matching(seconds=60), "its create was never answered")
    await asyncio.sleep(60 + 31)

    assert pending.count == 0
    assert counted("delete") == 0


async def test_a_delete_by_match_spares_what_only_has_the_name(pending, cluster, names):
    plant(cluster, pod())
    pending.add(delete_matching(uid="another"), "its create was never answered")
    await asyncio.sleep(2)

    assert names() == {"ada"}
    assert pending.count == 0


async def test_a_delete_by_match_that_is_withdrawn_finds_nothing_more(pending, cluster, names):
    pending.add(delete_matching("ada"), "its create was never answered")
    pending.add(delete_matching("bob"), "its create was never answered")
    await asyncio.sleep(10)
    pending.withdraw_matching(key("ada"))
    plant(cluster, pod("ada"))
    plant(cluster, pod("bob"))
    await asyncio.sleep(31)

    assert names() == {"ada"}


async def test_a_delete_by_match_for_what_one_create_made_is_not_withdrawn(pending, cluster, names):
    """A later create may be refused, and the earlier one come late all the same."""
    pending.add(replace(delete_matching(), is_of_one_attempt=True), "its create was never answered")
    pending.withdraw_matching(key())
    await asyncio.sleep(10)
    plant(cluster, pod())
    await asyncio.sleep(31)

    assert names() == set()


async def test_a_delete_by_match_that_is_withdrawn_while_it_asks_spares_what_it_hears_of(
    pending, cluster, names
):
    asked = cluster.faults.add(FaultRule(effect=Slow(seconds=2), verb="get"))
    pending.add(delete_matching(), "its create was never answered")
    while not cluster.faults.hits(asked):  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)
    pending.withdraw_matching(key())
    plant(cluster, pod())
    await asyncio.sleep(31)

    assert names() == {"ada"}
