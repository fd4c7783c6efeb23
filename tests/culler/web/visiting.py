"""A page beside a real hub, and browsers without scripts that visit it."""

import contextlib
import functools
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import aiohttp
from yarl import URL

from devkit.demo.settings import free_port
from devkit.testing.realhub import RealHub
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.page_settings import PageSettings
from k8s_hub.culler.core.report import Board, Pulse, SweepRecord
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.culler.web import handlers
from k8s_hub.culler.web.app import serve_page
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings

NAME = "idle-culler"
TOKEN = "a-token-of-the-service-that-is-long"
ROBOT_TOKEN = "a-token-of-another-service-that-is-long"
SCOPES = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
ACCESS = f"access:services!service={NAME}"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Told:
    """What single-user servers say of themselves: each is asked."""

    per_sweep = 100

    def __init__(self, work):
        self._work = work

    async def refresh(self):
        """Nothing is to be read first."""

    async def work(self, server):
        return self._work.get(server.key)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, at=NOW):
        self.at = at

    def __call__(self):
        return self.at


def hub_config(port, *, base, open_to_users, scopes=SCOPES):
    return {
        "JupyterHub": {
            "base_url": base,
            "services": [
                {
                    "name": NAME,
                    "url": f"http://127.0.0.1:{port}",
                    "api_token": TOKEN,
                    "oauth_no_confirm": True,
                },
                {"name": "bob", "api_token": ROBOT_TOKEN},  # as a user is called
            ],
            "load_roles": [
                {"name": "culler", "scopes": list(scopes), "services": [NAME]},
                {"name": "robot", "scopes": [ACCESS], "services": ["bob"]},
                {"name": "user", "scopes": ["self", *([ACCESS] if open_to_users else [])]},
            ],
        }
    }


class Site:
    """The page's parts, and where it is."""

    def __init__(
        self,
        hub,
        port,
        *,
        base="/",
        state_file=None,
        limits=None,
        keep=None,
        hook=None,
        notice=None,
        is_dry_run=False,
    ):
        self.hub = hub
        self.api_url = hub.api_url.replace("/hub/", f"{base}hub/")
        self.clock = Clock()
        self.board = Board()
        self.decider = Decider(limits=limits or Limits(timeout=timedelta(hours=1)), hook=hook, notice=notice)
        self.store = StateStore(
            state_file, keep or ExtensionLimits(longest=timedelta(hours=6), per_week=2), self.clock
        )
        self.is_dry_run = is_dry_run
        self.settings = PageSettings.of(
            {
                "JUPYTERHUB_SERVICE_NAME": NAME,
                "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}",
                "JUPYTERHUB_BASE_URL": base,
            },
            api_url=self.api_url,
            token=TOKEN,
        )
        self.url = f"http://127.0.0.1:{port}{self.settings.prefix}"

    async def sweep(self, work=None):
        """Look at all servers, as the service does at its start; work: what servers say of themselves."""
        record = functools.partial(SweepRecord, kind="look", begun=self.clock(), seconds=1.0)
        async with self.connected() as connection:
            probe = None if work is None else Told(work)
            sweep = Sweep(
                HubApi(connection),
                SweepOptions(),
                self.decider,
                self.clock,
                on_decision=self.board.on_decision,
                probe=probe,
                store=self.store,
            )
            self.board.on_sweep(record(report=await sweep.dry_run(), error=None))

    def connected(self):
        return HubConnection(HubConnectionSettings(url=self.api_url, token=TOKEN))

    @contextlib.asynccontextmanager
    async def served(self):
        async with (
            self.connected() as connection,
            serve_page(
                handlers.Site(
                    settings=self.settings,
                    board=self.board,
                    decider=self.decider,
                    store=self.store,
                    hub=HubApi(connection),
                    now=self.clock,
                    health=Pulse(timedelta(minutes=5), self.clock).health,
                    is_dry_run=self.is_dry_run,
                )
            ),
        ):
            yield self

    async def start(self, user, name="", *, idle=timedelta(minutes=10), age=timedelta(hours=3)):
        """Start a server that was last active so long before the page's time."""
        await self.hub.start_server(user, name)
        await self.hub.wait_ready(user, name)
        orm = self.hub.app.users[user].orm_spawners[name]
        orm.started = (self.clock() - age).replace(tzinfo=None)
        self.hub.set_activity(user, self.clock() - idle, name)


@contextlib.asynccontextmanager
async def page_of(users=("alice", "bob"), *, base="/", open_to_users=True, scopes=SCOPES, **how):
    """A hub with these users, and the page of its culler."""
    port = free_port()
    hub = RealHub(users=users, config=hub_config(port, base=base, open_to_users=open_to_users, scopes=scopes))
    site = Site(hub, port, base=base, **how)
    async with site.served(), hub:  # a hub waits for its services when it starts
        yield site


class Visitor:
    """A browser without scripts: cookies, redirects between the hub and the page, forms."""

    def __init__(self, site, name):
        self.site = site
        self.name = name
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        await self.session.close()

    async def get(self, path="", *, at_hub=False, at_root=False, **how):
        """Visit a path below the page; at_root: one beside it; at_hub: one of the hub."""
        base = self.site.hub.url if at_hub else self.site.url
        url = URL(base).join(URL(path, encoded=True)) if at_hub or at_root else URL(base + path)
        return await self._visit("GET", url, **how)

    async def login(self, path="", *, arrives=True):
        """Visit the page, be sent to the hub's login, and come back."""
        probed = await self.get(path)
        assert probed.url.path.endswith("/hub/login"), probed.url
        form = {"username": self.name, "password": "x", "_xsrf": probed.xsrf}
        shown = await self._visit("POST", probed.url, data=form)
        if arrives:
            assert shown.url.path_qs == self.site.settings.prefix + path, shown.text
        return shown

    async def post(self, path, *, headers=None, **form):
        return await self._visit("POST", URL(self.site.url + path), data=form, headers=headers)

    async def _visit(self, method, url, *, follows=True, **how):
        """Follow redirects as a browser behind the proxy would, which is not there."""
        hops = []
        while True:
            async with self.session.request(method, url, allow_redirects=False, **how) as reply:
                text = await reply.text()
            if not follows or reply.status not in {301, 302, 303, 307, 308}:
                return Shown(reply, text, hops)
            hops.append((method, reply.status))
            method, how = "GET", {"headers": how.get("headers")}
            url = self._behind_the_proxy(url.join(URL(reply.headers["Location"])))

    def _behind_the_proxy(self, url):
        page, hub = URL(self.site.url), URL(self.site.hub.url)
        return url.with_port(page.port if url.path.startswith(page.path) else hub.port)


class Shown:
    """A page as it came."""

    def __init__(self, reply, text, hops):
        self.status = reply.status
        self.url = reply.url
        self.headers = reply.headers
        self.hops = hops  # methods and statuses of the redirects on the way
        self.text = text

    @property
    def xsrf(self):
        return unescape(re.search(r'name="(?:_xsrf|xsrf)" (?:value|content)="([^"]*)"', self.text)[1])

    @property
    def servers(self):
        """The state of each server by its name."""
        found = re.findall(r'data-server="([^"]*)"[^>]* data-cause="([^"]*)"', self.text)
        return {unescape(name): cause for name, cause in found}

    @property
    def stops(self):
        """Where the Start button of each server leads that the culler stopped."""
        return self._starts("data-stop")

    @property
    def starts(self):
        """Where the Start button of each other server leads that does not run."""
        return self._starts("data-stopped")

    def _starts(self, mark):
        found = re.findall(
            rf'<article [^>]*{mark}="[^>]*>.*?<h2[^>]*>(.*?)</h2>.*?data-start href="(.*?)"',
            self.text,
            re.DOTALL,
        )
        return {unescape(name): unescape(url) for name, url in found}

    @property
    def words(self):
        """What is read, without the tags."""
        return unescape(re.sub("<[^>]*>", "", self.text))

    @property
    def message(self):
        """What stands in the message about what was done, or not."""
        found = re.search(r'<p role="(?:status|alert)"[^>]*>(.*?)</p>', self.text, re.DOTALL)
        return found and unescape(re.sub("<[^>]*>", "", found[1]))
