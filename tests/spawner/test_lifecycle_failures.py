"""docs/lifecycle.md, "Failures and the hub's patience" and "Deadlines": through a real hub, on each version."""

import asyncio
import sqlite3
from collections import deque
from itertools import count

import pytest
from sqlalchemy.exc import OperationalError
from tornado.web import HTTPError

from devkit.minicluster.faults import CutWatch, FaultRule, ReplyLost, RequestLost, Slow, refuse
from devkit.minicluster.statuses import status_body
from devkit.testing.eventually import eventually
from devkit.testing.memoryproxy import MemoryProxy
from devkit.testing.runs import (
    NO_WAIT,
    Run,
    claims,
    failed_start,
    plant_pod,
    pods,
    sentence_of,
    struck,
    takes,
)
from k8s_hub import KubeSpawner
from k8s_hub.spawner.manifest_builder import ManifestBuilder
from k8s_hub.spawner.spawn_outcome import CANCEL_SECONDS
from tests.spawner.conftest import FailsBeforeStart

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

QUOTA = refuse(
    status_body(
        403,
        "Forbidden",
        'pods "jupyter-ada" is forbidden: exceeded quota: users, requested: pods=1, used: pods=10, limited: pods=10',
        {"name": "jupyter-ada", "kind": "pods"},
    )
)
POLICY = refuse(
    status_body(
        403,
        "Forbidden",
        'pods "jupyter-ada" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        {"name": "jupyter-ada", "kind": "pods"},
    )
)
EXPIRED = refuse(status_body(410, "Expired", "The provided continue parameter is too old."))


async def fails_five_times(hub):
    """Fail five times in a row, and outlive the two seconds after which a hub that has had enough ends itself."""
    for _ in range(5):
        error = await failed_start(hub)
        assert hub.failure_count == 0
    await asyncio.sleep(5)
    assert (await hub.api("GET", "/users"))[0] == 200
    return sentence_of(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({"image": "Not An Image"}, "Not An Image"),
        ({"node_selector": {"accelerator": "gpu"}}, "machine"),
        ({"effect": QUOTA}, "quota"),
        ({"effect": POLICY}, "security standard"),
        ({"foreign": True}, "already uses the name"),
    ],
    ids=["image", "capacity", "quota", "policy", "foreign pod"],
)
async def test_five_failures_for_a_users_reason_leave_the_hub_up(hub, cluster, trouble, sentence):
    """KubeSpawner's users can end the hub of all others with five clicks."""
    effect, is_foreign = trouble.pop("effect", None), trouble.pop("foreign", False)
    if is_foreign:
        plant_pod(cluster, username="bob")
    options = {"consecutive_failure_limit": 3, **trouble}
    async with hub(hub=NO_WAIT, **options) as hub:
        if effect is None:
            read = await fails_five_times(hub)
        else:
            with struck(cluster, effect, "create"):
                read = await fails_five_times(hub)

    assert sentence in read
    assert len(pods(cluster)) == is_foreign
    assert len(claims(cluster)) == 1


async def test_a_cluster_that_is_away_does_not_count_and_the_next_start_finds_it_back(hub, cluster):
    """A hub that is started anew finds the cluster no sooner, and ends the sessions of all others."""
    async with hub(hub=NO_WAIT, consecutive_failure_limit=3, start_timeout=30) as hub:
        await cluster.go_away()
        assert "The cluster did not respond" in await fails_five_times(hub)
        await cluster.come_back()
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=60)


async def test_a_list_that_has_to_start_over_is_no_refusal(cluster):
    """Pages of the first list end with 410 if an outage lasts longer than their token."""
    with struck(cluster, EXPIRED, "list", count=1):
        await Run().start()

    assert len(pods(cluster)) == 1


async def test_a_list_that_is_refused_is_not_said_to_be_created(cluster):
    unknown = refuse(status_body(405, "MethodNotAllowed", "not here"))
    with (
        struck(cluster, unknown, "list"),
        pytest.raises(Exception) as failure,  # noqa: PT011 - of either version of the hub
    ):
        await Run().start()

    assert "The cluster refused to show the hub your server." in sentence_of(failure.value)


async def test_a_watch_that_is_invalid_for_a_while_fails_no_start(cluster):
    """The view was there before, and a list follows."""
    await Run("bob").start()
    cluster.faults.add(FaultRule(effect=CutWatch(), verb="watch", resource="pods", count=1))
    with struck(cluster, refuse(status_body(400, "BadRequest", "invalid version")), "watch", count=3):
        await Run().start()

    assert len(pods(cluster)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "effect",
    [
        refuse(status_body(429, "TooManyRequests", "slow down")),
        refuse(status_body(500, "InternalError", "Internal error occurred")),
        refuse(
            status_body(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        ),
        refuse(status_body(504, "Timeout", "request did not complete within the allotted time")),
        RequestLost(),
        ReplyLost(),
        Slow(seconds=60),
    ],
    ids=["429", "500", "503", "504", "request lost", "reply lost", "slow"],
)
async def test_a_cluster_that_is_busy_does_not_count(hub, cluster, effect):
    async with hub(hub=NO_WAIT, consecutive_failure_limit=3, start_timeout=20) as hub:
        with struck(cluster, effect, "create"):
            assert "cluster" in await fails_five_times(hub)


async def test_a_hub_whose_database_is_full_does_not_end_itself(hub, cluster, caplog):
    """It would not come up again. SQLite itself refuses to grow."""
    async with hub(hub=NO_WAIT, consecutive_failure_limit=3) as hub:
        await hub.api("GET", "/users")

        def limit(pages):
            with hub._connected() as database:
                database.execute(f"PRAGMA max_page_count={pages}")

        limit(1)
        with pytest.raises(OperationalError, match="disk is full"):
            deque(hub.token() for _ in count())
        hub.app.db.rollback()
        assert "could not write to its database" in await fails_five_times(hub)
        assert "Exception in callback" not in caplog.text
        limit(2**30)
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_server_that_the_hub_shows_as_ready_without_a_start_is_stopped(hub, cluster, monkeypatch):
    monkeypatch.setattr(FailsBeforeStart, "is_broken", True)
    async with hub(spawner_class=FailsBeforeStart, hub=NO_WAIT) as hub:
        await failed_start(hub)
        assert hub.spawner("ada").ready
        await hub.wait_stopped("ada", seconds=10)
        monkeypatch.setattr(FailsBeforeStart, "is_broken", False)
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert len(pods(cluster)) == 1


async def test_a_stop_of_such_a_server_that_fails_is_tried_again(hub, cluster, monkeypatch):
    """Else the hub would call the server stopping, and refuse to start it, until its own restart."""
    monkeypatch.setattr(FailsBeforeStart, "is_broken", True)
    async with hub(spawner_class=FailsBeforeStart, hub=NO_WAIT) as hub:
        await failed_start(hub)
        commit, failures = hub.app.db.commit, [True, True]

        def commit_soon():
            if failures:
                failures.pop()
                raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))
            commit()

        monkeypatch.setattr(hub.app.db, "commit", commit_soon)
        await hub.wait_stopped("ada", seconds=30)
        assert not failures
        monkeypatch.setattr(FailsBeforeStart, "is_broken", False)
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_server_that_the_hub_removes_while_it_starts_is_stopped(hub, cluster):
    """The removal of a named server stops it, and takes it out of the hub a moment later, whatever happened since."""
    async with hub(hub=NO_WAIT) as hub:
        takes(cluster, pull=5)
        await hub.start_server("ada", "gpu")
        await eventually(lambda: pods(cluster))
        spawner = hub.app.users["ada"].spawners.pop("gpu")
        hub.app.db.delete(spawner.orm_spawner)
        hub.app.db.commit()
        await eventually(lambda: not pods(cluster), seconds=30)
        await hub.start_server("ada", "gpu")
        await hub.wait_ready("ada", "gpu")
        assert len(pods(cluster)) == 1


@pytest.mark.parametrize("attribute", ["ready", "name"])
async def test_a_look_for_such_a_server_that_fails_is_tried_again(hub, cluster, monkeypatch, attribute):
    """Another write of the hub has failed since, and each reading of its database fails until somebody rolls back."""
    monkeypatch.setattr(FailsBeforeStart, "is_broken", True)
    async with hub(spawner_class=FailsBeforeStart, hub=NO_WAIT) as hub:
        await failed_start(hub)
        with monkeypatch.context() as broken:
            broken.setattr(FailsBeforeStart, attribute, property(lambda _: hub.app.db.no_such_attribute))
            await asyncio.sleep(CANCEL_SECONDS + 1)
        await hub.wait_stopped("ada", seconds=10)


async def test_a_server_that_got_no_route_is_said_to_be_stopped_for_that(hub, cluster, monkeypatch):
    """The hub stops it, and takes the spawn for a success."""
    async with hub(hub=NO_WAIT) as hub:
        with monkeypatch.context() as away:
            away.setattr(MemoryProxy, "add_route", None)
            assert await failed_start(hub) is None
        failure = hub.spawner("ada")._spawn_future.exception()
        assert sentence_of(failure).startswith(
            "The hub stopped your new server because the proxy did not take its address."
        )
        assert not hub.spawner("ada").active
        assert hub.failure_count == 0
        assert not pods(cluster)
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert len(pods(cluster)) == 1


async def test_our_own_bug_counts_and_leaves_nothing(hub, cluster, monkeypatch, caplog):
    """Nobody foresaw it, so that the hub may be started anew; the user has a reference that the log explains."""
    monkeypatch.setattr(ManifestBuilder, "owned_objects", None)
    async with hub(hub=NO_WAIT, consecutive_failure_limit=0) as hub:
        for number in (1, 2):
            error = await failed_start(hub)
            assert hub.failure_count == number
        sentence = sentence_of(error)
        assert "because of an error in the hub (reference " in sentence
        assert f"reference {sentence.partition('(reference ')[2][:8]}: Traceback" in caplog.text
        monkeypatch.undo()
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert hub.failure_count == 0
    assert pods(cluster) == []


async def test_a_success_after_failures_is_a_success(hub, cluster):
    """The count that was taken back is not negative for ever."""
    async with hub(hub=NO_WAIT) as hub:
        with struck(cluster, QUOTA, "create", count=2):
            await failed_start(hub)
            await failed_start(hub)
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert hub.failure_count == 0


async def test_a_success_while_a_failure_is_cleared_away_leaves_no_count(hub, cluster):
    """On JupyterHub 5, a count that is taken back too early is forgotten by the success, and counted after it."""
    takes(cluster, stop=20)

    def silent(spawner, pod):
        return "http://127.0.0.1:1" if spawner.user.name == "ada" else f"http://{pod['status']['podIP']}:8888"

    async with hub(hub=NO_WAIT, get_pod_url=silent, http_timeout=5) as hub:
        failing = asyncio.create_task(failed_start(hub))
        await asyncio.sleep(10)
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        assert "did not respond within 5 s" in sentence_of(await failing)
        assert hub.failure_count == 0


async def test_at_our_deadline_the_user_reads_what_was_waited_for(hub, cluster, looptime):
    """The hub's own deadline, whose TimeoutError counts and says nothing, never comes."""
    async with hub(hub=NO_WAIT, start_timeout=300, node_selector={"accelerator": "gpu"}) as hub:
        error = await failed_start(hub)

        assert 298 <= looptime <= 300
        assert sentence_of(error) == (
            "No machine of the kind that your server asks for became available within 5 min. "
            "Choose another kind of server, or try again later."
        )
        assert hub.failure_count == 0
        assert pods(cluster) == []


async def test_a_hook_that_hangs_is_not_blamed_on_the_cluster(hub, cluster, looptime):
    async def hanging(spawner, pod):
        await asyncio.sleep(1000 if spawner.user.name == "ada" else 0)
        return pod

    async with hub(hub=NO_WAIT, start_timeout=60, modify_pod_hook=hanging) as hub:
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        error = await failed_start(hub)

        assert looptime <= 65
        assert sentence_of(error) == (
            "The hub did not finish preparing your server within 1 min. "
            "Try again; if it keeps happening, contact your administrator."
        )
        assert hub.failure_count == 0


async def test_a_start_that_overruns_the_hubs_own_deadline_has_a_sentence_too(hub, cluster):
    """JupyterHub's time-out has no text: the page would end with "Spawn failed: "."""

    class Patient(KubeSpawner):
        async def start(self):
            await asyncio.sleep(1000)

    async with hub(hub=NO_WAIT, spawner_class=Patient, start_timeout=20) as hub:
        error = await failed_start(hub)
        assert sentence_of(error).startswith("Your server did not start within 20 s. Try again;")
        assert hub.failure_count == 0


async def test_a_kubeconfig_that_is_not_there_is_told_and_stops_quietly(tmp_path, monkeypatch, caplog):
    """The user is sent to the administrator, whose log names the path; nothing was created, so nothing fails."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    spawner = Run().spawner

    with pytest.raises(HTTPError) as failed:
        await spawner.start()
    await spawner.stop()

    assert failed.value.status_code == 503
    assert failed.value.jupyterhub_message.endswith("Contact your administrator.")
    assert str(tmp_path / "nowhere") in str(failed.value)
    assert str(tmp_path / "nowhere") in caplog.text
