"""Every change of a namespace's pods, also when the API server ends a watch that reads too slowly."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp


async def changes(session: aiohttp.ClientSession, namespace: str) -> AsyncIterator[tuple[str, Any]]:
    """Yield the kind of each change and the pod; first of all ("", None), once none is missed any more."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    async with session.get(path, params={"limit": "1"}) as reply:
        version = (await reply.json())["metadata"]["resourceVersion"]
    yield "", None
    while True:
        async with session.get(path, params={"watch": "1", "resourceVersion": version}) as reply:
            async for line in reply.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of {namespace} failed: {event['object']}")
                version = event["object"]["metadata"]["resourceVersion"]
                yield event["type"], event["object"]


async def begun(session: aiohttp.ClientSession, namespace: str) -> AsyncIterator[tuple[str, Any]]:
    """Return the changes from now on."""
    following = changes(session, namespace)
    await anext(following)
    return following
