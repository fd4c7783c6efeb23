"""An admin changes `spawner_class` and starts the hub again, there and back: nobody's server or files are lost.

The other side is KubeSpawner 7.1.0 itself, some servers are as its version 6 left them.
"""

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from devkit.testing.eventually import eventually
from devkit.testing.hubprocess import HubProcess
from devkit.testing.runs import HOME
from tests.fates import Stage, staged

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

OURS, THEIRS = "k8s_hub.KubeSpawner", "kubespawner.KubeSpawner"
LONGEST = 180.0  # seconds

VERSION_6 = {
    "slug_scheme": "escape",
    "pod_name_template": "jupyter-{username}--{servername}",
    "pvc_name_template": "claim-{username}--{servername}",
}
OF_VERSION_6 = {("Old.Timer", ""), ("old-friend", "")}

RUNNING = {
    ("ada", ""),
    ("ada", "gpu"),
    ("User", ""),
    ("用户", ""),
    ("jane.doe@example.org", ""),
    ("9user", ""),
    ("user--1", ""),
    ("user-", ""),
    ("a" * 48, ""),
    ("Grace Hopper", ""),
    ("Old.Timer", ""),
}
STOPPED = {
    ("ada", "data-lab"),
    ("UPPER.Case", ""),
    ("üser", ""),
    ("jane.doe@example.org", "gpu"),
    ("user_name", ""),
    ("a.b", ""),
    ("a" * 70, ""),
    ("a" * 40, "server-name"),
    ("old-friend", ""),
}
ALL = RUNNING | STOPPED

PROFILES = [
    {"display_name": "Small", "default": True, "kubespawner_override": {"mem_guarantee": "64M"}},
    {
        "display_name": "Large",
        "kubespawner_override": {"extra_labels": {"size": "large"}, "cpu_guarantee": 0.5},
        "profile_options": {
            "memory": {
                "display_name": "Memory",
                "choices": {
                    size: {
                        "display_name": f"{size} GB",
                        "kubespawner_override": {
                            "mem_guarantee": f"{size}G",
                            "environment": {"SIZE": f"{size} for {{username}}"},
                        },
                    }
                    for size in ("4", "8")
                },
            },
            "image": {
                "display_name": "Image",
                "unlisted_choice": {"enabled": True, "kubespawner_override": {"image": "{value}"}},
            },
        },
    },
]
LARGE = {"profile": "large", "memory": "8", "image--unlisted-choice": "example.test/own:1"}
CHOSEN = {("Grace Hopper", ""): LARGE, ("ada", "gpu"): LARGE, ("a.b", ""): LARGE, ("ada", "data-lab"): LARGE}
"""What some have chosen; all others have the default profile."""

Server = tuple[str, str]
"""A user's name and a server's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What users and the cluster have at one moment."""

    #: What the REST API tells of each server, and where the proxy sends its requests.
    models: Mapping[Server, Any]
    targets: Mapping[str, str]
    #: Uids of the servers' pods, and of the claims, by their names.
    pods: Mapping[Server, str]
    claims: Mapping[str, str]
    #: Which claim is whose home.
    homes: Mapping[Server, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A hub as a process, its users, and the cluster seen as its administrator."""

    stage: Stage
    hub: HubProcess

    async def live_under(self, spawner_class: str, **options: Any) -> None:
        """Start the hub with this class, and wait until it knows how its servers are."""
        self.hub.change("JupyterHub", spawner_class=spawner_class)
        self.hub.change("KubeSpawner", **options)
        await self.hub.boot()
        await eventually(self._is_settled, seconds=LONGEST)

    async def swap(self, spawner_class: str) -> None:
        """What an administrator does."""
        await self.hub.end()
        await self.live_under(spawner_class)

    async def make_users(self) -> None:
        for user in sorted({user for user, _ in ALL}):
            assert (await self.hub.api("POST", f"/users/{quote(user, safe='')}"))[0] == 201

    async def start(self, servers: Iterable[Server]) -> None:
        """Start them all at once, and wait until all are ready."""
        servers = set(servers)
        answers = await asyncio.gather(
            *(self.hub.api("POST", _path(server), body=CHOSEN.get(server)) for server in servers)
        )
        assert {status for status, _ in answers} <= {201, 202}, answers

        async def are_ready() -> bool:
            running = await self.hub.running()
            assert servers <= set(running), f"failed to start: {servers - set(running)}"
            return all(running[server]["ready"] for server in servers)

        await eventually(are_ready, seconds=LONGEST)

    async def stop(self, servers: Iterable[Server]) -> None:
        """Stop them all at once, and wait until all are gone."""
        servers = set(servers)
        answers = await asyncio.gather(*(self.hub.api("DELETE", _path(server)) for server in servers))
        assert {status for status, _ in answers} <= {202, 204}, answers
        await self.until_stopped(servers)

    async def until_stopped(self, servers: Iterable[Server]) -> None:
        async def are_gone() -> bool:
            return not set(servers) & set(await self.hub.running())

        await eventually(are_gone, seconds=LONGEST)

    def remove_pod(self, server: Server) -> None:
        """As somebody does who is not the hub."""
        self.stage.plane.admin.delete(self._path_of_pod(server), {"gracePeriodSeconds": 0})

    def end_pod(self, server: Server) -> None:
        """As the kubelet tells that the user has shut the server down."""
        status = {"name": "notebook", "ready": False, "restartCount": 0, "image": "x", "imageID": "x"}
        status["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
        self.stage.plane.admin.patch(
            f"{self._path_of_pod(server)}/status",
            {"status": {"phase": "Succeeded", "containerStatuses": [status]}},
        )

    async def look(self) -> Seen:
        pods, claims = self.stage.all("pods"), self.stage.all("persistentvolumeclaims")
        assert len({_owner(pod) for pod in pods.values()}) == len(pods), "nobody has two pods"
        assert not [name for name, pod in pods.items() if "deletionTimestamp" in pod["metadata"]]
        return Seen(
            models={server: _as_users_see_it(model) for server, model in (await self.hub.running()).items()},
            targets=await self.hub.targets(),
            pods={_owner(pod): pod["metadata"]["uid"] for pod in pods.values()},
            claims={name: claim["metadata"]["uid"] for name, claim in claims.items()},
            homes={_owner(pod): _home(pod) for pod in pods.values()},
        )

    def shapes(self) -> dict[Server, Any]:
        """What the pods are like, apart from what differs from start to start."""
        return {_owner(pod): _shape(pod) for pod in self.stage.all("pods").values()}

    async def expect_reachable(self, seen: Seen) -> None:
        """Ask each server as its user's browser would, through the proxy's route."""
        assert {model["url"] for model in seen.models.values()} == set(seen.targets)
        async with aiohttp.ClientSession() as session:
            for path, target in seen.targets.items():
                async with session.get(target + path) as reply:
                    assert reply.status == 200

    async def outlive_polls(self, count: int) -> None:
        """Wait until the hub has polled its servers so often."""
        await asyncio.sleep(count * POLL_INTERVAL * 1.2)

    def expect_quiet_log(self) -> None:
        """What the administrator reads since the last swap tells of no error."""
        bad = re.compile(r"^\[[EC] |Traceback|\bERROR\b|CRITICAL|never awaited")
        assert not [line for line in self.hub.lines_since_start() if bad.search(line)]

    def _path_of_pod(self, server: Server) -> str:
        [name] = [name for name, pod in self.stage.all("pods").items() if _owner(pod) == server]
        return f"{self.stage.path}/pods/{name}"

    async def _is_settled(self) -> bool:
        return all(model["ready"] for model in (await self.hub.running()).values())


POLL_INTERVAL = 1


def _as_users_see_it(model: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key != "state"}


def _path(server: Server) -> str:
    user, name = (quote(part, safe="") for part in server)
    return f"/users/{user}/servers/{name}" if name else f"/users/{user}/server"


def _owner(obj: Mapping[str, Any]) -> Server:
    annotations = obj["metadata"]["annotations"]
    return annotations["hub.jupyter.org/username"], annotations.get("hub.jupyter.org/servername", "")


def _home(pod: Mapping[str, Any]) -> str:
    [claim] = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    return claim


def _shape(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The pod as the API server has completed it, without tokens, place and the ids of user and start."""
    metadata, spec = pod["metadata"], pod["spec"]
    ids = {"hub.jupyter.org/start-attempt", "hub.jupyter.org/user-id"}
    annotations = {key: text for key, text in metadata["annotations"].items() if key not in ids}
    containers = []
    for container in spec["containers"]:
        env = {one["name"]: one.get("value", "") for one in container["env"] if "TOKEN" not in one["name"]}
        mounts = [mount for mount in container["volumeMounts"] if "serviceaccount" not in mount["mountPath"]]
        containers.append({**container, "env": env, "volumeMounts": mounts})
    volumes = [volume for volume in spec["volumes"] if "projected" not in volume]
    return {
        "labels": metadata["labels"],
        "annotations": annotations,
        **{key: value for key, value in spec.items() if key != "nodeName"},
        "containers": containers,
        "volumes": volumes,
    }


def _make_states_of_version_6(hub: HubProcess) -> None:
    """Leave in the database what KubeSpawner 6 would have: neither a version nor a claim's name."""
    with closing(sqlite3.connect(hub.database)) as database, database:
        for row, text in database.execute("SELECT id, state FROM spawners").fetchall():
            state = json.loads(text or "{}")
            state.pop("kubespawner_version", None)
            state.pop("pvc_name", None)
            database.execute("UPDATE spawners SET state = ? WHERE id = ?", (json.dumps(state), row))


@asynccontextmanager
async def founded(control_plane, folder, port, scheme):
    """A town under KubeSpawner 7.1.0 with all servers, of which some are stopped."""
    with staged(control_plane, folder) as (stage, kubeconfig):
        hub = HubProcess(
            folder,
            users=[],
            kubeconfig=kubeconfig,
            namespace=stage.namespace,
            port=port,
            poll_interval=POLL_INTERVAL,
            profile_list=PROFILES,
            delete_grace_period=0,
            **HOME,
            **VERSION_6,
        )
        hub.change("JupyterHub", spawner_class=THEIRS)
        async with hub:
            town = Town(stage=stage, hub=hub)
            await town.make_users()
            await town.start(OF_VERSION_6)
            homes = dict((await town.look()).homes)
            await town.stop(OF_VERSION_6 & STOPPED)
            await hub.end()
            _make_states_of_version_6(hub)
            of_version_7 = {
                "pod_name_template": "jupyter-{user_server}",
                "pvc_name_template": "claim-{user_server}",
            }
            await town.live_under(THEIRS, slug_scheme=scheme, **of_version_7)
            await town.start(ALL - OF_VERSION_6)
            homes |= (await town.look()).homes
            shapes = town.shapes()
            await town.stop(STOPPED - OF_VERSION_6)
            yield town, homes, shapes


@pytest.mark.parametrize("scheme", ["safe", "escape"])
async def test_twenty_servers_outlive_the_swap_and_the_way_back(control_plane, tmp_path, servers, scheme):
    async with founded(control_plane, tmp_path, servers, scheme) as (town, homes, shapes):
        before = await town.look()
        assert set(before.models) == set(before.pods) == RUNNING
        assert len(before.claims) == len(ALL)

        await town.swap(OURS)
        await _expect_the_same(town, before)
        await town.start(STOPPED)
        full = await _expect_homes(town, ALL, homes, before)
        assert full.pods.items() > before.pods.items()
        restarted, now = STOPPED - OF_VERSION_6, town.shapes()
        assert {server: now[server] for server in restarted} == {
            server: shapes[server] for server in restarted
        }
        assert {server for server in now if now[server]["labels"].get("size") == "large"} == set(CHOSEN)
        await _lead_an_ordinary_life(town, homes, full)
        town.expect_quiet_log()

        await town.stop({("ada", ""), ("9user", ""), ("a.b", ""), ("Old.Timer", "")})
        before = await town.look()
        await town.swap(THEIRS)
        await _expect_the_same(town, before)
        await town.start(ALL - set(before.models))
        await _expect_homes(town, ALL, homes, before)
        await town.stop(ALL)
        await town.start(ALL)
        await _expect_homes(town, ALL, homes, before)
        town.expect_quiet_log()


async def _expect_the_same(town: Town, before: Seen) -> None:
    """The pods, their servers and their addresses are those of before, also after the hub has asked how they are."""
    seen = await town.look()
    assert seen == before
    await town.expect_reachable(seen)
    await town.outlive_polls(2)
    assert await town.look() == before


async def _expect_homes(town: Town, servers: set[Server], homes: Mapping[Server, str], before: Seen) -> Seen:
    """These servers run, each with one pod and with the home that it always had; there is no new claim."""
    seen = await town.look()
    assert set(seen.models) == set(seen.pods) == servers
    assert seen.claims == before.claims
    assert seen.homes == {server: homes[server] for server in servers}
    await town.expect_reachable(seen)
    return seen


async def _lead_an_ordinary_life(town: Town, homes: Mapping[Server, str], before: Seen) -> None:
    """Servers that KubeSpawner has started are stopped, removed by others, end by themselves, and come back."""
    stopped = {("User", ""), ("ada", "gpu"), ("user-", ""), ("a" * 48, "")}
    await town.stop(stopped)
    assert not stopped & set((await town.look()).pods)
    town.remove_pod(("用户", ""))
    town.end_pod(("jane.doe@example.org", ""))
    ended = {("用户", ""), ("jane.doe@example.org", "")}
    await town.until_stopped(ended)
    await eventually(lambda: not ended & {_owner(pod) for pod in town.stage.all("pods").values()})
    await town.start(stopped | ended)
    seen = await _expect_homes(town, set(before.models), homes, before)
    assert {server for server, uid in seen.pods.items() if before.pods[server] != uid} == stopped | ended
