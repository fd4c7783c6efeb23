"""The handlers: who asks, what is known now, which page; what is decided and stored is others' matter."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated, UserNotAllowed
from tornado.web import HTTPError, RequestHandler

from k8s_hub.culler.judging import words
from k8s_hub.culler.judging.decider import Decider
from k8s_hub.culler.judging.decision import Action
from k8s_hub.culler.judging.facts import facts_of
from k8s_hub.culler.keeping import KeepRefused
from k8s_hub.culler.memory import Memory
from k8s_hub.culler.page import views
from k8s_hub.culler.page.board import Board, Seen
from k8s_hub.culler.page.rendering import render
from k8s_hub.culler.page.settings import PageSettings
from k8s_hub.hub.errors import HubError, NotFound
from k8s_hub.hub.users import Server, User

log = logging.getLogger(__name__)

HUB_SECONDS = 20.0
"""What the hub may take for an answer before a person is told that it is away."""

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

AWAY = "The hub does not answer at the moment. Please try again in a minute."

UNDECIDED = "What becomes of your servers cannot be said at the moment; the service's log says why."

SENTENCES = {
    400: "This request makes no sense.",
    403: "This is not allowed. If the page was open for long, go back to your servers and try again.",
    404: "There is no such page.",
    405: "There is no such page.",
    502: AWAY,
    503: AWAY,
}


class Undecided(Exception):  # noqa: N818 - it says what it is
    """The administrator's own function failed."""


class Hub(Protocol):
    """What the pages need of the hub."""

    async def user(self, name: str) -> User:
        """As HubApi.user."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all handlers share."""

    settings: PageSettings
    board: Board
    decider: Decider
    memory: Memory
    hub: Hub
    now: Callable[[], datetime]
    is_dry_run: bool
    login: HubOAuth


class _Styled(RequestHandler):
    """Headers, templates and errors that all pages share."""

    site: Site

    def initialize(self, site: Site) -> None:
        self.site = site

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def show(self, template: str, **values: Any) -> None:
        settings = self.site.settings
        person = self.current_user or {}
        self.finish(
            render(
                template,
                prefix=settings.prefix,
                hub_url=settings.hub_host + settings.hub_prefix,
                name=person.get("name"),
                is_admin=_is_admin(person),
                **values,
            )
        )

    def write_error(self, status_code: int, **_: Any) -> None:
        self.show(
            "error.html",
            title=HTTPStatus(status_code).phrase,
            sentence=SENTENCES.get(status_code, "Something went wrong here. The service's log says what."),
            current=None,
            xsrf="",
        )


class _Page(HubOAuthenticated, _Styled):  # type: ignore[misc] # JupyterHub has no types
    """A page for people who have logged in through the hub."""

    def initialize(self, site: Site) -> None:
        super().initialize(site)
        self.hub_auth = site.login

    def get_current_user(self) -> None:
        """Nobody, until `prepare` has asked the hub: JupyterHub's own way would block the whole process."""

    def check_xsrf_cookie(self) -> None:
        self._refuse_other_sites()
        super().check_xsrf_cookie()

    async def prepare(self) -> None:
        self.current_user = await self._identified()
        if self.current_user is None:
            if self.request.method not in {"GET", "HEAD"}:
                raise HTTPError(403)
            self.redirect(self.get_login_url())

    async def _identified(self) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(HUB_SECONDS):
                person = await self.hub_auth.get_user(self, sync=False)
        except TimeoutError:
            raise HTTPError(503) from None
        except HTTPError as error:  # JupyterHub's words for a hub that is away, or refuses this service
            raise HTTPError(503 if error.status_code >= 500 else error.status_code) from None
        if person and person.get("kind") != "user":  # a service may have a user's name
            raise HTTPError(403)
        try:
            return self.check_hub_user(person) if person else None
        except UserNotAllowed:
            raise HTTPError(403) from None

    def _refuse_other_sites(self) -> None:
        """Refuse a form that another site sent, whatever it knows."""
        site = self.request.headers.get("Sec-Fetch-Site")
        origin = self.request.headers.get("Origin")
        if site is not None:
            is_ours = site in {"same-origin", "none"}
        else:
            is_ours = origin is None or urlsplit(origin).netloc == self.request.host
        if not is_ours:
            raise HTTPError(403)

    # --- What is known ---

    async def decided(self, name: str) -> list[Seen]:
        """Return a user's servers, as they are decided about now. Raise HubError, TimeoutError or Undecided."""
        async with asyncio.timeout(HUB_SECONDS):
            user = await self.site.hub.user(name)
        servers = sorted(user.servers or (), key=lambda server: server.name)
        return [await self._decided(server, user) for server in servers]

    async def _decided(self, server: Server, user: User) -> Seen:
        site = self.site
        facts = facts_of(server, user, site.memory, site.board.work(user.name, server.name))
        try:
            return Seen.of(await site.decider.decide(facts, site.now()), Action.KEPT)
        except Exception as error:  # The arbiter hook is the administrator's: it may raise anything.
            log.exception("Nothing could be decided about %s", server)
            raise Undecided from error

    def owner(self, name: str | None) -> str:
        """Return whose servers this is about; others' are for admins only."""
        own = str(self.current_user["name"])
        if name not in {None, own} and not _is_admin(self.current_user):
            raise HTTPError(403)
        return own if name is None else name

    async def show_servers(self, owner: str, *, error: str = "", done: str = "") -> None:
        """Show one user's page."""
        site = self.site
        nobody = "No server runs at the moment."
        is_live = self.request.method == "GET"
        as_of = site.now()
        try:
            servers = await self.decided(owner)
        except NotFound:
            servers = []
        except (HubError, TimeoutError, Undecided) as failure:
            is_undecided = isinstance(failure, Undecided)
            self.set_status(500 if is_undecided else 503)
            error, nobody, is_live = (
                UNDECIDED if is_undecided else AWAY,
                "Nothing is known about your servers.",
                False,
            )
            servers = list(site.board.servers_of(owner))
            as_of = max((seen.at for seen in servers), default=as_of)
        can_keep = bool(site.memory.limits.per_week)
        allowance = site.memory.allowance(owner)
        self.show(
            "user.html",
            title="Your servers" if owner == self.current_user["name"] else f"Servers of {owner}",
            current="user",
            cards=[
                {
                    "row": views.row(seen, is_dry_run=site.is_dry_run),
                    "offer": views.offer(seen, allowance, site.memory.limits, site.now()),
                }
                for seen in servers
            ],
            nobody=nobody,
            error=error,
            done=done,
            is_live=is_live,
            can_keep=can_keep,
            is_dry_run=site.is_dry_run,
            as_of=as_of,
            now=site.now(),
            here=self.path_of(owner),
            xsrf=self.token,
        )

    @property
    def token(self) -> str:
        """What forms of this session must bring along."""
        return self.xsrf_token.decode("ascii")

    def path_of(self, owner: str, **more: str) -> str:
        """Return the address of a user's page."""
        query = ({} if owner == self.current_user["name"] else {"user": owner}) | more
        return self.site.settings.prefix + (f"?{urlencode(query)}" if query else "")


class ServersHandler(_Page):
    """A user's own servers; for admins, any user's."""

    async def get(self) -> None:
        """Show them."""
        owner = self.owner(self.get_argument("user", None))
        await self.show_servers(owner, done=self._done(owner))

    def _done(self, owner: str) -> str:
        """Return what a form did, in the state's own words: an address that somebody made up says nothing untrue."""
        kept, released = self.get_argument("kept", None), self.get_argument("released", None)
        until = None if kept is None else self.site.memory.kept_until(owner, kept)
        if until is not None:
            return f"{kept or 'The default server'} is kept until {words.moment(until)}."
        if released is not None and self.site.memory.kept_until(owner, released) is None:
            return f"{released or 'The default server'} is not kept any more."
        return ""


class AllServersHandler(_Page):
    """Every server and the last sweeps, for admins."""

    async def get(self) -> None:
        """Show them."""
        if not _is_admin(self.current_user):
            raise HTTPError(403)
        site = self.site
        wanted = views.Filter(
            text=self.get_argument("text", ""),
            cause=self.get_argument("cause", ""),
            page=_number(self.get_argument("page", "1")) or 1,
        )
        listing = views.listing(site.board.servers, wanted)

        def query(page: int) -> str:
            return urlencode({"text": wanted.text, "cause": wanted.cause, "page": page})

        self.show(
            "all.html",
            title="All servers",
            current="all",
            banners=views.banners(
                tuple(site.board.passes), site.board.missing_scopes, is_dry_run=site.is_dry_run
            ),
            listing=listing,
            rows=[views.row(seen, is_dry_run=site.is_dry_run) for seen in listing.seen],
            filter=wanted,
            query=query,
            passes=list(reversed(site.board.passes)),
            now=site.now(),
            here=f"{site.settings.prefix}all?{query(listing.page)}",
            xsrf=self.token,
        )


class KeepHandler(_Page):
    """Keeps a server for a while."""

    async def post(self) -> None:
        """Keep it, or say why not."""
        owner = self.owner(self.get_body_argument("user", None))
        server = self.get_body_argument("server", "", strip=False)
        stretch = timedelta(seconds=_number(self.get_body_argument("seconds", "")) or 0)
        try:
            servers = await self.decided(owner)
        except NotFound:
            servers = []
        except (HubError, TimeoutError, Undecided):
            await self.show_servers(owner)
            return
        refusal = self._refusal(servers, owner, server, stretch)
        if refusal is None:
            self.redirect(self.path_of(owner, kept=server), status=303)
        else:
            self.set_status(422)
            await self.show_servers(owner, error=refusal)

    def _refusal(self, servers: list[Seen], owner: str, server: str, stretch: timedelta) -> str | None:
        """Keep the server; return why that was not possible."""
        seen = next((each for each in servers if each.server == server), None)
        if seen is None:
            return f"{server or 'The default server'} does not run, so there is nothing to keep."
        if reason := views.why_not(seen, self.site.now(), stretch):
            return reason
        try:
            self.site.memory.keep(owner, server, stretch)
        except KeepRefused as refused:
            return str(refused)
        return None


class ReleaseHandler(_Page):
    """Lets go a server that was kept."""

    async def post(self) -> None:
        """Let it go, or say why not."""
        owner = self.owner(self.get_body_argument("user", None))
        server = self.get_body_argument("server", "", strip=False)
        try:
            self.site.memory.release(owner, server)
        except KeepRefused as refused:
            self.set_status(422)
            await self.show_servers(owner, error=str(refused))
        else:
            self.redirect(self.path_of(owner, released=server), status=303)


class CallbackHandler(HubOAuthCallbackHandler, _Page):  # type: ignore[misc] # JupyterHub has no types
    """The end of a login at the hub."""

    async def prepare(self) -> None:
        """Know who has logged in already, but send nobody to the login again."""
        self.current_user = await self._identified()


class NowhereHandler(_Styled):
    """Every other address."""

    def prepare(self) -> None:
        """Say that there is none."""
        raise HTTPError(404)


def _is_admin(person: dict[str, Any]) -> bool:
    return person.get("kind", "user") == "user" and person.get("admin") is True


def _number(text: str) -> int | None:
    """Return a whole number that makes sense as a count of seconds or pages."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
