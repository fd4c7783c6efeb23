"""Fifty users in a row ask for what they cannot have, of a hub as people run it, on the real API server."""

import asyncio

import pytest

from devkit.testing.eventually import eventually
from tests.fates import hub_process

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

USERS = tuple(f"ada-{number}" for number in range(50))
AT_ONCE = 10

PROFILES = [
    {"display_name": "Small", "default": True},
    {
        "display_name": "Badly written",
        # No kubelet is asked: the API server itself refuses it.
        "kubespawner_override": {"image": " example.test/notebook:1 "},
    },
    {"display_name": "Large", "kubespawner_override": {"mem_guarantee": "64G"}},
]
QUOTA = {"hard": {"requests.memory": "32Gi"}}


async def all_read(hub, profile):
    """Have each user ask for this profile, some at a time; return what each reads in the end."""
    some = asyncio.Semaphore(AT_ONCE)

    async def read(user):
        async with some:
            status, body = await hub.api("POST", f"/users/{user}/server", body={"profile": profile})
            if status == 400:
                return body["message"]
            assert status in {201, 202}, body  # for a second try JupyterHub says 201 at once
            return (await hub.last_words(user))["message"]

    return await asyncio.gather(*map(read, USERS))


async def test_fifty_of_each_kind_leave_the_hub_up(control_plane, servers, tmp_path):
    options = {
        "profile_list": PROFILES,
        "consecutive_failure_limit": 5,
        "port": servers,
        "mem_guarantee": "1M",
    }
    async with hub_process(control_plane, tmp_path, users=(*USERS, "bob"), **options) as (stage, hub):
        quota = {"metadata": {"name": "memory"}, "spec": QUOTA}
        control_plane.admin.create(f"{stage.path}/resourcequotas", quota)
        await eventually(lambda: stage.all("resourcequotas")["memory"].get("status", {}).get("used"))

        for profile, words in [
            ("enormous", "enormous"),
            ("badly-written", "image"),
            ("large", "Not enough quota: your server needs"),
        ]:
            read = await all_read(hub, profile)
            assert [sentence for sentence in read if words not in sentence] == []

        await hub.api("POST", "/users/bob/server")
        assert (await hub.last_words("bob"))["ready"]
        await asyncio.sleep(3)  # a hub that has had enough ends itself after two seconds
        assert hub.is_alive
        assert set(stage.all("pods")) == {"jupyter-bob"}
        log = hub.lines()
        assert not [line for line in log if "consecutive spawn" in line or "Unhandled error" in line]
        assert not [line for line in log if "has ended" in line]


async def test_an_api_server_that_is_away_ends_no_hub_and_the_next_start_finds_it_back(
    control_plane, servers, tmp_path
):
    options = {
        "consecutive_failure_limit": 5,
        "port": servers,
        "start_timeout": 20,
        "k8s_api_request_retry_timeout": 1,
    }
    async with hub_process(control_plane, tmp_path, users=USERS, **options) as (_, hub):
        with control_plane.absent_apiserver():
            await asyncio.gather(*(hub.api("POST", f"/users/{user}/server") for user in USERS[:8]))
            words = await asyncio.gather(*map(hub.last_words, USERS[:8]))
        assert [each for each in words if "did not respond" not in each["message"]] == []
        assert not [line for line in hub.lines() if "consecutive spawn failures" in line]

        await hub.api("POST", f"/users/{USERS[8]}/server")
        assert (await hub.last_words(USERS[8]))["ready"]
