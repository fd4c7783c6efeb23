"""/metrics and /health over HTTP, for Prometheus and for probes: read by anybody, so they hold no user's name.

Loaded only where somebody wants them: aiohttp's server is not needed for anything else.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from k8s_hub.culler.seeing.health import Pulse

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(registry: CollectorRegistry, pulse: Pulse, *, ip: str, port: int) -> AsyncIterator[int]:
    """Answer GET /metrics and GET /health until left; gives the port, which the system chooses for 0.

    OSError where the address cannot be had.
    """
    runner = web.ServerRunner(web.Server(_handler(registry, pulse), access_log=None), shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, ip, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _handler(registry: CollectorRegistry, pulse: Pulse) -> Handler:
    pages: dict[str, Callable[[web.BaseRequest], web.Response]] = {
        "/metrics": lambda request: _metrics(registry, request.headers.get("Accept", "")),
        "/health": lambda _request: _health(pulse),
    }

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        page = pages.get(request.path)
        if page is None:
            return web.Response(status=404, text="Here are /metrics and /health.\n")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        return page(request)

    return answer


def _metrics(registry: CollectorRegistry, accept: str) -> web.Response:
    encode, content_type = choose_encoder(accept)
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})


def _health(pulse: Pulse) -> web.Response:
    health = pulse.health()
    return web.Response(
        status=200 if health.healthy else 503,
        text=json.dumps(health.as_json()) + "\n",
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
