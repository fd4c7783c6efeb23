"""The webhook that the demo's culler sends its warnings to, in place of a chat's."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from devkit.demo.settings import LOOPBACK

Warnings = asyncio.Queue[Mapping[str, Any]]
"""The warnings that came and were not read yet; their keys are in docs/howto/culling-page.md."""


@asynccontextmanager
async def open_webhook(port: int) -> AsyncIterator[Warnings]:
    """Listen while the context lasts."""
    warnings: Warnings = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        warnings.put_nowait(await request.json())
        return web.Response()

    application = web.Application()
    application.router.add_post("/", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield warnings
    finally:
        await runner.cleanup()
