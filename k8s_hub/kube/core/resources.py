"""The resources that this package uses, and their API paths."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of the Kubernetes API."""

    group: str = ""  # "" is the core group
    version: str = "v1"
    plural: str
    kind: str
    namespaced: bool = True
    is_stored: bool = True  # False for reviews, which get no name and no uid

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the path of one object, or of the collection if ``name`` is None.

        ``namespace`` None or "" means all namespaces, or a cluster-scoped resource.
        """
        parts = ["apis" if self.group else "api", self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/" + "/".join(parts)

    def __str__(self) -> str:
        return self.plural


PODS = Resource(plural="pods", kind="Pod")
CLAIMS = Resource(plural="persistentvolumeclaims", kind="PersistentVolumeClaim")
SERVICES = Resource(plural="services", kind="Service")
SECRETS = Resource(plural="secrets", kind="Secret")
EVENTS = Resource(plural="events", kind="Event")
NAMESPACES = Resource(plural="namespaces", kind="Namespace", namespaced=False)
STORAGE_CLASSES = Resource(
    group="storage.k8s.io", plural="storageclasses", kind="StorageClass", namespaced=False
)
NETWORK_POLICIES = Resource(group="networking.k8s.io", plural="networkpolicies", kind="NetworkPolicy")
REVIEWS = Resource(
    group="authorization.k8s.io",
    plural="selfsubjectaccessreviews",
    kind="SelfSubjectAccessReview",
    namespaced=False,
    is_stored=False,
)
REVIEWS_OF_OTHERS = Resource(
    group="authorization.k8s.io",
    plural="subjectaccessreviews",
    kind="SubjectAccessReview",
    namespaced=False,
    is_stored=False,
)
