"""Follows what a campaign makes on the API server, past the fault proxy."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from devkit.perturb.invariants import CLAIMS, OWNED, Change
from k8s_hub.naming.ownership import USERNAME_ANNOTATION

SELECTOR = USERNAME_ANNOTATION
"""The label that all objects of users have."""


@asynccontextmanager
async def observed(admin: aiohttp.ClientSession) -> AsyncIterator[list[Change]]:
    """Give the history of all users' objects, which grows while inside."""
    history: list[Change] = []
    tasks = [asyncio.create_task(_follow(admin, plural, history)) for plural in (*OWNED, CLAIMS)]
    try:
        yield history
        for task in tasks:
            if task.done():
                task.result()  # raises what ended it
    finally:
        for task in tasks:
            task.cancel()


async def _follow(admin: aiohttp.ClientSession, plural: str, history: list[Change]) -> None:
    path = f"/api/v1/{plural}"
    async with admin.get(path, params={"labelSelector": SELECTOR}) as reply:
        version = (await reply.json())["metadata"]["resourceVersion"]
    while True:
        query = {"labelSelector": SELECTOR, "watch": "1", "resourceVersion": version}
        async with admin.get(path, params=query) as reply:
            async for line in reply.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the observer's watch of {plural} failed: {event['object']}")
                version = event["object"]["metadata"]["resourceVersion"]
                history.append(Change(plural, event["type"], event["object"]))
