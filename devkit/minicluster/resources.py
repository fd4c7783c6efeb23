"""The kinds of this cluster, and their paths."""

from dataclasses import dataclass

from devkit.minicluster.statuses import StatusError, no_such_path

API_VERSION = "v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of the core group."""

    plural: str
    kind: str
    namespaced: bool = True
    #: Saved to disk; other kinds do not survive the cluster.
    persistent: bool = False
    #: True if DELETE returns the object, not a Status.
    answers_deleted: bool = True


NAMESPACES = Kind(plural="namespaces", kind="Namespace", namespaced=False, persistent=True)
PODS = Kind(plural="pods", kind="Pod")
CLAIMS = Kind(plural="persistentvolumeclaims", kind="PersistentVolumeClaim", persistent=True)
SERVICES = Kind(plural="services", kind="Service")
SECRETS = Kind(plural="secrets", kind="Secret", answers_deleted=False)
EVENTS = Kind(plural="events", kind="Event", answers_deleted=False)

KINDS = {kind.plural: kind for kind in (NAMESPACES, PODS, CLAIMS, SERVICES, SECRETS, EVENTS)}

_PREFIX = f"/api/{API_VERSION}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The target of a path: one object, or all objects of a kind in one namespace or in all."""

    kind: Kind
    #: None: a cluster-scoped kind, or all namespaces.
    namespace: str | None
    #: None: the collection.
    name: str | None


def parse_path(path: str) -> Target:
    """Return the target of the path; raise StatusError for an unknown one."""
    if not path.startswith(_PREFIX):
        raise no_such_path(path, _known())
    match path.removeprefix(_PREFIX).strip("/").split("/"):
        case ["namespaces"]:
            return Target(kind=NAMESPACES, namespace=None, name=None)
        case ["namespaces", name]:
            return Target(kind=NAMESPACES, namespace=None, name=name)
        case ["namespaces", namespace, plural] if plural in KINDS:
            return Target(kind=KINDS[plural], namespace=namespace, name=None)
        case ["namespaces", namespace, plural, name] if plural in KINDS:
            return Target(kind=KINDS[plural], namespace=namespace, name=name)
        case [plural] if plural in KINDS:
            return Target(kind=KINDS[plural], namespace=None, name=None)
        case ["namespaces", _, plural, _, subresource] if plural in KINDS:
            raise StatusError(
                404, "NotFound", f"the mini cluster has no subresource {subresource!r} of {plural} ({path})"
            )
        case _:
            raise no_such_path(path, _known())


def _known() -> str:
    return ", ".join(KINDS)
