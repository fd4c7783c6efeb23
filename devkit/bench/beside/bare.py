"""A script that creates the same objects as a spawner, and does nothing else: the lower bound of the cluster.

`python -m devkit.bench.beside.bare` reads its task and prints its figures as JSON. It runs in its own process, like a hub.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import aiohttp

from devkit.bench.beside.load import rush
from devkit.bench.beside.watch import begun

NAME = "the-name"
"""Stands in the objects for each user's name."""


class Script:
    """Creates and deletes objects, and follows them with one watch."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str, claim: Any, pod: Any) -> None:
        self._session, self._namespace = session, namespace
        self._path = f"/api/v1/namespaces/{namespace}"
        self._claim, self._pod = json.dumps(claim), json.dumps(pod)
        self._pod_name = pod["metadata"]["name"]
        self._heard: dict[tuple[str, str], asyncio.Event] = {}

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Hear of pods while inside."""
        task = asyncio.create_task(self._listen(await begun(self._session, self._namespace)))
        try:
            yield
        finally:
            task.cancel()

    async def start(self, user: str) -> bool:
        """Return when the user's pod runs."""
        runs = self._event("Running", user)
        created = await self._create("persistentvolumeclaims", self._claim.replace(NAME, user))
        created = created and await self._create("pods", self._pod.replace(NAME, user))
        if created:
            await runs.wait()
        return created

    async def stop(self, user: str) -> bool:
        """Return when the user's pod is gone."""
        gone = self._event("gone", user)
        async with self._session.delete(
            f"{self._path}/pods/{self._name(user)}?gracePeriodSeconds=1"
        ) as reply:
            await reply.read()
        await gone.wait()
        return True

    async def _create(self, plural: str, body: str) -> bool:
        return await self._ask("POST", plural, body) == 201

    async def _ask(self, method: str, path: str, body: str | None = None) -> int:
        """Send a request and return the status; retry after Retry-After."""
        headers = {"Content-Type": "application/json"}
        while True:
            async with self._session.request(
                method, f"{self._path}/{path}", data=body, headers=headers
            ) as reply:
                await reply.read()
                if reply.status != 429:
                    return reply.status
            await asyncio.sleep(float(reply.headers.get("Retry-After", 1)))

    async def _listen(self, changes: AsyncIterator[tuple[str, Any]]) -> None:
        async for kind, pod in changes:
            state = "gone" if kind == "DELETED" else pod["status"]["phase"]
            heard = self._heard.pop((state, pod["metadata"]["name"]), None)
            if heard is not None:
                heard.set()

    def _event(self, state: str, user: str) -> asyncio.Event:
        return self._heard.setdefault((state, self._name(user)), asyncio.Event())

    def _name(self, user: str) -> str:
        return self._pod_name.replace(NAME, user)


async def run(task: dict[str, Any]) -> dict[str, Any]:
    """Start few, start many, stop; return what was measured of each."""
    users = task["users"]
    trusted = ssl.create_default_context(cafile=task["ca_certificate"])
    async with aiohttp.ClientSession(
        task["url"],
        headers={"Authorization": f"Bearer {task['token']}"},
        connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=2**22,
    ) as session:
        script = Script(session, task["namespace"], task["claim"], task["pod"])
        async with script.watching():
            few = await rush(users["few"], script.start, at_once=3)
            started = await rush(users["started"], script.start, at_once=task["at_once"])
            stopped = await rush(users["stopped"], script.stop, at_once=task["at_once"])
    return {"few": asdict(few), "started": asdict(started), "stopped": asdict(stopped)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.load(sys.stdin)))))
