"""The store: watch events applied to a map. It has one writer; readers get a `View`.

Guarantees
    Readers never see a partial list: pages fill a buffer, and the last one swaps it in.
    Between two swaps the view shows the server's state at ``View.resource_version``.
    The store keeps what the projection returns, and reports only changes of that. Readers get copies.
    An unreadable object is reported and skipped, and keeps its last known state. Other objects are not affected.

Caveats
    A view shows the past. The informer knows how old it is.
    Reading decodes JSON: cheap for one object, expensive for ten thousand.
"""

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, assert_never

from k8s_hub.kube.core import decoding
from k8s_hub.kube.core.watch import (
    Bookmark,
    Error,
    ListPage,
    Malformed,
    Removed,
    Updated,
    WatchEvent,
    is_older,
)
from k8s_hub.objects.keys import Key, key_of, uid_of, version_of
from k8s_hub.objects.raw import Raw

Project: TypeAlias = Callable[[Raw], Raw | None]
"""Returns the part of an object to keep, as JSON; None to drop the object."""

Index: TypeAlias = Callable[[Raw], Iterable[Hashable]]
"""Returns the index values of a projected object."""

NOTHING: frozenset[Key] = frozenset()


def no_index(_kept: Raw) -> Iterable[Hashable]:
    """Find by key only."""
    return ()


class Entry(NamedTuple):
    """One kept object; every change makes a new entry.

    It is text, because a decoded pod has about sixty dicts and lists for the garbage collector to visit. Ten thousand
    decoded pods add 85 ms to each full collection, which blocks the loop; as text they add 10 ms and take less than half the
    memory. Decoding one takes 5 microseconds.
    """

    uid: str
    text: str  # JSON
    values: tuple[Hashable, ...]  # its index values

    @property
    def kept(self) -> Raw:
        """The projected object, a new copy at each access."""
        decoded: Raw = decoding.loads(self.text)
        return decoded


@dataclass(frozen=True, slots=True)
class _Content:
    """Entries and their index, filled by one list and then by a watch."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    #: The keys by index value. The inner dict is an ordered set.
    index: dict[Hashable, dict[Key, None]] = field(default_factory=dict)


class Store:
    """The writer's side: the owner applies events in order, and gets the changed keys."""

    def __init__(
        self,
        project: Project,
        index: Index = no_index,
        *,
        on_malformed: Callable[[Malformed], None] = lambda _: None,
    ) -> None:
        """``on_malformed`` is called for each skipped object."""
        self._project = project
        self._index = index
        self._on_malformed = on_malformed
        self._content = _Content()
        self._incoming = _Content()  # the list that is being read; empty outside one
        self._version = ""  # of `_content`; "" until the first list is complete
        self.view = View(self)

    def apply(self, event: WatchEvent) -> frozenset[Key]:
        """Apply ``event`` and return the keys of changed and removed objects."""
        match event:
            case ListPage():
                return self._take_page(event)
            case Updated(obj):
                self._advance(version_of(obj))
                return self._put(self._content, obj)
            case Removed(obj):
                self._advance(version_of(obj))
                return self._remove(self._content, key_of(obj))
            case Malformed(obj):
                self._advance(version_of(obj))
                self._skip(self._content, event)
                return NOTHING
            case Bookmark(version):
                self._advance(version)
                return NOTHING
            case Error():
                return NOTHING
            case _:
                assert_never(event)

    def would_keep(self, key: Key, obj: Raw | None) -> bool:
        """True if a new list with ``obj`` under this key (None: without one) would change nothing that the view shows."""
        known = self._content.entries.get(key)
        if obj is None:
            return known is None
        try:
            entry = self._entry_of(obj)
        except Exception:  # noqa: BLE001 - as in `_put`
            return known is None or known.uid == uid_of(obj)
        if known is None or entry is None:
            return known is entry
        # Not as text: another API server may send the fields in another order.
        return (known.uid, known.kept) == (entry.uid, entry.kept)

    def _advance(self, version: str) -> None:
        self._version = version or self._version

    def _take_page(self, page: ListPage) -> frozenset[Key]:
        if page.is_first:
            self._incoming = _Content()
        for obj in page.items:
            self._put(self._incoming, obj)
        for malformed in page.malformed:
            self._skip(self._incoming, malformed)
        if page.continue_token:
            return NOTHING
        old, self._content, self._incoming = self._content, self._incoming, _Content()
        self._version = page.resource_version
        return _differences(old.entries, self._content.entries)

    def _put(self, content: _Content, obj: Raw) -> frozenset[Key]:
        try:
            entry = self._entry_of(obj)
        except Exception as error:  # noqa: BLE001 - code that expects what Kubernetes promises reads what an object has
            self._skip(content, Malformed(obj, f"it cannot be stored ({type(error).__name__})", error))
            return NOTHING
        key = key_of(obj)
        if entry is None:
            return self._remove(content, key)
        old = content.entries.get(key)
        if old == entry:
            return NOTHING
        if old is not None and old.values == entry.values:
            # With the values that the index has, because equal ones would be in memory twice.
            content.entries[key] = entry._replace(values=old.values)
            return frozenset((key,))
        self._remove(content, key)
        self._add(content, key, entry)
        return frozenset((key,))

    def _entry_of(self, obj: Raw) -> Entry | None:
        """Return the entry for an object; None if the projection drops it."""
        kept = self._project(obj)
        if kept is None:
            return None
        return Entry(
            uid=uid_of(obj),
            # Decoded, because the bytes hold on to a buffer of twice their size or more.
            text=decoding.dumps(kept),
            values=tuple(dict.fromkeys(self._index(kept))),
        )

    def _skip(self, content: _Content, malformed: Malformed) -> None:
        """Report an unreadable object. It is not gone, so a new list keeps its last known state."""
        self._on_malformed(malformed)
        key, uid = key_of(malformed.obj), uid_of(malformed.obj)
        known = self._content.entries.get(key)
        if known is not None and key not in content.entries and uid in {"", known.uid}:
            self._add(content, key, known)

    def _add(self, content: _Content, key: Key, entry: Entry) -> None:
        key = Key(sys.intern(key.namespace), key.name)
        content.entries[key] = entry
        for value in entry.values:
            content.index.setdefault(value, {})[key] = None

    def _remove(self, content: _Content, key: Key) -> frozenset[Key]:
        entry = content.entries.pop(key, None)
        if entry is None:
            return NOTHING
        for value in entry.values:
            keys = content.index[value]
            del keys[key]
            if not keys:
                del content.index[value]
        return frozenset((key,))


class View:
    """The reader's side of a store."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: Key) -> Raw | None:
        """Return the kept object; None if it is not there."""
        entry = self.entry(key)
        return None if entry is None else entry.kept

    def entry(self, key: Key) -> Entry | None:
        """Return the object with its uid."""
        return self._store._content.entries.get(key)  # noqa: SLF001 - the two halves of one thing

    def find(self, value: Hashable) -> tuple[Raw, ...]:
        """Return the objects with this index value, in the order of their keys."""
        content = self._store._content  # noqa: SLF001
        return tuple(content.entries[key].kept for key in sorted(content.index.get(value, ())))

    def __len__(self) -> int:
        return len(self._store._content.entries)  # noqa: SLF001

    def __iter__(self) -> Iterator[Key]:
        """Iterate over a snapshot of the keys."""
        return iter(tuple(self._store._content.entries))  # noqa: SLF001

    @property
    def resource_version(self) -> str:
        """The version that the view shows; "" before the first list is complete."""
        return self._store._version  # noqa: SLF001

    def has_seen(self, version: str) -> bool:
        """True if the view includes everything up to ``version``: an object that is missing is then gone.

        Versions that are not numbers count as seen.
        """
        return bool(self.resource_version) and not is_older(self.resource_version, version)


def _differences(old: dict[Key, Entry], new: dict[Key, Entry]) -> frozenset[Key]:
    gone = old.keys() - new.keys()
    changed = {key for key, entry in new.items() if old.get(key) != entry}
    return frozenset(gone | changed)
