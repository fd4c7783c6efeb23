"""Metrics for Prometheus. Every label has a bounded set of values; none is a user's name.

docs/reference/culler-metrics.md lists all metrics.
"""

import json
from collections import Counter as Tally
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from k8s_hub.culler.core.decision import Action, Decision
from k8s_hub.culler.core.report import Pulse, Report, SweepRecord

PREFIX = "k8s_hub_culler"

REPLY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30, 60)
STOP_SECONDS = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
SWEEP_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """Owns the registry and its metrics; listens to sweeps, decisions and the hub's answers.

    slots: returns how many servers the culler handles at once; None: no such metric.
    """

    def __init__(self, slots: Callable[[], float] | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._tally: Tally[tuple[Action, str]] = Tally()  # of the current sweep

        def counter(name: str, what: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"{PREFIX}_{name}", what, labels, registry=self.registry)

        def gauge(name: str, what: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"{PREFIX}_{name}", what, labels, registry=self.registry)

        def histogram(
            name: str, what: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
        ) -> Histogram:
            return Histogram(f"{PREFIX}_{name}", what, labels, buckets=buckets, registry=self.registry)

        self._last_success = gauge(
            "last_success_timestamp_seconds",
            "Time of the last successful sweep; kind look: of one that stops no server, such as the first.",
            ("kind",),
        )
        self._sweeps = counter("passes_total", "Sweeps over all servers.", ("kind", "result"))
        self._sweep_seconds = histogram(
            "pass_duration_seconds", "Duration of successful sweeps.", SWEEP_SECONDS, ("kind",)
        )
        self._servers = gauge(
            "servers",
            "Servers in the last successful sweep, by action and cause.",
            ("action", "cause"),
        )
        self._users = gauge("users", "Users seen in the last successful sweep.")
        self._hidden = gauge("hidden_users", "Of these users, those whose servers the token cannot see.")
        self._stopped = counter(
            "stopped_servers_total", "Servers that the culler stopped, by cause.", ("cause",)
        )
        self._stop_seconds = histogram(
            "stop_duration_seconds", "Time that the hub took to answer a stop.", STOP_SECONDS
        )
        self._deleted = counter("deleted_users_total", "Users that the culler deleted.")
        self._failures = counter(
            "failures_total",
            "Errors, by what they concern: a server without a decision or a stop, a user not deleted, a part of the list of "
            "users not read.",
            ("what",),
        )
        for what in ("server", "user", "list"):
            self._failures.labels(what)
        self._warned = counter("warnings_total", "Users that the culler warned of a stop.")
        self._probed = counter("asked_servers_total", "Servers that the culler asked for their activity.")
        self._answered = counter("answered_servers_total", "Of these, those that answered.")
        self._brake_engaged = counter(
            "brake_engaged_total", "Sweeps in which the brake held back too many stops at once."
        )
        self._grace = gauge(
            "quiet",
            "1 if the last successful sweep held back a stop because of an outage of the hub, else 0.",
        )
        self._requests = counter(
            "hub_requests_total", "Answers of the hub; code 0: no answer.", ("method", "code")
        )
        self._reply_seconds = histogram(
            "hub_reply_duration_seconds", "Time that the hub took to answer.", REPLY_SECONDS, ("method",)
        )
        if slots is not None:
            gauge(
                "concurrency", "Servers that the culler handles at once; fewer while the hub answers slowly."
            ).set_function(slots)

    def on_reply(self, method: str, code: int, seconds: float) -> None:
        """Count one answer of the hub; code 0: no answer."""
        self._requests.labels(method, str(code)).inc()
        if code:
            self._reply_seconds.labels(method).observe(seconds)

    def on_decision(self, decision: Decision, action: Action) -> None:
        """Count one decision and the resulting action."""
        cause = decision.verdict.cause.value
        self._tally[action, cause] += 1
        if action in {Action.STOPPED, Action.STOPPING}:
            self._stopped.labels(cause).inc()

    def on_sweep(self, record: SweepRecord) -> None:
        """Count one sweep; if it succeeded, publish its counts."""
        tally, self._tally = self._tally, Tally()
        report = record.report
        self._sweeps.labels(record.kind, "failure" if report is None else "success").inc()
        if report is None:
            return
        self._last_success.labels(record.kind).set(record.begun.timestamp() + record.seconds)
        self._sweep_seconds.labels(record.kind).observe(record.seconds)
        self._servers.clear()
        for (action, cause), number in tally.items():
            self._servers.labels(action.value, cause).set(number)
        self._count(report)

    def _count(self, report: Report) -> None:
        self._users.set(report.users)
        self._hidden.set(report.hidden)
        for seconds in report.stop_seconds:
            self._stop_seconds.observe(seconds)
        self._deleted.inc(report.deleted)
        self._failures.labels("server").inc(report.failed)
        self._failures.labels("user").inc(report.delete_failed)
        self._failures.labels("list").inc(report.lost)
        self._warned.inc(report.warned)
        self._probed.inc(report.probed)
        self._answered.inc(report.answered)
        self._brake_engaged.inc(1 if report.held_by_brake else 0)
        self._grace.set(1 if report.held_by_grace else 0)


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(registry: CollectorRegistry, pulse: Pulse, *, ip: str, port: int) -> AsyncIterator[int]:
    """Serve GET /metrics and GET /health until the context ends; yield the port, which the system chooses for 0.

    Raise OSError if the address cannot be used.
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
            return web.Response(status=404, text="Not found. Try /metrics or /health.\n")
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
