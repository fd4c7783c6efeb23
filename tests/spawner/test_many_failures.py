"""Fifty users in a row ask for something they cannot have: each reads why, and the hub stays up for all others.

With the chart's setting, the hub exits after five failures in a row.
"""

import asyncio
from dataclasses import replace

import pytest

from devkit.minicluster.faults import refuse
from devkit.minicluster.statuses import status_body
from devkit.testing.runs import pods, struck

pytestmark = [pytest.mark.looptime, pytest.mark.hub, pytest.mark.slow]

USERS = tuple(f"ada-{number}" for number in range(50))
AT_ONCE = 10
PATIENT = {"tornado_settings": {"slow_spawn_timeout": 900}, "concurrent_spawn_limit": AT_ONCE + 1}
"""The answer to the request for a server comes when its start is over."""

PROFILES = [
    {"display_name": "Small", "default": True, "kubespawner_override": {"mem_limit": "1G"}},
    {
        "display_name": "Large",
        "profile_options": {"memory": {"display_name": "Memory", "choices": {"8": {"display_name": "8 GB"}}}},
    },
]
QUOTA = refuse(
    status_body(
        403,
        "Forbidden",
        'pods "jupyter-ada" is forbidden: exceeded quota: users, requested: pods=1, used: pods=10, limited: pods=10',
        {"name": "jupyter-ada", "kind": "pods"},
    )
)


@pytest.fixture
def crowded(hub):
    """A function that opens a hub for fifty users and one who asks for nothing special."""

    def open_hub(**options):
        return hub(hub=PATIENT, users=(*USERS, "bob"), consecutive_failure_limit=5, **options)

    return open_hub


async def all_ask(hub, options=None):
    """Have each user ask for a server, some at a time; return what each is answered."""
    some = asyncio.Semaphore(AT_ONCE)

    async def ask(user):
        async with some:
            answer = await hub.api("POST", f"/users/{user}/server", json=options)
        assert hub.failure_count <= 1  # on JupyterHub 5, until the failure is taken back in the same breath
        return answer

    return await asyncio.gather(*map(ask, USERS))


async def expect_refused(hub, cluster, caplog, answers, *, words):
    """Each was told why, nothing is left of it, and whoever asks for something that can be had gets it."""
    assert len(answers) == len(USERS)
    for status, body in answers:
        assert status == 400
        assert words in body["message"]
    assert hub.failure_count == 0
    assert pods(cluster) == []
    assert "has ended" not in caplog.text, "a server that never ran"
    await asyncio.sleep(5)  # a hub that has had enough ends itself after two seconds
    assert (await hub.api("GET", "/users"))[0] == 200


async def expect_bob_is_served(hub):
    assert await hub.start_server("bob") == 201
    await hub.wait_ready("bob")
    assert hub.failure_count == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile": "enormous"}, "enormous"),
        ({"profile": "large", "memory": "64"}, "64"),
        ({"profile": "large", "memory": ["8"]}, "memory"),
    ],
    ids=["profile", "choice", "type"],
)
async def test_fifty_wrong_profiles(crowded, cluster, witness, caplog, options, words):
    async with crowded(profile_list=PROFILES) as hub:
        answers = await all_ask(hub, options)
        assert not [call for call in witness.calls if call.verb == "create"]
        await expect_refused(hub, cluster, caplog, answers, words=words)
        await expect_bob_is_served(hub)


@pytest.mark.parametrize("image", ["Not An Image", "example.test/nowhere:1"])
async def test_fifty_wrong_images(crowded, cluster, caplog, image):
    cluster.kubelet.settings = replace(cluster.kubelet.settings, known_images=frozenset({"good"}))

    def choose(spawner):
        spawner.image = "good" if spawner.user.name == "bob" else image

    async with crowded(pre_spawn_hook=choose) as hub:
        await expect_refused(hub, cluster, caplog, await all_ask(hub), words=image)
        await expect_bob_is_served(hub)


async def test_fifty_over_quota(crowded, cluster, caplog):
    async with crowded() as hub:
        with struck(cluster, QUOTA, "create"):
            answers = await all_ask(hub)
        await expect_refused(hub, cluster, caplog, answers, words="quota")
        await expect_bob_is_served(hub)


async def test_five_failures_of_the_cluster_after_fifty_of_users_leave_the_hub_up(crowded, cluster):
    async with crowded(start_timeout=30) as hub:
        with struck(cluster, QUOTA, "create"):
            await all_ask(hub)
        await cluster.go_away()
        for _ in range(5):
            status, body = await hub.api("POST", "/users/bob/server")
            assert (status, hub.failure_count) == (503, 0)
            assert "did not respond" in body["message"]
        await asyncio.sleep(5)
        await cluster.come_back()
        await expect_bob_is_served(hub)
