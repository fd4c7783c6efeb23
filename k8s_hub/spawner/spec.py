"""The spec of one server: a frozen snapshot of its spawner's settings, without the spawner.

Hooks, profiles and subclasses change a spawner while it starts. So KubeSpawner takes a new spec for each call
that needs one. It writes the results (a claim's name, a pod's uid) back to the spawner.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

from k8s_hub.claims.extra import ExtraClaim, parse_extra_claims
from k8s_hub.claims.home import HomeName
from k8s_hub.kube.core.store import View
from k8s_hub.naming.ownership import RELEASE_LABELS, ServerIdentity, attempt_id_of, is_ours
from k8s_hub.naming.templates import Names, Scope, SlugScheme, scope_of
from k8s_hub.objects.keys import Key, key_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.cluster import server_index_key
from k8s_hub.spawner.database import HubDatabase

_names_of = lru_cache(maxsize=1000)(Names.of)  # a start needs these eight times


def template_fields(
    *, username: str, servername: str, user_id: int, hub_namespace: str, slug_scheme: str
) -> Names:
    """Return the values of all template fields of one server, except the names of its objects."""
    return _names_of(
        username=username,
        servername=servername,
        userid=user_id,
        hub_namespace=hub_namespace,
        scheme=SlugScheme(slug_scheme),
    )


def identity_of(spawner: Any) -> ServerIdentity:
    """Return the identity of a spawner's server."""
    labels, database = spawner.common_labels, HubDatabase.of(spawner)
    return ServerIdentity(
        namespace=spawner.namespace,
        username=spawner.user.name,
        servername=spawner.name,
        release_labels={label: labels[label] for label in RELEASE_LABELS if label in labels},
        user_id=database.user_id(),
        other_users=database.other_users,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPod:
    """The properties that identify the pod of one server."""

    server: ServerIdentity
    #: The key that the pod has, or will have.
    key: Key
    #: Identifies the pod even after its user is renamed; "" before the first pod.
    uid: str
    #: The id of a start that may have created a pod without our knowledge of its uid; None if there is none.
    attempt_id: str | None = None

    def is_own(self, pod: Raw) -> bool:
        """Recognise a pod of this server by its annotations, its uid or its start: its user may have another name now."""
        return (
            is_ours(pod, self.server)
            or (bool(self.uid) and uid_of(pod) == self.uid)
            or (self.attempt_id is not None and attempt_id_of(pod) == self.attempt_id)
        )

    def all_in(self, pods: View) -> list[Raw]:
        """Return this server's pods in the view, the one with its name first: the others may have old names."""
        server, found = self.server, {self.key: pods.get(self.key)}
        owners = [server_index_key(server.username, server.servername)]
        if server.user_id is not None:
            owners.append(server_index_key(server.user_id.number, server.servername))
        for each in owners:
            found |= {key_of(pod): pod for pod in pods.find(each)}
        return [pod for pod in found.values() if pod is not None and self.is_own(pod)]

    def first_in(self, pods: View) -> Raw | None:
        """Return this server's pod by its name, else by its annotations."""
        return next(iter(self.all_in(pods)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """One server: its names with their sources, and the settings of its claims."""

    identity: ServerIdentity
    user_id: int
    hub_namespace: str
    slug_scheme: str
    pod_name: str
    #: With its sources: the template, the saved state, and an assigned name.
    home: HomeName
    #: Whether to look for a home with a name of an earlier naming scheme.
    handles_legacy_names: bool
    #: The extra claims, and the names of those that were used last, by the administrator's names for them.
    extra_claims: tuple[ExtraClaim, ...]
    extra_claim_names: Mapping[str, str]
    #: Whether to place a server that shares a claim on the node of the other server that has it.
    is_placed_beside_others: bool

    @classmethod
    def of(cls, spawner: Any, home: HomeName) -> Self:
        """Return the spec from a spawner's current settings."""
        return cls(
            identity=identity_of(spawner),
            user_id=spawner.user.id,
            hub_namespace=spawner.hub_namespace,
            slug_scheme=spawner.slug_scheme,
            pod_name=spawner.pod_name,
            home=home,
            handles_legacy_names=spawner.handle_legacy_names,
            extra_claims=parse_extra_claims(spawner.extra_claims),
            extra_claim_names=spawner.extra_claim_names,
            is_placed_beside_others=spawner.storage_same_node,
        )

    @property
    def fields(self) -> Names:
        """The values of all template fields."""
        return replace(
            self.fields_of(self.identity.servername),
            pod_name=self.pod_name,
            pvc_name=self.home.current,
            namespace=self.identity.namespace,
        )

    def fields_of(self, servername: str) -> Names:
        """Return the template fields of a server of the same user, except the names of its objects."""
        return template_fields(
            username=self.identity.username,
            servername=servername,
            user_id=self.user_id,
            hub_namespace=self.hub_namespace,
            slug_scheme=self.slug_scheme,
        )

    @property
    def shares_claims(self) -> bool:
        """True if another server may have the same claim."""
        templates = (self.home.template, *(extra.name_template for extra in self.extra_claims))
        return any(scope_of(template) is not Scope.SERVER for template in templates)
