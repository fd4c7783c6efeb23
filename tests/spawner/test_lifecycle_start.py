"""docs/lifecycle.md, the rows of start: how a start handles the objects it finds, with and without failures."""

import asyncio

import pytest
from tornado.web import HTTPError

from devkit.demo.settings import free_port
from devkit.minicluster.faults import (
    CommitAfterDisconnect,
    EventLost,
    FaultRule,
    Refuse,
    ReplyLost,
    Slow,
    refuse,
    too_many_requests,
)
from devkit.minicluster.resources import CLAIMS, PODS
from devkit.minicluster.runtime import Exit
from devkit.minicluster.statuses import conflict, status_body
from devkit.testing.realhub import Answer
from devkit.testing.runs import (
    Run,
    claims,
    edit_pod,
    mark_of,
    plant_pod,
    pods,
    sentence_of,
    sentences,
    struck,
    takes,
)
from k8s_hub.objects.keys import Key, key_of, uid_of
from tests.spawner.cells import AWAY, LOST, SLOW, UP, cell

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

BUSY = {
    "429 with Retry-After": too_many_requests(retry_after_seconds=7),
    "500": Refuse(code=500, body="etcdserver: leader changed"),
    "503": Refuse(code=503, body="<html>upstream connect error</html>"),
}
QUOTA_HAS_CHANGED = refuse(
    conflict(
        "resourcequotas",
        "users",
        "the object has been modified; please apply your changes to the latest version and try again",
    ).body
)
"""The answer to some of many creates at once where a ResourceQuota counts them; nothing was made."""

RESOURCES = ["persistentvolumeclaims", "pods"]


async def rejection(run):
    """Return the error that a start must end with."""
    with pytest.raises(HTTPError) as failed:
        await run.start()
    return failed.value


# --- No pod ---


@cell("start, no pod", UP)
async def test_start_no_pod__api_up(cluster, witness):
    """First the claim, then the pod, then its address."""
    run = Run()

    url = await run.start()

    (pod,) = pods(cluster)
    (claim,) = claims(cluster)
    assert url == f"http://{pod['status']['podIP']}:8888"
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"] == key_of(claim).name
    created = [call.resource for call in witness.calls if call.verb == "create"]
    assert created == ["persistentvolumeclaims", "pods"]


@cell("start, no pod", SLOW)
@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("effect", BUSY.values(), ids=BUSY)
async def test_start_no_pod__api_busy(cluster, looptime, resource, effect):
    """The request is repeated until it is taken, and the user reads why it takes time."""
    run = Run()
    with struck(cluster, effect, "create", resource, count=3) as rule:
        await run.start()

    assert cluster.faults.hits(rule) == 3
    assert "The cluster is busy. Your server is waiting for its turn." in await sentences(run)
    assert looptime >= 3 * (effect.retry_after_seconds or 0)
    assert (len(pods(cluster)), len(claims(cluster))) == (1, 1)


@cell("start, no pod", SLOW)
@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_create_that_lost_a_race_for_its_quota_is_repeated(cluster, looptime, resource):
    """A 409 that is no AlreadyExists: there is no object to wait for or to make room."""
    run = Run()
    with struck(cluster, QUOTA_HAS_CHANGED, "create", resource, count=3) as rule:
        await run.start()

    assert cluster.faults.hits(rule) == 3
    assert "The cluster is busy. Your server is waiting for its turn." in await sentences(run)
    assert looptime <= 10
    assert (len(pods(cluster)), len(claims(cluster))) == (1, 1)


async def test_a_claim_that_has_gone_when_the_view_could_show_it_is_created(cluster, looptime):
    """Another hub, or a person, had created it: it was there and went between two looks at the view."""
    run = Run()
    exists = refuse(status_body(409, "AlreadyExists", "it already exists", {}))
    with struck(cluster, exists, "create", "persistentvolumeclaims", count=1) as rule:
        await run.start()

    assert cluster.faults.hits(rule) == 1
    assert looptime < 60
    assert (len(pods(cluster)), len(claims(cluster))) == (1, 1)


async def test_a_home_that_has_gone_when_the_view_could_show_it_is_created_anew(cluster):
    """The saved state names it, the view lacks it, and the API server has it at the first look only."""
    first = Run()
    await first.start()
    await first.stop()
    (home,) = claims(cluster)
    cluster.database.remove(CLAIMS, key_of(home))
    await asyncio.sleep(1)
    metadata = {name: home["metadata"][name] for name in ("name", "namespace", "annotations", "labels")}
    with struck(cluster, EventLost(), "watch", "persistentvolumeclaims", count=1):
        cluster.database.create(CLAIMS, {**home, "metadata": metadata})
        await asyncio.sleep(1)

    class GoesAfterOneLook(FaultRule):
        def matches(self, call):
            if super().matches(call):
                cluster.faults.remove(self)
                asyncio.get_running_loop().call_later(0.01, cluster.database.remove, CLAIMS, key_of(home))
            return False

    rule = cluster.faults.add(GoesAfterOneLook(effect=None, verb="get", resource="persistentvolumeclaims"))
    begun = asyncio.get_running_loop().time()
    await Run(state=first.state).start()
    assert rule not in cluster.faults._rules
    assert asyncio.get_running_loop().time() - begun < 60
    assert len(claims(cluster)) == 1


@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_create_that_loses_every_race_is_repeated_with_pauses(cluster, looptime, resource):
    """Up to the start's own deadline, and no create is in doubt then."""
    run = Run(start_timeout=60)
    with struck(cluster, QUOTA_HAS_CHANGED, "create", resource, count=1000) as rule:
        error = await rejection(run)

    assert 57 <= looptime <= 59
    assert 10 <= cluster.faults.hits(rule) <= 100
    assert error.reason == "cluster_busy"
    assert run.spawner._run.creates.uncertain_attempt is None
    assert pods(cluster) == []


@cell("start, no pod", SLOW)
@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("seconds", [2.5, 10])
async def test_start_no_pod__api_slow(cluster, looptime, resource, seconds):
    """Slow within the time of a request is just slow; beyond it, the request is repeated."""
    run = Run()
    with struck(cluster, Slow(seconds=seconds), "create", resource, count=1):
        await run.start()

    assert 2.5 <= looptime <= 4
    assert (len(pods(cluster)), len(claims(cluster))) == (1, 1)


@cell("start, no pod", AWAY)
@pytest.mark.parametrize("was_known", [True, False], ids=["view was fresh", "view was never filled"])
async def test_start_no_pod__api_away_until_the_deadline(cluster, looptime, was_known):
    """The one failure that the hub may count; the user read all the time what was waited for."""
    if was_known:
        await Run("bob").start()
    await cluster.go_away()
    run = Run(start_timeout=60)

    error = await rejection(run)

    assert 57 <= looptime <= 59
    assert error.status_code == 503
    assert error.reason == "cluster_unavailable"
    assert sentence_of(error) == (
        "The cluster did not respond within 1 min. "
        "Try again in a few minutes; if it keeps happening, contact your administrator."
    )
    assert "The cluster is not responding. Your server starts when the cluster is back." in await sentences(
        run
    )


@cell("start, no pod", AWAY)
@pytest.mark.parametrize("was_known", [True, False], ids=["view was fresh", "view was never filled"])
async def test_start_no_pod__api_away_for_a_while(cluster, looptime, was_known):
    """A start outlives an outage that is shorter than its deadline, and goes on soon after it."""
    if was_known:
        await Run("bob").start()
    await cluster.go_away()
    run = Run()
    start = asyncio.create_task(run.start())
    await asyncio.sleep(30)
    assert not start.done()

    await cluster.come_back()
    await start

    assert looptime <= 36


@cell("start, no pod", LOST)
@pytest.mark.parametrize("effect", [ReplyLost(), CommitAfterDisconnect(seconds=5)], ids=["lost", "late"])
@pytest.mark.parametrize("resource", RESOURCES)
async def test_start_no_pod__reply_to_a_create_lost(cluster, witness, resource, effect):
    """The next try finds what the first one has made, and goes on with it."""
    run = Run()
    with struck(cluster, effect, "create", resource, count=1):
        await run.start()

    (pod,) = pods(cluster)
    assert mark_of(pod) is not None
    assert uid_of(pod) == run.spawner.pod_id
    assert len(claims(cluster)) == 1
    assert not [call for call in witness.calls if call.verb == "delete"]


# --- An older pod ---


@cell("start, older pod", UP)
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": {"app.kubernetes.io/instance": "hub-a"}},
        {"annotations": {"hub.jupyter.org/username": "ada", "hub.jupyter.org/start-attempt": "earlier"}},
    ],
    ids=["KubeSpawner's", "of this release", "of an earlier attempt"],
)
async def test_start_older_pod__api_up(cluster, looptime, metadata):
    """Its token is no longer valid: it makes room, and the new pod comes when it is gone."""
    older = plant_pod(cluster, **metadata)
    takes(cluster, stop=5)
    run = Run(common_labels={"app.kubernetes.io/instance": "hub-a"})

    await run.start()

    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(older)
    assert looptime >= 5
    assert "Your previous server is still shutting down." in await sentences(run)


@cell("start, older pod", SLOW)
@pytest.mark.parametrize("verb", ["get", "delete", "create"])
@pytest.mark.parametrize("effect", BUSY.values(), ids=BUSY)
async def test_start_older_pod__api_busy(cluster, effect, verb):
    older = plant_pod(cluster)
    run = Run()
    with struck(cluster, effect, verb, count=2) as rule:
        await run.start()

    assert cluster.faults.hits(rule) == 2
    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(older)
    assert "The cluster is busy. Your server is waiting for its turn." in await sentences(run)


@cell("start, older pod", AWAY)
async def test_start_older_pod__api_away_for_a_while(cluster, looptime):
    older = plant_pod(cluster)
    takes(cluster, stop=5)
    run = Run()
    start = asyncio.create_task(run.start())
    await asyncio.sleep(2)
    await cluster.go_away()
    await asyncio.sleep(28)
    await cluster.come_back()
    await start

    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(older)
    assert looptime <= 36


@cell("start, older pod", AWAY)
async def test_start_older_pod__api_away_until_the_deadline(cluster, looptime):
    plant_pod(cluster)
    takes(cluster, stop=5)
    run = Run(start_timeout=60)
    start = asyncio.create_task(rejection(run))
    await asyncio.sleep(2)
    await cluster.go_away()

    error = await start

    assert 57 <= looptime <= 59
    assert (error.status_code, error.reason) == (503, "cluster_unavailable")


@cell("start, older pod", LOST)
async def test_start_older_pod__reply_to_a_create_lost(cluster, witness):
    """The pod that the lost reply was about is this attempt's, and not taken for another older one."""
    older = plant_pod(cluster)
    takes(cluster, stop=5)
    run = Run()
    start = asyncio.create_task(run.start())
    await asyncio.sleep(2)
    with struck(cluster, ReplyLost(), "create", count=1):
        await start

    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(older)
    assert mark_of(pod) is not None
    assert uid_of(pod) == run.spawner.pod_id
    assert [call.name for call in witness.calls if call.verb == "delete"] == ["jupyter-ada"]


async def test_a_pod_out_of_sight_makes_room_without_a_storm_of_requests(cluster, witness, looptime):
    """The view has only pods of the component; what a changed component_label left behind is waited for too."""
    older = plant_pod(cluster, labels={"component": "earlier-label"})
    takes(cluster, stop=10)
    run = Run()

    await run.start()

    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(older)
    assert len(witness.calls) < 60


# --- A terminating pod ---


@cell("start, terminating pod", UP)
async def test_start_dying_pod__api_up(cluster, looptime):
    """It is waited for; after 20 s the user reads what it waits for."""
    first = Run()
    await first.start()
    takes(cluster, stop=40)
    dying = pods(cluster)[0]
    edit_pod(cluster, deletionTimestamp="2100-01-01T00:00:30Z", deletionGracePeriodSeconds=30)
    run = first.next()

    await run.start()

    (pod,) = pods(cluster)
    assert uid_of(pod) != uid_of(dying)
    assert 40 <= looptime <= 42
    _, *read = await sentences(run)
    assert read[0] == "Your previous server is still shutting down."
    assert "because it still has time to save its work." in read[1]
    assert "because its machine has not confirmed that it stopped." in read[2]


@cell("start, terminating pod", UP)
@pytest.mark.parametrize(
    ("metadata", "cause"),
    [
        (
            {"finalizers": ["example.org/backup"]},
            "a service of the cluster (example.org/backup) did not release it",
        ),
        ({}, "its machine did not confirm that it stopped"),
    ],
    ids=["finalizer", "node lost"],
)
async def test_start_dying_pod__api_up_until_the_deadline(cluster, looptime, metadata, cause):
    """The failure names what was waited for; the dying pod is the cluster's to end."""
    await Run().start()
    takes(cluster, stop=1000)
    edit_pod(cluster, deletionTimestamp="2100-01-01T00:00:01Z", deletionGracePeriodSeconds=1, **metadata)
    run = Run(start_timeout=60)

    error = await rejection(run)

    assert 57 <= looptime <= 59
    assert error.status_code == 400
    assert sentence_of(error) == (
        f"Your previous server did not shut down within 1 min because {cause}. "
        "Try again in a few minutes; if it keeps happening, contact your administrator."
    )
    await run.stop()
    assert looptime <= 60, "the user is told when the hub's stop has returned"


# --- A foreign pod ---

FOREIGN = {
    "another user's": {"username": "bob"},
    "another server's": {
        "annotations": {"hub.jupyter.org/username": "ada", "hub.jupyter.org/servername": "gpu"}
    },
    "another release's": {"labels": {"app.kubernetes.io/instance": "hub-b"}},
    "another release's, as Helm 2 named it": {"labels": {"release": "hub-b"}},
    "nobody's": {"username": None},
}


@cell("start, foreign pod", UP)
@pytest.mark.parametrize("metadata", FOREIGN.values(), ids=FOREIGN)
async def test_start_foreign_pod__api_up(cluster, looptime, metadata):
    """It is named and never touched, neither by the start nor by the stop that follows."""
    foreign = plant_pod(cluster, **metadata)
    run = Run(common_labels={"app.kubernetes.io/instance": "hub-a", "release": "hub-a"})

    error = await rejection(run)
    assert looptime < 1
    await run.stop()
    await asyncio.sleep(80)

    assert [uid_of(pod) for pod in pods(cluster)] == [uid_of(foreign)]
    assert error.status_code == 400
    assert 'already uses the name "jupyter-ada"' in sentence_of(error)


async def test_a_foreign_pod_is_named_with_its_user_and_release(cluster):
    plant_pod(cluster, username="bob", labels={"app.kubernetes.io/instance": "hub-b"})

    assert 'user "bob" of release "hub-b" already uses' in sentence_of(await rejection(Run()))


# --- Deadlines ---


@pytest.mark.parametrize(("deadline", "ends"), [(300, 298), (60, 58), (20, 19)])
async def test_a_start_ends_before_the_hubs_deadline_with_what_it_waited_for(
    cluster, looptime, deadline, ends
):
    """Two seconds, or 5 % of a short timeout; the hub's TimeoutError, which says nothing, never comes."""
    run = Run(start_timeout=deadline, node_selector={"accelerator": "gpu"})

    error = await rejection(run)

    assert ends <= looptime <= ends + 0.5
    assert error.status_code == 400
    assert "machine" in sentence_of(error)


@pytest.mark.parametrize(("seconds", "ends", "said"), [(20, 19, "within 20 s"), (600, 58, "within 1 min")])
async def test_a_profile_can_shorten_the_deadline_and_not_lengthen_it(cluster, looptime, seconds, ends, said):
    """The hub has begun to wait when a profile is applied."""
    profile = {"display_name": "Waits", "kubespawner_override": {"start_timeout": seconds}}
    run = Run(start_timeout=60, node_selector={"accelerator": "gpu"}, profile_list=[profile])

    error = await rejection(run)

    assert ends <= looptime <= ends + 0.5
    assert said in sentence_of(error)


# --- Again ---


async def test_a_start_may_be_repeated(cluster):
    """By a subclass that tries twice, for instance: the second try has its own pod and its own sentences."""
    foreign = plant_pod(cluster, username="bob")
    run = Run()
    await rejection(run)
    cluster.database.remove(PODS, key_of(foreign))

    await run.spawner.start()
    first = pods(cluster)
    takes(cluster, pull=10)
    await run.spawner.start()

    assert [uid_of(pod) for pod in first] != [uid_of(pod) for pod in pods(cluster)]
    assert len(pods(cluster)) == 1
    read = await sentences(run)
    assert read.count("The hub is preparing your server.") == 1
    assert read[-1] == "Your server is running. Waiting for its first response."


@pytest.mark.parametrize("verb", ["get", "delete"])
async def test_an_older_pod_that_the_role_keeps_from_making_room_fails_with_a_reason(cluster, verb):
    plant_pod(cluster)
    run = Run()
    message = f'pods "x" is forbidden: User "hub" cannot {verb} resource "pods" in API group "" in the namespace "users"'
    status = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": message}
    with struck(cluster, refuse(status), verb, resource="pods"), pytest.raises(HTTPError) as failed:
        await run.start()

    assert failed.value.reason == "forbidden"
    assert failed.value.jupyterhub_message


def not_allowed(verb, plural):
    message = f'{plural} is forbidden: User "hub" cannot {verb} resource "{plural}" in API group "" in the namespace "x"'
    return refuse({"kind": "Status", "code": 403, "reason": "Forbidden", "message": message})


@pytest.mark.parametrize("plural", ["pods", "persistentvolumeclaims"])
async def test_a_role_without_watch_is_no_busy_cluster(cluster, looptime, plural):
    """The list is allowed, so that there is a view; but it stays as it was."""
    with struck(cluster, not_allowed("watch", plural), "watch", plural):
        first = await rejection(Run())
        created = pods(cluster)
        second = await rejection(Run("bob"))

    for failed in (first, second):
        assert failed.reason == "forbidden"
        assert sentence_of(failed) == (
            f"The hub lacks a permission in the cluster (watch {plural}). Contact your administrator."
        )
    assert looptime < 5
    assert pods(cluster) == created, "what is known to fail creates nothing"


async def test_a_watch_of_claims_is_not_needed_where_there_are_none(cluster):
    with struck(cluster, not_allowed("watch", "persistentvolumeclaims"), "watch", "persistentvolumeclaims"):
        takes(cluster, pull=10)
        await Run(storage_pvc_ensure=False, volumes=[], volume_mounts=[]).start()


async def test_a_watch_that_was_allowed_before_is_doubted_for_a_while(cluster):
    """An API server that has just started refuses it before it has read the roles."""
    await Run("bob").start()
    await cluster.go_away()
    with struck(cluster, not_allowed("watch", "pods"), "watch", "pods"):
        await cluster.come_back()
        run = Run()
        start = asyncio.create_task(run.start())
        await asyncio.sleep(15)
        assert not start.done()
    await start
    assert "The cluster is busy. Your server is waiting for its turn." in await sentences(run)


async def test_an_unknown_storage_class_is_told_at_once_and_again_at_the_next_start(cluster, looptime):
    """Its controller says so when the claim is made, before there is a pod, and then not for a long time."""
    run = Run(storage_class="fast")
    for _ in range(2):
        with pytest.raises(HTTPError) as failed:
            await run.start()
        assert '(storage class "fast")' in sentence_of(failed.value)
        await run.stop()
        run = run.next(storage_class="fast")

    assert looptime < 5
    assert pods(cluster) == []
    assert len(claims(cluster)) == 1


# --- It runs, and does not answer yet ---


@pytest.fixture
def silent(unused_port):
    """Traits of a server at whose address nobody listens yet."""
    return {"get_pod_url": lambda spawner, pod: f"http://127.0.0.1:{unused_port}"}


@pytest.fixture
def unused_port():
    return free_port()


async def test_a_server_that_crashes_before_it_answers_is_not_waited_for(cluster, looptime, silent):
    """As most broken images do: the container runs for some seconds and ends."""
    run = Run(**silent, extra_pod_config={"restartPolicy": "Never"})
    start = asyncio.create_task(run.start())
    await asyncio.sleep(5)
    await cluster.container("default", "jupyter-ada").end(Exit.of(3))
    with pytest.raises(HTTPError) as failed:
        await start

    assert "crashed while it was starting (exit code 3)" in sentence_of(failed.value)
    assert looptime < 7


async def test_a_server_that_is_restarted_before_it_answers_is_told_so(cluster, looptime, silent):
    run = Run(**silent, http_timeout=30)
    start = asyncio.create_task(run.start())
    await asyncio.sleep(5)
    takes(cluster, start=60)
    await cluster.container("default", "jupyter-ada").end(Exit.of(3))
    with pytest.raises(HTTPError) as failed:
        await start

    assert "stopped while it was starting (exit code 3), and was not ready within 30 s." in sentence_of(
        failed.value
    )
    assert failed.value.reason == "crash"
    read = await sentences(run)
    assert len(read) == len(set(read)), "told once, not at every look"


async def test_a_server_that_never_answers_is_given_up_after_http_timeout(cluster, looptime, silent):
    with pytest.raises(HTTPError) as failed:
        await Run(**silent, http_timeout=30).start()

    assert sentence_of(failed.value) == (
        "Your server started but did not respond within 30 s. "
        "Try again; if it keeps happening, contact your administrator."
    )
    assert failed.value.reason == "no_answer"
    assert 30 <= looptime < 34


async def test_a_server_that_answers_late_is_handed_over_when_it_does(cluster, looptime, silent, unused_port):
    start = asyncio.create_task(Run(**silent, http_timeout=30).start())
    await asyncio.sleep(20)
    listener = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", unused_port)
    async with listener:
        assert await start == f"http://127.0.0.1:{unused_port}"
    assert 20 <= looptime < 22


async def test_a_pod_that_runs_shortly_before_the_deadline_is_the_hubs_to_ask(cluster, looptime, silent):
    """The time that a server takes to answer is `http_timeout`, not a part of `start_timeout`."""
    takes(cluster, pull=20)
    await Run(**silent, start_timeout=30, http_timeout=30).start()
    assert 28 <= looptime < 30


async def test_a_pod_removed_before_its_server_answers_fails_at_once(cluster, looptime, silent):
    start = asyncio.create_task(Run(**silent).start())
    await asyncio.sleep(5)
    cluster.database.remove(PODS, Key("default", "jupyter-ada"))
    with pytest.raises(HTTPError) as failed:
        await start

    assert "removed before it was ready" in sentence_of(failed.value)
    assert looptime < 7


async def test_another_pod_of_the_name_is_not_taken_for_the_one_that_was_started(cluster, silent):
    start = asyncio.create_task(Run(**silent).start())
    await asyncio.sleep(5)
    await cluster.go_away()
    cluster.database.remove(PODS, Key("default", "jupyter-ada"))
    plant_pod(cluster)
    await cluster.come_back()
    with pytest.raises(HTTPError) as failed:
        await start

    assert "removed before it was ready" in sentence_of(failed.value)


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize(
    "words",
    [
        'admission webhook "gate.example.org" denied the request: no answer of the registry',
        'Internal error occurred: failed calling webhook "gate.example.org": context deadline exceeded',
    ],
    ids=["fails", "does not answer"],
)
async def test_a_webhook_that_is_broken_is_waited_for_and_told(cluster, resource, words):
    """Not a busy cluster: its administrator has to look at the webhook."""
    run = Run(start_timeout=60)
    broken = refuse(status_body(500, "InternalError", words, {}))
    with struck(cluster, broken, "create", resource, count=1000):
        error = await rejection(run)

    assert error.reason == "cluster_unavailable"
    assert sentence_of(error).startswith(
        "A service that must approve your server failed or did not respond within 1 min. "
    )
    assert words in str(error)


async def test_a_step_that_takes_long_is_in_the_log_once(cluster, caplog):
    """A short one is not: in a burst of starts it would hide what is unusual."""
    caplog.set_level("INFO")
    takes(cluster, pull=50)
    await Run().spawner.start()

    (line,) = [message for message in caplog.messages if ": since " in message]
    assert line.startswith("ada: since 30 s: Found a machine; setting up your server.")
