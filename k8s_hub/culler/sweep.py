"""One sweep over all servers: gather, ask, decide, hold back, warn, stop; then delete users and report.

Guarantees:
- the sweep reads every page before it stops the first server, because a stop shifts the pages;
- it reads a server again right before each attempt to stop it, and never stops a pending server;
- it handles at most ``concurrency`` servers at once, and fewer while the hub is slow;
- an error of one page, server or user is logged and counted, and does not affect the others;
- it emits each decision about a server exactly once, with the action, and each decision to delete a user;
- with ask_servers, it stops no idle-looking server that it could not ask because scopes are unknown.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from k8s_hub.culler.actions import Actions, Outcome, unstopped
from k8s_hub.culler.core.decision import Action, Decision, UserDecision
from k8s_hub.culler.core.policy import (
    Cause,
    Notice,
    Work,
    facts_of,
    foreseen_stop,
    held_by_brake,
    wants_notice,
)
from k8s_hub.culler.core.probing import Candidate, ProbeChoice, candidate, choose
from k8s_hub.culler.core.report import Report, SweepHistory
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.event_bus import DecisionListener, UserDecisionListener, guarded
from k8s_hub.culler.outages import BRAKED, Outages
from k8s_hub.culler.probe import ServerProbe
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.throttling import (
    STAGGER_SECONDS,
    Throttle,
    gather_now,
    gather_throttled,
    log_failures,
    retry,
)
from k8s_hub.hub.api import HubApi, UserPage, UserState
from k8s_hub.hub.errors import HubError, HubForbidden
from k8s_hub.hub.listing import UserList, read_all
from k8s_hub.hub.users import Server, User, packed
from k8s_hub.objects import timestamps

log = logging.getLogger(__name__)

T = TypeVar("T")

Warn = Callable[[Decision, datetime], Awaitable[bool]]
"""Warns a server's user that it stops at this time; returns whether that succeeded."""

PAGE_SIZE = 50
"""Default number of users per page: such a page blocks the hub for less than 40 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """The options of a sweep."""

    concurrency: int = 10  # servers to handle at once; 0: no limit
    page_size: int = 0  # users per page; 0: PAGE_SIZE
    cull_users: bool = False  # also delete users without servers
    remove_named_servers: bool = False  # also remove named servers from the hub
    dry_run: bool = False  # decide and report only
    brake_percent: int = 50  # the part of all servers that may stop although just in use; 0: no limit
    spread: timedelta = timedelta()  # spread the stops evenly over this time; zero: as soon as a slot is free


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The content of the user list."""

    users: dict[str, User]
    servers: dict[Server, User]
    lost: int  # parts of the list that could not be read

    @property
    def hidden(self) -> int:
        return sum(user.servers is None for user in self.users.values())


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep; ``now`` is the clock. None switches a part off; ``on_decision`` gets every decision."""

    hub: HubApi
    options: SweepOptions
    decider: Decider
    now: Callable[[], datetime]
    _: KW_ONLY
    store: StateStore | None = None
    probe: ServerProbe | None = None  # asks servers for their activity
    warn: Warn | None = None
    throttle: Throttle | None = None  # None: ``concurrency`` slots, however slow the hub is
    outages: Outages = field(default_factory=Outages)
    interval: timedelta | None = None  # until the next sweep; None: not known
    on_decision: DecisionListener = lambda _decision, _action: None
    on_user_decision: UserDecisionListener = lambda _decision, _action: None
    history: SweepHistory = field(default_factory=SweepHistory)

    async def dry_run(self) -> Report:
        """Run a dry sweep, which stops, deletes and warns nobody. It keeps only what the next sweep compares with."""
        return await replace(self, options=replace(self.options, dry_run=True)).run()

    async def run(self) -> Report:
        """Sweep once. Raise HubError only if no user could be read."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        seen = await self._gather()
        choice, unjudged = await self._choose(seen)
        work = await self._ask(choice.probed)
        judged = [server for server in seen.servers if server not in unjudged]
        decisions, undecided = await self._decide(seen, judged, choice, work)
        undecided |= {str(server): error for server, error in unjudged.items()}
        decisions = self._hold_back(decisions)
        decisions, warned = await self._warn(decisions)
        outcomes, not_stopped = await self._stop(decisions)
        fates, undeleted = await self._delete_users(seen, outcomes)
        self._remember(seen)
        actions = Counter(outcome.action for outcome in outcomes)
        kept = Counter(
            outcome.decision.verdict.cause for outcome in outcomes if outcome.action is Action.KEPT
        )
        return Report(
            users=len(seen.users),
            servers=len(seen.servers),
            stopped=actions[Action.STOPPED],
            stopping=actions[Action.STOPPING],
            gone=actions[Action.GONE],
            would_stop=actions[Action.WOULD_STOP],
            kept={cause.value: number for cause, number in kept.items()},
            held_by_brake=kept[Cause.BRAKE],
            held_by_grace=kept[Cause.OUTAGE_GRACE],
            failed=log_failures("server", undecided | not_stopped),
            hidden=seen.hidden,
            warned=warned,
            probed=len(choice.probed),
            answered=sum(answer is not None for answer in work.values()),
            deleted=fates[Action.DELETED],
            would_delete=fates[Action.WOULD_DELETE],
            delete_failed=log_failures("user", undeleted),
            lost=seen.lost,
            seconds=loop.time() - begun,
            stop_seconds=tuple(each.seconds for each in outcomes if each.seconds is not None),
        )

    # --- Gather ---

    async def _gather(self) -> _Seen:
        listing = await self._read()
        users = {user.name: user for page in listing.pages for user in page.users}
        self._log_hidden(users.values())
        servers = {server: user for user in users.values() for server in user.servers or ()}
        return _Seen(users=users, servers=servers, lost=len(listing.lost))

    async def _read(self) -> UserList:
        size = self.options.page_size or PAGE_SIZE
        state = UserState.ALL if self.options.cull_users else UserState.ACTIVE

        async def read_page(offset: int) -> UserPage:
            page = await retry(
                lambda: self.hub.page(offset=offset, limit=size, state=state), wait_level=logging.INFO
            )
            self.outages.answered(self.now())
            return replace(page, users=tuple(map(packed, page.users)))

        listing = await read_all(read_page, page_size=size)
        for lost in listing.lost:
            log.warning("%s: not read: %s", lost.what, lost.error)
        return listing

    def _log_hidden(self, users: Collection[User]) -> None:
        """Log what the hub hides: otherwise sweeps would do nothing without a reason in the log."""
        if not users:
            return
        if all(user.servers is None for user in users):
            raise HubForbidden(
                "The API token lacks the scope read:servers: the hub hides the servers of all users"
            )
        if self.options.cull_users and all(user.idle_for(self.now()) is None for user in users):
            log.error(
                "cull_users: no user deleted: the API token lacks the scope read:users:activity, or no user was active yet"
            )

    # --- Ask ---

    async def _choose(self, seen: _Seen) -> tuple[ProbeChoice, dict[Server, Exception]]:
        """Choose the servers to ask for their activity; return the errors of those that cannot be judged."""
        if self.probe is None:
            return ProbeChoice(), {}
        now = self.now()

        def judge(server: Server) -> Candidate | None:
            user = seen.servers[server]
            limits = self.decider.rules.for_server(server, user, self.decider.limits, now).limits
            probed_at = self.history.probed_at.get(server.key)
            return candidate(facts_of(server, user, self.store), limits, now, probed_at)

        results = gather_now(seen.servers, judge)
        candidates = [result for result in results if isinstance(result, Candidate)]
        can_ask = bool(candidates) and await self._can_probe(self.probe)
        choice = choose(candidates, self.probe.per_sweep if can_ask else 0)
        self.history.probed([server.key for server in choice.probed], now)
        return choice, _failures(seen.servers, results)

    async def _can_probe(self, probe: ServerProbe) -> bool:
        try:
            await retry(probe.refresh)
        except HubError as error:
            log.warning("ask_servers: no server asked, no idle-looking server stops in this sweep: %s", error)
            return False
        return True

    async def _ask(self, servers: Sequence[Server]) -> Mapping[Server, Work | None]:
        if self.probe is None or not servers:
            return {}
        answers = await gather_throttled(servers, self.probe.work, Throttle())  # ServerProbe limits itself
        log_failures("server", _failures(map(str, servers), answers))
        return {
            server: None if isinstance(answer, Exception) else answer
            for server, answer in zip(servers, answers, strict=True)
        }

    # --- Decide ---

    async def _decide(
        self,
        seen: _Seen,
        servers: Sequence[Server],
        choice: ProbeChoice,
        work: Mapping[Server, Work | None],
    ) -> tuple[list[Decision], dict[str, Exception]]:
        """Decide about each server; return the decisions, and the errors of the others."""

        async def decide(server: Server) -> Decision:
            facts = facts_of(server, seen.servers[server], self.store, work.get(server))
            if server not in choice.waiting:
                return await self.decider.decide(facts, self.now())
            # Without a warning: the server may be busy, and then never stops.
            decision = await replace(self.decider, notice=None).decide(facts, self.now())
            if decision.verdict.cause is not Cause.IDLE:
                return decision
            return decision.held_back(Cause.UNPROBED, "a later sweep asks it for its activity first")

        results = await gather_throttled(servers, decide, Throttle(self.options.concurrency))
        decisions = [result for result in results if isinstance(result, Decision)]
        return decisions, _failures(map(str, servers), results)

    # --- Hold back ---

    def _hold_back(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Return the decisions after the outage grace and the brake."""
        now = self.now()
        notice = self.decider.notice
        decisions = [self.outages.held_back(decision, now, notice) for decision in decisions]
        to_stop = [decision.key for decision in decisions if decision.verdict.culls]
        running = sum(decision.facts.server.ready for decision in decisions)
        held = held_by_brake(to_stop, self.history.in_use, running, self.options.brake_percent)
        self.history.decided(decisions)
        if not held:
            return decisions
        log.error(
            "brake: held back the stop of %d of %d servers: the sweep before saw them in use. The next sweep stops them. "
            "Check the clocks and limits",
            len(held),
            running,
        )
        until = None if self.interval is None else now + self.interval
        return [
            decision.held_back(Cause.BRAKE, BRAKED, until) if decision.key in held else decision
            for decision in decisions
        ]

    # --- Warn ---

    async def _warn(self, decisions: list[Decision]) -> tuple[list[Decision], int]:
        """Warn users whose servers stop soon; return the decisions with the notices, and the number of users warned."""
        notice, is_grace = self.decider.notice, self.outages.grace_until(self.now()) is not None
        if self.warn is None or self.store is None or notice is None or self.options.dry_run or is_grace:
            return decisions, 0
        due = [
            decision
            for decision in decisions
            if wants_notice(decision.facts, decision.verdict, decision.at, notice)
        ]
        notices = await gather_throttled(due, self._warn_one, Throttle(self.options.concurrency))
        log_failures("server", _failures((decision.subject for decision in due), notices))
        given = {
            decision.key: given
            for decision, given in zip(due, notices, strict=True)
            if isinstance(given, Notice)
        }
        return [_with_notice(decision, given.get(decision.key)) for decision in decisions], len(given)

    async def _warn_one(self, decision: Decision) -> Notice | None:
        """Warn one user; return the notice, or None if the warning failed."""
        server, verdict, now = decision.facts.server, decision.verdict, self.now()
        stop_at = max(verdict.deadline or now, now + (self.decider.notice or timedelta()))
        if self.warn is not None and await self.warn(decision, stop_at):
            given: Notice | None = Notice(at=now, since=verdict.since or now)
            _, why = foreseen_stop(decision.facts, decision.matched.limits, stop_at, now)
            log.info("%s: user warned: stops at %s: %s", server, timestamps.format_seconds(stop_at), why)
        else:
            given = self.history.could_not_warn(decision)
            if given is not None:
                log.warning(
                    "%s: user not warned: too many failed attempts: it stops without a warning at its limit",
                    server,
                )
        if given is not None and self.store is not None:
            self.store.save_notice(server.user, server.name, given)
        return given

    # --- Stop ---

    async def _stop(self, decisions: Sequence[Decision]) -> tuple[list[Outcome], dict[str, Exception]]:
        """Stop servers; return the outcomes, and the errors of the others."""
        on_decision = guarded("decisions", self.on_decision)
        to_stop = [decision for decision in decisions if decision.verdict.culls]
        outcomes = [unstopped(decision, on_decision) for decision in decisions if not decision.verdict.culls]
        if self.options.dry_run:
            return outcomes + [unstopped(decision, on_decision) for decision in to_stop], {}
        actions = self._actions

        async def stop(decision: Decision) -> Outcome:
            with _emitting_failure(decision, on_decision):
                outcome = await actions.stop(decision)
            on_decision(outcome.decision, outcome.action)
            return outcome

        results = await gather_throttled(
            to_stop, stop, self._throttle, over=self.options.spread.total_seconds(), apart=STAGGER_SECONDS
        )
        done = [result for result in results if isinstance(result, Outcome)]
        return outcomes + done, _failures((decision.subject for decision in to_stop), results)

    # --- Users ---

    async def _delete_users(
        self, seen: _Seen, outcomes: Iterable[Outcome]
    ) -> tuple[Counter[Action], dict[str, Exception]]:
        """Delete users without servers; return the counts by action, and the errors."""
        is_grace = self.outages.grace_until(self.now()) is not None
        if not self.options.cull_users or is_grace:
            return Counter(), {}
        due, undecided = self._users_to_delete(seen, outcomes)
        on_decision = guarded("decisions about users", self.on_user_decision)
        if self.options.dry_run:
            for decision in due:
                log.info("%s", decision.sentence())
                on_decision(decision, Action.WOULD_DELETE)
            return Counter({Action.WOULD_DELETE: len(due)}), undecided
        actions = self._actions

        async def delete(decision: UserDecision) -> Action:
            with _emitting_failure(decision, on_decision):
                action = Action.DELETED if await actions.delete(decision) else Action.KEPT
            on_decision(decision, action)
            return action

        results = await gather_throttled(due, delete, self._throttle)
        fates = Counter(result for result in results if isinstance(result, Action))
        return fates, undecided | _failures((decision.user.name for decision in due), results)

    def _users_to_delete(
        self, seen: _Seen, outcomes: Iterable[Outcome]
    ) -> tuple[list[UserDecision], dict[str, Exception]]:
        """Return the decisions to delete users without servers, or whose servers this sweep stopped or would stop.

        Also return the errors of users who cannot be judged.
        """
        # A server that something else stopped is a sign of an active user: wait for the next sweep.
        stopped = {
            outcome.decision.key
            for outcome in outcomes
            if outcome.action in {Action.STOPPED, Action.WOULD_STOP}
        }
        now = self.now()
        users = [
            user
            for user in seen.users.values()
            if user.servers is not None
            and all((user.name, server.name) in stopped for server in user.servers)
        ]
        results = gather_now(users, lambda user: self.decider.decide_user(user, now))
        due = [result for result in results if isinstance(result, UserDecision) and result.verdict.culls]
        return due, _failures((user.name for user in users), results)

    # --- Remember ---

    def _remember(self, seen: _Seen) -> None:
        if self.options.dry_run or seen.lost:
            return
        running = self.history.saw_all([server.key for server in seen.servers])
        if self.store is not None:
            self.store.forget_all_but(running)

    @property
    def _throttle(self) -> Throttle:
        return self.throttle or Throttle(self.options.concurrency)

    @property
    def _actions(self) -> Actions:
        return Actions(
            hub=self.hub,
            decider=self.decider,
            now=self.now,
            outages=self.outages,
            store=self.store,
            probe=self.probe,
            remove_named=self.options.remove_named_servers,
        )


def _with_notice(decision: Decision, notice: Notice | None) -> Decision:
    if notice is None:
        return decision
    return replace(decision, facts=replace(decision.facts, notice=notice), is_warned=True)


@contextmanager
def _emitting_failure(decision: T, on_decision: Callable[[T, Action], object]) -> Iterator[None]:
    """Emit a decision as failed if the body raises."""
    try:
        yield
    except Exception:
        on_decision(decision, Action.FAILED)
        raise


def _failures(of: Iterable[T], results: Iterable[object]) -> dict[T, Exception]:
    return {thing: result for thing, result in zip(of, results, strict=True) if isinstance(result, Exception)}
