"""Base handlers: templates, headers, errors, login through the hub; and the pages without servers."""

import asyncio
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from http import HTTPStatus
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from jupyterhub.services.auth import HubOAuthCallbackHandler, HubOAuthenticated, UserNotAllowed
from markupsafe import Markup
from tornado.web import HTTPError, RequestHandler

from k8s_hub.culler.core.page_settings import PageSettings
from k8s_hub.culler.core.report import Health
from k8s_hub.text import Message, format_clock, format_duration, format_relative, format_time, printable


def render(template: str, **values: Any) -> str:
    """Return a page; the values must include ``now``."""
    return _environment().get_template(template).render(values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("k8s_hub.culler.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": _time,
        "second": _second,
        "clock": _clock,
        "message": _message,
        "relative": _relative,
        "duration": format_duration,
        "printable": printable,
    }
    return environment


# page.js shows times in the reader's own zone; without it, they are in UTC.


def _time(at: datetime) -> Markup:
    """Return a time element."""
    return _element(at, format_time(at))


def _second(at: datetime) -> Markup:
    """Return a time element with seconds, for sweeps, which may be seconds apart."""
    return _element(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", Markup(" data-seconds"))


@pass_context
def _clock(context: Context, at: datetime) -> Markup:
    """Return a time element without the date of today."""
    return _element(at, format_clock(at, context["now"]), Markup(" data-clock"))


def _element(at: datetime, text: str, mark: Markup = Markup()) -> Markup:  # noqa: B008 - a value
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}"{}>{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", mark, text)


@pass_context
def _message(context: Context, message: Message) -> Markup:
    """Return a sentence with its times as elements."""
    return Markup().join(_clock(context, part) if isinstance(part, datetime) else part for part in message)


@pass_context
def _relative(context: Context, at: datetime) -> str:
    return format_relative(at, context["now"])


log = logging.getLogger(__name__)

HUB_SECONDS = 20.0
"""The page waits this long for an answer of the hub."""

POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
"""Content security policy of answers without a page."""

AWAY = "The hub did not answer. Try again in a minute."

SENTENCES = {
    400: "The page did not understand this request. Go back to your servers and try again.",
    403: "You are not allowed to do this. If this page was open for a long time, go back to your servers and try again.",
    404: "This page does not exist.",
    405: "This page does not exist.",
    502: AWAY,
    503: AWAY,
}


def page_policy(hub_host: str) -> str:
    """Return the content security policy of pages: allow style, scripts and images of this service and the hub.

    hub_host: the host of a hub with its own domain, otherwise empty.
    """
    ours = f"'self' {hub_host}".strip()
    return (
        f"default-src 'none'; style-src {ours}; script-src {ours}; font-src {ours}; img-src {ours} data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@dataclass(frozen=True, kw_only=True)
class PageContext:
    """What every page needs: its settings, and how the culler is."""

    settings: PageSettings
    health: Callable[[], Health]


@dataclass(frozen=True, kw_only=True)
class ClosedSite(PageContext):
    """A culler that cannot run."""

    problem: str  # for admins


class LoggedHandler(RequestHandler):
    """Logs errors without the query string, which may contain the code of a login."""

    def _request_summary(self) -> str:
        return f"{self.request.method} {printable(self.request.path)}"

    def log_exception(
        self,
        _kind: type[BaseException] | None,
        value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Log the error; an HTTPError needs no traceback."""
        if not isinstance(value, HTTPError):
            log.error("page: %s: failed", self._request_summary(), exc_info=value)
        elif value.log_message:
            reason = printable(value.log_message % value.args)
            log.warning("page: %s: answered with %d: %s", self._request_summary(), value.status_code, reason)


class StyledHandler(LoggedHandler):
    """The headers, templates and errors of all pages."""

    site: PageContext

    def initialize(self, site: PageContext) -> None:
        """Take the shared context from tornado."""
        self.site = site

    def set_default_headers(self) -> None:
        """Forbid frames, foreign scripts and caching."""
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def show(self, template: str, **values: Any) -> None:
        """Answer with a page."""
        settings = self.site.settings
        person = self.current_user or {}
        self.set_header("Content-Security-Policy", page_policy(settings.hub_host))
        page = render(
            template,
            prefix=settings.prefix,
            hub_url=self.hub_url,
            name=person.get("name"),
            is_admin=is_admin(person),
            **values,
        )
        self.finish(page.encode(errors="backslashreplace"))

    @property
    def hub_url(self) -> str:
        """The URL of the hub's pages, for browsers."""
        return self.site.settings.hub_host + self.site.settings.hub_prefix

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer with the message for a status."""
        self.show_error(
            HTTPStatus(status_code).phrase,
            SENTENCES.get(
                status_code, "Something went wrong. Ask your administrator to look at the culler's log."
            ),
        )

    def show_error(self, title: str, sentence: str, details: str = "") -> None:
        """Answer with a page of one message."""
        self.show("error.html", title=title, sentence=sentence, details=details, current=None, xsrf="")


class PageHandler(HubOAuthenticated, StyledHandler):  # type: ignore[misc] # JupyterHub has no types
    """A page for users who have logged in through the hub."""

    def initialize(self, site: PageContext) -> None:
        """Take the shared context from tornado."""
        super().initialize(site)
        self.hub_auth = self.settings["login"]

    def get_current_user(self) -> None:
        """Return None: `prepare` sets the user, because JupyterHub's own lookup would block the process."""

    def check_xsrf_cookie(self) -> None:
        """Accept forms of this page only."""
        self._refuse_other_sites()
        super().check_xsrf_cookie()

    async def prepare(self) -> None:
        """Identify the user, or redirect to the hub's login."""
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
        except HTTPError as error:  # from JupyterHub: the hub is away, or refuses this service
            raise HTTPError(503 if error.status_code >= 500 else error.status_code) from None
        if person and person.get("kind") != "user":  # a service may have a user's name
            raise HTTPError(403)
        try:
            return self.check_hub_user(person) if person else None
        except UserNotAllowed:
            raise HTTPError(403) from None

    def _refuse_other_sites(self) -> None:
        """Refuse a form from another site, even with a valid token."""
        site = self.request.headers.get("Sec-Fetch-Site")
        origin = self.request.headers.get("Origin")
        if site is not None:
            is_ours = site in {"same-origin", "none"}
        else:
            is_ours = origin is None or urlsplit(origin).netloc == self.request.host
        if not is_ours:
            raise HTTPError(403)


class ClosedHandler(PageHandler):
    """Every page of a culler that cannot run."""

    site: ClosedSite

    async def get(self, *_: str) -> None:
        """Tell that the culler does not run; show admins the reason."""
        self.set_status(503)
        by_admin = is_admin(self.current_user)
        self.show_error(
            "The culler is not running",
            "The culler has a problem: it stops no servers, and you cannot extend servers. "
            + (
                "Correct this, and restart the hub, or the culler if it runs apart:"
                if by_admin
                else "Tell your administrator."
            ),
            details=printable(self.site.problem) if by_admin else "",
        )


class CallbackHandler(HubOAuthCallbackHandler, PageHandler):  # type: ignore[misc] # JupyterHub has no types
    """The end of a login at the hub."""

    async def prepare(self) -> None:
        """Identify a user who has logged in; never redirect to the login again."""
        self.current_user = await self._identified()


class HealthHandler(StyledHandler):
    """How the culler is, for whoever has the culler's own token, such as `k8s-hub doctor` beside it."""

    def get(self) -> None:
        """Answer with JSON."""
        given = self.request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, f"token {self.site.settings.token}".encode()):
            raise HTTPError(403)
        self.finish(self.site.health().as_json())


class SlashHandler(StyledHandler):
    """The address of the page without the final slash."""

    def get(self) -> None:
        """Redirect to the page."""
        query = self.request.query
        self.redirect(self.site.settings.prefix + (f"?{query}" if query else ""))

    head = get


class NowhereHandler(StyledHandler):
    """Every other address."""

    def prepare(self) -> None:
        """Answer with 404."""
        raise HTTPError(404)


def is_admin(person: dict[str, Any]) -> bool:
    """Return whether this is a user and an admin; a service may have an admin's name."""
    return bool(person.get("kind", "user") == "user" and person.get("admin") is True)
