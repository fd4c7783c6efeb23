"""Failures on a real machine: real images, containers, limits and evictions, each told to its user in one sentence."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from devkit.testing.eventually import eventually
from tests.fates import CAME_BACK, CONTROL_USER, LONGEST, Case, Fate, play, until_it_ends

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

STARTING, RUNNING = "While a server starts", "While a server runs"
PORT = 8888
ANSWER = f"python3 -m http.server {PORT} --directory /opt"
LOOK = 5  # seconds between two polls
REQUESTS = "/tmp/requests"  # where the server writes what it was asked for
UNHURRIED = {"start_timeout": 180, "http_timeout": 180}
SCRATCH = {
    "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}],
    "volume_mounts": [{"name": "scratch", "mountPath": "/scratch"}],
}
NEVER = {"extra_pod_config": {"restartPolicy": "Never"}}
# The server does not heed SIGTERM: the pod is there for all this time, in which the hub asks many times.
SLOW_END = {"extra_pod_config": {"terminationGracePeriodSeconds": 9 * LOOK}, **UNHURRIED}


def shell(script):
    """The traits of a server that is this shell script."""
    return {"cmd": ["sh", "-c", script]}


def serving(end):
    """The traits of a server that answers until somebody asks it for its end."""
    wait = f"until grep --quiet 'GET /end ' {REQUESTS}; do sleep 0.2; done"
    return {**shell(f"{ANSWER} 2>{REQUESTS} & {wait}; {end}"), **UNHURRIED}


async def end_it(stage, user):
    """The server ends by itself: returns when the cluster knows."""
    address = (await stage.pod(user))["status"]["podIP"]
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}:{PORT}/end") as reply:
        assert reply.status == 404
    await until_it_ends(stage, user)


async def delete(stage, user):
    await stage.delete_pod(user)


async def drain(stage, user):
    """As `kubectl drain` does."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": f"jupyter-{user}", "namespace": stage.namespace},
    }
    await asyncio.to_thread(stage.plane.admin.create, f"{stage.path}/pods/jupyter-{user}/eviction", body)


async def once_it_exists(stage, user):
    """The administrator's `kubectl delete pod`, as soon as there is one."""
    await eventually(lambda: stage.pod(user), seconds=LONGEST)
    await stage.delete_pod(user)


REGISTRY = "REGISTRY"
"""Stands for the address of the registry that refuses, until there is one."""

STARTS = [
    Case(
        fate=Fate(user="ada-missing", traits={"image": f"{REGISTRY}/answers/404:1"}),
        what="The image does not exist.",
        words="does not exist. Check its name and tag",
        log="not found",
        reason="image_not_found",
    ),
    Case(
        fate=Fate(user="ada-unauthorized", traits={"image": f"{REGISTRY}/answers/401:1"}),
        what="The registry wants a login (401).",
        words="does not exist, or this hub may not download it",
        log="401 Unauthorized",
        reason="image_denied",
    ),
    Case(
        fate=Fate(user="ada-forbidden", traits={"image": f"{REGISTRY}/answers/403:1"}),
        what="The registry refuses (403).",
        words="does not exist, or this hub may not download it",
        log="403 Forbidden",
        reason="image_denied",
    ),
    Case(
        # The spawner has 2 s to end the start before the hub does it: too few while the others keep the hub busy.
        fate=Fate(user="ada-memory", traits={"mem_guarantee": "512G", "start_timeout": 75}),
        what="No machine has the memory.",
        words="machine with 512 GiB of memory",
        log="Insufficient memory",
        reason="unschedulable",
    ),
    Case(
        fate=Fate(user="ada-program", traits={"cmd": ["jupyter-of-old"]}),
        what="The image has no such program.",
        words='has no program "jupyter-of-old"',
        log="executable file not found",
        reason="command",
    ),
    Case(
        fate=Fate(user="ada-crash", traits={**shell("exit 3"), **NEVER}),
        what="The container exits at once and is not restarted (`restartPolicy: Never`).",
        words="crashed while it was starting (exit code 3)",
        log="exit code 3",
        reason="crash",
    ),
    Case(
        fate=Fate(user="ada-loop", traits={**shell("exit 3"), "start_timeout": 200, "http_timeout": 120}),
        what="The container exits at once, each time it is restarted.",
        words="crashed 4 times in a row while it was starting (exit code 3)",
        log="exit code 3",
        reason="crash",
    ),
    Case(
        fate=Fate(user="ada-early", traits={**shell("sleep 3; exit 3"), **NEVER}),
        what="The container exits after 3 seconds, before it has answered, and is not restarted (`restartPolicy: Never`).",
        words="crashed while it was starting (exit code 3)",
        log="exit code 3",
        reason="crash",
    ),
    Case(
        fate=Fate(user="ada-done", traits=shell("exit 0")),
        what="The container exits at once with 0.",
        words="ended by itself while it was starting (exit code 0)",
        log="Completed",
        reason="exited",
    ),
    Case(
        fate=Fate(user="ada-greedy", traits={**shell("exec tail /dev/zero"), "mem_limit": "64M"}),
        what="The server needs more memory than its limit while it starts.",
        words="needed more memory than its limit of 64 MiB",
        log="OOMKilled",
        reason="out_of_memory",
    ),
    Case(
        fate=Fate(
            user="ada-deleted",
            traits={"node_selector": {"no": "such-machine"}},
            while_starting=once_it_exists,
        ),
        what="An administrator deletes the pod.",
        words="removed before it was ready",
        log="jupyter-ada-deleted was deleted by somebody else",
        reason="deleted",
    ),
]


CRASHES = [
    Case(
        fate=Fate(user="ada-restart", traits=serving("exit 3"), while_running=end_it, comes_back=True),
        what="The container exits.",
        words=CAME_BACK,
        log="the server ended (Error, exit code 3); the kubelet starts it again",
    ),
    Case(
        fate=Fate(user="ada-end", traits={**serving("exit 3"), **NEVER}, while_running=end_it),
        what="The container exits and is not restarted (`restartPolicy: Never`).",
        words="is not running",
        log="the server has ended: Error, exit code 3",
    ),
    Case(
        fate=Fate(
            user="ada-hungry",
            traits={**serving("exec tail /dev/zero"), "mem_limit": "64M"},
            while_running=end_it,
            comes_back=True,
        ),
        what="The server runs out of memory.",
        words=CAME_BACK,
        log="the server ended (OOMKilled, exit code 137); the kubelet starts it again",
    ),
    Case(
        fate=Fate(
            user="ada-starved",
            traits={**serving("exec tail /dev/zero"), "mem_limit": "64M", **NEVER},
            while_running=end_it,
        ),
        what="The server runs out of memory and is not restarted (`restartPolicy: Never`).",
        words="is not running",
        log="the server has ended: OOMKilled, exit code 137",
    ),
    Case(
        fate=Fate(user="ada-removed", traits=SLOW_END, while_running=delete),
        what="An administrator deletes the pod.",
        words="is not running",
        log="the server has ended: Deleted, exit code 1",
    ),
    Case(
        fate=Fate(user="ada-drained", traits=SLOW_END, while_running=drain),
        what="An administrator drains the machine (the eviction API).",
        words="is not running",
        log="the server has ended: EvictionByEvictionAPI, exit code 1",
    ),
    Case(
        fate=Fate(
            user="ada-evicted",
            traits={**serving("head -c 5000000 /dev/zero > /scratch/file; sleep 600"), **SCRATCH},
            while_running=end_it,
        ),
        what="The kubelet evicts the pod, because its user wrote more than is allowed.",
        words="is not running",
        log="the server has ended: Evicted, exit code 1: ",
    ),
]


def located(fate, address):
    """The fate, its image in the registry that runs now."""
    traits = {
        name: value.replace(REGISTRY, address) if name == "image" else value
        for name, value in fate.traits.items()
    }
    return replace(fate, traits=traits)


@pytest.fixture(scope="module")
def ending(container_cluster, user_image, registry, tmp_path_factory):
    """All fates at once, in one hub."""
    running = play(
        container_cluster.plane,
        tmp_path_factory.mktemp("fates"),
        [located(case.fate, registry.address) for case in STARTS + CRASHES],
        image=user_image,
        port=PORT,
        poll_interval=LOOK,
        **shell(f"exec {ANSWER}"),
    )
    return asyncio.run(running)


@pytest.mark.parametrize("case", STARTS, ids=str)
def test_a_start_fails_and_the_user_reads_why(case, ending, failure_table):
    outcome = ending.outcomes[case.fate.user]
    assert case.words in outcome.sentence
    assert case.log in outcome.detail
    assert outcome.reason == case.reason
    failure_table.see(outcome.row(STARTING, case))


@pytest.mark.parametrize("case", CRASHES, ids=str)
def test_a_server_ends_and_is_shown_as_what_it_is(case, ending, failure_table):
    outcome = ending.outcomes[case.fate.user]
    assert case.words in outcome.sentence
    assert outcome.line(case.log)
    failure_table.see(outcome.row(RUNNING, case))


def test_every_reason_is_counted_once_and_none_against_the_hub(ending, failure_table):
    failure_table.slow_callbacks["each with a fate of their own, containers"] = ending.slow_callbacks
    reasons = [case.reason for case in STARTS]
    assert ending.reasons == {reason: reasons.count(reason) for reason in reasons}
    assert ending.failure_count == 0


def test_nothing_is_left_but_homes_and_those_that_came_back(ending):
    users = {CONTROL_USER, *(case.fate.user for case in STARTS + CRASHES)}
    back = {case.fate.user for case in CRASHES if case.fate.comes_back}
    assert ending.pods == {f"jupyter-{user}" for user in (CONTROL_USER, *back)}
    assert ending.claims == {f"claim-{user}" for user in users}
