"""The pages of servers, and the forms to extend and stop them."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup
from tornado.web import HTTPError

from k8s_hub.claims.saved_state import LastEnd, SavedState
from k8s_hub.culler.core import views
from k8s_hub.culler.core.decision import Action, DecisionRecord
from k8s_hub.culler.core.extensions import ExtensionRefused, can_extend
from k8s_hub.culler.core.policy import facts_of
from k8s_hub.culler.core.report import Board, Stop
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.event_bus import LoggedOnce
from k8s_hub.culler.outages import Outages, decide_as_swept
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.web.base import AWAY, HUB_SECONDS, PageContext, PageHandler, is_admin, render
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.errors import HubError, HubForbidden, HubNotFound, Refused
from k8s_hub.hub.users import Server, User, without_stopped
from k8s_hub.text import Message, printable

log = logging.getLogger(__name__)

UNDECIDED = (
    "The culler could not decide about all of these servers, so the page shows some as the last sweep saw them. "
    "If this does not change, ask your administrator to look at the culler's log."
)

FORBIDDEN = "The culler is not allowed to stop this server. Stop it on the hub's home page."
NOT_RUNNING = "This server is not running."
STOPPING = "This server is already stopping."
BUSY = "The hub is busy with this server. Try again once it is ready."
REFUSED = (
    "The hub refused to stop this server. Stop it on the hub's home page, or contact your administrator."
)

EXTENDED, RELEASED, STOPPED = "kept", "released", "stopped"
"""Values of ``done`` in the address after a form."""

TO_THE_LIMIT = "limit"
"""Value of ``seconds`` for an extension until the maximum runtime."""


@dataclass(frozen=True, kw_only=True)
class Site(PageContext):
    """What all handlers share."""

    board: Board
    decider: Decider
    store: StateStore
    hub: HubApi
    now: Callable[[], datetime]
    is_dry_run: bool = False
    outages: Outages = field(default_factory=Outages)
    log_once: LoggedOnce = field(default_factory=LoggedOnce)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A user's servers, and the current decisions about them."""

    user: str  # as the hub writes the name
    servers: Sequence[Server]  # running, starting or stopping
    records: Mapping[str, DecisionRecord]  # by server name; without failed decisions
    stopped: Sequence[str] = ()  # names of stopped servers
    #: Of those that ended by themselves, if the token shows it.
    ends: Mapping[str, LastEnd] = field(default_factory=dict)


class _ServerHandler(PageHandler):
    """A page of a running culler."""

    site: Site

    # --- The logged-in user ---

    @property
    def by_admin(self) -> bool:
        """Whether the logged-in user is an admin."""
        return is_admin(self.current_user)

    def owner(self, name: str | None) -> str:
        """Return the owner of the servers; only admins may name another user."""
        own = str(self.current_user["name"])
        if name not in {None, own} and not self.by_admin:
            raise HTTPError(403)
        return own if name is None else name

    def is_own(self, owner: str) -> bool:
        """Return whether the logged-in user owns these servers."""
        return bool(owner == self.current_user["name"])

    @property
    def token(self) -> str:
        """The token that forms of this session must send."""
        return self.xsrf_token.decode("ascii")

    def path_of(self, owner: str, **more: str) -> str:
        """Return the address of a user's page."""
        query = ({} if self.is_own(owner) else {"user": owner}) | more
        return self.site.settings.prefix + (f"?{urlencode(query)}" if query else "")

    # --- Decisions ---

    async def decided(self, name: str) -> Decided:
        """Decide about a user's servers now. Raise HubError or TimeoutError."""
        async with asyncio.timeout(HUB_SECONDS):
            everything = await self.site.hub.user(name, with_stopped=True)
        user, stopped = without_stopped(everything)
        servers = sorted(user.servers or (), key=lambda server: server.name)
        records = {server.name: await self._decided(server, user) for server in servers}
        return Decided(
            user=user.name,
            servers=servers,
            records={server: each for server, each in records.items() if each is not None},
            stopped=stopped,
            ends=_ends_of(everything),
        )

    async def _decided(self, server: Server, user: User) -> DecisionRecord | None:
        site = self.site
        try:
            facts = facts_of(server, user, site.store, site.board.work(user.name, server.name))
            decision = await decide_as_swept(
                site.decider, facts, site.now(), outages=site.outages, store=site.store
            )
            return decision.record(Action.KEPT)
        except Exception as error:  # noqa: BLE001 - the arbiter hook may raise anything
            site.log_once(f"page: {server}: no decision", error)
            return None

    # --- A user's servers ---

    async def show_servers(self, owner: str, *, error: Message = (), after: str = "") -> None:
        """Show one user's page; ``after``: the value of ``done``."""
        try:
            decided = await self.decided(owner)
        except HubNotFound:
            if not self.is_own(owner):  # a made-up address
                self.set_status(404)
                self.show_error("No such user", "The hub has no user of this name.")
                return
            decided = Decided(user=owner, servers=(), records={}, stopped=())
        except (HubError, TimeoutError):
            self.set_status(503)
            self._show_cards(owner, self.site.board.servers_of(owner), (), {}, error=(AWAY,), is_known=False)
            return
        seen = [
            decided.records.get(each.name) or self.site.board.seen(decided.user, each.name) or each
            for each in decided.servers
        ]
        if len(decided.records) < len(seen):
            self.set_status(500)
            error = (UNDECIDED,)
        done = self._done(decided, after, self.get_argument("server", "", strip=False))
        self._show_cards(decided.user, seen, decided.stopped, decided.ends, error=error, done=done)

    def _done(self, decided: Decided, after: str, server: str) -> Message:
        """Return what a form did, if store or hub confirm it: anybody can make up an address."""
        title, store = views.title_of(server), self.site.store
        if after == EXTENDED and (until := store.extended_until(decided.user, server)) is not None:
            return (f"{title} is extended until ", until, ".")
        if after == RELEASED and store.was_extended(decided.user, server):
            return (f"The extension of {title} is cancelled.",)
        if after == STOPPED and server in decided.stopped:
            return (f"{title} has stopped.",)
        if after == STOPPED and any(
            each.name == server for each in decided.servers if each.pending == "stop"
        ):
            return (f"{title} is stopping.",)
        return ()

    def _show_cards(
        self,
        owner: str,
        servers: Sequence[DecisionRecord | Server],
        stopped: Sequence[str],
        ends: Mapping[str, LastEnd],
        *,
        error: Message = (),
        done: Message = (),
        is_known: bool = True,
    ) -> None:
        """Show running servers, those without a decision by name only, and stopped ones."""
        site, now = self.site, self.site.now()
        cards = [self._card(each, number) for number, each in enumerate(servers, 1)]
        running = {each.name if isinstance(each, Server) else each.server for each in servers}
        stops = views.stops_of(site.store.stops, owner, running)
        others = sorted(set(stopped) - {stop.server for stop in stops})
        is_someone = is_known or bool(cards)  # show no name that comes only from the address
        self.show(
            "user.html",
            title="Your servers"
            if self.is_own(owner)
            else views.title_of_page(owner if is_someone else None),
            current="user" if self.is_own(owner) else None,
            cards=cards,
            stops=[
                self._stop_card(owner, server, stop, ends.get(server), number)
                for number, (server, stop) in enumerate(
                    [*((stop.server, stop) for stop in stops), *((server, None) for server in others)],
                    len(cards) + 1,
                )
            ],
            nobody="No server is running." if is_known else "The page knows nothing about these servers yet.",
            error=error,
            done=done,
            is_live=self.request.method == "GET" and not error,
            is_dry_run=site.is_dry_run,
            dry_run=views.DRY_RUN,
            as_of=min((each.at for each in servers if isinstance(each, DecisionRecord)), default=now),
            now=now,
            here=self.path_of(owner),
            xsrf=self.token,
        )

    def _card(self, record: DecisionRecord | Server, number: int) -> Markup:
        site = self.site
        if isinstance(record, Server):
            return self._unshown(views.name_of(record.user, record.name), "card")
        limits, now = site.store.limits, site.now()

        def values() -> dict[str, Any]:
            quota = site.store.quota(record.user)
            return {
                "row": views.row(record, is_dry_run=site.is_dry_run, is_own=self.is_own(record.user)),
                "offer": views.offer(record, quota, limits, now, by_admin=self.by_admin),
                "can_release": can_extend(limits, by_admin=self.by_admin),
                "can_stop": record.ready and record.pending is None and not site.is_dry_run,
                "to_the_limit": TO_THE_LIMIT,
                "open_url": self.server_url(record.user, record.server),
                "number": number,
            }

        return self.part("card", views.name_of(record.user, record.server), values)

    def _stop_card(
        self, owner: str, server: str, stop: Stop | None, end: LastEnd | None, number: int
    ) -> Markup:
        """Return the card of a stopped server; stop: the culler's stop, if that was the last; end: its own end."""

        def values() -> dict[str, Any]:
            return {
                "title": views.title_of(server),
                "stop": stop,
                "end": end,
                "number": number,
                "whose": "Your" if self.is_own(owner) else "The",
                "start_url": f"{self.hub_url}spawn/{_path_of(owner, server)}",
            }

        return self.part("stop-card", views.name_of(owner, server), values)

    # --- Parts of a page ---

    def server_url(self, owner: str, server: str) -> str:
        """Return the URL that opens a server, or offers to start it."""
        settings = self.site.settings
        base = settings.hub_host + settings.hub_prefix.removesuffix("hub/")
        return f"{base}user/{_path_of(owner, server)}/"

    def part(self, kind: str, name: str, values: Callable[[], Mapping[str, Any]]) -> Markup:
        """Return one server's part of a page; an error in one part does not affect the others."""
        shared = {"prefix": self.site.settings.prefix, "now": self.site.now(), "xsrf": self.token}
        try:
            return Markup(render(f"{kind}.html", **shared, **values()))  # noqa: S704 - the templates escape
        except Exception as error:  # noqa: BLE001 - the supervisor of all parts
            self.site.log_once(f"page: {name}: cannot be shown", error)
            return self._unshown(name, kind)

    def _unshown(self, name: str, kind: str) -> Markup:
        return Markup(render("unshown.html", name=name, is_card="card" in kind))  # noqa: S704 - as above


class ServersHandler(_ServerHandler):
    """A user's own servers; for admins, any user's."""

    async def get(self) -> None:
        """Show them."""
        await self.show_servers(
            self.owner(self.get_argument("user", None)), after=self.get_argument("done", "")
        )


class AllServersHandler(_ServerHandler):
    """Every server, the last stops and the last sweeps, for admins."""

    async def get(self) -> None:
        """Show them."""
        if not self.by_admin:
            raise HTTPError(403)
        site = self.site
        wanted = views.Filter(
            text=self.get_argument("text", ""),
            cause=self.get_argument("cause", ""),
            page=_number(self.get_argument("page", "1")) or 1,
        )
        listing = views.servers_page(site.board.servers, wanted)

        def query(page: int) -> str:
            return urlencode({"text": wanted.text, "cause": wanted.cause, "page": page})

        self.show(
            "all.html",
            title="All servers",
            current="all",
            banners=views.banners(
                tuple(site.board.sweeps), site.board.missing_scopes, is_dry_run=site.is_dry_run
            ),
            listing=listing,
            rows=[self._row(record) for record in listing.records],
            stops=[self._stop_row(stop) for stop in views.stops_with(site.store.stops, wanted.text)],
            filter=wanted,
            query=query,
            sweeps=views.sweeps(site.board.sweeps),
            last_sweep=site.board.sweeps[-1] if site.board.sweeps else None,
            now=site.now(),
            here=f"{site.settings.prefix}all?{query(listing.page)}",
            xsrf=self.token,
        )

    def _row(self, record: DecisionRecord) -> Markup:
        return self.part(
            "row",
            views.name_of(record.user, record.server),
            lambda: {
                "row": views.row(record, is_dry_run=self.site.is_dry_run, is_own=False),
                "open_url": self.server_url(record.user, record.server),
            },
        )

    def _stop_row(self, stop: Stop) -> Markup:
        name = views.name_of(stop.user, stop.server)
        return self.part(
            "stop-row", name, lambda: {"stop": stop, "name": name, "title": views.title_of(stop.server)}
        )


class _Refused(Exception):
    """A form has no effect; the message is for the user."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _FormHandler(_ServerHandler):
    """A form about one server."""

    done: str  # in the address afterwards

    async def act(self, owner: str, server: str) -> None:
        """Do what the form asks for; raise _Refused or ExtensionRefused."""
        raise NotImplementedError

    async def post(self) -> None:
        """Do it, or show why not."""
        owner = self.owner(self.get_body_argument("user", None))
        server = self.get_body_argument("server", "", strip=False)
        error: Message
        try:
            await self.act(owner, server)
        except ExtensionRefused as refused:
            status, error = 422, refused.message
        except _Refused as refused:
            status, error = refused.status, (str(refused),)
        else:
            self.redirect(self.path_of(owner, done=self.done, server=server), status=303)
            return
        self.set_status(status)
        await self.show_servers(owner, error=error)


class ExtendHandler(_FormHandler):
    """Extends a server."""

    done = EXTENDED

    async def act(self, owner: str, server: str) -> None:
        """Extend it."""
        try:
            decided = await self.decided(owner)
        except HubNotFound:
            decided = Decided(user=owner, servers=(), records={})
        except (HubError, TimeoutError):
            raise _Refused(503, AWAY) from None
        record = decided.records.get(server)
        if record is None and any(each.name == server for each in decided.servers):
            raise _Refused(500, UNDECIDED)
        if record is None:
            raise ExtensionRefused(f"You can extend {views.title_of(server)} once it is running.")
        now = self.site.now()
        seconds = self.get_body_argument("seconds", "")
        length = timedelta(seconds=_number(seconds) or 0)
        if seconds == TO_THE_LIMIT and record.runtime_ends is not None:
            length = record.runtime_ends - now
        if reason := views.why_not(record, now, length):
            raise ExtensionRefused(*reason)
        self.site.store.extend(owner, server, length, by_admin=self.by_admin)


class ReleaseHandler(_FormHandler):
    """Ends an extension."""

    done = RELEASED

    async def act(self, owner: str, server: str) -> None:
        """End it."""
        self.site.store.release(owner, server)


class StopHandler(_FormHandler):
    """Stops a server for its user or an admin, with the culler's own token."""

    done = STOPPED

    async def act(self, owner: str, server: str) -> None:
        """Stop it."""
        if self.site.is_dry_run:
            raise _Refused(422, views.DRY_RUN)
        name = views.name_of(owner, server)
        try:
            async with asyncio.timeout(HUB_SECONDS):
                await self._refuse_unless_ready(owner, server)
                await self.site.hub.stop_server(owner, server)
        except HubNotFound:
            raise _Refused(404, NOT_RUNNING) from None
        except HubForbidden:
            raise _Refused(403, FORBIDDEN) from None
        except Refused as error:
            log.warning("%s: not stopped: requested on the page: %s", name, printable(str(error)))
            raise _Refused(422, REFUSED) from None
        except (HubError, TimeoutError):
            raise _Refused(503, AWAY) from None
        log.info("%s: stopped: requested on the page by %s", name, printable(str(self.current_user["name"])))
        self.site.store.runs(owner, server)  # the culler's earlier stop is no longer the last one

    async def _refuse_unless_ready(self, owner: str, server: str) -> None:
        """Refuse a server that has stopped since the page was shown, or whose start a stop would interrupt."""
        user = await self.site.hub.user(owner)
        if user.servers is None:  # hidden from the token
            return
        fresh = user.server(server)
        if fresh is None or fresh.is_stopped:
            raise _Refused(404, NOT_RUNNING)
        if fresh.pending == "stop":
            raise _Refused(422, STOPPING)
        if fresh.pending or not fresh.ready:
            raise _Refused(422, BUSY)


def _ends_of(user: User) -> dict[str, LastEnd]:
    """Return how the user's stopped servers ended, if that was by themselves and the token shows the saved state."""
    ends = {
        server.name: SavedState.load(server.state).last_end
        for server in user.servers or ()
        if server.is_stopped
    }
    return {name: end for name, end in ends.items() if end is not None}


def _path_of(owner: str, server: str) -> str:
    """Return a server's name as the end of a URL."""
    return "/".join(quote(part, safe="") for part in (owner, server) if part)


def _number(text: str) -> int | None:
    """Return a whole number of seconds or pages; None: not a valid one."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
