"""List, watch, resume, list again: the protocol as values, without I/O.

`WatchEvent` is what the server can say, `State` is what we are to do next, and two functions go from one to the next:
`after` for what was said, `after_end` for a reply or stream that ended. The shell that acts on them is
`k8s_hub.kube.watcher`.

::

    Empty --page--> Paging --last page--> Listed --opened--> Watching --event--> Watching
      ^                                      ^                    |
      |                                      `---- ended, cut ----+   resume: nothing is listed
      `------------- 410, or versions that run backwards ---------'   list again
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias, assert_never

from k8s_hub.kube.core import decoding
from k8s_hub.kube.core.errors import Gone, Invalid, KubeError, error_of_status
from k8s_hub.objects.keys import key_of, metadata_of, oddity_of, version_of
from k8s_hub.objects.raw import Raw

# --- What the server says ---


@dataclass(frozen=True, slots=True)
class Odd:
    """An object that cannot be read or is none. It is skipped: what is known of it stays as it was."""

    obj: Raw  # at least what could be read of its metadata
    why: str  # the end of a sentence, which quotes nothing of the object
    error: Exception | None = field(default=None, compare=False)  # of the code that should have taken it in

    def __str__(self) -> str:
        key = key_of(self.obj)
        return str(key) if key.name and str(key).isprintable() else "an object"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A part of a list. All pages of one list are as of one ``resource_version``."""

    items: Sequence[Raw]
    odd: Sequence[Odd] = ()
    resource_version: str
    is_first: bool
    continue_token: str  # "" on the last page

    @classmethod
    def of(cls, reply: Any, *, is_first: bool) -> Self:
        """Read the reply to a list; ``is_first`` as only the asker knows it. Raise ValueError for what is no list."""
        raw: Raw = reply if isinstance(reply, Mapping) else {}
        items, version, token = raw.get("items"), version_of(raw), metadata_of(raw).get("continue") or ""
        if not isinstance(items, list | None) or not version or not isinstance(token, str):
            raise ValueError("no list of objects as of a resourceVersion")
        checked = [_checked(item) for item in items or []]
        return cls(
            items=[item for item in checked if not isinstance(item, Odd)],
            odd=[item for item in checked if isinstance(item, Odd)],
            resource_version=version,
            is_first=is_first,
            continue_token=token,
        )


@dataclass(frozen=True, slots=True)
class Updated:
    """The object is now like this, whether or not it existed before (ADDED, MODIFIED)."""

    obj: Raw


@dataclass(frozen=True, slots=True)
class Removed:
    """The object is gone, or no longer matches the selector (DELETED); this is its last state."""

    obj: Raw


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything up to this version has been said."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Error:
    """The server ends the watch, and why."""

    error: KubeError


WatchEvent: TypeAlias = ListPage | Updated | Removed | Odd | Bookmark | Error

# --- What is to be done next ---


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing is known that is still of use: read the first page of a list."""


@dataclass(frozen=True, slots=True)
class Paging:
    """Some pages were read: read the next one."""

    continue_token: str


@dataclass(frozen=True, slots=True)
class Listed:
    """All was known at this version: open a watch from it."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Watching:
    """A watch is open, and all up to this version has come: read on."""

    resource_version: str


State: TypeAlias = Empty | Paging | Listed | Watching


def after(state: State, event: WatchEvent) -> State:
    """Return the state once ``event`` was taken in."""
    match event:
        case ListPage(continue_token="", resource_version=version):
            return Listed(version)
        case ListPage(continue_token=token):
            return Paging(token)
        case Updated(obj) | Removed(obj) | Odd(obj):
            return _advanced(state, version_of(obj))
        case Bookmark(version):
            return _advanced(state, version)
        case Error(error):
            return after_end(state, error)
        case _:
            assert_never(event)


def after_end(state: State, error: KubeError | None) -> State:
    """Return the state once a request or stream ended, with ``error`` or (None) as the server meant it to.

    A version or token that is too old (410), or that this server cannot read at all, sends us back to the
    start; after anything else the work goes on where it was.
    """
    if isinstance(error, Gone | Invalid):
        return Empty()
    if isinstance(state, Watching):
        return Listed(state.resource_version)
    return state


def end_meant_by(event: WatchEvent) -> KubeError:
    """Return why a watch is not read on after ``event``: what the server said, or what its versions say."""
    if isinstance(event, Error):
        return event.error
    return Gone("the server's versions run backwards", reason="Backwards")


def _advanced(state: State, version: str) -> State:
    if not version:
        return state
    if isinstance(state, Watching) and is_older(version, state.resource_version):
        # The server forgot its past: restored from a backup, or another one at the same address. Its versions
        # would have to grow past ours before a watch said anything.
        return Empty()
    return Watching(version)


def is_older(version: str, than: str) -> bool:
    """True when both are numbers and ``version`` is the lesser.

    Kubernetes 1.35 promises that versions of one resource compare as integers; before, they already did.
    """
    return version.isdecimal() and than.isdecimal() and _size(version) < _size(than)


def _size(digits: str) -> tuple[int, str]:
    """Return what orders numbers of any length; Python reads none of more than 4300 digits."""
    significant = digits.lstrip("0")
    return len(significant), significant


# --- From bytes ---

_TYPES: Mapping[Any, type[Updated] | type[Removed]] = {
    "ADDED": Updated,
    "MODIFIED": Updated,
    "DELETED": Removed,
}


def decode(line: bytes) -> WatchEvent:
    """Return what one line of a watch says; raise `Gone` for one that says nothing we know: only a list can tell."""
    try:
        kind, obj = _event_in(line)
        if kind == "BOOKMARK":
            return Bookmark(version_of(obj))
        if kind == "ERROR":
            return Error(error_of_status(obj))
        meant, checked = _TYPES[kind], _checked(obj)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"a line of a watch ({len(line)} bytes) is not a watch event ({type(error).__name__})"
        raise Gone(message, reason="NotAnEvent") from error
    if not isinstance(checked, Odd):
        return meant(checked)
    # To know that an object is gone takes its name and nothing else.
    return Removed(checked.obj) if meant is Removed and key_of(checked.obj).name else checked


def decode_page(content: bytes, *, is_first: bool) -> ListPage:
    """Return what the reply to a list says; raise ValueError where it is no list."""
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


def _event_in(line: bytes) -> tuple[Any, Any]:
    """Return an event's type and object; `Odd` for an object that cannot be read."""
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
        return Odd(_identity_in(text), f"it cannot be read ({error})")


def _identity_in(text: bytes) -> Raw:
    """Return the readable part of an object's metadata that says which object it is."""
    metadata = {}
    with suppress(ValueError, KeyError):
        parts = decoding.members(decoding.members(text)["metadata"])
        for name in ("namespace", "name", "uid", "resourceVersion"):
            with suppress(ValueError, KeyError):
                metadata[name] = decoding.loads(parts[name])
    return {"metadata": metadata}


def _checked(obj: Any) -> Raw | Odd:
    if isinstance(obj, Odd):
        return obj
    oddity = oddity_of(obj)
    if not oddity:
        checked: Raw = obj
        return checked
    return Odd({"metadata": metadata_of(obj)} if isinstance(obj, Mapping) else {}, oddity)
