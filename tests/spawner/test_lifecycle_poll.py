"""docs/lifecycle.md, the rows of poll and get_url: they never raise, never guess, and never block a page."""

import asyncio
from contextlib import nullcontext

import pytest

from devkit.minicluster.faults import Refuse, Slow, refuse, too_many_requests
from devkit.minicluster.resources import PODS
from devkit.minicluster.runtime import Exit
from devkit.minicluster.statuses import status_body
from devkit.testing.runs import Run, edit_pod, plant_pod, pods, restart_process, struck, takes
from k8s_hub.objects.keys import Key
from k8s_hub.spawner.lifecycle import Running
from tests.spawner.cells import AWAY, SLOW, UP, cell

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

BUSY = {
    "429 with Retry-After": too_many_requests(retry_after_seconds=7),
    "503": Refuse(code=503, body="<html>upstream connect error</html>"),
    "slow": Slow(seconds=10),
}


async def started(**traits):
    """Return a run whose server is up."""
    run = Run(**traits)
    await run.start()
    return run


async def restarted(run, **traits):
    """Return the run as a new process of the hub takes it over."""
    await restart_process()
    after = run.next(**traits)
    server = run.spawner.server
    after.has_row(server.ip, server.port)
    return after


async def exit_with(cluster, code):
    """End the server as if its process had exited."""
    await cluster.container("default", "jupyter-ada").end(Exit.of(code))
    await asyncio.sleep(0.1)


def set_status(cluster, **status):
    """Write a pod's status as a kubelet or controller does."""
    cluster.database.update(PODS, Key("default", "jupyter-ada"), lambda pod: {**pod, "status": status})


def remove(cluster):
    """Take the pod away at once, as a lost node does."""
    cluster.database.remove(PODS, Key("default", "jupyter-ada"))


# --- Seen ---


@cell("poll, seen alive / ended", UP)
async def test_poll_seen_alive__api_up(cluster, witness):
    run = await started()
    witness.calls.clear()

    assert await run.spawner.poll() is None
    assert witness.calls == []


@cell("poll, seen alive / ended", UP)
async def test_poll_seen_ended__api_up(cluster):
    """The user shut it down: code 0, and the pod is removed, as the hub will not call stop."""
    run = await started()
    await exit_with(cluster, 0)

    assert await run.spawner.poll() == 0
    await asyncio.sleep(2)
    assert pods(cluster) == []


@cell("poll, seen alive / ended", UP)
async def test_poll_seen_restarting__api_up(cluster, caplog):
    """A server that crashed and that the kubelet starts again is alive; one that crashes on and on is not."""
    run = await started()
    await exit_with(cluster, 1)
    assert await run.spawner.poll() is None

    for _ in range(3):
        await asyncio.sleep(30)
        assert await run.spawner.poll() is None
        await exit_with(cluster, 137)
    assert await run.spawner.poll() == 137
    assert "the server has ended: Error, exit code 137" in caplog.text


async def test_poll_tells_the_log_once_of_a_server_that_was_started_again(cluster, caplog):
    """Its user has lost what was not saved, and asks the administrator."""
    run = await started()
    await exit_with(cluster, 137)
    for _ in range(3):
        await asyncio.sleep(30)
        assert await run.spawner.poll() is None

    told = [message for message in caplog.messages if "the kubelet starts it again" in message]
    assert len(told) == 1
    assert "default/jupyter-ada: the server ended (Error, exit code 137)" in told[0]


async def test_poll_of_a_server_on_a_machine_that_does_not_answer(cluster, caplog):
    """Unknown is never dead; the log says it once."""
    run = await started()
    [pod] = pods(cluster)
    conditions = [one for one in pod["status"]["conditions"] if one["type"] != "Ready"]
    lost = {**pod["status"], "conditions": [*conditions, {"type": "Ready", "status": "False"}]}
    set_status(cluster, **lost)
    await asyncio.sleep(0.1)

    assert await run.spawner.poll() is None
    set_status(cluster, **lost, message="Node is not ready")
    await asyncio.sleep(0.1)
    assert await run.spawner.poll() is None
    assert caplog.text.count("is not responding; the server may still run") == 1


@cell("poll, seen alive / ended", UP)
async def test_poll_seen_evicted__api_up(cluster, caplog):
    """A pod without a container's status has ended too, and is removed; the log has the kubelet's own words."""
    run = await started()
    set_status(cluster, phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    await asyncio.sleep(0.1)

    assert [await run.spawner.poll() for _ in range(3)] == [1, 1, 1]
    words = "default/jupyter-ada: the server has ended: Evicted, exit code 1: The node was low on resource: memory."
    assert caplog.messages.count(words) == 1
    await asyncio.sleep(2)
    assert pods(cluster) == []


@cell("poll, seen alive / ended", UP)
async def test_poll_seen_dying__api_up(cluster):
    """Deleted by anybody: the route goes now, not when the grace period is over."""
    run = await started()
    takes(cluster, stop=30)
    edit_pod(cluster, deletionTimestamp="2100-01-01T00:00:30Z", deletionGracePeriodSeconds=30)
    await asyncio.sleep(0.1)

    assert await run.spawner.poll() == 1


async def test_a_pod_that_is_drained_keeps_its_time_to_end(cluster, witness):
    run = await started()
    takes(cluster, stop=120)
    edit_pod(cluster, deletionTimestamp="2100-01-01T00:02:00Z", deletionGracePeriodSeconds=120)
    await asyncio.sleep(0.1)
    witness.calls.clear()

    assert await run.spawner.poll() == 1
    await asyncio.sleep(5)
    assert [call.verb for call in witness.calls if call.verb == "delete"] == []


async def test_the_hub_gets_the_address_that_the_pod_has_now(cluster):
    """A machine that was restarted gives its pods others."""
    run = await started()
    [pod] = pods(cluster)
    set_status(cluster, **{**pod["status"], "podIP": "127.9.9.9", "podIPs": [{"ip": "127.9.9.9"}]})
    await asyncio.sleep(0.1)

    assert await run.spawner.poll() is None
    assert run.spawner.server.url == "http://127.9.9.9:8888/user/ada/"


async def test_a_hook_gets_the_whole_pod_and_one_that_fails_changes_nothing(cluster, caplog):
    def of_whole_pod(_, pod):
        assert pod["metadata"]["annotations"]["example.org/network"] == "fast"
        return f"http://{pod['status']['podIP']}:8888"

    run = await started(get_pod_url=of_whole_pod, extra_annotations={"example.org/network": "fast"})
    known = run.spawner.server.url
    again = await restarted(run, get_pod_url=lambda _, pod: pod["no such key"])
    again.is_at(known.removesuffix("/user/ada/"))

    assert await again.spawner.poll() is None
    assert await again.spawner.get_url() == known
    assert "its address is not known" in caplog.text


async def test_a_hook_that_returns_no_port_that_there_is_changes_nothing(cluster, caplog):
    run = await restarted(await started(), get_pod_url=lambda _, __: "http://127.0.0.1:eighty")
    run.is_at("http://127.0.0.1:8888")

    assert await run.spawner.poll() is None
    assert run.spawner.server.url == "http://127.0.0.1:8888/user/ada/"
    assert "its address is not known" in caplog.text


@pytest.mark.parametrize(
    "odd",
    [
        {"status": None},
        {"status": "Running"},
        {"status": {"phase": 7}},
        {"status": {"phase": "Running", "containerStatuses": "x"}},
        {"status": {"phase": "Running", "containerStatuses": [7]}},
        {"status": {"phase": "Running", "containerStatuses": [{"name": "notebook", "state": "x"}]}},
        {"status": {"phase": "Running", "conditions": [7]}},
        {"spec": None},
        {"spec": {"containers": "x"}},
        {"spec": {"containers": [7]}},
    ],
    ids=str,
)
async def test_poll_of_a_pod_that_nobody_understands_raises_nothing(cluster, caplog, odd):
    """The hub forgets a server whose poll fails while the hub starts."""
    run = await started()
    cluster.database.update(PODS, Key("default", "jupyter-ada"), lambda pod: {**pod, **odd})
    await asyncio.sleep(0.1)
    for _ in range(3):
        assert await run.spawner.poll() is None
    assert caplog.text.count("it is not known whether the server runs") <= 1


async def test_poll_whose_database_fails_knows_nothing(cluster, caplog):
    """A machine that was restarted gives its pod another address, and the hub cannot write it down."""
    run = await started()

    def locked():
        raise OSError("database is locked")

    run.spawner.user.db.commit = locked
    pod = pods(cluster)[0]
    set_status(cluster, **{**pod["status"], "podIP": "127.9.9.9", "podIPs": [{"ip": "127.9.9.9"}]})
    await asyncio.sleep(0.1)
    for _ in range(3):
        run.spawner._life = Running()
        assert await run.spawner.poll() is None
    assert caplog.text.count("it is not known whether the server runs") <= 1


@pytest.mark.parametrize(
    "state",
    [
        [],
        "text",
        7,
        {
            "pod_name": 7,
            "namespace": ["x"],
            "dns_name": {},
            "pvc_name": True,
            "pod_uid": 1,
            "extra_claims": [1],
        },
        {"pod_name": "", "namespace": "", "extra_claims": {"data": 7}},
        {"pod_name": "a" * 10_000, "namespace": "../../etc"},
        {"pod_name": "\ud800", "namespace": "\x00"},
    ],
    ids=["list", "text", "number", "types", "empty", "long", "letters"],
)
async def test_poll_with_a_state_that_nobody_wrote(cluster, state):
    run = Run()
    run.spawner.load_state(state)
    run.has_row("127.0.0.1")
    assert await run.spawner.poll() in {None, 1}


async def test_poll_without_a_cluster_knows_nothing(monkeypatch, tmp_path):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    run = Run()
    run.has_row("127.0.0.1")
    assert await run.spawner.poll() is None


async def test_a_hook_gets_what_was_kept_of_a_pod_that_has_gone_meanwhile(cluster):
    """The API server's word for it would be a failure that the hub counts as its own."""

    def as_it_was(_, pod):
        asked.append(pod["metadata"]["name"])
        return f"http://{pod['status']['podIP']}:8888"

    asked = []
    gone = refuse(status_body(404, "NotFound", 'pods "jupyter-ada" not found', {}))
    with struck(cluster, gone, "get"):
        await started(get_pod_url=as_it_was)
    assert asked == ["jupyter-ada"]


async def test_a_pod_whose_user_was_renamed_is_still_its_own(cluster):
    run = await started()
    run.spawner.user.name = "augusta"
    assert await run.spawner.poll() is None

    again = await restarted(run)
    again.spawner.user.name = "augusta"
    again.is_at("http://127.0.0.1:8888")
    assert await again.spawner.poll() is None
    await again.stop()
    assert pods(cluster) == []


async def test_a_pod_that_ended_may_be_kept_for_inspection(cluster):
    run = await started(delete_stopped_pods=False)
    await exit_with(cluster, 0)

    assert await run.spawner.poll() == 0
    await asyncio.sleep(60)
    assert len(pods(cluster)) == 1


@cell("poll, seen alive / ended", SLOW)
@pytest.mark.parametrize("effect", BUSY.values(), ids=BUSY)
async def test_poll_seen__api_busy(cluster, looptime, effect):
    """The view answers."""
    run = await started()
    with struck(cluster, effect):
        assert await run.spawner.poll() is None
        await exit_with(cluster, 0)
        assert await run.spawner.poll() == 0
    assert looptime < 1
    await asyncio.sleep(60)
    assert pods(cluster) == []


@cell("poll, seen alive / ended", AWAY)
async def test_poll_seen_alive__api_away(cluster, looptime):
    run = await started()
    await cluster.go_away()
    await asyncio.sleep(300)

    assert await run.spawner.poll() is None
    assert looptime <= 300.1


@cell("poll, seen alive / ended", AWAY)
async def test_poll_seen_alive_then_gone__api_away(cluster):
    """What happens while nobody can look is known soon after the return."""
    run = await started()
    await cluster.go_away()
    await exit_with(cluster, 0)
    assert await run.spawner.poll() is None

    await cluster.come_back()
    await asyncio.sleep(5)
    assert await run.spawner.poll() == 0


# --- Not in the view ---


@cell("poll, not in the view", UP)
async def test_poll_not_in_the_view_and_gone__api_up(cluster, witness, caplog):
    run = await started()
    remove(cluster)
    await asyncio.sleep(0.1)
    witness.calls.clear()

    assert await run.spawner.poll() == 1
    assert [call.verb for call in witness.calls] == ["get"]
    assert "default/jupyter-ada: the server has ended: its pod was removed by somebody else" in caplog.text


@cell("poll, not in the view", UP)
async def test_poll_not_in_the_view_and_there__api_up(cluster):
    """One that the view cannot show, because its label is another, is asked for."""
    plant_pod(cluster, labels={"component": "earlier-label"})
    run = Run()
    run.is_at("http://127.0.0.1:8888")

    assert await run.spawner.poll() is None


@cell("poll, not in the view", UP)
async def test_poll_not_in_the_view_and_foreign__api_up(cluster):
    run = await started()
    remove(cluster)
    plant_pod(cluster, username="bob")
    await asyncio.sleep(0.1)

    assert await run.spawner.poll() == 1


@cell("poll, not in the view", SLOW)
@pytest.mark.parametrize("effect", BUSY.values(), ids=BUSY)
async def test_poll_not_in_the_view__api_busy(cluster, looptime, effect):
    """Repeated within the time of one request; then unknown, which is never dead."""
    run = await started()
    remove(cluster)
    await asyncio.sleep(0.1)
    with struck(cluster, effect, "get"):
        assert await run.spawner.poll() is None
    assert looptime <= 3.2

    assert await run.spawner.poll() == 1


@cell("poll, not in the view", SLOW)
async def test_poll_not_in_the_view__api_busy_for_a_moment(cluster):
    run = await started()
    remove(cluster)
    await asyncio.sleep(0.1)
    with struck(cluster, Refuse(code=503, body=""), "get", count=2):
        assert await run.spawner.poll() == 1


@cell("poll, not in the view", AWAY)
async def test_poll_not_in_the_view_of_a_server_that_ran__api_away(cluster, looptime):
    """The hub asks the server itself; no page and no start of the hub waits for us."""
    run = await restarted(await started())
    await cluster.go_away()

    assert await run.spawner.poll() is None
    assert looptime <= 3.1
    begun = float(looptime)
    assert await run.spawner.poll() is None
    assert looptime - begun < 0.1


@cell("poll, not in the view", AWAY)
@pytest.mark.parametrize(("has_pod", "answer"), [(True, None), (False, 1)])
async def test_poll_not_in_the_view_of_an_unfinished_start__api_away_for_a_while(
    cluster, looptime, has_pod, answer
):
    """A code would make the hub forget the server, and its pod would be left."""
    if has_pod:
        plant_pod(cluster)
    run = Run()
    run.has_row()
    await cluster.go_away()
    poll = asyncio.create_task(run.spawner.poll())
    await asyncio.sleep(200)
    assert not poll.done()

    await cluster.come_back()
    assert await poll is answer
    assert looptime <= 206


@cell("poll, not in the view", AWAY)
async def test_poll_not_in_the_view_of_an_unfinished_start__api_away(cluster, looptime):
    """Five minutes are all that the hub is held up."""
    run = Run()
    run.has_row()
    await cluster.go_away()

    assert await run.spawner.poll() is None
    assert 299 <= looptime <= 301
    # The hub has found no server at the address it made up, and stops.
    await run.stop()
    assert looptime <= 340


async def test_poll_of_a_start_that_the_away_cluster_has_failed_holds_nobody_up(cluster, looptime):
    """The hub asks before it cleans up; the five minutes are for a hub that died, not for one that waits here."""
    await cluster.go_away()
    run = Run(start_timeout=60)
    with pytest.raises(Exception, match="The cluster did not respond within 1 min"):
        await run.start()
    begun = float(looptime)

    await run.stop()

    assert looptime - begun <= 40


async def test_poll_before_any_run_is_zero(cluster):
    assert await Run().spawner.poll() == 0


# --- What a start may have created ---


@cell("poll, may have created", UP)
@cell("poll, may have created", SLOW)
@cell("poll, may have created", AWAY)
@pytest.mark.parametrize("trouble", [UP, SLOW, AWAY])
async def test_poll_of_what_may_have_been_created(cluster, looptime, trouble):
    """While a start may have created something, the hub is to call stop, whatever is seen."""
    run = Run()
    with struck(cluster, Slow(seconds=2), "create"):
        start = asyncio.create_task(run.start())
        await asyncio.sleep(1)
        start.cancel()
        await asyncio.wait([start])
    if trouble == AWAY:
        await cluster.go_away()
    with struck(cluster, too_many_requests()) if trouble == SLOW else nullcontext():
        begun = float(looptime)
        assert await run.spawner.poll() is None
        assert looptime - begun < 0.1


@cell("poll, may have created", UP)
async def test_poll_after_a_stop_asks_the_cluster_again(cluster):
    run = Run(node_selector={"accelerator": "gpu"})
    start = asyncio.create_task(run.start())
    await asyncio.sleep(1)
    start.cancel()
    await asyncio.wait([start])
    assert await run.spawner.poll() is None

    await run.spawner.stop()

    assert await run.spawner.poll() == 1


# --- get_url ---


@cell("get_url", UP)
@pytest.mark.parametrize(
    ("traits", "url"),
    [
        ({}, "http://{ip}:8888/user/ada/"),
        ({"port": 9999}, "http://{ip}:9999/user/ada/"),
        (
            {"pod_connect_ip": "jupyter-{username}.pods.example"},
            "http://jupyter-ada.pods.example:8888/user/ada/",
        ),
        (
            {"get_pod_url": lambda _, pod: f"https://{pod['metadata']['name']}.example"},
            "https://jupyter-ada.example/user/ada/",
        ),
    ],
    ids=["address", "port", "connect template", "hook"],
)
async def test_get_url__api_up(cluster, traits, url):
    """From the pod: what the database has may be old, or made up where the hub died in the middle of a spawn."""
    first = Run(port=traits.get("port", 8888))
    await first.start()
    run = await restarted(first, **traits)
    run.has_row()
    ip = pods(cluster)[0]["status"]["podIP"]

    assert await run.spawner.poll() is None
    assert await run.spawner.get_url() == url.format(ip=ip)


@cell("get_url", UP)
async def test_get_url_of_a_pod_that_starts__api_up(cluster, looptime):
    """A pod that the hub's death caught in its start is waited for."""
    takes(cluster, pull=40)
    plant_pod(cluster)
    run = Run()
    run.has_row()
    assert await run.spawner.poll() is None

    url = await run.spawner.get_url()

    assert 40 <= looptime <= 41
    assert url == f"http://{pods(cluster)[0]['status']['podIP']}:8888/user/ada/"


@cell("get_url", AWAY)
async def test_get_url__api_away(cluster, looptime):
    run = await restarted(await started())
    known = run.spawner.server.url
    await cluster.go_away()
    await run.spawner.poll()

    assert await run.spawner.get_url() == known
    assert looptime <= 4
