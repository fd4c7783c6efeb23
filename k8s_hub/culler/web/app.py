"""The web server of the page, at the address that the hub's proxy uses."""

import hashlib
import hmac
import logging
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files

from jupyterhub.services.auth import HubOAuth
from jupyterhub.utils import make_ssl_context
from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler

from k8s_hub.culler.core.page_settings import PageSettings
from k8s_hub.culler.core.report import Health
from k8s_hub.culler.web.base import (
    POLICY,
    CallbackHandler,
    ClosedHandler,
    ClosedSite,
    HealthHandler,
    LoggedHandler,
    NowhereHandler,
    PageContext,
    SlashHandler,
)
from k8s_hub.culler.web.handlers import (
    AllServersHandler,
    ExtendHandler,
    ReleaseHandler,
    ServersHandler,
    Site,
    StopHandler,
)

log = logging.getLogger(__name__)

LOGIN_SECONDS = 60
"""The page caches a user and their scopes for this time."""

FILES = files("k8s_hub.culler.web") / "static"
TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}

LARGEST_BODY = 64 * 1024
"""In bytes: larger than any form of the page."""


@asynccontextmanager
async def serve_page(site: Site) -> AsyncIterator[None]:
    """Serve the pages until the context ends; raise OSError if the address cannot be used."""
    settings = site.settings
    async with _served(application(site), settings):
        log.info(
            "page: serving %s, listening on %s port %d", settings.prefix, settings.ip or "*", settings.port
        )
        yield


@asynccontextmanager
async def serve_problem(settings: PageSettings, problem: str) -> AsyncIterator[None]:
    """Serve a page that tells admins why the culler does not run; raise OSError as `serve_page`."""
    health = Health(healthy=False, reason=problem, last_success=None, last_error=None)
    site = ClosedSite(settings=settings, problem=problem, health=lambda: health)
    async with _served(application(site, CLOSED), settings):
        yield


@asynccontextmanager
async def _served(pages: Application, settings: PageSettings) -> AsyncIterator[None]:
    server = HTTPServer(
        pages,
        xheaders=True,
        ssl_options=_ssl_context(settings),
        max_body_size=LARGEST_BODY,
        max_buffer_size=2 * LARGEST_BODY,
    )
    server.listen(settings.port, settings.ip)
    try:
        yield
    finally:
        server.stop()
        await server.close_all_connections()
        await _close_hubs_client()


PAGES: Mapping[str, type[RequestHandler]] = {
    "": ServersHandler,
    "all": AllServersHandler,
    "keep": ExtendHandler,
    "release": ReleaseHandler,
    "stop": StopHandler,
}
"""Handlers by the end of the path, while the culler runs."""

CLOSED: Mapping[str, type[RequestHandler]] = {".*": ClosedHandler}
"""Handlers while the culler cannot run: one for every path."""


def application(site: PageContext, pages: Mapping[str, type[RequestHandler]] = PAGES) -> Application:
    """Return the pages below the prefix."""
    prefix = site.settings.prefix
    shared = {"site": site}
    return Application(
        [
            (re.escape(prefix) + "oauth_callback", CallbackHandler, shared),
            (re.escape(prefix) + "health", HealthHandler, shared),
            (re.escape(prefix) + r"static/([a-z]+\.(?:css|js))", _Static),
            *((re.escape(prefix) + end, handler, shared) for end, handler in pages.items()),
            (re.escape(prefix.rstrip("/")), SlashHandler, shared),
        ],
        default_handler_class=NowhereHandler,
        default_handler_args=shared,
        login=_login(site.settings),
        cookie_secret=_secret(settings=site.settings),
        xsrf_cookies=True,
        log_function=lambda _handler: None,  # an access log would contain the codes of logins
    )


class _Static(LoggedHandler):
    """Serves static files of this package, which may be in a zip archive."""

    def get(self, name: str) -> None:
        file = FILES / name
        if not file.is_file():
            raise HTTPError(404)
        self.set_header("Content-Type", TYPES[name.rpartition(".")[2]])
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-cache")
        self.finish(file.read_bytes())

    head = get


def _login(settings: PageSettings) -> HubOAuth:
    return HubOAuth(
        api_url=settings.api_url,
        api_token=settings.token,
        base_url=settings.prefix,
        hub_prefix=settings.hub_prefix,
        hub_host=settings.hub_host,
        oauth_client_id=settings.client_id,
        # Must equal the hub's own value, which has no host if JupyterHub.public_url is set.
        oauth_redirect_uri=settings.login_callback or f"{settings.hub_host}{settings.prefix}oauth_callback",
        access_scopes=set(settings.access_scopes),
        cache_max_age=LOGIN_SECONDS,
        keyfile=settings.keyfile,
        certfile=settings.certfile,
        client_ca=settings.client_ca,
    )


def _secret(*, settings: PageSettings) -> bytes:
    """Return the key that signs cookies; it depends on the token, so that logins survive a restart."""
    return hmac.digest(settings.token.encode(), b"cookies of the culler's page", hashlib.sha256)


def _ssl_context(settings: PageSettings) -> ssl.SSLContext | None:
    context: ssl.SSLContext | None = make_ssl_context(
        settings.keyfile,
        settings.certfile,
        cafile=settings.client_ca or None,
        purpose=ssl.Purpose.CLIENT_AUTH,
    )
    return context


async def _close_hubs_client() -> None:
    """Close the HTTP client that JupyterHub 6 opens for a login."""
    try:
        from jupyterhub.httpclient import JupyterHubHTTPClient
    except ImportError:
        return
    if JupyterHubHTTPClient.initialized():
        await JupyterHubHTTPClient.loop_instance().close()
