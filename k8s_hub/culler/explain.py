"""``k8s-hub cull explain USER[/SERVER]``: show what the culler would do now with a user and their servers, and why."""

import json
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from traitlets import Bool

from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.core.decision import Action, Decision, named
from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.policy import Cause, facts_of
from k8s_hub.culler.core.report import Stop
from k8s_hub.culler.outages import AWAY, Outages, decide_as_swept
from k8s_hub.culler.plan import Plan
from k8s_hub.culler.probe import ServerProbe
from k8s_hub.culler.state import STOPS_FOR, StateStore
from k8s_hub.culler.wiring import Clock, TokenScopes, open_probe, open_store
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection
from k8s_hub.hub.errors import HubError, HubNotFound
from k8s_hub.hub.users import Server, User
from k8s_hub.objects import timestamps
from k8s_hub.text import format_duration, format_second, printable


class Explain(IdleCuller):
    """Shows what the culler would do now with a user's servers, why, and what would change the decision."""

    name = "k8s-hub cull explain"
    description = (
        "k8s-hub cull explain USER[/SERVER] [flags]\n\n"
        "Shows what the culler would do now with a user's servers, why, and what would change the decision. With\n"
        "--cull-users it also shows this for the user. Use the same flags as the running culler."
    )
    examples = ""

    json = Bool(default_value=False, config=True, help="Print one line of JSON for each server and user.")

    aliases = {**IdleCuller.aliases, "json": "Explain.json"}  # noqa: RUF012 - as traitlets declares it
    flags = {**IdleCuller.flags, "json": ({"Explain": {"json": True}}, "Same as true.")}  # noqa: RUF012

    only_shows = True

    def page_for_problems(self) -> None:
        """Return None: this command serves no page."""

    def _log_to_file(self) -> None:
        """Do nothing: the file is the running culler's."""

    def _take(self, arguments: Sequence[str]) -> None:
        if self.generate_config:
            return
        if len(arguments) != 1 or not arguments[0].partition("/")[0]:
            raise BadOption(f"name one user or server, as USER or USER/SERVER, not {' '.join(arguments)!r}")
        try:
            arguments[0].encode()
        except UnicodeEncodeError:
            raise BadOption(f"{arguments[0]!r} is not UTF-8: no user or server has such a name") from None
        self.user, _, server = arguments[0].partition("/")
        self.server = server if "/" in arguments[0] else None

    def serve(self, hub_pid: int | None = None) -> Coroutine[Any, Any, int]:  # noqa: ARG002 - it ends by itself
        """Return a coroutine that prints the explanation and returns the exit code."""
        return explain(self.plan(), self.clock, self.user, self.server, as_json=self.json)


async def explain(plan: Plan, now: Clock, user: str, server: str | None, *, as_json: bool) -> int:
    """Print the explanation; return 1 if the hub is away, has no such user or server, or a decision failed; else 0.

    server: None: all servers of the user.
    """
    try:
        async with AsyncExitStack() as stack:
            api = HubApi(await stack.enter_async_context(HubConnection(plan.hub)))
            found = await _user(api, user)
            servers = _chosen(found, server)
            explaining = await _Explaining.of(plan, now, api, found, stack)
            of_user = plan.sweep_options.cull_users and server is None
            is_whole = await _explained(explaining, servers, of_user=of_user, as_json=as_json)
    except HubError as error:
        _complain(str(error))
        return 1
    if not servers and not as_json:
        _print(f"{user} has no servers")
    return int(not is_whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explaining:
    """Explains a user and their servers, one by one."""

    plan: Plan
    now: Clock
    user: User
    store: StateStore
    outages: Outages
    source: ServerProbe | None  # None: servers are not asked

    @classmethod
    async def of(cls, plan: Plan, now: Clock, api: HubApi, user: User, stack: AsyncExitStack) -> Self:
        store, source = await open_store(plan, now, stack, read_only=True), None
        if plan.probe is not None:
            scopes = TokenScopes(api.scopes, lambda _has: None)
            source = await open_probe(plan.probe, api, scopes, now, stack)
            await source.refresh()
        outages = Outages(plan.activity_interval, store)
        return cls(plan=plan, now=now, user=user, store=store, outages=outages, source=source)

    async def decide(self, server: Server) -> Decision | None:
        """Return the decision about a server; None: the server is stopped."""
        if server.is_stopped:
            return None
        work = None if self.source is None or not server.ready else await self.source.work(server)
        facts = facts_of(server, self.user, self.store, work)
        return await decide_as_swept(
            self.plan.decider, facts, self.now(), outages=self.outages, store=self.store
        )

    def of_server(self, server: Server, decision: Decision | None, *, as_json: bool) -> Iterator[str]:
        """Yield the output about a server."""
        if decision is None:
            stop = self.store.last_stop(server.user, server.name)
            if as_json:
                yield _stopped_line(server, stop, self.now)
            else:
                yield from _stopped_text(server, stop, has_stops=self.plan.state_file is not None)
            return
        facts = decision.as_json(Action.WOULD_STOP if decision.verdict.culls else Action.KEPT)
        changes = list(decision.changes())
        if decision.verdict.culls and self.plan.state_file is None:
            changes.append(
                "After an outage of the hub, or by its brake, the culler may hold the stop back: "
                "only a state_file shows this here."
            )
        if as_json:
            yield json.dumps({**facts, "changes": changes})
            return
        yield decision.sentence()
        for key, label in _SHOWN:
            if (value := facts[key]) is not None:
                yield f"  {label + ':':<28}{_shown(key, value)}"
        yield from _listed(changes)

    def of_user(self, is_kept_by: Sequence[Server], *, as_json: bool) -> Iterator[str]:
        """Yield the output about the user; while these servers run, the culler does not delete the user."""
        now = self.now()
        decision, until = self.plan.decider.decide_user(self.user, now), self.outages.grace_until(now)
        if until is not None and decision.verdict.culls:
            decision = decision.held_back(Cause.OUTAGE_GRACE, AWAY, until)
        kept = ["The culler deletes no user with a running server."] if is_kept_by else []
        changes = [*kept, *decision.changes()]
        if as_json:
            action = Action.WOULD_DELETE if decision.verdict.culls and not is_kept_by else Action.KEPT
            yield json.dumps({**decision.as_json(action), "changes": changes})
            return
        running = ", ".join(map(str, is_kept_by))
        yield (
            f"{decision.subject}: kept: has running servers ({running})"
            if is_kept_by
            else decision.sentence()
        )
        yield from _listed(changes)


async def _explained(
    explaining: _Explaining, servers: Sequence[Server], *, of_user: bool, as_json: bool
) -> bool:
    """Print the output about each server and the user; return whether all decisions succeeded."""
    is_kept_by, is_whole = [], True
    for server in servers:
        try:
            decision = await explaining.decide(server)
            lines = list(explaining.of_server(server, decision, as_json=as_json))
        except Exception as error:  # noqa: BLE001 - a hook may raise anything
            _complain(f"{server}: could not decide: {error!r}")
            is_kept_by.append(server)
            is_whole = False
            continue
        _print(*lines)  # an error of the output is none of the decision
        if decision is not None and not decision.verdict.culls:
            is_kept_by.append(server)
    if of_user:
        _print(*explaining.of_user(is_kept_by, as_json=as_json))
    return is_whole


def _print(*lines: str) -> None:
    for line in lines:
        print(printable(line))  # noqa: T201 - output of the command


def _complain(problem: str) -> None:
    print(printable(f"k8s-hub cull explain: {problem}"), file=sys.stderr)  # noqa: T201 - as above


async def _user(api: HubApi, name: str) -> User:
    try:
        return await api.user(name, with_stopped=True)
    except HubNotFound:
        raise HubNotFound(
            f"the hub has no user {name!r}, or the API token's scope read:servers does not include them"
        ) from None


def _chosen(user: User, name: str | None) -> Sequence[Server]:
    if user.servers is None:
        raise HubNotFound(
            f"the servers of {user.name!r} are hidden: the API token lacks the scope read:servers"
        )
    chosen = [each for each in user.servers if name is None or each.name == name]
    if name is not None and not chosen:
        raise HubNotFound(
            f"{user.name!r} has no server {name!r}" if name else f"{user.name!r} has no default server"
        )
    return chosen


def _stopped_line(server: Server, stop: Stop | None, now: Clock) -> str:
    reason = "is stopped" if _was_started(server) else "was never started"
    line: dict[str, Any] = {
        "time": timestamps.format_exact(now()),
        "user": server.user,
        "server": server.name,
        "action": None,
        "verdict": None,
        "cause": None,
        "reason": reason,
        "changes": [],
    }
    if stop is not None:
        at = timestamps.format_exact(stop.at)
        line |= {"stopped_at": at, "stopped_because": stop.reason, "rule": stop.rule}
    return json.dumps(line)


def _stopped_text(server: Server, stop: Stop | None, *, has_stops: bool) -> Iterator[str]:
    """Yield the output about a stopped server; has_stops: a state file has the stops of the last days."""
    if not _was_started(server):
        yield f"{server}: was never started"
        return
    yield f"{server}: stopped"
    if stop is not None:
        rule = "" if stop.rule is None else f" ({named(stop.rule)})"
        yield f"  The culler stopped it at {format_second(stop.at)}: it {stop.reason}{rule}."
    elif has_stops:
        yield f"  The state file has no stop of it by the culler within the last {format_duration(STOPS_FOR)}."
        yield "  The hub's log says how a server ended otherwise, and its user's next spawn page does."
    else:
        yield "  Only the culler's log says whether the culler stopped it: state_file is not set."


def _was_started(server: Server) -> bool:
    """Return whether it ever was: the hub lists the default server of every user."""
    return server.started is not None or server.last_activity is not None


_SHOWN = (
    ("rule", "rule"),
    ("started", "started"),
    ("last_activity", "last activity"),
    ("last_execution", "last execution"),
    ("busy_kernels", "busy kernels"),
    ("connections", "open connections"),
    ("kept_until", "extended until"),
    ("warned_at", "user warned"),
    ("idle_seconds", "idle for"),
    ("idle_limit_seconds", "idle limit"),
    ("age_limit_seconds", "maximum runtime"),
    ("due", "stops if nothing changes"),
)
_TIMES = frozenset({"started", "last_activity", "last_execution", "kept_until", "warned_at", "due"})


def _listed(changes: Sequence[str]) -> Iterator[str]:
    if changes:
        yield "What would change it:"
        yield from (f"  - {change}" for change in changes)


def _shown(key: str, value: Any) -> str:
    if key.endswith("_seconds"):
        return format_duration(timedelta(seconds=value))
    return format_second(timestamps.parse(value)) if key in _TIMES else str(value)
