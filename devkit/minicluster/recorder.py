"""Records events of the scheduler and the kubelet. Repeated events increase a count."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeAlias

from devkit.minicluster.database import Database
from devkit.minicluster.resources import API_VERSION, EVENTS, NAMESPACES
from k8s_hub.objects.keys import Key, key_of, metadata_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.objects.timestamps import format_seconds

# As on a real server.
_KEPT_FOR = timedelta(hours=1)

#: uid of the object, reason, message
_Identity: TypeAlias = tuple[str, str, str]

SCHEDULER = "default-scheduler"
KUBELET = "kubelet"
PROVISIONER = "persistentvolume-controller"


class Recorder:
    """Writes events, and keeps each for an hour."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._numbers = count(int(now().timestamp() * 1_000_000))
        #: Kept events with the time of their first emission, oldest first.
        self._emitted: deque[tuple[datetime, _Identity]] = deque()
        self._keys: dict[_Identity, Key] = {}

    def emit(self, obj: Raw, reason: str, message: str, *, by: str, is_warning: bool = False) -> None:
        """Record an event about the object, or increase the count of the same event."""
        self._expire()
        identity = (uid_of(obj), reason, message)
        known = self._keys.get(identity)
        if known and self._database.update(EVENTS, known, self._counted):
            return
        namespace = metadata_of(obj).get("namespace", "")
        if self._database.get(NAMESPACES, Key("", namespace)) is None:
            return
        event = self._event(obj, reason, message, by=by, is_warning=is_warning)
        key = key_of(self._database.create(EVENTS, event).obj)
        self._keys[identity] = key
        self._emitted.append((self._now(), identity))

    def _event(self, obj: Raw, reason: str, message: str, *, by: str, is_warning: bool) -> dict[str, Any]:
        metadata = metadata_of(obj)
        now = format_seconds(self._now())
        return {
            "kind": EVENTS.kind,
            "apiVersion": API_VERSION,
            "metadata": {
                "name": f"{metadata['name']}.{next(self._numbers):016x}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "kind": obj["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "apiVersion": obj["apiVersion"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "reason": reason,
            "message": message,
            "source": {"component": by},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": "Warning" if is_warning else "Normal",
            "eventTime": None,
            "reportingComponent": by,
            "reportingInstance": "",
        }

    def _counted(self, event: Raw) -> Raw:
        return {**event, "count": event["count"] + 1, "lastTimestamp": format_seconds(self._now())}

    def _expire(self) -> None:
        while self._emitted and self._now() - self._emitted[0][0] > _KEPT_FOR:
            _, identity = self._emitted.popleft()
            # What a client deleted, and was emitted again since, stands twice here.
            if key := self._keys.pop(identity, None):
                self._database.remove(EVENTS, key)
