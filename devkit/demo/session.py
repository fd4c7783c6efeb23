"""A user with a browser: logs in by the form, starts servers, follows their progress, opens them.

It only uses pages, cookies, _xsrf, redirects and event streams, like a browser, except for `Browser.make_token`.
"""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from yarl import URL

from devkit.demo.failure import DemoError
from devkit.demo.kernel import PROTOCOL, Kernel
from k8s_hub.objects.timestamps import parse

# The hub ties anonymous _xsrf tokens to address and user agent: both stay the same for a session.
HEADERS = {"User-Agent": "k8s-hub-demo"}
# What browsers say about a request of their own accord: an address typed in, and a page's script.
TYPED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
LOOK_EVERY = 0.2  # seconds
LONGEST_REASON = 500  # characters
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A complete response."""

    status: int
    text: str

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.text)


class Browser:
    """One user's browser session."""

    def __init__(self, http: aiohttp.ClientSession, root: URL, username: str) -> None:
        self.username = username
        self._http = http
        self._root = root

    async def log_in(self, password: str) -> None:
        """Fill in the login form, and stay on the hub's home page."""
        page = self._url("hub/login")
        await self.get(page)
        form = {"username": self.username, "password": password, "_xsrf": self._xsrf(page)}
        reply = await self._send("POST", page.with_query(next="/hub/home"), headers=TYPED, data=form)
        # The page after login also brings the _xsrf cookie of somebody who is logged in.
        if reply.status != 200 or self.username not in reply.text:
            raise DemoError(f"{self.username} cannot log in at {page}: status {reply.status}")

    async def start_server(self, servername: str = "", *, profile: str | None = None) -> None:
        """Press the start button, or send the form with a profile; return once the server is pending or ready."""
        page = self._url("hub/spawn", self.username, servername)
        if profile is None:
            reply = await self._send("GET", page, headers=TYPED, allow_redirects=False)
        else:
            reply = await self._send_form(page, profile)
        if reply.status >= 400:
            raise DemoError(f"{page} answers {reply.status}: {reason_on(reply.text)}")

    async def reason_not_to_start(self, profile: str) -> str:
        """Choose a profile whose server cannot start; return the text of the page."""
        reply = await self._send_form(self._url("hub/spawn", self.username), profile)
        if reply.status >= 400:
            return reason_on(reply.text)
        try:
            await self.follow_progress()
        except DemoError as failure:
            return str(failure)
        raise DemoError(f"{self.username}'s server started with the profile {profile}")

    async def _send_form(self, page: URL, profile: str) -> Reply:
        form = await self.get(page)
        if form.status != 200 or f'value="{profile}"' not in form.text:
            raise DemoError(f"{page} answers {form.status} and offers no profile {profile}")
        chosen = {"profile": profile, "_xsrf": self._xsrf(page)}
        return await self._send("POST", page, headers=TYPED, data=chosen, allow_redirects=False)

    async def follow_progress(self, servername: str = "") -> list[str]:
        """Read the progress page's events until the server is ready; return the sentences shown."""
        sentences = []
        async for event in self._events(self._server_api(servername) / "progress"):
            sentences.append(event.get("message", ""))
            if event.get("failed"):
                raise DemoError(f"{self.username}'s server failed: {sentences[-1]}")
            if event.get("ready"):
                return sentences
        raise DemoError(f"{self.username}'s progress page stopped without a result after {sentences[-1:]}")

    async def wait_until_ready(self, servername: str = "", *, active_since: datetime | None = None) -> None:
        """Poll the hub until the server is ready, and active after ``active_since``.

        The caller sets the deadline.
        """
        while True:
            reply = await self.call("GET", self._url("hub/api/users", self.username))
            servers = reply.json()["servers"] if reply.status == 200 else {}
            server = servers.get(servername, {})
            if server.get("ready") and (
                active_since is None or parse(server["last_activity"]) > active_since
            ):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def open_server(self, servername: str = "") -> "Server":
        """Open JupyterLab: through the hub's OAuth pages to the server's own cookies."""
        server = Server(self, self._url("user", self.username, servername))
        reply = await self.get(server.url / "lab")
        if reply.status != 200:
            raise DemoError(f"{server.url} answers {reply.status}: {reason_on(reply.text)}")
        return server

    async def reach_server(self, servername: str = "") -> None:
        """Send the server one request without login, to check its route in the proxy."""
        url = self._url("user", self.username, servername, "api")
        reply = await self.get(url)
        if reply.status != 200:
            raise DemoError(f"{url} answers {reply.status}")

    async def make_token(self) -> str:
        """Ask the hub for an API token, as the token page does."""
        api = self._url("hub/api/users", self.username, "tokens")
        reply = await self.call("POST", api, {"note": "demo"})
        if reply.status != 201:
            raise DemoError(f"{self.username} gets no token: status {reply.status}")
        return str(reply.json()["token"])

    async def get(self, url: URL) -> Reply:
        """Open a page, following redirects."""
        return await self._send("GET", url, headers=TYPED)

    async def call(self, method: str, url: URL, body: Mapping[str, Any] | None = None) -> Reply:
        """Call an API like the page's script, with cookies and the _xsrf header."""
        return await self._send(method, url, headers=self._script_headers(url), json=body)

    @asynccontextmanager
    async def connect(self, url: URL) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open a kernel's websocket."""
        async with self._http.ws_connect(
            url, protocols=[PROTOCOL], headers=self._script_headers(url)
        ) as socket:
            yield socket

    async def _events(self, url: URL) -> AsyncIterator[dict[str, Any]]:
        async with self._http.get(url, headers=self._script_headers(url)) as response:
            if response.status != 200:
                raise DemoError(f"{url} answers {response.status}")
            async for line in response.content:
                if line.startswith(b"data:"):
                    yield json.loads(line.removeprefix(b"data:"))

    async def _send(self, method: str, url: URL, **request: Any) -> Reply:
        async with self._http.request(method, url, **request) as response:
            return Reply(status=response.status, text=await response.text())

    def _server_api(self, servername: str) -> URL:
        server = ("servers", servername) if servername else ("server",)
        return self._url("hub/api/users", self.username, *server)

    def _url(self, *segments: str) -> URL:
        return self._root.joinpath(*filter(None, segments))

    def _script_headers(self, url: URL) -> dict[str, str]:
        return SCRIPT | {"X-XSRFToken": self._xsrf(url)}

    def _xsrf(self, url: URL) -> str:
        """Return the token for this part of the site: the hub and each server have their own."""
        cookie = self._http.cookie_jar.filter_cookies(url).get("_xsrf")
        return cookie.value if cookie else ""


class Server:
    """A user's running server in the user's browser."""

    def __init__(self, browser: Browser, url: URL) -> None:
        self.url = url
        self._browser = browser

    async def write(self, name: str, text: str) -> None:
        """Save a file through the contents API."""
        body = {"type": "file", "format": "text", "content": text}
        reply = await self._browser.call("PUT", self._contents(name), body)
        if reply.status not in (200, 201):
            raise DemoError(f"{self._contents(name)} is not saved: status {reply.status}")

    async def read(self, name: str) -> str:
        """Read a file through the contents API."""
        reply = await self._browser.call("GET", self._contents(name))
        if reply.status != 200:
            raise DemoError(f"{self._contents(name)} cannot be read: status {reply.status}")
        return str(reply.json()["content"])

    async def status_for_token(self, token: str) -> int:
        """Return the status of an API call with ``token`` and without cookies."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as stranger:
            url = self._contents("")
            async with stranger.get(url, headers={"Authorization": f"token {token}"}) as response:
                return response.status

    @asynccontextmanager
    async def kernel(self) -> AsyncIterator[Kernel]:
        """Start a kernel and connect to it."""
        reply = await self._browser.call("POST", self.url / "api/kernels", {"name": "python3"})
        if reply.status != 201:
            raise DemoError(f"{self.url} starts no kernel: status {reply.status}")
        channels = self.url / "api/kernels" / reply.json()["id"] / "channels"
        async with self._browser.connect(channels) as socket:
            yield Kernel(socket)

    def _contents(self, name: str) -> URL:
        return self.url.joinpath("api/contents", *filter(None, [name]))


@asynccontextmanager
async def browser(root: str, username: str) -> AsyncIterator[Browser]:
    """Open a new browser at ``root`` for ``username``, with cookies also for IP addresses."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers=HEADERS, timeout=TIMEOUT) as http:
        yield Browser(http, URL(root), username)


def reason_on(page: str) -> str:
    """Return the paragraphs of a page, which have the hub's reason; without paragraphs, the whole text."""
    paragraphs = re.findall(r"<p\b[^>]*>(.*?)</p>", page, re.DOTALL)
    said = " ".join(paragraphs) or page
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", said)).split())[:LONGEST_REASON]
