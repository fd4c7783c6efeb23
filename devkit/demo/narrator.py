"""Tells in one line each what happens to users and servers, from the hub's REST API.

`Narrator` gets what was seen and yields what changed. `narrate` polls the hub and prints.
"""

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from devkit.demo.gather import gather
from devkit.demo.hub_log import CullerLog, HubLog, Lines, did_not_start
from devkit.demo.plan import Plan
from devkit.demo.webhook import Warnings
from k8s_hub.claims.saved_state import SavedState
from k8s_hub.clock import utcnow
from k8s_hub.culler.core.decision import Action
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.hub.errors import HubError
from k8s_hub.hub.users import Server, ServerKey, User
from k8s_hub.objects.timestamps import parse
from k8s_hub.text import format_duration, printable

LOOK_EVERY = 0.3  # seconds
USERS_AT_ONCE = 200
STOP_IS_TOLD = timedelta(seconds=3)  # how long after a stop the culler's log has it
START_IS_TOLD = timedelta(seconds=1)  # how long after a failure the REST API shows it, at the latest
PROFILE_IS_SAVED = timedelta(seconds=1)  # how long after its beginning a start has saved the profile
_TOLD = 20  # failed starts
_OF_A_START = re.compile(
    r"The hub's log has an error: (Not starting|Error starting|Unhandled error starting) "
    r"|.*'s server( \".*\")? did not start\. "
)
PROGRESS_TIMEOUT = aiohttp.ClientTimeout(total=5)

Tell = Callable[[str], None]


class Kind(Enum):
    """A kind of happening."""

    LOGIN = auto()
    START = auto()
    READY = auto()
    FAILED = auto()
    CANCELLED = auto()
    IDLE = auto()
    CULLED = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One thing that happened."""

    kind: Kind
    user: str
    server: str = ""  # "" is the user's default server
    length: timedelta = timedelta()  # of the start, or of the time without activity
    is_back: bool = False  # the server ran before
    has_files: bool = False  # it has a volume
    detail: str = ""  # the profile, or the reason of the stop or failure

    @property
    def key(self) -> ServerKey:
        """The server."""
        return self.user, self.server


@dataclass(frozen=True, slots=True, kw_only=True)
class _Life:
    """The last seen state of a running server."""

    began: datetime
    is_told: bool = False  # its start, or that it is ready
    is_ready: bool = False
    has_files: bool = False
    is_idle: bool = False


class Narrator:
    """Owns what was seen so far, and yields each happening once."""

    def __init__(self, *, began: datetime, idle_after: timedelta) -> None:
        self._began = began
        self._idle_after = idle_after
        self._present: set[str] = set()
        self._lives: dict[ServerKey, _Life] = {}
        self._ran: set[ServerKey] = set()
        self._gone: dict[ServerKey, tuple[datetime, _Life]] = {}  # stopped servers, by the user or the culler
        self._culled: dict[ServerKey, str] = {}
        self._cancelled: set[ServerKey] = (
            set()
        )  # their starts; the hub takes a moment to remove these servers

    @property
    def starting(self) -> set[ServerKey]:
        """The servers that were starting at the last look."""
        return {key for key, life in self._lives.items() if not life.is_ready}

    def look(
        self,
        users: Sequence[User],
        culled: Mapping[ServerKey, str],
        now: datetime,
        *,
        cancelled: Collection[ServerKey] = (),
    ) -> Iterator[Happening]:
        """Yield what has happened since the last call.

        culled: servers that the culler stopped, and why; cancelled: servers whose start somebody cancelled.
        """
        self._culled |= culled
        yield from self._logins(users)
        servers = {server.key: server for user in users for server in user.servers or ()}
        for key in cancelled:
            self._lives.pop(key, None)
            yield Happening(kind=Kind.CANCELLED, user=key[0], server=key[1])
        self._cancelled = servers.keys() & {*self._cancelled, *cancelled}
        for key in [key for key in self._lives if key not in servers]:
            yield from self._vanished(key, now)
        yield from self._who_stopped(now)
        for key, server in servers.items():
            if key not in self._cancelled:  # the hub even calls some of them ready
                yield from self._seen(key, server, now)

    def _logins(self, users: Iterable[User]) -> Iterator[Happening]:
        for user in users:
            is_active = user.last_activity is not None and user.last_activity >= self._began
            if is_active and user.name not in self._present:
                self._present.add(user.name)
                yield Happening(kind=Kind.LOGIN, user=user.name)

    def _vanished(self, key: ServerKey, now: datetime) -> Iterator[Happening]:
        life = self._lives.pop(key)
        if life.is_ready:
            self._gone[key] = now, life
        else:
            yield Happening(kind=Kind.FAILED, user=key[0], server=key[1])

    def _who_stopped(self, now: datetime) -> Iterator[Happening]:
        for key, (since, life) in list(self._gone.items()):
            reason = self._culled.pop(key, None)
            if reason is None and now - since < STOP_IS_TOLD:
                continue
            del self._gone[key]
            kind = Kind.STOPPED if reason is None else Kind.CULLED
            yield Happening(
                kind=kind, user=key[0], server=key[1], detail=reason or "", has_files=life.has_files
            )

    def _seen(self, key: ServerKey, server: Server, now: datetime) -> Iterator[Happening]:
        life = self._lives.get(key) or _Life(began=now)
        state = SavedState.load(server.state)
        life = replace(life, has_files=bool(state.claims))
        if not server.ready and not life.is_told:
            profile = _profile(state)
            if profile or not _has_chosen(server) or now - life.began >= PROFILE_IS_SAVED:
                yield Happening(kind=Kind.START, user=server.user, server=server.name, detail=profile)
                life = replace(life, is_told=True)
        if server.ready and not life.is_ready:
            yield Happening(
                kind=Kind.READY,
                user=server.user,
                server=server.name,
                length=now - life.began,
                is_back=key in self._ran and life.has_files,
            )
            self._ran.add(key)
            life = replace(life, is_ready=True)
        idle = server.idle_for(now) or timedelta()
        is_idle = life.is_ready and idle >= self._idle_after
        if is_idle and not life.is_idle:
            yield Happening(kind=Kind.IDLE, user=server.user, server=server.name, length=idle)
        self._lives[key] = replace(life, is_idle=is_idle)


def _profile(state: SavedState) -> str:
    """Return the profile that the start applied; the hub also remembers choices that have no effect any more."""
    applied = state.applied_options
    return applied.profile if applied is not None and isinstance(applied.profile, str) else ""


def _has_chosen(server: Server) -> bool:
    """Return whether the user chose a profile, which the start will save if it has an effect."""
    options = server.raw.get("user_options")
    return isinstance(options, Mapping) and bool(options.get("profile"))


def sentence(happened: Happening) -> str:
    """Return the happening in one line."""
    who = happened.user
    server = f"{who}'s server" + (f' "{happened.server}"' if happened.server else "")
    length = format_duration(happened.length)
    kept = " The files are kept." if happened.has_files else ""
    match happened.kind:
        case Kind.LOGIN:
            said = f"{who} logged in."
        case Kind.START:
            said = f"{server} is starting" + (f' (profile "{happened.detail}").' if happened.detail else ".")
        case Kind.READY if happened.is_back:
            said = f"{server} is back: ready after {length}, with the same volume and files."
        case Kind.READY:
            said = f"{server} is ready after {length}."
        case Kind.FAILED:
            said = (
                did_not_start(who, happened.server, happened.detail)
                if happened.detail
                else f"{server} stopped before it was ready."
            )
        case Kind.CANCELLED:
            said = f"{server} does not start: somebody cancelled the start."
        case Kind.IDLE:
            said = f"{server} is idle: no activity for {length}."
        case Kind.CULLED:
            said = f"The culler stopped {server}: it {happened.detail}.{kept}"
        case Kind.STOPPED:
            said = f"{server} stopped.{kept}"
    return printable(said)


def warning_sentence(warning: Mapping[str, Any]) -> str:
    """Return a warning to the culler's webhook in one line."""
    server = f"server {warning['server']!r}" if warning["server"] else "server"
    at = f"{parse(warning['stop_at']).astimezone():%H:%M:%S}"
    return printable(
        f"The culler warned {warning['user']}: the {server} stops at {at} unless {warning['user']} uses it."
    )


# --- Looking ---


async def narrate(plan: Plan, warnings: Warnings, tell: Tell) -> None:
    """Tell what happens until it is cancelled."""
    await gather(_tell_of_servers(plan, tell), _tell_of_warnings(warnings, tell))


async def _tell_of_warnings(warnings: Warnings, tell: Tell) -> None:
    while True:
        tell(warning_sentence(await warnings.get()))


async def _tell_of_servers(plan: Plan, tell: Tell) -> None:
    settings = plan.settings
    idle_after = timedelta(seconds=max(2 * settings.activity_seconds, settings.idle_seconds // 3))
    narrator = Narrator(began=utcnow(), idle_after=idle_after)
    # Somebody's own culler need not write decisions, but it logs.
    culler = CullerLog(plan.hub_log) if settings.is_own_config else StopLog(plan.decision_log)
    hub, repeats = HubLog(plan.hub_log, plan.repeated), Repeats()
    async with HubConnection(HubConnectionSettings(url=plan.hub_api, token=plan.token)) as connection:
        api = HubApi(connection)
        while True:
            try:
                users = await _users(api)
            except HubError:  # the hub is busy, or ends, which `Stack.watch` reports
                users = None
            # After the REST API: the hub logs why a start failed before the server vanishes from there.
            at_once, now = repeats.at_once(hub.new(), utcnow()), utcnow()
            if users is not None:
                stops = culler.new()
                for happened in narrator.look(users, stops, now, cancelled=hub.cancelled()):
                    tell(await _told(plan, happened, repeats))
                for warning in culler.warnings():
                    tell(warning_sentence(warning))
            for line in [*at_once, *repeats.left(now, narrator.starting)]:
                tell(line)
            await asyncio.sleep(LOOK_EVERY)


async def _told(plan: Plan, happened: Happening, repeats: "Repeats") -> str:
    """Return the sentence; of a failed start, the hub's log has the reason, or the progress page."""
    if happened.kind is not Kind.FAILED:
        return sentence(happened)
    if (line := repeats.take(happened.key)) is not None:
        return line
    why = await _why_it_failed(plan, happened.key)
    repeats.told(why)
    return sentence(replace(happened, detail=why))


async def _users(api: HubApi) -> list[User]:
    users: list[User] = []
    offset: int | None = 0
    while offset is not None:
        page = await api.page(offset=offset, limit=USERS_AT_ONCE)
        users += page.users
        offset = page.next_offset
    return users


async def _why_it_failed(plan: Plan, key: ServerKey) -> str:
    """Return the text on the user's progress page; empty without one."""
    user, server = key
    below = ("servers", server, "progress") if server else ("server", "progress")
    url = URL(plan.hub_api).joinpath("users", user, *below)
    headers = {"Authorization": f"token {plan.token}"}
    try:
        async with (
            aiohttp.ClientSession(timeout=PROGRESS_TIMEOUT) as session,
            session.get(url, headers=headers) as reply,
        ):
            async for line in reply.content:
                if line.startswith(b"data:"):
                    message = str(json.loads(line.removeprefix(b"data:")).get("message", ""))
                    return " ".join(message.removeprefix("Spawn failed: ").split())
    except (aiohttp.ClientError, TimeoutError, ValueError):
        pass
    return ""


class Repeats:
    """Holds what the hub's log says of failed starts for a moment, and drops what was told of them meanwhile."""

    def __init__(self) -> None:
        self._told: deque[str] = deque(maxlen=_TOLD)
        self._held: list[tuple[datetime, str]] = []

    def told(self, why: str) -> None:
        """Note why a start failed, as it was told."""
        if why:
            self._told.append(printable(why))

    def at_once(self, lines: Iterable[str], now: datetime) -> list[str]:
        """Return the lines about other things, and hold those about starts."""
        lines = list(lines)
        self._held += [(now, line) for line in lines if _OF_A_START.match(line)]
        return [line for line in lines if not _OF_A_START.match(line)]

    def take(self, key: ServerKey) -> str | None:
        """Return what is held of this server, and hold it no more; None: nothing is."""
        of_server = [held for held in self._held if held[1].startswith(did_not_start(*key))]
        if not of_server:
            return None
        self._held.remove(of_server[-1])
        return of_server[-1][1]

    def left(self, now: datetime, starting: Collection[ServerKey] = ()) -> list[str]:
        """Return the lines to tell now; those about servers that are still starting are told when these vanish."""
        awaited = tuple(did_not_start(*key) for key in starting)
        self._held = [held for held in self._held if not any(why in held[1] for why in self._told)]
        due = [
            (since, line)
            for since, line in self._held
            if now - since >= START_IS_TOLD and not line.startswith(awaited)
        ]
        self._held = [held for held in self._held if held not in due]
        return [line for _, line in due]


class StopLog:
    """Reads the decision log of the demo's culler as it grows."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)

    def new(self) -> dict[ServerKey, str]:
        """Return the servers that the culler has stopped since the last call, and why."""
        records = map(json.loads, self._lines.new())
        return {
            (record["user"], record["server"]): record["reason"]
            for record in records
            if record["action"] in {Action.STOPPED, Action.STOPPING}
        }

    def warnings(self) -> Sequence[Mapping[str, str]]:
        """Return nothing: the demo's culler sends its warnings to the demo."""
        return ()
