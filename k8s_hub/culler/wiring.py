"""Everything put together: from a plan, which is all that the configuration says, to a service that runs."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from k8s_hub.culler.actions import guarded
from k8s_hub.culler.core import needs, words
from k8s_hub.culler.core.decision import Action, Decision, UserDecision
from k8s_hub.culler.core.health import Pulse
from k8s_hub.culler.core.holds import KeepLimits
from k8s_hub.culler.core.page_settings import PageSettings
from k8s_hub.culler.core.report import PassRecord, Report
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.decision_log import STANDARD_OUTPUT, DecisionLog
from k8s_hub.culler.notifications import Warnings, WarningSettings
from k8s_hub.culler.outages import Outages, heartbeat
from k8s_hub.culler.probe import SingleUserServers, SingleUserSettings
from k8s_hub.culler.service import CullerService, parent_is_gone, run_while
from k8s_hub.culler.state import BadStateFile, Memory, StateFileInUse, Stop
from k8s_hub.culler.sweep import Orders, Sweep
from k8s_hub.culler.throttling import Pace
from k8s_hub.culler.tokens import ServerTokens, TokenScopes
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.hub.errors import HubError, HubUnavailable
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.text import printable

if TYPE_CHECKING:
    from k8s_hub.culler.actions import Sink, UserSink

log = logging.getLogger(__name__)

T = TypeVar("T")
Clock = Callable[[], datetime]

PREDECESSOR = RetryPolicy(initial=0.2, ceiling=0.2, deadline=5.0, jitter=0.0)
"""The culler of a hub that was killed ends within two seconds; the next hub's may start before that."""

ANSWER_NOW = RetryPolicy(initial=0.2, ceiling=10.0, deadline=60.0, jitter=0.5)
"""Whoever asks once does not wait for ever."""


TRY_AGAIN = timedelta(seconds=15)
"""After so long a service with a page tries again what it could not have."""


class CannotStart(Exception):
    """Something that was asked for cannot be; the message is a sentence for the admin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that the configuration says, checked. What is None or empty is off."""

    hub: HubConnectionSettings
    orders: Orders
    decider: Decider
    every: timedelta
    activity_interval: timedelta | None
    asking: SingleUserSettings | None
    warning: WarningSettings | None
    keeping: KeepLimits
    state_file: Path | None
    once: bool
    decision_log: str
    metrics_ip: str
    metrics_port: int
    page: PageSettings | None


async def serve(plan: Plan, now: Clock, hub_pid: int | None = None) -> int:
    """Cull until cancelled, or until the process ``hub_pid`` is gone; once, if so planned. Return the exit code.

    Raise CannotStart where a file or a port cannot be had. A service with a page shows that there instead, and tries
    again: a hub whose service ends while the hub starts ends, too.
    """
    told = ""
    while True:
        try:
            return await _serve(plan, now, hub_pid)
        except CannotStart as error:
            if plan.page is None or plan.once:
                raise
            problem = str(error)
        if problem != told:
            log.error(
                "culler: cannot start, and tries again every %d s: %s", TRY_AGAIN.total_seconds(), problem
            )
            told = problem
        with suppress(TimeoutError):
            async with asyncio.timeout(TRY_AGAIN.total_seconds()):
                return await serve_problem(plan.page, problem, hub_pid)


async def serve_problem(page: PageSettings, problem: str, hub_pid: int | None) -> int:
    """Show at the page why no server is stopped, until cancelled, or until the process ``hub_pid`` is gone.

    Return the exit code; raise CannotStart where the page's own port cannot be had.
    """
    from k8s_hub.culler.web import app

    async with AsyncExitStack() as stack:
        await _had(stack, app.serve_problem(page, problem), _address_of(page))
        await (asyncio.Event().wait() if hub_pid is None else parent_is_gone(hub_pid))
    return 0


async def _serve(plan: Plan, now: Clock, hub_pid: int | None) -> int:
    async with AsyncExitStack() as stack:
        ears = _Ears()
        api = HubApi(await stack.enter_async_context(HubConnection(plan.hub, on_reply=ears.heard)))
        for sentence in plan.decider.rules.surprises:
            log.warning("%s", sentence)
        memory = await memory_of(plan, now, stack, read_only=plan.orders.dry_run)
        pace = Pace(plan.orders.concurrency)
        ears.of_replies.append(
            guarded("pace", lambda method, code, seconds: pace.heard(code, seconds, method))
        )
        if not plan.orders.dry_run:
            _remember_stops(memory, plan.orders, ears)
        _listen_for_decisions(plan, ears, stack)
        if not plan.once:
            await _show(plan, now, api, memory, pace=pace, ears=ears, stack=stack)
            log.info(
                "Stopping servers of %s that are idle for %d s, every %s",
                plan.hub.url,
                plan.decider.limits.idle.total_seconds(),
                words.duration(plan.every),
            )
        scopes = TokenScopes(api.scopes, _ScopeTeller(plan, ears))
        if plan.once:
            await _learn_now(scopes)
        else:
            stack.enter_context(_cancelled_at_the_end(asyncio.create_task(scopes.keep_known())))
        servers = None
        if plan.asking is not None:
            servers = await servers_of(plan.asking, api, scopes, now, stack)
        service = await _service(plan, now, api, memory, servers=servers, pace=pace, ears=ears, stack=stack)
        if plan.once:
            return _exit_code(await service.once())
        await run_while(service, None if hub_pid is None else parent_is_gone(hub_pid))
    return 0


class _Ears:
    """Who hears of decisions, passes and answers of the hub, and of scopes that are missing: each is guarded."""

    def __init__(self) -> None:
        self.of_decisions: list[Sink] = []
        self.of_user_decisions: list[UserSink] = []
        self.of_passes: list[Callable[[PassRecord], None]] = []
        self.of_replies: list[Callable[[str, int, float], None]] = []
        self.of_missing: list[Callable[[tuple[str, ...]], None]] = []

    def decided(self, decision: Decision, action: Action) -> None:
        for ear in self.of_decisions:
            ear(decision, action)

    def decided_user(self, decision: UserDecision, action: Action) -> None:
        for ear in self.of_user_decisions:
            ear(decision, action)

    def passed(self, record: PassRecord) -> None:
        for ear in self.of_passes:
            ear(record)

    def heard(self, method: str, code: int, seconds: float) -> None:
        for ear in self.of_replies:
            ear(method, code, seconds)

    def missing(self, sentences: tuple[str, ...]) -> None:
        for ear in self.of_missing:
            ear(sentences)


async def _service(
    plan: Plan,
    now: Clock,
    api: HubApi,
    memory: Memory,
    *,
    servers: SingleUserServers | None,
    pace: Pace,
    ears: _Ears,
    stack: AsyncExitStack,
) -> CullerService:
    # Between two processes that sweep once each, the hub is not heard, which is no outage of it.
    outages = Outages(plan.activity_interval, None if plan.orders.dry_run or plan.once else memory)
    warn = None if plan.warning is None else await stack.enter_async_context(Warnings(plan.warning))
    sweep = Sweep(
        api,
        plan.orders,
        plan.decider,
        now,
        memory=memory,
        servers=servers,
        warn=warn,
        pace=pace,
        outages=outages,
        tell=ears.decided,
        tell_user=ears.decided_user,
    )
    return CullerService(
        sweep.look,
        sweep.run,
        every=plan.every,
        now=now,
        heartbeat=partial(heartbeat, api.version, outages, now),
        on_pass=ears.passed,
    )


async def memory_of(plan: Plan, now: Clock, stack: AsyncExitStack, *, read_only: bool) -> Memory:
    """Return what users asked for and were told; raise CannotStart."""

    async def opened() -> Memory:
        return Memory(plan.state_file, plan.keeping, now, read_only=read_only)

    try:
        memory = await retrying(PREDECESSOR, opened, on=StateFileInUse)
    except BadStateFile as error:
        raise CannotStart(str(error)) from None
    stack.callback(memory.close)
    return memory


def _remember_stops(memory: Memory, orders: Orders, ears: _Ears) -> None:
    """Have the memory know what was stopped, for the page and for `explain`."""

    def remember(decision: Decision, action: Action) -> None:
        server = decision.facts.server
        if action in {Action.STOPPED, Action.STOPPING}:
            memory.stopped(
                Stop(
                    user=server.user,
                    server=server.name,
                    at=decision.at,
                    reason=decision.verdict.reason,
                    rule=decision.ruling.rule,
                    is_removed=bool(server.name) and orders.remove_named_servers,
                )
            )
        elif action is not Action.GONE and server.pending != "stop":
            memory.runs(server.user, server.name)

    ears.of_decisions.append(guarded("state_file", remember))
    ears.of_passes.append(guarded("state_file", lambda _record: memory.save_stops()))


def _listen_for_decisions(plan: Plan, ears: _Ears, stack: AsyncExitStack) -> None:
    if plan.decision_log:
        try:
            written = DecisionLog(plan.decision_log)
        except OSError as error:
            raise CannotStart(
                f"decision_log {plan.decision_log!r} cannot be written: {error.strerror}"
            ) from None
        stack.callback(written.close)
        ears.of_decisions.append(guarded("decision_log", written))
        ears.of_user_decisions.append(guarded("decision_log", written))
    if plan.orders.dry_run and plan.decision_log != STANDARD_OUTPUT:
        ears.of_decisions.append(guarded("dry run", _print))
        ears.of_user_decisions.append(guarded("dry run", _print))


def _print(decision: Decision | UserDecision, _action: Action) -> None:
    print(printable(decision.sentence()), flush=True)  # noqa: T201 - it is what a dry run is for


async def _show(
    plan: Plan, now: Clock, api: HubApi, memory: Memory, *, pace: Pace, ears: _Ears, stack: AsyncExitStack
) -> None:
    """Serve metrics and page, where they are wanted."""
    if plan.metrics_port:
        from k8s_hub.culler.metrics import Metrics, serving

        metrics, pulse = Metrics(places=lambda: pace.places), Pulse(plan.every, now)
        ears.of_decisions.append(guarded("metrics", metrics.tell))
        ears.of_passes += [guarded("metrics", metrics.on_pass), guarded("health", pulse.on_pass)]
        ears.of_replies.append(guarded("metrics", metrics.on_reply))
        address = f"metrics_port {plan.metrics_port} on {plan.metrics_ip or 'all addresses'}"
        await _had(
            stack,
            serving(metrics.registry, pulse, ip=plan.metrics_ip, port=plan.metrics_port),
            address,
        )
    if plan.page is not None:
        from k8s_hub.culler.core.board import Board
        from k8s_hub.culler.web.app import serve_page

        board = Board()
        ears.of_decisions.append(guarded("page", board.tell))
        ears.of_passes.append(guarded("page", board.passed))
        ears.of_missing.append(partial(setattr, board, "missing_scopes"))
        page = serve_page(
            plan.page,
            board=board,
            decider=plan.decider,
            memory=memory,
            hub=api,
            now=now,
            is_dry_run=plan.orders.dry_run,
        )
        await _had(stack, page, _address_of(plan.page))
        if plan.state_file is None:
            log.warning("state_file: not set: extensions are forgotten when the culler restarts")


def _address_of(page: PageSettings) -> str:
    return f"JUPYTERHUB_SERVICE_URL with port {page.port}"


async def _had(stack: AsyncExitStack, server: AbstractAsyncContextManager[object], address: str) -> None:
    try:
        await stack.enter_async_context(server)
    except (OSError, UnicodeError) as error:  # the second is of a name that no host can have
        reason = error.strerror if isinstance(error, OSError) else None
        raise CannotStart(f"{address} cannot be used: {reason or error}") from None


# --- What the token may do ---


async def servers_of(
    asking: SingleUserSettings, api: HubApi, scopes: TokenScopes, now: Clock, stack: AsyncExitStack
) -> SingleUserServers:
    """Return the second source, asked in the way that the token's scopes allow."""
    servers = SingleUserServers(asking, routes=api.routes, tokens=ServerTokens(api, now), scopes=scopes)
    return await stack.enter_async_context(servers)


async def _learn_now(scopes: TokenScopes) -> None:
    """Ask the hub what the token may do, with patience; where it does not tell, the sweep fails and says why."""
    try:
        await retrying(ANSWER_NOW, scopes.learn, on=HubUnavailable)
    except HubError as error:
        log.debug("The scopes of the token are not known: %s", error)


class _ScopeTeller:
    """Names each scope that the token lacks, or should not have: once, until that changes."""

    def __init__(self, plan: Plan, ears: _Ears) -> None:
        self._plan = plan
        self._ears = ears
        self._told: frozenset[str] = frozenset()

    def __call__(self, has: frozenset[str]) -> None:
        missing = tuple(needs.lacking(self._wanted(has), has))
        asking = self._plan.asking
        dangers = needs.dangers(has, shows_own_token=asking is not None and bool(asking.token))
        sentences = (*missing, *dangers)
        for sentence in sentences:
            if sentence not in self._told:
                log.warning("%s", sentence)
        self._told = frozenset(sentences)
        self._ears.missing(missing)

    def _wanted(self, has: frozenset[str]) -> list[needs.Need]:
        plan = self._plan
        wanted = needs.needs(
            culls_users=plan.orders.cull_users,
            is_dry_run=plan.orders.dry_run,
            of_rules=plan.decider.scopes,
        )
        if plan.asking is None:
            return list(wanted)
        of_asking = needs.needs_of_asking(
            has, has_template=bool(plan.asking.url_template), shows_own_token=bool(plan.asking.token)
        )
        return [*wanted, *of_asking]


@contextmanager
def _cancelled_at_the_end(task: asyncio.Task[T]) -> Iterator[asyncio.Task[T]]:
    try:
        yield task
    finally:
        task.cancel()


def _exit_code(report: Report | None) -> int:
    return int(report is None or bool(report.failed or report.delete_failed or report.lost))
