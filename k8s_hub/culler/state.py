"""The state file: stores extensions, warnings and stops across restarts of the culler.

Guarantees:
- an extension or warning is on disk before its caller continues; each write is atomic;
- a stop is on disk after the next such write, or at the end of the sweep;
- a file with invalid content is moved aside and logged, never lost; a file of another version stays unchanged;
- only a regular file is read or moved: no device, pipe or folder;
- one culler per file: a second one would overwrite the changes of the first.
"""

import errno
import fcntl
import json
import logging
import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from k8s_hub.culler.core.extensions import (
    Extension,
    ExtensionLimits,
    ExtensionRefused,
    Quota,
    extend,
    extended_until,
    lasting,
    quota,
    release,
    settled,
)
from k8s_hub.culler.core.policy import Notice
from k8s_hub.culler.core.report import Stop
from k8s_hub.hub.users import ServerKey
from k8s_hub.objects import timestamps

log = logging.getLogger(__name__)

VERSION = 1

CONTACT_STEP = timedelta(seconds=15)
"""The store writes the time of contact at most once in this time."""

STOPS = 1000
"""The store remembers this many stops, ..."""

STOPS_FOR = timedelta(days=7)
"""... for this time."""


class BadStateFile(Exception):
    """The file cannot be used; the message begins with the option and its value."""


class StateFileInUse(BadStateFile):
    """Another culler uses the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    extensions: Mapping[str, tuple[Extension, ...]] = field(default_factory=dict)  # by user
    notices: Mapping[ServerKey, Notice] = field(default_factory=dict)
    last_contact: datetime | None = None
    grace_until: datetime | None = None
    brakes: Mapping[ServerKey, datetime] = field(default_factory=dict)  # until the next sweep
    stops: tuple[Stop, ...] = ()  # the newest last


class StateStore:
    """Owns the state file. Without a path it remembers until the process ends.

    read_only: for processes other than the culler; the store writes and moves nothing.
    Raise BadStateFile if the file cannot be read or written, has another version, or another culler uses it.
    """

    def __init__(
        self,
        path: Path | None,
        limits: ExtensionLimits,
        now: Callable[[], datetime],
        *,
        read_only: bool = False,
    ) -> None:
        self.limits = limits
        self._now = now
        self._lock: int | None = None  # the file descriptor of the lock file
        self._named = f"state_file: {str(path)!r}"
        self._path = None if path is None else self._target_of(path)
        self._is_read_only = read_only
        self._state = _State()
        self._has_unsaved_stops = False
        if self._path is not None:
            self._refuse_what_is_no_file(self._path)
            if not read_only:
                self._lock = self._locked(self._path)
            try:
                self._state = self._read(self._path)
                if not read_only:
                    self._write_at_start()
            except BadStateFile:
                self.close()
                raise
        self._down = {stop.key for stop in self._state.stops if not stop.ran_again}

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        self.close()

    # --- Extensions ---

    def extended_until(self, user: str, server: str) -> datetime | None:
        """Return the end of this server's extension; None: it has none now."""
        return extended_until(self._extensions(user), server, self.limits, self._now())

    def quota(self, user: str) -> Quota:
        """Return the extensions that the user has left, for all servers together."""
        return quota(self._extensions(user), self.limits, self._now())

    def extend(self, user: str, server: str, for_: timedelta, *, by_admin: bool = False) -> datetime:
        """Extend a server from now on; return the end. Raise ExtensionRefused, and change nothing then."""
        now = self._now()
        extensions = extend(self._extensions(user), server, for_, self.limits, now, by_admin=by_admin)
        self._save_extensions(user, extensions)
        return now + for_

    def was_extended(self, user: str, server: str) -> bool:
        """Return whether this server had an extension within seven days, and has none now."""
        is_known = any(extension.server == server for extension in self._extensions(user))
        return is_known and self.extended_until(user, server) is None

    def release(self, user: str, server: str) -> None:
        """End the extension of a server. Raise ExtensionRefused if that could not be saved."""
        if self.extended_until(user, server) is not None:
            self._save_extensions(user, release(self._extensions(user), server, self._now()))

    def _extensions(self, user: str) -> tuple[Extension, ...]:
        extensions = self._state.extensions.get(user, ())
        possible = settled(extensions, self._now())
        if possible != extensions:
            log.warning(
                "%s: an extension of %s began in the future: the culler treats it as new, check the clock",
                self._named,
                user,
            )
            self._store_or_log(replace(self._state, extensions={**self._state.extensions, user: possible}))
        return possible

    def _save_extensions(self, user: str, extensions: tuple[Extension, ...]) -> None:
        now = self._now()
        every = {**self._state.extensions, user: extensions}
        left = {name: last for name, each in every.items() if (last := lasting(each, now))}
        try:
            self._store(replace(self._state, extensions=left))
        except OSError as error:
            log.error("%s: an extension was not saved: %s", self._named, error)  # noqa: TRY400 - as below
            raise ExtensionRefused("The culler could not save this. Try again in a few minutes.") from None

    # --- Warnings ---

    def notice(self, user: str, server: str) -> Notice | None:
        """Return the last warning about this server."""
        return self._state.notices.get((user, server))

    def save_notice(self, user: str, server: str, notice: Notice) -> None:
        """Save a warning."""
        self._store_or_log(replace(self._state, notices={**self._state.notices, (user, server): notice}))

    def forget_all_but(self, keys: Collection[ServerKey]) -> None:
        """Forget the warnings about all other servers. Extensions stay."""
        notices = {key: notice for key, notice in self._state.notices.items() if key in keys}
        if len(notices) < len(self._state.notices):
            self._store_or_log(replace(self._state, notices=notices))

    # --- Stops ---

    @property
    def stops(self) -> Sequence[Stop]:
        """The stops of the last seven days, the newest first; without stops in the far future, of a wrong clock."""
        now = self._now()
        return [stop for stop in reversed(self._state.stops) if abs(now - stop.at) < STOPS_FOR]

    def last_stop(self, user: str, server: str) -> Stop | None:
        """Return the last stop of this server, or None if it has run since."""
        stops = self.stops if (user, server) in self._down else ()
        return next((stop for stop in stops if stop.key == (user, server)), None)

    def stopped(self, stop: Stop) -> None:
        """Note a stop; `save_stops` writes it."""
        self._down.add(stop.key)
        self._keep_stops((*self._state.stops, stop)[-STOPS:])

    def runs(self, user: str, server: str) -> None:
        """Note that a server runs again; `save_stops` writes it."""
        if (user, server) not in self._down:
            return
        self._down.discard((user, server))
        self._keep_stops(
            tuple(
                replace(stop, ran_again=True) if stop.key == (user, server) else stop
                for stop in self._state.stops
            )
        )

    def save_stops(self) -> None:
        """Write the changes of `stopped`, `runs` and `braked`."""
        if self._has_unsaved_stops:
            self._store_or_log(self._state)

    def _keep_stops(self, stops: tuple[Stop, ...]) -> None:
        self._state = replace(self._state, stops=stops)
        self._has_unsaved_stops = True

    # --- The hub ---

    @property
    def last_contact(self) -> datetime | None:
        """When the hub last answered, maybe before this process started; None: not yet."""
        return self._state.last_contact

    @property
    def grace_until(self) -> datetime | None:
        """The end of the last grace period after an outage of the hub; None: there was none."""
        return self._state.grace_until

    def save_contact(self, at: datetime, grace_until: datetime | None = None) -> None:
        """Save that the hub answered, at most once in CONTACT_STEP, and the end of the last grace period at once."""
        state, last = self._state, self._state.last_contact
        if last is None or abs(at - last) >= CONTACT_STEP or grace_until != state.grace_until:
            self._store_or_log(replace(state, last_contact=at, grace_until=grace_until))

    # --- The brake ---

    def braked_until(self, user: str, server: str) -> datetime | None:
        """Return when the next sweep stops a server that the brake holds back now; None: it does not."""
        until = self._state.brakes.get((user, server))
        return until if until is not None and self._now() < until else None

    def braked(self, brakes: Mapping[ServerKey, datetime]) -> None:
        """Note what the last sweep held back; `save_stops` writes it."""
        if brakes != self._state.brakes:
            self._state = replace(self._state, brakes=dict(brakes))
            self._has_unsaved_stops = True

    # --- The file ---

    def _target_of(self, path: Path) -> Path:
        """Follow symbolic links, so that a write replaces the target and not the link."""
        try:
            return path.resolve()
        except RuntimeError as error:  # a loop of links, before Python 3.13
            raise BadStateFile(f"{self._named} cannot be read: {error}") from None

    def _refuse_what_is_no_file(self, path: Path) -> None:
        """Refuse a device or pipe before opening it: reading could block, and a write would replace it."""
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise BadStateFile(f"{self._named} cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(mode):
            kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "not a regular file")
            raise BadStateFile(f"{self._named} is {kind}; it must be a regular file, or not exist yet")

    def _locked(self, path: Path) -> int | None:
        """Lock the file beside the state file until the process ends; None: the file system has no locks."""
        try:
            lock = os.open(
                _beside(path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise StateFileInUse(
                    f"{self._named} is in use by another culler; each culler needs a state file of its own"
                ) from None
            log.warning(
                "%s: not locked, make sure that no other culler uses it: %s", self._named, error.strerror
            )
            return None
        return lock

    def _read(self, path: Path) -> _State:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if self._is_read_only:
                log.warning("%s: does not exist, treated as empty", self._named)
            return _State()
        except OSError as error:
            raise BadStateFile(f"{self._named} cannot be read: {error.strerror}") from None
        try:
            raw = json.loads(content)
            version = raw["version"]
            if version == VERSION:
                return _state_of(raw)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._set_aside(path, error)
            return _State()
        raise BadStateFile(
            f"{self._named} has version {version!r}; this culler reads version {VERSION}: use another file"
        )

    def _set_aside(self, path: Path, error: Exception) -> None:
        if self._is_read_only:
            log.warning("%s: invalid content, treated as empty: %r", self._named, error)
            return
        aside = path.with_name(f"{path.name}.broken-{self._now():%Y%m%dT%H%M%S.%fZ}")
        try:
            path.rename(aside)
        except OSError as problem:
            raise BadStateFile(
                f"{self._named} has invalid content and cannot be moved aside: {problem.strerror}"
            ) from None
        log.error(
            "%s: invalid content (%r): moved to %s, starting with an empty file", self._named, error, aside
        )

    def _write_at_start(self) -> None:
        """Write once at the start, so that an unwritable file shows now and not at the first extension."""
        try:
            self._store(self._state)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> BadStateFile:
        if isinstance(error, FileNotFoundError):
            return BadStateFile(f"{self._named} is in a folder that does not exist")
        return BadStateFile(f"{self._named} cannot be written: {error.strerror}")

    def _store_or_log(self, state: _State) -> None:
        try:
            self._store(state)
        except OSError as error:
            log.error("%s: not written: %s", self._named, error)  # noqa: TRY400 - the message is complete
            self._state = state

    def _store(self, state: _State) -> None:
        if self._path is not None and not self._is_read_only:
            _write_atomically(self._path, json.dumps(_json_of(state), indent=1).encode())
        self._state = state
        self._has_unsaved_stops = False


_KINDS: Sequence[tuple[Callable[[int], bool], str]] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f".{path.name}.{ending}")


def _json_of(state: _State) -> dict[str, Any]:
    return {
        "version": VERSION,
        "last_contact": state.last_contact and state.last_contact.isoformat(),
        "keeps": {
            user: [
                {
                    "server": extension.server,
                    "at": extension.at.isoformat(),
                    "until": extension.until.isoformat(),
                    **({"by_admin": True} if extension.by_admin else {}),
                }
                for extension in extensions
            ]
            for user, extensions in state.extensions.items()
        },
        "notices": [
            {"user": user, "server": server, "at": notice.at.isoformat(), "since": notice.since.isoformat()}
            for (user, server), notice in state.notices.items()
        ],
        "stops": [{**asdict(stop), "at": stop.at.isoformat()} for stop in state.stops],
        "grace_until": state.grace_until and state.grace_until.isoformat(),
        "brakes": [
            {"user": user, "server": server, "until": until.isoformat()}
            for (user, server), until in state.brakes.items()
        ],
    }


def _state_of(raw: Any) -> _State:
    """Read the content of the file; invalid content raises whatever Python raises."""
    contact, grace = raw["last_contact"], raw.get("grace_until")
    return _State(
        last_contact=None if contact is None else timestamps.parse(contact),
        extensions={user: tuple(map(_extension_of, extensions)) for user, extensions in raw["keeps"].items()},
        notices={
            (str(each["user"]), str(each["server"])): Notice(
                at=timestamps.parse(each["at"]), since=timestamps.parse(each["since"])
            )
            for each in raw["notices"]
        },
        # 0.1.0 had none of these.
        stops=tuple(map(_stop_of, raw.get("stops", ()))),
        grace_until=None if grace is None else timestamps.parse(grace),
        brakes={
            (str(each["user"]), str(each["server"])): timestamps.parse(each["until"])
            for each in raw.get("brakes", ())
        },
    )


def _extension_of(raw: Any) -> Extension:
    return Extension(
        server=str(raw["server"]),
        at=timestamps.parse(raw["at"]),
        until=timestamps.parse(raw["until"]),
        by_admin=bool(raw.get("by_admin")),
    )


def _stop_of(raw: Any) -> Stop:
    return Stop(
        user=str(raw["user"]),
        server=str(raw["server"]),
        at=timestamps.parse(raw["at"]),
        reason=str(raw["reason"]),
        rule=None if raw["rule"] is None else str(raw["rule"]),
        is_removed=bool(raw["is_removed"]),
        ran_again=bool(raw["ran_again"]),
    )


def _write_atomically(path: Path, content: bytes) -> None:
    scratch = _beside(path, "new")
    scratch.unlink(missing_ok=True)
    file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
