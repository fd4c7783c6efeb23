import asyncio

import aiohttp

from devkit.demo.settings import free_port
from devkit.demo.webhook import open_webhook


async def test_what_is_posted_can_be_read_once():
    port = free_port()
    async with open_webhook(port) as warnings, aiohttp.ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{port}/", json={"user": "ada"}) as reply:
            assert reply.status == 200
        assert await asyncio.wait_for(warnings.get(), 5) == {"user": "ada"}
        assert warnings.empty()
