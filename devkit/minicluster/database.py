"""The database of all objects and their history.

Every change gets the next resource version, and is on disk (if its kind persists) before listeners are called. Objects are
replaced, never mutated.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

from devkit.minicluster.disk import ObjectFiles
from devkit.minicluster.history import Change, ChangeType, History, Record
from devkit.minicluster.resources import KINDS, Kind
from devkit.minicluster.statuses import already_exists
from k8s_hub.objects.keys import Key, is_terminating, key_of, metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.objects.timestamps import format_seconds

Subscriber = Callable[[Kind, Change], None]
KindStore = dict[str, dict[str, Record]]  # namespace -> name -> record


class Database:
    """Objects by kind, namespace and name, with one counter of versions for all of them."""

    def __init__(self, *, now: Callable[[], datetime], files: ObjectFiles | None, history_limit: int) -> None:
        self._now = now
        self._files = files
        self._stores: dict[Kind, KindStore] = {kind: defaultdict(dict) for kind in KINDS.values()}
        self._listeners: list[Subscriber] = []
        stored = list(files.load()) if files else []
        # Versions start from the clock (microseconds), so that a restart never goes back: a client that
        # comes with a version from before the restart gets 410, and one from the future as well.
        newest = max((_version_of(obj) for _, obj in stored), default=0)
        self.version = max(int(now().timestamp() * 1_000_000), newest)
        for kind, obj in stored:
            self._place(kind, key_of(obj), Record(obj=obj, encoded=encode(obj)))
        self._histories = {kind: History(start=self.version, limit=history_limit) for kind in KINDS.values()}

    def subscribe(self, listener: Subscriber) -> None:
        """Call ``listener`` at once after each change. It must not change the database."""
        self._listeners.append(listener)

    def history(self, kind: Kind) -> History:
        """Return the history of this kind."""
        return self._histories[kind]

    def get(self, kind: Kind, key: Key) -> Raw | None:
        """Return the object; None if it does not exist."""
        record = self.record(kind, key)
        return record.obj if record else None

    def record(self, kind: Kind, key: Key) -> Record | None:
        """Return the object with its JSON; None if it does not exist."""
        return self._stores[kind].get(key.namespace, {}).get(key.name)

    def all(self, kind: Kind, namespace: str | None = None) -> Iterator[Raw]:
        """Yield the objects of one namespace, or of all."""
        return (record.obj for record in self.records(kind, namespace).values())

    def records(self, kind: Kind, namespace: str | None = None) -> dict[Key, Record]:
        """Return the objects of one namespace, or of all (None), unordered."""
        store = self._stores[kind]
        namespaces = [namespace] if namespace is not None else list(store)
        return {
            Key(each, name): record for each in namespaces for name, record in store.get(each, {}).items()
        }

    def records_at(self, version: int, kind: Kind, namespace: str | None) -> dict[Key, Record]:
        """Return the objects as they were at ``version``, so that all pages of a list agree; 410 if too old."""
        history = self.history(kind)
        history.check(version, self.version)
        records = self.records(kind, namespace)
        for change in reversed(history.after(version)):
            if namespace not in {None, change.key.namespace}:
                continue
            if change.before is None:
                records.pop(change.key, None)
            else:
                records[change.key] = change.before
        return records

    def create(self, kind: Kind, obj: Raw) -> Record:
        """Add the object with a new uid; raise StatusError if the name is taken."""
        key = key_of(obj)
        present = self.get(kind, key)
        if present is not None:
            raise already_exists(kind.plural, key.name, is_terminating=is_terminating(present))
        born = {"uid": str(uuid4()), "creationTimestamp": format_seconds(self._now())}
        return self._put(kind, key, _with_metadata(obj, born))

    def update(self, kind: Kind, key: Key, edit: Callable[[Raw], Raw]) -> Raw | None:
        """Replace the object by ``edit(object)``, unless nothing changes; return None if it is gone."""
        present = self.get(kind, key)
        if present is None:
            return None
        edited = edit(present)
        if edited == present:
            return present
        return self._put(kind, key, edited).obj

    def remove(self, kind: Kind, key: Key) -> Raw | None:
        """Delete the object at once; return its last state, or None."""
        before = self.record(kind, key)
        if before is None:
            return None
        self.version += 1
        last = _with_metadata(before.obj, {"resourceVersion": str(self.version)})
        if self._files and kind.persistent:
            self._files.remove(kind, key)
        del self._stores[kind][key.namespace][key.name]
        self._log(kind, key, ChangeType.DELETED, Record(obj=last, encoded=encode(last)), before)
        return last

    def wake_watches(self) -> None:
        """Wake every open watch without a change."""
        for history in self._histories.values():
            history.pulse.beat()

    def compact(self) -> None:
        """Drop the history: a watch from an earlier version gets 410."""
        for history in self._histories.values():
            history.compact(self.version)

    def _put(self, kind: Kind, key: Key, obj: Raw) -> Record:
        before = self.record(kind, key)
        self.version += 1
        obj = _with_metadata(obj, {"resourceVersion": str(self.version)})
        record = Record(obj=obj, encoded=encode(obj))
        if self._files and kind.persistent:
            self._files.save(kind, key, record.encoded)
        self._place(kind, key, record)
        self._log(kind, key, ChangeType.MODIFIED if before else ChangeType.ADDED, record, before)
        return record

    def _place(self, kind: Kind, key: Key, record: Record) -> None:
        self._stores[kind][key.namespace][key.name] = record

    def _log(
        self, kind: Kind, key: Key, change_type: ChangeType, after: Record, before: Record | None
    ) -> None:
        change = Change(version=self.version, type=change_type, key=key, after=after, before=before)
        self.history(kind).append(change)
        for listener in self._listeners:
            listener(kind, change)


def encode(obj: Raw) -> bytes:
    """Return the object's compact JSON, with its type first (see ``untyped``)."""
    typed = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], **obj}
    return json.dumps(typed, separators=(",", ":"), ensure_ascii=False).encode()


def untyped(kind: Kind, encoded: bytes) -> bytes:
    """Return the JSON without the type, as in the items of a list."""
    return b"{" + encoded.removeprefix(b'{"kind":"%b","apiVersion":"v1",' % kind.kind.encode())


def _version_of(obj: Raw) -> int:
    return int(metadata_of(obj)["resourceVersion"])


def _with_metadata(obj: Raw, fields: dict[str, Any]) -> dict[str, Any]:
    return {**obj, "metadata": {**metadata_of(obj), **fields}}
