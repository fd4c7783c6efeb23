"""List, watch, resume, list again: the protocol as values, without I/O.

`News` is what the server can say, `State` is what we are to do next, and two functions go from one to the next:
`after` for what was said, `after_end` for a reply or stream that ended. The shell that acts on them is
`k8s_hub.kube.informer`.

::

    Empty --page--> Listing --last page--> Listed --opened--> Watching --news--> Watching
      ^                                      ^                    |
      |                                      `---- ended, cut ----+   resume: nothing is listed
      `------------- 410, or versions that run backwards ---------'   list again
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias, assert_never

from k8s_hub.kube import decoding
from k8s_hub.kube.errors import Gone, Invalid, KubeError, Unavailable, error_of_status
from k8s_hub.objects.keys import metadata_of, version_of
from k8s_hub.objects.raw import Raw

# --- What the server says ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a list. All pages of one list are as of one ``resource_version``."""

    items: Sequence[Raw]
    resource_version: str
    is_first: bool
    continue_token: str  # "" on the last page

    @classmethod
    def of(cls, reply: Raw, *, is_first: bool) -> Self:
        """Read the reply to a list; ``is_first`` as only the asker knows it."""
        metadata = metadata_of(reply)
        return cls(
            items=reply.get("items") or (),
            resource_version=str(metadata.get("resourceVersion") or ""),
            is_first=is_first,
            continue_token=str(metadata.get("continue") or ""),
        )


@dataclass(frozen=True, slots=True)
class Added:
    """The object exists and did not, or did not match the selector."""

    obj: Raw


@dataclass(frozen=True, slots=True)
class Modified:
    """The object is now like this."""

    obj: Raw


@dataclass(frozen=True, slots=True)
class Deleted:
    """The object is gone, or no longer matches the selector; this is its last state."""

    obj: Raw


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything up to this version has been said."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Error:
    """The server ends the watch, and why."""

    error: KubeError


News: TypeAlias = Page | Added | Modified | Deleted | Bookmark | Error

# --- What is to be done next ---


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing is known that is still of use: read the first page of a list."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Some pages were read: read the next one."""

    continue_token: str


@dataclass(frozen=True, slots=True)
class Listed:
    """All was known at this version: open a watch from it."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Watching:
    """A watch is open, and all up to this version was heard: read on."""

    resource_version: str


State: TypeAlias = Empty | Listing | Listed | Watching


def after(state: State, news: News) -> State:
    """Return the state once ``news`` was taken in."""
    match news:
        case Page(continue_token="", resource_version=version):
            return Listed(version)
        case Page(continue_token=token):
            return Listing(token)
        case Added(obj) | Modified(obj) | Deleted(obj):
            return _advanced(state, version_of(obj))
        case Bookmark(version):
            return _advanced(state, version)
        case Error(error):
            return after_end(state, error)
        case _:
            assert_never(news)


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


def end_meant_by(news: News) -> KubeError:
    """Return why a watch is not read on after ``news``: what the server said, or what its versions say."""
    if isinstance(news, Error):
        return news.error
    return Gone("the server's versions run backwards", reason="Backwards")


def _advanced(state: State, version: str) -> State:
    if isinstance(state, Watching) and is_older(version, state.resource_version):
        # The server forgot its past: restored from a backup, or another one at the same address. Its versions
        # would have to grow past ours before a watch said anything.
        return Empty()
    return Watching(version)


def is_older(version: str, than: str) -> bool:
    """True when both are numbers and ``version`` is the lesser.

    Kubernetes 1.35 promises that versions of one resource compare as integers; before, they already did.
    """
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


# --- From bytes ---

_TYPES: Mapping[Any, type[Added] | type[Modified] | type[Deleted]] = {
    "ADDED": Added,
    "MODIFIED": Modified,
    "DELETED": Deleted,
}


def decode(line: bytes) -> News:
    """Return what one line of a watch says; raise `Unavailable` for one that says nothing we know."""
    try:
        raw: Raw = decoding.loads(line)
        kind, obj = raw["type"], raw["object"]
        if kind == "BOOKMARK":
            return Bookmark(version_of(obj))
        if kind == "ERROR":
            return Error(error_of_status(obj))
        return _TYPES[kind](obj)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"a line of a watch ({len(line)} bytes) is not a watch event: {error!r}"
        raise Unavailable(message, reason="NotAnEvent") from error
