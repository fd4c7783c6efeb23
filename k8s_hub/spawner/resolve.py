"""From a spawner's traits to the values that manifests are made of: templates expanded, callables awaited."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jupyterhub import __version__ as jupyterhub_version
from jupyterhub import orm
from jupyterhub.utils import maybe_future
from sqlalchemy import text

from k8s_hub.claims.deletion import Sibling
from k8s_hub.claims.extra import KEEP_ANNOTATION, ExtraClaim, parse_extra_claims
from k8s_hub.claims.home import HomeRequest, LegacyName, legacy_names
from k8s_hub.claims.saved_state import COMPATIBLE_VERSION, SavedState
from k8s_hub.manifests import metadata
from k8s_hub.manifests.claim import ClaimInputs, ClaimMount
from k8s_hub.manifests.owned import SecretInputs, ServiceInputs, certificate_files, environment_secret_name
from k8s_hub.manifests.pod import PodInputs
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, RELEASE_LABELS, ServerIdentity
from k8s_hub.naming.templates import Names, Scope, SlugScheme, TemplateError, in_setting, scope_of
from k8s_hub.spawner.compat.models import to_json
from k8s_hub.spawner.credentials import read_certificates
from k8s_hub.spawner.failures import administrators_code

_names_of = lru_cache(maxsize=1000)(Names.of)  # a start asks eight times
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# In SQL, because the hub's own classes would decode the state of every server there is.
_STATES_NAMING = text(
    "SELECT users.name, spawners.state FROM spawners JOIN users ON users.id = spawners.user_id "
    "WHERE users.id != :user AND spawners.state LIKE :name"
)

if TYPE_CHECKING:
    from k8s_hub.spawner.kubespawner import KubeSpawner

_AS_THEY_ARE = (
    "image",
    "image_pull_policy",
    "image_pull_secrets",
    "port",
    "privileged",
    "allow_privilege_escalation",
    "automount_service_account_token",
    "cpu_limit",
    "cpu_guarantee",
    "mem_limit",
    "mem_guarantee",
    "extra_resource_limits",
    "extra_resource_guarantees",
    "lifecycle_hooks",
    "extra_container_config",
    "secret_mount_path",
    "scheduler_name",
    "priority_class_name",
    "node_selector",
    "tolerations",
    "node_affinity_preferred",
    "node_affinity_required",
    "pod_affinity_preferred",
    "pod_affinity_required",
    "pod_anti_affinity_preferred",
    "pod_anti_affinity_required",
)
_TEMPLATES = (
    "working_dir",
    "service_account",
    "volumes",
    "volume_mounts",
    "init_containers",
    "extra_containers",
    "extra_pod_config",
)
_MAY_BE_CALLABLE = (
    "uid",
    "gid",
    "fs_gid",
    "supplemental_gids",
    "container_security_context",
    "pod_security_context",
)


def names(spawner: "KubeSpawner", *, slug_scheme: str | None = None) -> Names:
    """Return the values of all template fields; the objects' names are those the spawner has now."""
    resolved = _names_of(
        username=spawner.user.name,
        servername=spawner.name,
        userid=spawner.user.id,
        hub_namespace=spawner.hub_namespace,
        scheme=SlugScheme(slug_scheme or spawner.slug_scheme),
    )
    known = {
        name: value
        for name in ("pod_name", "pvc_name", "namespace")
        if (value := getattr(spawner, name, None)) is not None  # an empty one is known too
    }
    return replace(resolved, **known)


def identity(spawner: "KubeSpawner") -> ServerIdentity:
    """Return who this spawner's server is."""
    return ServerIdentity(
        namespace=spawner.namespace,
        username=spawner.user.name,
        servername=spawner.name,
        release_labels={
            label: spawner.common_labels[label] for label in RELEASE_LABELS if label in spawner.common_labels
        },
    )


async def pod_inputs(spawner: "KubeSpawner") -> PodInputs:
    """Resolve everything that the pod's manifest is made of."""
    return PodInputs(
        pod_name=spawner.pod_name,
        ssl_secret_name=spawner.secret_name if spawner.internal_ssl else None,
        cmd=_command(spawner),
        env=_as_json("environment", spawner.get_env()),
        labels=spawner._build_pod_labels(expanded(spawner, "extra_labels")),
        annotations=spawner._build_common_annotations(expanded(spawner, "extra_annotations")),
        **{name: _as_json(name, getattr(spawner, name)) for name in _AS_THEY_ARE},
        **{name: _as_json(name, expanded(spawner, name)) for name in _TEMPLATES},
        **{name: await _called(spawner, name) for name in _MAY_BE_CALLABLE},
        claim_mounts=claim_mounts(spawner),
    )


def claim_mounts(spawner: "KubeSpawner") -> list[ClaimMount]:
    """Return how the claims besides the home are mounted: those that were found, else those of the templates."""
    with in_setting("extra_claims"):
        return [
            ClaimMount(
                volume_name=extra.volume_name,
                claim_name=spawner.extra_claim_names.get(extra.name)
                or spawner._expand_user_properties(extra.name_template),
                mount_path=spawner._expand_user_properties(extra.mount_path),
                sub_path=spawner._expand_user_properties(extra.sub_path),
                read_only=extra.read_only,
            )
            for extra in parse_extra_claims(spawner.extra_claims)
        ]


def claim_inputs(spawner: "KubeSpawner") -> ClaimInputs:
    """Resolve everything that the home claim's manifest is made of."""
    shared = spawner._build_common_labels(expanded(spawner, "storage_extra_labels"))
    return ClaimInputs(
        pvc_name=spawner.pvc_name,
        labels=metadata.claim_labels(metadata_inputs(spawner), shared),
        annotations=spawner._build_common_annotations(expanded(spawner, "storage_extra_annotations")),
        storage_capacity=spawner.storage_capacity,
        storage_class=spawner.storage_class,
        storage_access_modes=spawner.storage_access_modes,
        storage_selector=expanded(spawner, "storage_selector"),
    )


def extra_claim_inputs(spawner: "KubeSpawner", extra: ExtraClaim, name: str) -> ClaimInputs:
    """Resolve everything that the manifest of a claim besides the home is made of."""
    home = claim_inputs(spawner)
    return ClaimInputs(
        pvc_name=name,
        labels=home.labels,
        annotations={
            **home.annotations,
            EXTRA_CLAIM_ANNOTATION: extra.name,
            KEEP_ANNOTATION: str(extra.keep),
        },
        storage_capacity=extra.capacity,
        storage_class=extra.storage_class,
        storage_access_modes=extra.access_modes,
    )


def certificate_inputs(spawner: "KubeSpawner") -> SecretInputs:
    """Resolve everything that the manifest of the Secret with the certificates is made of."""
    return SecretInputs(
        name=spawner.secret_name,
        content=certificate_files(
            read_certificates(spawner.cert_paths, spawner.internal_trust_bundles["hub-ca"])
        ),
        **_labels_and_annotations(spawner),
    )


def environment_secret_inputs(spawner: "KubeSpawner", content: Mapping[str, str]) -> SecretInputs:
    """Resolve everything that the manifest of the Secret with the pod's secret variables is made of."""
    return SecretInputs(
        name=environment_secret_name(spawner.pod_name), content=content, **_labels_and_annotations(spawner)
    )


def service_inputs(spawner: "KubeSpawner", port: int) -> ServiceInputs:
    """Resolve everything that the Service's manifest is made of."""
    return ServiceInputs(
        name=spawner.service_name,
        port=port,
        selector=spawner._build_pod_labels(expanded(spawner, "extra_labels")),
        **_labels_and_annotations(spawner),
    )


def _labels_and_annotations(spawner: "KubeSpawner") -> dict[str, Any]:
    return {
        "labels": spawner._build_common_labels(expanded(spawner, "extra_labels")),
        "annotations": spawner._build_common_annotations(expanded(spawner, "extra_annotations")),
    }


def home_request(spawner: "KubeSpawner") -> HomeRequest:
    """Return all that the choice of the home claim depends on."""
    home = spawner._home_name
    return HomeRequest(
        identity=identity(spawner),
        template_name=home.by_template,
        scope=scope_of(home.template),
        explicit_name=home.assigned,
        remembered_name=home.remembered,
        legacy_names=_legacy_names(home.template, names(spawner)) if spawner.handle_legacy_names else (),
        taken=claims_of_other_servers(spawner),
        known_since=_since(spawner.user.orm_user),
        living_users=_LivingUsers(spawner.user.db),
        taken_by_others=_TakenByOthers(spawner),
    )


def extra_claim_request(spawner: "KubeSpawner", extra: ExtraClaim) -> HomeRequest:
    """Return all that the choice of a claim besides the home depends on."""
    is_everybodys = extra.scope is Scope.EVERYBODY
    return replace(
        home_request(spawner),
        template_name=spawner._expand_user_properties(extra.name_template),
        scope=extra.scope,
        explicit_name=None,
        remembered_name=None if is_everybodys else spawner.extra_claim_names.get(extra.name),
        legacy_names=(),
    )


def _legacy_names(template: str, fields: Names) -> tuple[LegacyName, ...]:
    try:
        return legacy_names(template, fields)
    except TemplateError:
        return ()  # of a subclass that has fields of its own


def claims_of_other_servers(spawner: "KubeSpawner") -> frozenset[str]:
    """Return the names of the claims that this user's other servers have in their saved state."""
    states = (
        SavedState.load(row.state or {})
        for name, row in spawner.user.orm_user.orm_spawners.items()
        if name != spawner.name
    )
    return frozenset().union(*(state.claims for state in states))


def namespaces_of_other_servers(spawner: "KubeSpawner") -> frozenset[str]:
    """Return the namespaces that this user's other servers have in their saved state."""
    states = (
        SavedState.load(row.state)
        for name, row in spawner.user.orm_user.orm_spawners.items()
        if name != spawner.name
    )
    return frozenset(state.namespace for state in states if state.namespace is not None)


def users_with_claim(spawner: "KubeSpawner", name: str) -> list[str]:
    """Return the names of the other users whose servers have this claim in their saved state."""
    rows = spawner.user.db.execute(
        _STATES_NAMING, {"user": spawner.user.orm_user.id, "name": f"%{json.dumps(name)}%"}
    )
    states = ((user, SavedState.load(json.loads(state))) for user, state in rows)
    return sorted(
        {
            user
            for user, state in states
            if name in state.claims and state.namespace in {None, spawner.namespace}
        }
    )


def siblings(spawner: "KubeSpawner") -> list[Sibling]:
    """Return this user's other servers, the default server even before its first start."""
    rows = {"": None, **spawner.user.orm_user.orm_spawners}
    states = {name: row and row.state for name, row in rows.items() if name != spawner.name}
    return [_sibling(spawner, name, state or {}) for name, state in states.items()]


def siblings_with_extra(spawner: "KubeSpawner", name: str) -> list[Sibling]:
    """Return this user's other servers, with what their states call the extra claim of this name."""
    return [
        Sibling(servername=servername, claim=SavedState.load(row.state or {}).extra_claims.get(name))
        for servername, row in spawner.user.orm_user.orm_spawners.items()
        if servername != spawner.name
    ]


def _sibling(spawner: "KubeSpawner", servername: str, state: dict[str, Any]) -> Sibling:
    fields = _names_of(
        username=spawner.user.name,
        servername=servername,
        userid=spawner.user.id,
        hub_namespace=spawner.hub_namespace,
        scheme=SlugScheme(spawner.slug_scheme),
    )
    names = legacy_names(spawner._home_name.template, fields)  # today's among them
    return Sibling(
        servername=servername,
        claim=SavedState.load(state).pvc_name,
        has_run=bool(state),
        names=frozenset(legacy.name for legacy in names),
    )


@dataclass(frozen=True, slots=True)
class _LivingUsers:
    """The users that the hub's database knows, looked up one by one."""

    db: Any

    def get(self, username: str, /) -> datetime | None:
        user = orm.User.find(self.db, username)
        return None if user is None else _since(user) or _LONG_AGO


def _since(user: Any) -> datetime | None:
    """Return when the hub came to know a user; None in a database that is too old to say."""
    return None if user.created is None else user.created.replace(tzinfo=UTC)  # kept without saying so


@dataclass(frozen=True, slots=True)
class _TakenByOthers:
    """The claims in the saved state of other users' servers, looked up one by one."""

    spawner: "KubeSpawner"

    def __contains__(self, name: object) -> bool:
        return bool(users_with_claim(self.spawner, str(name)))


def metadata_inputs(spawner: "KubeSpawner") -> metadata.MetadataInputs:
    """Return what the labels and annotations of all of a server's objects are made of."""
    return metadata.MetadataInputs(
        username=spawner.user.name,
        servername=spawner.name,
        common_labels=spawner.common_labels,
        component_label=spawner.component_label,
        kubespawner_version=COMPATIBLE_VERSION,
        jupyterhub_version=jupyterhub_version,
    )


def _command(spawner: "KubeSpawner") -> list[str] | None:
    arguments = spawner.get_args()
    if spawner.cmd:
        return [*spawner.cmd, *arguments]
    if arguments:
        spawner.log.warning("%s: arguments are ignored because KubeSpawner.cmd is not set", spawner.user.name)
    return None


async def _called(spawner: "KubeSpawner", name: str) -> Any:
    value = getattr(spawner, name)
    if not callable(value):
        return value
    with administrators_code(f"KubeSpawner.{name}"):
        return await maybe_future(value(spawner))


def expanded(spawner: "KubeSpawner", name: str) -> Any:
    """Return a setting whose texts are templates, expanded."""
    with in_setting(name):
        return spawner._expand_all(getattr(spawner, name))


def _as_json(name: str, value: Any) -> Any:
    with in_setting(name):
        return to_json(value)
