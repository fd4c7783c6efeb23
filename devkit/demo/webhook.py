"""The webhook for the warnings of the demo's culler."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from devkit.demo.settings import LOOPBACK

Warnings = asyncio.Queue[Mapping[str, Any]]
"""Unread warnings; docs/howto/culling-page.md has their keys."""


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
