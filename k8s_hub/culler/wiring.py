"""Connects the parts of the culler: makes a running service from a plan."""

import asyncio
import logging
import math
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import TypeVar

from k8s_hub.culler.core import needs
from k8s_hub.culler.core.decision import Action, Decision, UserDecision
from k8s_hub.culler.core.page_settings import PageSettings
from k8s_hub.culler.core.policy import Cause
from k8s_hub.culler.core.report import Pulse, Stop, SweepRecord
from k8s_hub.culler.event_bus import STANDARD_OUTPUT, DecisionLog, EventBus
from k8s_hub.culler.notifications import Warnings
from k8s_hub.culler.outages import Outages, heartbeat
from k8s_hub.culler.plan import Plan
from k8s_hub.culler.probe import ProbeSettings, ServerProbe, ServerTokens
from k8s_hub.culler.service import CullerService, parent_is_gone, run_while
from k8s_hub.culler.state import BadStateFile, StateFileInUse, StateStore
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.culler.throttling import Throttle
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection
from k8s_hub.hub.errors import HubError, HubUnavailable
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.text import format_duration, printable

log = logging.getLogger(__name__)

T = TypeVar("T")
Clock = Callable[[], datetime]

PREDECESSOR = RetryPolicy(initial=0.2, ceiling=0.2, deadline=5.0, jitter=0.0)
"""Wait for the state file: the culler of a killed hub ends within two seconds, maybe after the start of the next."""

ANSWER_NOW = RetryPolicy(initial=0.2, ceiling=10.0, deadline=60.0, jitter=0.5)
"""For --once, which must not wait forever."""

TRY_AGAIN = timedelta(seconds=15)
"""A service with a page retries after this time if it cannot start."""


class CannotStart(Exception):
    """A file or port of the options is not available; the message is for the admin."""


async def serve(plan: Plan, now: Clock, hub_pid: int | None = None) -> int:
    """Cull until cancelled, or until the process ``hub_pid`` is gone; with ``plan.once``, once. Return the exit code.

    Raise CannotStart if a file or port is not available. A service with a page shows the problem there instead and
    retries: a hub exits if a service exits while the hub starts.
    """
    logged = ""
    while True:
        try:
            return await _serve(plan, now, hub_pid)
        except CannotStart as error:
            if plan.page is None or plan.once:
                raise
            problem = str(error)
        if problem != logged:
            log.error("culler: cannot start, retrying every %s: %s", format_duration(TRY_AGAIN), problem)
            logged = problem
        with suppress(TimeoutError):
            async with asyncio.timeout(TRY_AGAIN.total_seconds()):
                return await serve_problem_page(plan.page, problem, hub_pid)


async def serve_problem_page(page: PageSettings, problem: str, hub_pid: int | None) -> int:
    """Show on the page why the culler does not run, until cancelled, or until the process ``hub_pid`` is gone.

    Return the exit code; raise CannotStart if the page's own port is not available.
    """
    from k8s_hub.culler.web import app

    async with AsyncExitStack() as stack:
        await _had(stack, app.serve_problem(page, problem), _address_of(page))
        await (asyncio.Event().wait() if hub_pid is None else parent_is_gone(hub_pid))
    return 0


async def _serve(plan: Plan, now: Clock, hub_pid: int | None) -> int:
    async with AsyncExitStack() as stack:
        bus = EventBus()
        api = HubApi(await stack.enter_async_context(HubConnection(plan.hub, on_reply=bus.reply)))
        for sentence in plan.decider.rules.surprises:
            log.warning("%s", sentence)
        store = await open_store(plan, now, stack, read_only=plan.sweep_options.dry_run)
        throttle = Throttle(plan.sweep_options.concurrency)
        bus.reply.subscribe("pace", lambda method, code, seconds: throttle.on_reply(code, seconds, method))
        if not plan.sweep_options.dry_run:
            _remember_stops(store, plan.sweep_options, bus)
        _listen_for_decisions(plan, bus, stack)
        # Without the store for --once: the time between two such processes is not an outage of the hub.
        outages = Outages(plan.activity_interval, None if plan.sweep_options.dry_run or plan.once else store)
        if not plan.once:
            await _show(plan, now, api, store, outages, throttle=throttle, bus=bus, stack=stack)
            log.info(
                "culler: sweeps %s every %s: stops servers that are idle for %s",
                plan.hub.url,
                format_duration(plan.interval),
                format_duration(plan.decider.limits.timeout),
            )
        scopes = TokenScopes(api.scopes, _scope_log(plan, bus))
        if plan.once:
            await _learn_now(scopes)
        else:
            stack.callback(asyncio.create_task(scopes.keep_known()).cancel)
        probe = None
        if plan.probe is not None:
            probe = await open_probe(plan.probe, api, scopes, now, stack)
        warn = None if plan.warning is None else await stack.enter_async_context(Warnings(plan.warning))
        sweep = Sweep(
            api,
            plan.sweep_options,
            plan.decider,
            now,
            store=store,
            probe=probe,
            warn=warn,
            throttle=throttle,
            outages=outages,
            interval=None if plan.once else plan.interval,
            on_decision=bus.decision,
            on_user_decision=bus.user_decision,
        )
        service = CullerService(
            sweep.dry_run,
            sweep.run,
            interval=plan.interval,
            now=now,
            heartbeat=partial(heartbeat, api.version, outages, now),
            on_sweep=bus.end_of_sweep,
        )
        if plan.once:
            report = await service.once()
            return int(report is None or bool(report.failed or report.delete_failed or report.lost))
        await run_while(service, None if hub_pid is None else parent_is_gone(hub_pid))
    return 0


async def open_store(plan: Plan, now: Clock, stack: AsyncExitStack, *, read_only: bool) -> StateStore:
    """Open the store of extensions, warnings and stops; raise CannotStart."""

    async def opened() -> StateStore:
        return StateStore(plan.state_file, plan.extension_limits, now, read_only=read_only)

    try:
        store = await retrying(PREDECESSOR, opened, on=StateFileInUse)
    except BadStateFile as error:
        raise CannotStart(str(error)) from None
    stack.callback(store.close)
    return store


def _remember_stops(store: StateStore, options: SweepOptions, bus: EventBus) -> None:
    """Store each stop, and what the brake holds back, for the page and for `explain`."""
    brakes: dict[tuple[str, str], datetime] = {}  # of the current sweep

    def remember(decision: Decision, action: Action) -> None:
        server, verdict = decision.facts.server, decision.verdict
        if verdict.cause is Cause.BRAKE and verdict.deadline is not None:
            brakes[server.key] = verdict.deadline
        if action in {Action.STOPPED, Action.STOPPING}:
            store.stopped(
                Stop(
                    user=server.user,
                    server=server.name,
                    at=decision.at,
                    reason=decision.verdict.reason,
                    rule=decision.matched.name,
                    is_removed=bool(server.name) and options.remove_named_servers,
                )
            )
        elif action is not Action.GONE and server.pending != "stop":
            store.runs(server.user, server.name)

    def save(_record: SweepRecord) -> None:
        store.braked(brakes)
        brakes.clear()
        store.save_stops()

    bus.decision.subscribe("state_file", remember)
    bus.end_of_sweep.subscribe("state_file", save)


def _listen_for_decisions(plan: Plan, bus: EventBus, stack: AsyncExitStack) -> None:
    if plan.decision_log:
        try:
            written = DecisionLog(plan.decision_log)
        except OSError as error:
            raise CannotStart(
                f"decision_log {plan.decision_log!r} cannot be written: {error.strerror}"
            ) from None
        stack.callback(written.close)
        bus.decision.subscribe("decision_log", written)
        bus.user_decision.subscribe("decision_log", written)
    if plan.sweep_options.dry_run and plan.decision_log != STANDARD_OUTPUT:
        bus.decision.subscribe("dry run", _print)
        bus.user_decision.subscribe("dry run", _print)


def _print(decision: Decision | UserDecision, _action: Action) -> None:
    try:
        print(printable(decision.sentence()), flush=True)  # noqa: T201 - output of a dry run
    except BrokenPipeError:  # the reader, such as head, has ended; a dry run has nothing to clean up
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.raise_signal(signal.SIGPIPE)
    except OSError as error:
        log.error("dry run: a decision cannot be printed: %s", error.strerror)  # noqa: TRY400 - the message is complete


async def _show(
    plan: Plan,
    now: Clock,
    api: HubApi,
    store: StateStore,
    outages: Outages,
    *,
    throttle: Throttle,
    bus: EventBus,
    stack: AsyncExitStack,
) -> None:
    """Serve metrics and page, if configured."""
    pulse = Pulse(plan.interval, now)
    bus.end_of_sweep.subscribe("health", pulse.on_sweep)
    if plan.metrics_port:
        from k8s_hub.culler.metrics import Metrics, serving

        metrics = Metrics(slots=lambda: throttle.slots)
        bus.decision.subscribe("metrics", metrics.on_decision)
        bus.end_of_sweep.subscribe("metrics", metrics.on_sweep)
        bus.reply.subscribe("metrics", metrics.on_reply)
        address = f"metrics_port {plan.metrics_port} on {plan.metrics_ip or 'all addresses'}"
        await _had(
            stack,
            serving(metrics.registry, pulse, ip=plan.metrics_ip, port=plan.metrics_port),
            address,
        )
    if plan.page is not None:
        from k8s_hub.culler.core.report import Board
        from k8s_hub.culler.web.app import serve_page
        from k8s_hub.culler.web.handlers import Site

        board = Board()
        bus.decision.subscribe("page", board.on_decision)
        bus.end_of_sweep.subscribe("page", board.on_sweep)
        bus.missing_scopes.subscribe("page", partial(setattr, board, "missing_scopes"))
        site = Site(
            settings=plan.page,
            board=board,
            decider=plan.decider,
            store=store,
            outages=outages,
            hub=api,
            now=now,
            health=pulse.health,
            is_dry_run=plan.sweep_options.dry_run,
        )
        await _had(stack, serve_page(site), _address_of(plan.page))
        if plan.state_file is None:
            log.warning(
                "state_file: not set: the culler loses extensions when it restarts: set it to a file on a volume"
            )


def _address_of(page: PageSettings) -> str:
    return f"JUPYTERHUB_SERVICE_URL with port {page.port}"


async def _had(stack: AsyncExitStack, server: AbstractAsyncContextManager[object], address: str) -> None:
    try:
        await stack.enter_async_context(server)
    except (OSError, UnicodeError) as error:  # UnicodeError: an invalid host name
        reason = error.strerror if isinstance(error, OSError) else None
        raise CannotStart(f"{address} cannot be used: {reason or error}") from None


# --- Scopes of the token ---

UNTIL_KNOWN = RetryPolicy(initial=0.5, ceiling=30.0, deadline=math.inf, jitter=0.5)
"""Wait for a hub that is away when the culler starts, or does not know the token yet."""

AGAIN_SECONDS = 300.0
"""Between two requests, once the scopes are known."""


class TokenScopes:
    """Owns the known scopes of the token; calls ``on_change`` with them when they change."""

    def __init__(
        self, ask: Callable[[], Awaitable[frozenset[str]]], on_change: Callable[[frozenset[str]], None]
    ) -> None:
        self.known: frozenset[str] | None = None  # None: no answer of the hub yet
        self._ask = ask
        self._on_change = on_change

    async def __call__(self) -> frozenset[str]:
        """Return the known scopes; ask the hub if there are none. Raise HubError."""
        return await self.learn() if self.known is None else self.known

    async def learn(self) -> frozenset[str]:
        """Ask the hub and return the scopes; raise HubError, and keep the known ones then."""
        has = await self._ask()
        if has != self.known:
            self.known = has
            self._on_change(has)
        return has

    async def keep_known(self) -> None:
        """Ask repeatedly until cancelled."""
        for attempt in count():
            try:
                await self.learn()
            except HubError as error:
                log.debug("token: scopes not read: %s", error)
            except Exception:  # a supervisor: ask again after any error
                log.exception("token: scopes not read")
            await asyncio.sleep(UNTIL_KNOWN.delay(attempt) if self.known is None else AGAIN_SECONDS)


async def open_probe(
    probe: ProbeSettings, api: HubApi, scopes: TokenScopes, now: Clock, stack: AsyncExitStack
) -> ServerProbe:
    """Open the probe, which asks servers in the way that the token's scopes allow."""
    servers = ServerProbe(probe, routes=api.routes, tokens=ServerTokens(api, now), scopes=scopes)
    return await stack.enter_async_context(servers)


async def _learn_now(scopes: TokenScopes) -> None:
    """Ask the hub for the scopes, with retries; without an answer, the sweep fails and logs the reason."""
    try:
        await retrying(ANSWER_NOW, scopes.learn, on=HubUnavailable)
    except HubError as error:
        log.debug("token: scopes not read: %s", error)


def _scope_log(plan: Plan, bus: EventBus) -> Callable[[frozenset[str]], None]:
    """Return what logs each scope that the token lacks or should not have; again only after a change."""
    options, logged = plan.scope_options, set[str]()

    def log_scopes(has: frozenset[str]) -> None:
        missing = tuple(needs.lacking(options.needs(has), has))
        sentences = (*missing, *needs.dangers(has, shows_own_token=options.shows_own_token))
        for sentence in sentences:
            if sentence not in logged:
                log.warning("%s", sentence)
        logged.clear()
        logged.update(sentences)
        bus.missing_scopes(missing)

    return log_scopes
