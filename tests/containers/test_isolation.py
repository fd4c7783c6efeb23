"""Two users at once, seen from inside their servers: neither has what is the other's, nor what is the cluster's."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from devkit.demo.plan import make_plan
from devkit.demo.session import Server, browser
from devkit.demo.settings import claimed
from devkit.demo.stack import running

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

SECRET = "secret-of-grace.txt"
# Run in a cell, by the user.
LOOK_AROUND = """
import json, os, pathlib
status = dict(line.split(":\\t") for line in open("/proc/self/status") if ":\\t" in line)
mounts = [line.split() for line in open("/proc/self/mountinfo")]
files = [name for folder, below, names in os.walk("/", topdown=True) for name in names
         if not folder.startswith(("/proc", "/sys"))]
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "capabilities": status["CapEff"].strip(),
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "volumes": [mount[3] for mount in mounts if "/volumes/" in mount[3]],
    "home": [mount[3] for mount in mounts if mount[4] == "/home/jovyan"],
    "has_account": os.path.exists("/var/run/secrets/kubernetes.io"),
    "sees_secret": SECRET in files,
    "sees_itself": pathlib.Path(json.__file__).name in files,
}))
"""
# A request of a user's own server, with the token that it has.
ASK = """
import os, urllib.error, urllib.request
url = "http://{address}:8888/user/{username}/api/contents"
headers = {{"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]}}
try:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        print(answer.status)
except urllib.error.HTTPError as refusal:
    print(refusal.code)
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """A user's server, and what can be run in it."""

    server: Server
    #: As the administrator sees them: the pod's address, and the folder of the volume behind the user's claim.
    address: str
    folder: str

    async def run(self, code):
        async with self.server.kernel() as kernel:
            return await kernel.run(code)

    async def look_around(self):
        return json.loads(await self.run(LOOK_AROUND.replace("SECRET", repr(SECRET))))


@pytest.fixture
async def seats(container_cluster, demo_settings):
    """A function that seats users at the same time, each at a server of their own."""
    settings = demo_settings()
    plan = make_plan(settings)
    admin, namespace = container_cluster.plane.admin, f"/api/v1/namespaces/{settings.namespace}"

    async def seat(username):
        user = await browsers.enter_async_context(browser(plan.url, username))
        await user.log_in(plan.password)
        await user.start_server()
        await user.follow_progress()
        server = await user.open_server()
        pod = admin.get(f"{namespace}/pods/jupyter-{username}")
        claim = admin.get(f"{namespace}/persistentvolumeclaims/claim-{username}")
        volume = admin.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
        return Seat(server, pod["status"]["podIP"], volume["spec"]["hostPath"]["path"])

    async def seat_all(*usernames):
        async with asyncio.TaskGroup() as group:
            arriving = [group.create_task(seat(username)) for username in usernames]
        return [one.result() for one in arriving]

    with claimed(settings.directory):
        async with running(plan), AsyncExitStack() as browsers:
            yield seat_all


async def test_two_users_at_once_share_nothing(seats):
    ada, grace = await seats("ada", "grace")
    await grace.server.write(SECRET, "of grace")
    seen = {"ada": await ada.look_around(), "grace": await grace.look_around()}

    assert seen["grace"].pop("sees_secret")
    assert not seen["ada"].pop("sees_secret")
    for username, seat in {"ada": ada, "grace": grace}.items():
        (home,) = seen[username].pop("home")
        assert home.rpartition("/")[2] == seat.folder.rpartition("/")[2]
        assert seen[username].pop("volumes") == [home], (
            "nothing of the cluster's is mounted, and no other volume"
        )
    powerless = {
        "ids": [1000, 100],
        "capabilities": "0000000000000000",
        "no_new_privileges": "1",
        "has_account": False,
        "sees_itself": True,
    }
    assert seen == {"ada": powerless, "grace": powerless}

    # Her token opens her own server and not the other's, although the network lets her ask.
    assert await ada.run(ASK.format(username="ada", address=ada.address)) == "200\n"
    assert await ada.run(ASK.format(username="grace", address=grace.address)) == "403\n"
