"""``k8s-hub cull explain USER[/SERVER]``: what the culler would do now about a user's servers, and why."""

import json
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

from traitlets import Bool

from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.judging.decision import Action, Decision
from k8s_hub.culler.judging.facts import facts_of
from k8s_hub.culler.wiring import Clock, Plan, memory_of, servers_of
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection
from k8s_hub.hub.errors import HubError, NotFound
from k8s_hub.hub.users import Server, User
from k8s_hub.text import printable


class Explain(IdleCuller):
    """Says what the culler would do now about a user's servers, why, and what would change it."""

    name = "k8s-hub cull explain"
    description = (
        "k8s-hub cull explain USER[/SERVER] [flags]\n\n"
        "Says what the culler would do now about a user's servers, why, and what would change it. Give it the flags "
        "of the culler that runs; --json: one line of JSON for each server."
    )
    examples = ""

    json = Bool(default_value=False, config=True, help="One line of JSON for each server.")

    aliases = {**IdleCuller.aliases, "json": "Explain.json"}  # noqa: RUF012 - as traitlets declares it
    flags = {**IdleCuller.flags, "json": ({"Explain": {"json": True}}, "The same as true.")}  # noqa: RUF012

    def page_for_problems(self, arguments: Sequence[str]) -> None:
        """Return None: it is no service."""

    def _take(self, arguments: Sequence[str]) -> None:
        if self.generate_config:
            return
        if len(arguments) != 1 or not arguments[0].partition("/")[0]:
            self._refuse(f"say which server: USER or USER/SERVER, not {' '.join(arguments)!r}")
        try:
            arguments[0].encode()
        except UnicodeEncodeError:
            self._refuse(f"{arguments[0]!r} is no name: it is not UTF-8")
        self.user, _, server = arguments[0].partition("/")
        self.server = server if "/" in arguments[0] else None

    def serve(self, hub_pid: int | None = None) -> Coroutine[Any, Any, int]:  # noqa: ARG002 - nobody waits for its end
        """Return what is to be awaited; it prints, and returns the exit code."""
        return explain(self.plan(), self.clock, self.user, self.server, as_json=self.json)


async def explain(plan: Plan, now: Clock, user: str, server: str | None, *, as_json: bool) -> int:
    """Print; return 0, or 1 where the hub is away or has no such thing. ``server`` None: all of the user's."""
    try:
        async with AsyncExitStack() as stack:
            api = HubApi(await stack.enter_async_context(HubConnection(plan.hub)))
            found = await _user(api, user)
            servers = _chosen(found, server)
            decisions = await _decisions(plan, now, api, found, servers, stack=stack)
    except HubError as error:
        print(printable(f"k8s-hub cull explain: {error}"), file=sys.stderr)  # noqa: T201 - a command's answer
        return 1
    if not servers and not as_json:
        print(printable(f"{user} has no server"))  # noqa: T201
    for each in servers:
        decision = decisions.get(each)
        print(_line(each, decision, now) if as_json else "\n".join(map(printable, _text(each, decision))))  # noqa: T201
    return 0


async def _user(api: HubApi, name: str) -> User:
    try:
        return await api.user(name, with_stopped=True)
    except NotFound:
        raise NotFound(f"the hub has no user {name!r}, or the token may not see them") from None


def _chosen(user: User, name: str | None) -> Sequence[Server]:
    if user.servers is None:
        raise NotFound(
            f"the servers of {user.name!r} cannot be seen: the API token lacks the scope read:servers"
        )
    chosen = [each for each in user.servers if name is None or each.name == name]
    if name is not None and not chosen:
        raise NotFound(
            f"{user.name!r} has no server {name!r}" if name else f"{user.name!r} has no default server"
        )
    return chosen


async def _decisions(
    plan: Plan, now: Clock, api: HubApi, user: User, servers: Sequence[Server], *, stack: AsyncExitStack
) -> dict[Server, Decision]:
    memory = memory_of(plan, now, read_only=True)
    source = None
    if plan.asking is not None:
        source = await servers_of(plan.asking, api, await api.scopes(), now, stack)
        await source.refresh()
    decisions = {}
    for server in servers:
        if not _is_stopped(server):
            work = None if source is None or not server.ready else await source.work(server)
            decisions[server] = await plan.decider.decide(facts_of(server, user, memory, work), now())
    return decisions


def _is_stopped(server: Server) -> bool:
    return bool(server.raw.get("stopped")) or not (
        server.ready or server.pending or server.raw.get("started")
    )


def _line(server: Server, decision: Decision | None, now: Clock) -> str:
    if decision is None:
        stopped = {"user": server.user, "server": server.name, "verdict": None, "reason": "is stopped"}
        return json.dumps({"time": now().isoformat(), **stopped})
    return json.dumps({**decision.record(_action(decision)), "changes": list(decision.changes())})


def _action(decision: Decision) -> Action:
    return Action.WOULD_STOP if decision.verdict.culls else Action.KEPT


_SHOWN = (
    ("rule", "rule"),
    ("started", "started"),
    ("last_activity", "last activity"),
    ("last_execution", "last execution"),
    ("busy_kernels", "busy kernels"),
    ("connections", "connections"),
    ("kept_until", "kept by its user until"),
    ("warned_at", "its user was warned"),
    ("idle_seconds", "idle, seconds"),
    ("idle_limit_seconds", "idle limit, seconds"),
    ("age_limit_seconds", "age limit, seconds"),
    ("due", "stopped if nothing changes"),
)


def _text(server: Server, decision: Decision | None) -> Iterator[str]:
    if decision is None:
        yield f"{server} is stopped"
        return
    yield decision.sentence()
    facts = decision.record(_action(decision))
    for key, label in _SHOWN:
        if facts[key] is not None:
            yield f"  {label + ':':<28}{facts[key]}"
    changes = list(decision.changes())
    if changes:
        yield "What would change it:"
        yield from (f"  - {change}" for change in changes)
