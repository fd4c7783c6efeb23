"""Independent looks at the cluster and at the hub, all the time, past the fault proxy."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp

from devkit.chaos.record import Change, Recorder, Sample, change_of, now, server_key
from devkit.chaos.world import HubAwayError, World

RESOURCES = ("pods", "persistentvolumeclaims", "secrets", "services")
AGAIN_SECONDS = 0.2
SAMPLE_SECONDS = 1.0
CANARY = "chaos.k8s-hub.test/canary"


@dataclass(kw_only=True)
class Observer:
    """Writes down every change of objects, and each second what the hub shows."""

    world: World
    recorder: Recorder
    #: The last change of each object that exists, by uid.
    present: dict[str, Change] = field(default_factory=dict)
    #: Secrets that were seen: the access tokens of servers, by whose they are.
    tokens: dict[str, str] = field(default_factory=dict)
    #: The specs of pods that have been, for the search for secrets.
    specs: dict[str, str] = field(default_factory=dict)

    async def watch(self, resource: str) -> None:
        """Follow one kind of object, for ever."""
        path = f"/api/v1/namespaces/{self.world.namespace}/{resource}"
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
                async with self.world.admin.get(path) as reply:
                    reply.raise_for_status()
                    listed = await reply.json()
                self._relist(resource, listed["items"])
                parameters = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
                async with self.world.admin.get(path, params=parameters) as reply:
                    async for line in reply.content:
                        event = json.loads(line)
                        if event["type"] == "ERROR":
                            break
                        self._see(event["type"], resource, event["object"])
            await asyncio.sleep(AGAIN_SECONDS)

    def _relist(self, resource: str, items: list[dict[str, Any]]) -> None:
        uids = {obj["metadata"]["uid"] for obj in items}
        for change in [each for each in self.present.values() if each.resource == resource]:
            if change.uid not in uids:
                self._keep(_deleted(change))
        for obj in items:
            known = self.present.get(obj["metadata"]["uid"])
            if known is None or known.version != obj["metadata"]["resourceVersion"]:
                self._see("MODIFIED" if known else "ADDED", resource, obj)

    def _see(self, kind: str, resource: str, obj: dict[str, Any]) -> None:
        change = change_of(now(), kind, resource, obj)
        if resource == "pods" and kind == "ADDED":
            self.specs[change.uid] = json.dumps(obj)
            for container in obj["spec"]["containers"]:
                for variable in container.get("env", ()):
                    if variable["name"] == "JUPYTERHUB_API_TOKEN" and "value" in variable:
                        self.tokens[variable["value"]] = f"the token of {change.server}"
        self._keep(change)

    def _keep(self, change: Change) -> None:
        if change.kind == "DELETED":
            self.present.pop(change.uid, None)
        else:
            self.present[change.uid] = change
        self.recorder.add(change)

    def has_pod_at(self, address: str) -> bool:
        """Return whether a pod that has this address has not ended."""
        return any(each.address == address and not each.is_over for each in self.present.values())

    async def sample(self) -> None:
        """Write down what the hub shows, for ever."""
        last, waited = now(), 0.0
        while True:
            begin = now()
            sample = await self._sample()
            last_waited, waited = waited, waited_for_processor(self.world.hub.process.pid)
            starved = max(0.0, waited - last_waited) / (sample.at - last)
            self.recorder.add(replace(sample, starved=round(starved, 3)))
            last = sample.at
            await asyncio.sleep(max(0.1, SAMPLE_SECONDS - (now() - begin)))

    async def _sample(self) -> Sample:
        try:
            async with asyncio.timeout(10):
                users = await self.world.hub.users()
                at = now()
                routes = await self.world.hub.api("GET", "/proxy?limit=5000")
        except (HubAwayError, TimeoutError):
            return Sample(at=now(), servers=None)
        servers = {
            server_key(user["name"], name): _state(server)
            for user in users
            if user["kind"] == "user"
            for name, server in user["servers"].items()
        }
        return Sample(at=at, servers=servers, routes=_targets(routes.body) if routes.status == 200 else None)

    async def mark_claims(self) -> None:
        """Put a canary on each new claim, for ever."""
        marked: set[str] = set()
        while True:
            for claim in [each for each in self.present.values() if each.resource == RESOURCES[1]]:
                if claim.uid not in marked and claim.server:
                    with suppress(aiohttp.ClientError, OSError):
                        await mark(self.world, claim)
                        marked.add(claim.uid)
            await asyncio.sleep(1)


async def mark(world: World, claim: Change) -> None:
    """Write the claim's own uid into an annotation, which a claim that was made anew does not have."""
    path = f"/api/v1/namespaces/{world.namespace}/{claim.resource}/{claim.name}"
    body = json.dumps({"metadata": {"uid": claim.uid, "annotations": {CANARY: claim.uid}}})
    headers = {"Content-Type": "application/merge-patch+json"}
    async with world.admin.patch(path, data=body, headers=headers) as reply:
        await reply.read()


def waited_for_processor(pid: int | None) -> float:
    """Return for how many seconds a process's first thread could have run and did not get a processor."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def _deleted(change: Change) -> Change:
    return replace(change, kind="DELETED", at=now())


def _state(server: Mapping[str, Any]) -> str:
    if server["pending"]:
        return str(server["pending"])
    if server["ready"]:
        return "ready"
    return "stopped" if server.get("stopped", True) else "unready"


def _targets(routes: Mapping[str, Any]) -> dict[str, str]:
    """Return where the routes of servers lead."""
    found = {}
    for path, route in routes.items():
        match [unquote(part) for part in path.strip("/").split("/")]:
            case ["user", user]:
                found[server_key(user, "")] = urlsplit(route["target"]).hostname or ""
            case ["user", user, server]:
                found[server_key(user, server)] = urlsplit(route["target"]).hostname or ""
    return found
