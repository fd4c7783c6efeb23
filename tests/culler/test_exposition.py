"""/metrics and /health as Prometheus and probes see them."""

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
import pytest

from devkit.demo.settings import free_port
from devkit.testing.inmemoryhub import NOW
from k8s_hub.culler.core.report import Pulse, SweepRecord
from k8s_hub.culler.metrics import Metrics, serving


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


class Served:
    """The two pages of a culler whose clock the test sets."""

    def __init__(self):
        self.now = NOW
        self.metrics = Metrics()
        self.pulse = Pulse(timedelta(minutes=5), lambda: self.now)
        self.port = 0

    async def ask(self, method, path, **headers):
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers) as response,
        ):
            return Answer(response.status, response.headers, await response.text())


@pytest.fixture
async def served():
    served = Served()
    async with serving(served.metrics.registry, served.pulse, ip="127.0.0.1", port=0) as served.port:
        yield served


async def test_metrics(served):
    served.metrics.on_reply("GET", 200, 0.1)
    response = await served.ask("GET", "/metrics")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'k8s_hub_culler_hub_requests_total{code="200",method="GET"} 1.0\n' in response.text


async def test_metrics_in_the_newer_format_for_those_who_ask(served):
    response = await served.ask("GET", "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


async def test_health_turns_from_good_to_bad(served):
    response = await served.ask("GET", "/health")
    assert response.status == 200
    assert response.headers["Content-Type"].startswith("application/json")
    assert json.loads(response.text)["healthy"] is True

    served.pulse.on_sweep(SweepRecord(kind="look", begun=NOW, seconds=1.0, report=None, error="away"))
    served.now += timedelta(minutes=16)
    response = await served.ask("GET", "/health")
    assert response.status == 503
    assert json.loads(response.text)["reason"].endswith("the last one failed: away")


@pytest.mark.parametrize("path", ["/metrics", "/health"])
async def test_head(served, path):
    response = await served.ask("HEAD", path)
    assert response.status == 200
    assert int(response.headers["Content-Length"]) > 0
    assert response.text == ""


@pytest.mark.parametrize("path", ["/metrics", "/health"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_can_be_changed(served, method, path):
    response = await served.ask(method, path)
    assert response.status == 405
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics/../etc/passwd", "/healthz", "//metrics"])
async def test_there_is_nothing_else(served, path):
    assert (await served.ask("GET", path)).status == 404


async def test_a_port_in_use_is_told_before_anything_runs(served):
    with pytest.raises(OSError, match="in use"):
        async with serving(served.metrics.registry, served.pulse, ip="127.0.0.1", port=served.port):
            pytest.fail("it runs")


async def test_without_an_ip_it_listens_everywhere():
    served = Served()
    served.port = free_port()
    async with serving(served.metrics.registry, served.pulse, ip="", port=served.port):
        assert (await served.ask("GET", "/health")).status == 200


async def test_afterwards_the_port_is_free():
    served = Served()
    async with serving(served.metrics.registry, served.pulse, ip="127.0.0.1", port=0) as port:
        pass
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))


def test_it_costs_nothing_while_off():
    program = "import sys, k8s_hub.culler.application; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {"prometheus_client", "aiohttp.web", "k8s_hub.culler.metrics"}.isdisjoint(done.stdout.split())
