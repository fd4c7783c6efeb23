import asyncio

from aiohttp import web

from devkit.bench.beside.hub import Hub


async def test_a_late_answer_holds_up_no_question():
    asked, third = [], asyncio.Event()

    async def health(request):
        asked.append(request)
        if len(asked) == 3:
            third.set()
        await third.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/hub/health", health)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    hub = Hub(process=None, url=f"http://{host}:{port}", session=None, probe=None)
    async with asyncio.timeout(60), hub.health_watched() as taken:
        await third.wait()
    await runner.cleanup()
    assert len(taken) == len(asked) >= 3
