"""The protocol of list and watch as values, without I/O.

`WatchEvent` is what the server sends, and `State` is what to do next. Two functions compute the next state: `after` an
event, and `after_end` of a response or stream. `k8s_hub.kube.watcher` does the I/O.

::

    Empty --page--> Paging --last page--> Listed --opened--> Watching --event--> Watching
      ^                                      ^                    |
      |                                      `---- ended, cut ----+   resume without a list
      `------------- 410, or versions that run backwards ---------'   list again
"""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias, assert_never

from k8s_hub.kube.core import decoding
from k8s_hub.kube.core.errors import Invalid, KubeError, RelistRequired, error_of_status
from k8s_hub.objects.keys import key_of, metadata_of, oddity_of, version_of
from k8s_hub.objects.raw import Raw

# --- What the server says ---


@dataclass(frozen=True, slots=True)
class Malformed:
    """An unreadable object. It is skipped, and the view keeps the object's last known state."""

    obj: Raw  # at least the readable part of its metadata
    why: str  # a clause that quotes nothing of the object
    error: Exception | None = field(default=None, compare=False)  # from storing the object

    def __str__(self) -> str:
        key = key_of(self.obj)
        return str(key) if key.name and str(key).isprintable() else "an object"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A page of a list. All pages of one list have the same ``resource_version``."""

    items: Sequence[Raw]
    malformed: Sequence[Malformed] = ()
    resource_version: str
    is_first: bool
    continue_token: str  # "" on the last page

    @classmethod
    def of(cls, reply: Any, *, is_first: bool) -> Self:
        """Parse the response to a list; only the caller knows ``is_first``. Raise ValueError for anything else."""
        raw: Raw = reply if isinstance(reply, Mapping) else {}
        items, version, token = raw.get("items"), version_of(raw), metadata_of(raw).get("continue") or ""
        if not isinstance(items, list | None) or not version or not isinstance(token, str):
            raise ValueError("not a list with a resourceVersion")
        checked = [_checked(item) for item in items or []]
        return cls(
            items=[item for item in checked if not isinstance(item, Malformed)],
            malformed=[item for item in checked if isinstance(item, Malformed)],
            resource_version=version,
            is_first=is_first,
            continue_token=token,
        )


@dataclass(frozen=True, slots=True)
class Updated:
    """The object was added or modified (ADDED, MODIFIED)."""

    obj: Raw


@dataclass(frozen=True, slots=True)
class Removed:
    """The object is gone, or no longer matches the selector (DELETED). ``obj`` is its last state."""

    obj: Raw


@dataclass(frozen=True, slots=True)
class Bookmark:
    """All events up to this version have been sent."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Error:
    """The server ends the watch with an error."""

    error: KubeError


WatchEvent: TypeAlias = ListPage | Updated | Removed | Malformed | Bookmark | Error

# --- What is to be done next ---


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing usable is known: read the first page of a list."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Some pages were read: read the next one."""

    continue_token: str


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything is known at this version: open a watch from it."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Watching:
    """A watch is open, and all events up to this version were received: continue to read."""

    resource_version: str


State: TypeAlias = Empty | Paging | Listed | Watching


def after(state: State, event: WatchEvent) -> State:
    """Return the state after ``event``."""
    match event:
        case ListPage(continue_token="", resource_version=version):
            return Listed(version)
        case ListPage(continue_token=token):
            return Paging(token)
        case Updated(obj) | Removed(obj) | Malformed(obj):
            return _advanced(state, version_of(obj))
        case Bookmark(version):
            return _advanced(state, version)
        case Error(error):
            return after_end(state, error)
        case _:
            assert_never(event)


def after_end(state: State, error: KubeError | None) -> State:
    """Return the state after the end of a request or stream; ``error`` is None for a regular end.

    `RelistRequired`, or a version that this server cannot parse, starts over. After any other error the work continues where
    it was.
    """
    if isinstance(error, RelistRequired | Invalid):
        return Empty()
    if isinstance(state, Watching):
        return Listed(state.resource_version)
    return state


def end_meant_by(event: WatchEvent) -> KubeError:
    """Return why the watch ends after ``event``: the server's error, or versions that run backwards."""
    if isinstance(event, Error):
        return event.error
    return RelistRequired("the server's versions run backwards", reason="Backwards")


def _advanced(state: State, version: str) -> State:
    if not version:
        return state
    if isinstance(state, Watching) and is_older(version, state.resource_version):
        # The server forgot its past: restored from a backup, or another one at the same address. Its versions
        # would have to grow past ours before a watch said anything.
        return Empty()
    return Watching(version)


def is_older(version: str, than: str) -> bool:
    """True if both are numbers and ``version`` is the smaller one.

    Kubernetes 1.35 guarantees that versions of one resource compare as integers. Earlier ones did so in practice.
    """
    return version.isdecimal() and than.isdecimal() and _size(version) < _size(than)


def _size(digits: str) -> tuple[int, str]:
    """Return a sort key for numbers of any length: Python refuses to parse more than 4300 digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


# --- From bytes ---

_TYPES: Mapping[Any, type[Updated] | type[Removed]] = {
    "ADDED": Updated,
    "MODIFIED": Updated,
    "DELETED": Removed,
}


def decode(line: bytes) -> WatchEvent:
    """Decode a line of a watch; raise `RelistRequired` for an unknown one, because an event may be lost."""
    try:
        kind, obj = _event_in(line)
        if kind == "BOOKMARK":
            return Bookmark(version_of(obj))
        if kind == "ERROR":
            return Error(error_of_status(obj))
        meant, checked = _TYPES[kind], _checked(obj)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"a line of a watch ({len(line)} bytes) is not a watch event ({type(error).__name__})"
        raise RelistRequired(message, reason="NotAnEvent") from error
    if not isinstance(checked, Malformed):
        return meant(checked)
    # To know that an object is gone takes its name and nothing else.
    return Removed(checked.obj) if meant is Removed and key_of(checked.obj).name else checked


def decode_page(content: bytes, *, is_first: bool) -> ListPage:
    """Decode the response to a list; raise ValueError for anything else."""
    with _no_garbage_collection():
        try:
            reply = decoding.loads(content)
        except ValueError:
            parts = decoding.members(content)
            items = decoding.elements(parts.get("items", b"[]"))
            reply = {
                "metadata": decoding.loads(parts.get("metadata", b"null")),
                "items": [_object_in(item) for item in items],
            }
        return ListPage.of(reply, is_first=is_first)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Run no collection inside the block, and so one at most for the whole page.

    Before Python 3.12 one would run for each 700 objects. The page would soon look long-lived, and full collections would
    begin, which block a hub of 3,000 servers for half a second.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _event_in(line: bytes) -> tuple[Any, Any]:
    """Return an event's type and object; `Malformed` for an unreadable object."""
    try:
        event = decoding.loads(line)
    except ValueError:
        parts = decoding.members(line)
        return decoding.loads(parts["type"]), _object_in(parts["object"])
    return event["type"], event["object"]


def _object_in(text: bytes) -> Any:
    try:
        return decoding.loads(text)
    except ValueError as error:
        return Malformed(_identity_in(text), f"it cannot be read ({error})")


def _identity_in(text: bytes) -> Raw:
    """Return the readable part of the metadata that identifies the object."""
    metadata = {}
    with suppress(ValueError, KeyError):
        parts = decoding.members(decoding.members(text)["metadata"])
        for name in ("namespace", "name", "uid", "resourceVersion"):
            with suppress(ValueError, KeyError):
                metadata[name] = decoding.loads(parts[name])
    return {"metadata": metadata}


def _checked(obj: Any) -> Raw | Malformed:
    if isinstance(obj, Malformed):
        return obj
    oddity = oddity_of(obj)
    if not oddity:
        checked: Raw = obj
        return checked
    return Malformed({"metadata": metadata_of(obj)} if isinstance(obj, Mapping) else {}, oddity)
