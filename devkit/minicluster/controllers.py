"""Controllers: each reconciles one kind of object.

They are level-triggered: a change only says which object to reconcile, so a lost or repeated one does no harm.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol

from devkit.minicluster.database import Database
from devkit.minicluster.deletion import DeleteOptions, plan_deletion
from devkit.minicluster.history import Change, ChangeType
from devkit.minicluster.node import claim_names
from devkit.minicluster.recorder import PROVISIONER, Recorder
from devkit.minicluster.resources import CLAIMS, KINDS, NAMESPACES, PODS, Kind
from devkit.minicluster.volumes import Volumes
from k8s_hub.objects.keys import Key, is_terminating, key_of, metadata_of, owner_uids, uid_of
from k8s_hub.objects.raw import Raw


class Controller(Protocol):
    """A controller."""

    def places(self, kind: Kind, change: Change) -> Iterable[tuple[Kind, Key]]:
        """Return the objects to reconcile after this change."""
        ...

    def reconcile(self, kind: Kind, key: Key) -> None:
        """Reconcile the object, if it exists."""
        ...


class Controllers:
    """Runs the controllers, one object at a time."""

    def __init__(self, database: Database, controllers: Iterable[Controller]) -> None:
        self._controllers = tuple(controllers)
        # A dict as an ordered set: a place that waits already is not put down twice.
        self._places: dict[tuple[Controller, Kind, Key], None] = {}
        self._work = asyncio.Event()
        for kind in KINDS.values():
            for obj in database.all(kind):
                for controller in self._controllers:
                    self._places[controller, kind, key_of(obj)] = None
        self._work.set()
        database.subscribe(self._notice)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._work.wait()
            while self._places:
                controller, kind, key = next(iter(self._places))
                del self._places[controller, kind, key]
                controller.reconcile(kind, key)
                # Binding waits for the disk: others get their turn in between.
                await asyncio.sleep(0)
            self._work.clear()

    def _notice(self, kind: Kind, change: Change) -> None:
        for controller in self._controllers:
            for place in controller.places(kind, change):
                self._places[controller, *place] = None
                self._work.set()


class ClaimBinder:
    """Binds each claim to a directory, or reports why it cannot."""

    def __init__(self, database: Database, recorder: Recorder, volumes: Volumes) -> None:
        self._database = database
        self._recorder = recorder
        self._volumes = volumes

    def places(self, kind: Kind, change: Change) -> Iterable[tuple[Kind, Key]]:
        """New claims."""
        if kind == CLAIMS and change.type is ChangeType.ADDED:
            yield kind, change.key

    def reconcile(self, kind: Kind, key: Key) -> None:
        """Bind the claim."""
        claim = self._database.get(kind, key)
        if kind != CLAIMS or claim is None or is_terminating(claim) or claim["status"]["phase"] == "Bound":
            return
        storage_class = claim["spec"]["storageClassName"]
        if not self._volumes.has_class(storage_class):
            message = f'storageclass.storage.k8s.io "{storage_class}" not found'
            self._recorder.emit(claim, "ProvisioningFailed", message, by=PROVISIONER, is_warning=True)
            return
        self._volumes.provide(key)
        self._database.update(CLAIMS, key, _bound)


class ClaimProtection:
    """Removes a dying claim as soon as no pod uses it."""

    def __init__(self, database: Database, volumes: Volumes) -> None:
        self._database = database
        self._volumes = volumes

    def places(self, kind: Kind, change: Change) -> Iterable[tuple[Kind, Key]]:
        """Dying claims, and the claims of pods that are gone."""
        if kind == CLAIMS and is_terminating(change.after.obj) and change.type is not ChangeType.DELETED:
            yield kind, change.key
        if kind == PODS and change.type is ChangeType.DELETED:
            for name in claim_names(change.after.obj):
                yield CLAIMS, Key(change.key.namespace, name)

    def reconcile(self, kind: Kind, key: Key) -> None:
        """Remove the claim if it is dying and unused."""
        claim = self._database.get(kind, key)
        if kind != CLAIMS or claim is None or not is_terminating(claim):
            return
        if any(key.name in claim_names(pod) for pod in self._database.all(PODS, key.namespace)):
            return
        self._database.remove(CLAIMS, key)
        self._volumes.release(key, uid_of(claim))


class OwnerCollector:
    """Deletes objects whose owners are all gone."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        #: Owned objects by the owner's uid.
        self._owned: defaultdict[str, set[tuple[Kind, Key]]] = defaultdict(set)
        for kind in KINDS.values():
            for obj in database.all(kind):
                self._remember(kind, obj)

    def places(self, kind: Kind, change: Change) -> Iterable[tuple[Kind, Key]]:
        """Objects with owners, and the objects that a deleted object owned."""
        uids = owner_uids(change.after.obj)
        if change.type is ChangeType.DELETED:
            for uid in uids:
                self._owned.get(uid, set()).discard((kind, change.key))
            yield from self._owned.pop(uid_of(change.after.obj), ())
            return
        self._remember(kind, change.after.obj)
        if uids and change.type is ChangeType.ADDED:
            yield kind, change.key

    def reconcile(self, kind: Kind, key: Key) -> None:
        """Delete the object if all of its owners are gone."""
        obj = self._database.get(kind, key)
        if obj is None or is_terminating(obj):
            return
        references = metadata_of(obj).get("ownerReferences") or ()
        if references and not any(self._is_there(reference, key.namespace) for reference in references):
            delete(self._database, kind, obj, self._now())

    def _remember(self, kind: Kind, obj: Raw) -> None:
        for uid in owner_uids(obj):
            self._owned[uid].add((kind, key_of(obj)))

    def _is_there(self, reference: Raw, namespace: str) -> bool:
        """Return whether an owner exists; owners of unknown kinds count as existing."""
        kind = next((kind for kind in KINDS.values() if kind.kind == reference["kind"]), None)
        if kind is None:
            return True
        owner = self._database.get(kind, Key(namespace if kind.namespaced else "", reference["name"]))
        return owner is not None and uid_of(owner) == reference["uid"]


class NamespaceEnder:
    """Empties a namespace that is being deleted, then removes it."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def places(self, kind: Kind, change: Change) -> Iterable[tuple[Kind, Key]]:
        """Dying namespaces, and namespaces that an object left."""
        if kind == NAMESPACES and is_terminating(change.after.obj):
            yield kind, change.key
        if kind != NAMESPACES and change.type is ChangeType.DELETED:
            yield NAMESPACES, Key("", change.key.namespace)

    def reconcile(self, kind: Kind, key: Key) -> None:
        """Delete the objects in the dying namespace, then the namespace itself."""
        namespace = self._database.get(kind, key)
        if kind != NAMESPACES or namespace is None or not is_terminating(namespace):
            return
        namespaced = [each for each in KINDS.values() if each.namespaced]
        for each in namespaced:
            for obj in list(self._database.all(each, key.name)):
                if not is_terminating(obj):
                    delete(self._database, each, obj, self._now())
        if not any(True for each in namespaced for _ in self._database.all(each, key.name)):
            self._database.remove(NAMESPACES, key)


def delete(database: Database, kind: Kind, obj: Raw, now: datetime) -> None:
    """Delete like a client, with the object's own grace period."""
    dying = plan_deletion(kind, obj, DeleteOptions(), now)
    if dying is None:
        database.remove(kind, key_of(obj))
    else:
        database.update(kind, key_of(obj), lambda _: dying)


def _bound(claim: Raw) -> Raw:
    spec = claim["spec"]
    capacity = (spec.get("resources") or {}).get("requests") or {}
    return {
        **claim,
        "spec": {**spec, "volumeName": f"pvc-{uid_of(claim)}"},
        "status": {"phase": "Bound", "accessModes": spec.get("accessModes", []), "capacity": capacity},
    }
