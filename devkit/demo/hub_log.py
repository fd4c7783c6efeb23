"""What the terminal repeats of the hub's log, one sentence each.

Of the hub's own process a logging handler chooses, by level and origin: it has the records, so it reads no text.
Services write into the same file. Of them `HubLog` chooses, by the level that their lines begin with.
"""

import logging
import re
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from sysconfig import get_paths
from traceback import format_tb
from typing import Any, Self

import jupyterhub
import oauthlib  # type: ignore[import-untyped]
import tornado
from traitlets.config import Config

import devkit
import k8s_hub
from k8s_hub.text import printable

TOOLS = "demo-tools"
"""The demo's own service, with the scopes for `k8s-hub doctor`, `volumes` and `cull explain`."""

HUB = "JupyterHub"  # the name of the logger of the hub, its spawners and its configuration
_TRACEBACK = "Traceback (most recent call last):"
_ROUTINE = tuple(str(Path(package.__path__[0])) + "/" for package in (jupyterhub, oauthlib, tornado))
"""These packages warn of single requests and of routes. Their errors count, and so do warnings of all other code."""

_LINE = re.compile(r"\[(?P<level>[DIWEC]) (?P<origin>[^]]*)\] (?P<message>.*)")  # of traitlets and of tornado
_PLACE = re.compile(r'File "(.*)", line (\d+)')
_INSTALLED = (
    *(str(Path(package.__file__ or "").parent) + "/" for package in (devkit, k8s_hub)),
    *{f"{path}/" for name, path in get_paths().items() if name in {"stdlib", "purelib", "platlib"}},
)
"""Folders of code that no administrator wrote."""
_START = re.compile(r"(Not|Error) starting (?P<user>.+?)'s server( (?P<server>.*?))?: ", re.DOTALL)
"""Of JupyterHub 6 and 5; the latter does not name the server."""
_EXIT = re.compile(r"Service .* exited with status ")
_CANCELLED = re.compile(r"Interrupting spawner (?P<server>.+), pending spawn")
_STOPPED = re.compile(r"(?P<server>.+?): stopped: (?P<why>.+)")
_WARNED = re.compile(r"(?P<server>.+?): user warned: stops at (?P<stop_at>\S+): .+")
_CULLING = re.compile(r"Culling server (?P<server>.+?) \((?:age: .+?, )?(?P<why>inactive for .+)\)")
"""Of jupyterhub-idle-culler."""
_LAST_WORDS = 5  # lines
_REMEMBERED = 20  # exceptions


# --- In the hub's process ---


def quiet() -> None:
    """Keep the demo's own requests, three in a second, out of the hub's log; those that fail stay."""
    logging.getLogger("tornado.access").addFilter(_is_of_others)


def _is_of_others(record: logging.LogRecord) -> bool:
    record.is_access = True
    return record.levelno > logging.INFO or f"({TOOLS}@" not in record.getMessage()


def repeat(c: Config, path: Path) -> None:
    """Let the hub write what matters to ``path``, too: from now on, and after it has read its configuration."""
    handler = RepeatingHandler(path)
    logging.getLogger(HUB).addHandler(handler)
    c.JupyterHub.extra_log_handlers.append(handler)


class RepeatingHandler(logging.FileHandler):
    """Writes errors, and warnings about settings, in one line each: an exception once, a text without one once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=True)
        self.setLevel(logging.WARNING)
        self._told: set[str] = set()
        self._exceptions: deque[BaseException] = deque(maxlen=_REMEMBERED)

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        """Return the handler itself: traitlets copies the values of a configuration."""
        return self

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record matters and is new."""
        is_error = record.levelno >= logging.ERROR
        if hasattr(record, "is_access") or not (is_error or not record.pathname.startswith(_ROUTINE)):
            return False
        # The hub logs the exception of a start three times, with other words before it.
        exception = record.exc_info[1] if record.exc_info else sys.exc_info()[1]
        if is_error and exception is not None:
            return self._is_new_exception(exception)
        text = record.getMessage()
        if any(text.endswith(f": {each}") for each in self._exceptions):
            return False
        is_new = text not in self._told
        self._told.add(text)
        return is_new

    def _is_new_exception(self, exception: BaseException) -> bool:
        if any(exception is each for each in self._exceptions):
            return False
        self._exceptions.append(exception)
        return True

    def format(self, record: logging.LogRecord) -> str:
        """Return the sentence: the message, and of a traceback the exception."""
        failed = _failed_start(record)
        if failed:
            return failed
        said, _, traceback = record.getMessage().partition(_TRACEBACK)
        parts = [" ".join(said.split()).rstrip(":"), *traceback.strip().splitlines()[-1:]]
        exception = record.exc_info[1] if record.exc_info else None
        if exception is not None:
            traceback = "".join(format_tb(exception.__traceback__))
            if str(exception) not in said:
                parts.append(f"{type(exception).__name__}: {exception}")
        return _sentence(record.levelname[0], ": ".join(parts) + _place_in(traceback))


def _failed_start(record: logging.LogRecord) -> str:
    """Return why a start failed, as its user reads it; empty for other records."""
    match, error = _START.match(record.getMessage()), sys.exc_info()[1]
    why = getattr(error, "jupyterhub_message", None) or getattr(error, "message", None)
    if match is None or not why:
        return ""
    return printable(did_not_start(match["user"], match["server"] or "", " ".join(str(why).split())))


def did_not_start(user: str, server: str, why: str = "") -> str:
    """Return that a server did not start; server: "" is the user's default server."""
    return f"{user}'s server" + (f' "{server}"' if server else "") + f" did not start. {why}"


def _place_in(traceback: str) -> str:
    """Return the last file and line that belong to no package; empty without one."""
    places = [
        f" in {path}, line {line}"
        for path, line in _PLACE.findall(traceback)
        if Path(path).is_file() and not path.startswith(_INSTALLED)
    ]
    return places[-1] if places else ""


def _sentence(level: str, message: str) -> str:
    what = "warns" if level == "W" else "has an error"
    return printable(f"The hub's log {what}: {message}")


# --- In the demo's process ---


class Lines:
    """Reads a file as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def new(self) -> list[bytes]:
        """Return the whole lines that are new since the last call; a file that is not there has none."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._read)
                text = log.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]  # the last line may still be written
        self._read += len(whole)
        return whole.splitlines()


class HubLog:
    """Reads the hub's log as it grows: its services' lines, and what `RepeatingHandler` wrote."""

    def __init__(self, path: Path, repeated: Path) -> None:
        self._lines = Lines(path)
        self._repeated = Lines(repeated)
        self._printed: deque[str] = deque(maxlen=_LAST_WORDS)  # lines without a level
        self._told: set[str] = set()
        self._cancelled: set[tuple[str, str]] = set()

    def new(self) -> list[str]:
        """Return the sentences since the last call; of services none is returned twice."""
        sentences = [each for line in self._lines.new() for each in self._of_services(_decoded(line))]
        fresh = [each for each in dict.fromkeys(sentences) if each not in self._told]
        self._told.update(fresh)
        return fresh + [_decoded(line) for line in self._repeated.new()]

    def cancelled(self) -> set[tuple[str, str]]:
        """Return the servers whose start somebody cancelled, of the lines that `new` has read since the last call."""
        servers, self._cancelled = self._cancelled, set()
        return servers

    def _of_services(self, line: str) -> list[str]:
        match = _LINE.match(line)
        if match is None:
            if line.strip() and not line[0].isspace() and line != _TRACEBACK:
                self._printed.append(line)
        elif HUB not in match["origin"].split():
            if match["level"] in "WEC":
                return [_sentence(match["level"], match["message"])]
        elif _EXIT.match(match["message"]):
            # The service's last words have no name, and are among these.
            said = [printable(f"The hub's log says: {each}") for each in self._printed]
            self._printed.clear()
            return said
        elif cancelled := _CANCELLED.fullmatch(match["message"]):
            user, _, name = cancelled["server"].partition(":")
            self._cancelled.add((user, name))
        return []


class CullerLog:
    """Reads what a culler says in the hub's log as it grows: whom it warned, and what it stopped and why."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)
        self._warnings: list[Mapping[str, str]] = []

    def new(self) -> dict[tuple[str, str], str]:
        """Return the servers that the culler has stopped since the last call, and why."""
        stops = {}
        for line in self._lines.new():
            match = _LINE.match(_decoded(line))
            if match is None or match["level"] != "I":
                continue
            is_ours = "k8s_hub.culler." in match["origin"]
            if stop := (_STOPPED if is_ours else _CULLING).fullmatch(match["message"]):
                stops[_key_of(stop["server"])] = stop["why"] if is_ours else f"was {stop['why']}"
            elif is_ours and (warned := _WARNED.fullmatch(match["message"])):
                user, server = _key_of(warned["server"])
                self._warnings.append({"user": user, "server": server, "stop_at": warned["stop_at"]})
        return stops

    def warnings(self) -> Sequence[Mapping[str, str]]:
        """Return the warnings that `new` has read since the last call, as a webhook gets them."""
        warnings, self._warnings = self._warnings, []
        return warnings


def _key_of(server: str) -> tuple[str, str]:
    user, _, name = server.partition("/")
    return user, name


def _decoded(line: bytes) -> str:
    return line.decode(errors="replace")
