"""One pass over all servers: read everything, judge, look again, stop; then users, then a report.

Promises:
- every page is read before the first server is stopped, because stopping shifts the pages;
- a server is looked at again right before each attempt to stop it, and a pending one is never stopped;
- at most ``concurrency`` servers are handled at once;
- what fails for one page, server or user is told, counted, and costs the others nothing.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from k8s_hub.culler.deciding import Decider
from k8s_hub.culler.decision import Action, Decision
from k8s_hub.culler.facts import Facts
from k8s_hub.culler.policy import Verdict
from k8s_hub.culler.report import Report
from k8s_hub.hub.api import Page, State
from k8s_hub.hub.errors import Forbidden, HubError, NotFound, Unavailable
from k8s_hub.hub.listing import Listing, read_all
from k8s_hub.hub.users import Server, User
from k8s_hub.retries import RetryPolicy, retrying

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
Sink = Callable[[Decision, Action], None]
"""Is told of every decision, once its server's fate is known."""

PAGE_SIZE = 50
"""Users per page where nobody says otherwise: a page of 50 blocks the hub for less than 40 ms."""

ASKING = RetryPolicy(initial=0.2, ceiling=10.0, deadline=60.0, jitter=0.5)
"""A hub restarts in less than the deadline.

Short at first: a server keeps its place while it waits, so that a hub that is away is not asked for all of them.
"""


class Hub(Protocol):
    """What a sweep needs of the hub."""

    async def page(self, *, offset: int, limit: int, state: State) -> Page:
        """As HubApi.page."""

    async def user(self, name: str) -> User:
        """As HubApi.user."""

    async def stop_server(self, user: str, name: str, *, remove: bool) -> bool:
        """As HubApi.stop_server."""

    async def delete_user(self, name: str) -> None:
        """As HubApi.delete_user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a sweep is to do."""

    concurrency: int = 10  # servers handled at once; 0: no limit
    page_size: int = 0  # users per page; 0: PAGE_SIZE
    cull_users: bool = False  # delete users without servers, too
    remove_named_servers: bool = False  # forget named servers, not only stop them
    dry_run: bool = False  # decide and report, but stop and delete nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one server, and the verdict behind it."""

    action: Action
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Sweep:
    """One pass; ``now`` is the clock."""

    hub: Hub
    orders: Orders
    decider: Decider
    now: Callable[[], datetime]

    async def look(self) -> Report:
        """Do all that a sweep does, but stop and delete nothing."""
        return await replace(self, orders=replace(self.orders, dry_run=True)).run()

    async def run(self) -> Report:
        """Sweep once. Raise HubError only where no user at all could be read."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        listing = await self._read()
        users = {user.name: user for page in listing.pages for user in page.users}
        servers = {server: user for user in users.values() for server in user.servers or ()}
        self._tell_hidden(users.values())

        outcomes = await self._each(list(servers), lambda server: self._handle(server, servers[server]))
        deletes = self.orders.cull_users and not self.orders.dry_run
        deletions = await self._delete_users(users, outcomes) if deletes else {}

        actions = Counter(outcome.action for outcome in outcomes.values() if isinstance(outcome, Outcome))
        return Report(
            users=len(users),
            servers=len(servers),
            stopped=actions[Action.STOPPED],
            stopping=actions[Action.STOPPING],
            gone=actions[Action.GONE],
            kept=_kept_by_cause(outcomes.values()),
            failed=_tell_failures("server", outcomes),
            hidden=sum(user.servers is None for user in users.values()),
            deleted=sum(result is True for result in deletions.values()),
            delete_failed=_tell_failures("user", deletions),
            lost=len(listing.lost),
            seconds=loop.time() - begun,
        )

    # --- Gather ---

    async def _read(self) -> Listing:
        size = self.orders.page_size or PAGE_SIZE
        state = State.ALL if self.orders.cull_users else State.ACTIVE

        async def read_page(offset: int) -> Page:
            return await _ask(
                lambda: self.hub.page(offset=offset, limit=size, state=state), wait_level=logging.INFO
            )

        listing = await read_all(read_page, page_size=size)
        for lost in listing.lost:
            log.warning("Could not read %s: %s", lost.what, lost.error)
        return listing

    def _tell_hidden(self, users: Collection[User]) -> None:
        """Say what the hub left out without a word: the sweep would do nothing, for ever."""
        if not users:
            return
        if all(user.servers is None for user in users):
            raise Forbidden("The API token lacks the scope read:servers: no user's servers can be seen")
        if self.orders.cull_users and all(user.idle_for(self.now()) is None for user in users):
            log.error(
                "No user can be deleted: the API token lacks the scope read:users:activity, or nobody was active yet"
            )

    # --- Servers ---

    async def _handle(self, server: Server, user: User) -> Outcome:
        verdict = await self._judge(server, user)
        if not verdict.culls:
            log.debug("%s is kept: it %s", server, verdict.reason)
            return Outcome(action=Action.KEPT, verdict=verdict)
        if self.orders.dry_run:
            log.info("%s would be stopped: it %s", server, verdict.reason)
            return Outcome(action=Action.WOULD_STOP, verdict=verdict)
        outcome = await _ask(lambda: self._look_again_and_stop(server, verdict))
        match outcome.action:
            case Action.STOPPED | Action.STOPPING:
                log.info("%s is stopped: it %s", server, outcome.verdict.reason)
            case Action.KEPT:
                log.info("%s is kept after all: it %s", server, outcome.verdict.reason)
            case Action.GONE:
                log.debug("%s is gone already", server)
        return outcome

    async def _look_again_and_stop(self, server: Server, verdict: Verdict) -> Outcome:
        """Stop a server if it is still to be stopped: the list is seconds or minutes old by now."""
        try:
            user = await self.hub.user(server.user)
            fresh = user.server(server.name)
            if fresh is None:
                return Outcome(action=Action.GONE, verdict=verdict)
            verdict = await self._judge(fresh, user)
            if not verdict.culls:
                return Outcome(action=Action.KEPT, verdict=verdict)
            remove = bool(server.name) and self.orders.remove_named_servers
            is_gone = await self.hub.stop_server(server.user, server.name, remove=remove)
        except NotFound:
            return Outcome(action=Action.GONE, verdict=verdict)
        return Outcome(action=Action.STOPPED if is_gone else Action.STOPPING, verdict=verdict)

    async def _judge(self, server: Server, user: User) -> Verdict:
        return (await self.decider.decide(Facts(server=server, user=user), self.now())).verdict

    # --- Users ---

    async def _delete_users(
        self, users: dict[str, User], outcomes: dict[Server, Outcome | BaseException]
    ) -> dict[User, bool | BaseException]:
        def has_no_server(user: User) -> bool:
            return user.servers is not None and all(_is_gone(outcomes[server]) for server in user.servers)

        return await self._each([user for user in users.values() if has_no_server(user)], self._delete)

    async def _delete(self, user: User) -> bool:
        """Delete a user whose servers are gone, if it is time for it; return whether it was."""
        verdict = self.decider.decide_user(user, self.now())
        if not verdict.culls:
            return False
        is_deleted = await _ask(lambda: self._look_again_and_delete(user))
        if is_deleted:
            log.info("User %s is deleted: it %s", user.name, verdict.reason)
        return is_deleted

    async def _look_again_and_delete(self, user: User) -> bool:
        try:
            fresh = await self.hub.user(user.name)
            if fresh.servers != ():
                return False
            # Stopping a server counts as its user's activity, so it tells something only where none was stopped.
            if not user.servers and not self.decider.decide_user(fresh, self.now()).culls:
                return False
            await self.hub.delete_user(user.name)
        except NotFound:
            return False
        return True

    # --- Many at once ---

    async def _each(
        self, things: Sequence[T], handle: Callable[[T], Awaitable[R]]
    ) -> dict[T, R | BaseException]:
        """Handle things, no more than ``concurrency`` at once; what went wrong stands in place of a result."""
        places = asyncio.Semaphore(self.orders.concurrency or max(1, len(things)))

        async def in_turn(thing: T) -> R:
            async with places:
                return await handle(thing)

        results = await asyncio.gather(*map(in_turn, things), return_exceptions=True)
        return dict(zip(things, results, strict=True))


async def _ask(call: Callable[[], Awaitable[T]], *, wait_level: int = logging.DEBUG) -> T:
    def tell(error: Unavailable, delay: float) -> None:
        log.log(wait_level, "%s; again in %.1f s", error, delay)

    return await retrying(ASKING, call, on=Unavailable, on_wait=tell)


def _is_gone(outcome: Outcome | BaseException) -> bool:
    return isinstance(outcome, Outcome) and outcome.action in {Action.STOPPED, Action.GONE}


def _kept_by_cause(outcomes: Iterable[Outcome | BaseException]) -> dict[str, int]:
    return dict(
        Counter(
            outcome.verdict.cause.value
            for outcome in outcomes
            if isinstance(outcome, Outcome) and outcome.action in {Action.KEPT, Action.WOULD_STOP}
        )
    )


def _tell_failures(kind: str, results: Mapping[T, R | BaseException]) -> int:
    failures = {thing: result for thing, result in results.items() if isinstance(result, BaseException)}
    forbidden = [error for error in failures.values() if isinstance(error, Forbidden)]
    if forbidden:  # It is about the token: the same sentence for every server would hide the others.
        log.error("Failed on %d %ss: %s", len(forbidden), kind, forbidden[0])
    shown: set[type[BaseException]] = set()
    for thing, error in failures.items():
        name = thing.name if isinstance(thing, User) else thing
        match error:
            case Forbidden():
                pass
            case HubError():
                log.error("Failed on %s %s: %s", kind, name, error)
            case (
                _
            ):  # No answer of the hub, but a mistake in the arbiter hook or here: one traceback tells it.
                log.error(
                    "Failed on %s %s: %r", kind, name, error, exc_info=None if type(error) in shown else error
                )
                shown.add(type(error))
    return len(failures)
