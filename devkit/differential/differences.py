"""Where this spawner differs from KubeSpawner 7.1.0 on purpose: each difference by name, with its reason.

A difference either rewrites the case for upstream, so that it makes there what this spawner makes of the
original, or says what upstream's outcome becomes here. Whatever neither explains is a failure.
"""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from traitlets import TraitError

from devkit.differential import peers, recipes
from devkit.differential.observing import Outcome, Seen, observed
from k8s_hub.claims.saved_state import APPLIED_OPTIONS
from k8s_hub.manifests.casing import ManifestError, camel_case
from k8s_hub.naming import slugs
from k8s_hub.naming.templates import TemplateError, expand_host
from k8s_hub.profiles.checks import UnusableProfiles, usable
from k8s_hub.profiles.listing import Person, choices_of, initialised, options_of
from k8s_hub.profiles.selection import means, still_valid
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.resolve import EXPANDED_LATER
from k8s_hub.spawner.user_choices import UNUSABLE

Explains = Callable[[Seen], Any]


@dataclass(frozen=True)
class Difference:
    """One deliberate difference. ``to`` gives None where it does not apply."""

    name: str
    upstream: str
    here: str
    reason: str
    to: Explains


REWRITES: list[Difference] = []
"""``to`` returns the case that upstream is given instead."""
ADJUSTMENTS: list[Difference] = []
"""``to`` returns the outcome that is expected here, from upstream's."""


def rewrites(name: str, *, upstream: str, here: str, reason: str) -> Callable[[Explains], Explains]:
    return _listing(REWRITES, name, upstream, here, reason)


def adjusts(name: str, *, upstream: str, here: str, reason: str) -> Callable[[Explains], Explains]:
    return _listing(ADJUSTMENTS, name, upstream, here, reason)


def _listing(
    table: list[Difference], name: str, upstream: str, here: str, reason: str
) -> Callable[[Explains], Explains]:
    def add(to: Explains) -> Explains:
        table.append(Difference(name, upstream, here, reason, to))
        return to

    return add


# --- Names ---


@rewrites(
    "namespaces that a cluster can have",
    upstream="`user_namespace_template` may give a name that no namespace can have; every start fails.",
    here="Such a name gets a slug with a hash.",
    reason="Any user name has a server. Valid names stay as they are.",
)
def _namespace(seen: Seen) -> Any:
    theirs, ours = seen.theirs_altogether.get("names"), seen.ours_altogether.get("names")
    if (
        not seen.traits.get("enable_user_namespaces")
        or not theirs
        or not ours
        or theirs.raised
        or ours.raised
    ):
        return None
    namespace = slugs.namespace(theirs.value["namespace"])
    if ours.value["namespace"] != namespace:
        return None
    return _with_traits(seen.case, user_namespace_template=namespace)


@adjusts(
    "DNS names that lead to the pod",
    upstream="The Service has the pod's name. If that is too long or has dots, no Service exists. `dns_name` keeps the "
    "namespace that the spawner had before a profile, a hook or the saved state set another one.",
    here="A name that a Service cannot have gets a slug with a hash. The DNS name, in certificates and addresses too, "
    "has the Service's name and the namespace of the server.",
    reason="internal_ssl and services_enabled work for any user name. Valid names stay as they are.",
)
def _dns_names(seen: Seen) -> Any:  # noqa: PLR0911 - one for each aspect
    names = seen.theirs_altogether.get("names")
    if seen.theirs.raised or names is None or names.raised:
        return None
    value, state = seen.theirs.value, seen.case.get("state", {})
    first, settled = _hosts(seen, names.value, state)
    match seen.name:
        case "names":
            return Outcome({**value, "dns_name": first})
        case "names of a saved state":
            return Outcome({**value, "dns_name": state.get("dns_name", first)})
        case "saved state again":
            return Outcome({**value, "dns_name": state.get("dns_name", first)})
        case "state":
            return Outcome({**value, "dns_name": settled.dns_name})
        case "names once more":
            return Outcome({**value, "dns_name": settled.of(value["pod_name"], value["namespace"])})
        case "service":
            renamed = slugs.service(value["metadata"]["name"])
            return Outcome({**value, "metadata": {**value["metadata"], "name": renamed}})
        case "ssl_alt_names" if "'ssl_alt_names'" not in repr(seen.traits):
            return Outcome([f"DNS:{name}" for name in settled.names] + value[4:])
        case "address":
            old = seen.theirs_altogether["state"].value["dns_name"]
            return Outcome(
                re.sub(rf"^(https?)://{re.escape(old)}(:\d+)$", rf"\1://{settled.dns_name}\2", value)
            )
    return None


@dataclass(frozen=True)
class _Hosts:
    dns_name: str
    names: list[str]
    of: Callable[[str, str], str]


def _hosts(seen: Seen, names: dict[str, str], state: dict[str, str]) -> tuple[str, _Hosts]:
    """Return the DNS name of the first moment, and what all is called when everything is known."""

    traits = seen.theirs_altogether.get("traits")
    configured = seen.traits.get("dns_name_template", "{name}.{namespace}.svc.cluster.local")
    at_last = configured if traits is None else traits.value["dns_name_template"]

    def of(pod: str, namespace: str, template: str = at_last) -> str:
        dns_name: str = template.format(name=slugs.service(pod), namespace=namespace)
        return dns_name

    pod = state.get("pod_name", names["pod_name"])
    namespace = state.get("namespace", names["namespace"]) if traits is None else traits.value["namespace"]
    first = of(names["pod_name"], names["namespace"], configured)
    saved = state.get("dns_name", first)
    dns_name = of(pod, namespace) if saved == first else saved
    service = slugs.service(pod)
    alternatives = [dns_name, service, f"{service}.{namespace}", f"{service}.{namespace}.svc"]
    return first, _Hosts(dns_name, alternatives, of)


@adjusts(
    "the Secret's name follows the pod's",
    upstream="When a server has stopped, its pod gets a new name from the template, but `secret_name` stays.",
    here="Both are made anew.",
    reason="A Secret that is named after the pod is named after the next one too.",
)
def _secret_name(seen: Seen) -> Any:
    if seen.aspect != "names once more" or seen.theirs.raised or seen.ours.raised:
        return None
    configured = seen.traits.get("secret_name_template", "{pod_name}")
    by_profile = seen.ours_altogether["traits"].value["secret_name_template"]
    if not any(re.search("{(pod_name|pvc_name|namespace)", each) for each in (configured, by_profile)):
        return None
    return Outcome({**seen.theirs.value, "secret_name": seen.ours.value["secret_name"]})


@adjusts(
    "certificates for pod_connect_ip",
    upstream="The certificate of internal_ssl lacks the host in `pod_connect_ip`.",
    here="The certificate has it.",
    reason="The hub connects by this host, and reaches no server otherwise.",
)
def _alternative_name(seen: Seen) -> Any:
    if seen.aspect != "ssl_alt_names" or seen.theirs.raised or seen.ours.raised:
        return None
    template = seen.theirs_altogether["traits"].value["pod_connect_ip"]
    if not template or "ssl_alt_names" in seen.traits:
        return None
    added = seen.ours.value[4:]
    host = expand_host(template, _expanding(seen, "expanded at last"))
    return Outcome(seen.theirs.value + added) if added in ([f"DNS:{host}"], [f"IP:{host}"]) else None


def _expanding(seen: Seen, when: str = "expanded") -> Callable[[str], str]:
    """Return the way in which upstream expands a template of this case."""

    def expand(template: str) -> str:
        case = {**seen.case, "templates": [template]}
        expanded: str = observed(peers.Theirs, case)[f"{when} {template!r}"].value
        return expanded

    return expand


@adjusts(
    "letters that only look like a label's",
    upstream="The label `hub.jupyter.org/username` or `servername` may contain U+212A (Kelvin sign) or U+017F "
    "(long s), and the API server refuses the pod.",
    here="Such a name gets a slug with a hash like every other name that is no valid label.",
    reason="A label's letters are ASCII; with upstream such a user has no server at all, so no name changes.",
)
def _label_letters(seen: Seen) -> Any:
    names = {
        "hub.jupyter.org/username": seen.case["username"],
        "hub.jupyter.org/servername": seen.case.get("servername", ""),
    }
    renamed = {
        label: name for label, name in names.items() if any(letter in name for letter in "\u212a\u017f")
    }
    if not renamed or seen.theirs.raised or seen.aspect not in (*_PODS, "claim", "secret", "service"):
        return None
    manifest = deepcopy(seen.theirs.value)
    for labels in (manifest["metadata"].get("labels"), manifest.get("spec", {}).get("selector")):
        for label, name in renamed.items():
            if labels and labels.get(label) == name:
                labels[label] = slugs.label(name)
    return Outcome(manifest)


_LEGACY = "{legacy_escape_username}"


@rewrites(
    "a template field of KubeSpawner 6",
    upstream="`{legacy_escape_username}` is gone since 7: KeyError.",
    here="It is filled in as in 6.",
    reason="Configurations of 6 work as they are.",
)
def _legacy_field(seen: Seen) -> Any:
    def hosts(name: str, value: Any) -> Any:
        return _legacy_host(seen, value) if name == "pod_connect_ip" else value

    traits = {name: hosts(name, _overrides_changed(value, hosts)) for name, value in seen.traits.items()}
    return {**seen.case, "traits": _legacy_filled(seen, traits)}


@adjusts(
    "a template field of KubeSpawner 6, where a hook expands it",
    upstream="The same for templates that a hook or a subclass expands.",
    here="It is filled in there too.",
    reason="The same.",
)
def _legacy_expanded(seen: Seen) -> Any:
    if seen.aspect in {"traits", *_PODS} and not (seen.theirs.raised or seen.ours.raised):
        return Outcome(_legacy_kept(seen, seen.theirs.value, seen.ours.value))
    if not seen.aspect.startswith("expanded") or _LEGACY not in seen.aspect or not seen.theirs.raised:
        return None
    template = next(each for each in seen.case["templates"] if seen.aspect.endswith(repr(each)))
    return Outcome(_expanding(seen, seen.name)(_legacy_filled(seen, template)))


def _legacy_filled(seen: Seen, value: Any) -> Any:
    """Return a value of upstream's configuration with the field filled in."""
    if isinstance(value, str):
        # An empty field behind it: what a template ends with decides what becomes of dashes.
        return value.replace(_LEGACY, slugs.legacy_escape(seen.case["username"]) + "{username:.0}")
    if isinstance(value, list):
        return [_legacy_filled(seen, item) for item in value]
    if not isinstance(value, dict) or recipes.MODEL in value:  # models are no templates
        return value
    return {key: _legacy_filled(seen, item) for key, item in value.items()}


def _legacy_host(seen: Seen, value: Any) -> Any:
    """Return the same of a host, each of whose labels is a template by itself, if it has a brace that opens."""
    if isinstance(value, dict):
        return {mark: _legacy_host(seen, item) for mark, item in value.items()}
    if not isinstance(value, str):
        return value
    return ".".join(_legacy_label(seen, label) if _LEGACY in label else label for label in value.split("."))


def _legacy_label(seen: Seen, label: str) -> str:
    filled = label.replace(_LEGACY, slugs.legacy_escape(seen.case["username"]))
    filled = filled if "{" in filled else filled.replace("}}", "}")
    return filled if label.endswith("-") else filled.rstrip("-")


def _legacy_kept(seen: Seen, theirs: Any, ours: Any) -> Any:
    """Return what a profile has set there, or what is no template, with the field not filled in."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return {key: _legacy_kept(seen, item, ours.get(key)) for key, item in theirs.items()}
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [_legacy_kept(seen, *pair) for pair in zip(theirs, ours, strict=True)]
    return ours if theirs == _legacy_filled(seen, ours) else theirs


# --- Addresses ---


@rewrites(
    "containers without a port",
    upstream="The spawner looks for the pod's address in `ports` of each container. A container without ports, or with "
    "ports of other names, raises KeyError, and the spawn fails.",
    here="The spawner skips such a container. If no port has the name, it takes `port`.",
    reason="Sidecars without ports are valid pods.",
)
def _no_ports(seen: Seen) -> Any:
    if seen.aspect != "address" or not isinstance(seen.theirs.error, KeyError):
        return None
    pod = deepcopy(seen.case["pod"])
    for container in pod["spec"]["containers"]:
        container.setdefault("ports", [])
    named = {"containerPort": seen.traits.get("port") or 8888, "name": "notebook-port"}
    pod["spec"]["containers"].append({"name": "last", "ports": [named]})
    return {**seen.case, "pod": pod}


@adjusts(
    "a pod_connect_ip that comes out empty",
    upstream="A template in `pod_connect_ip` that is empty for a server, as `{servername}` is for the default one, "
    "gives an address without a host.",
    here="The hub connects to the pod's own address.",
    reason="An address without a host leads nowhere.",
)
def _no_host(seen: Seen) -> Any:
    if seen.aspect != "address" or seen.theirs.raised or not re.match(r"https?://:\d", seen.theirs.value):
        return None
    template = seen.theirs_altogether["traits"].value["pod_connect_ip"]
    return (
        Outcome(observed(peers.Theirs, _with_traits(seen.case, pod_connect_ip=""))["address"].value)
        if template
        else None
    )


# --- Manifests ---

_PODS = ("pod", "pod after its hook")
_FROM_PODS = (*_PODS, "models of the pod")
_WITH_TEMPLATES = ("traits", "environment", "service", "secret", "claim", *_FROM_PODS)


@adjusts(
    "a claim without capacity",
    upstream="`storage_capacity` None is sent as null.",
    here="It is left out.",
    reason="The API server takes both for the same.",
)
def _no_capacity(seen: Seen) -> Any:
    if seen.aspect != "claim" or seen.theirs.raised:
        return None
    claim = deepcopy(seen.theirs.value)
    if claim["spec"]["resources"]["requests"] == {"storage": None}:
        claim["spec"]["resources"]["requests"] = {}
    return Outcome(claim)


@adjusts(
    "an order of variables in which more references resolve",
    upstream="A variable that refers to one that is not in the list (Kubernetes sets some itself) is at the end of the "
    "list, among those that refer to it, ordered by name.",
    here="A variable that refers to such a variable comes after it.",
    reason="Kubernetes resolves a reference only to a variable that comes before.",
)
def _order_of_variables(seen: Seen) -> Any:
    if seen.aspect not in _PODS or seen.theirs.raised or seen.ours.raised:
        return None
    pod = deepcopy(seen.theirs.value)
    theirs, ours = (_variables(outcome.value) for outcome in (seen.theirs, seen.ours))
    if theirs == ours or sorted(map(repr, theirs)) != sorted(map(repr, ours)):
        return None
    settled = len(_settled(theirs))
    if theirs[:settled] != ours[:settled] or not _resolved(ours) >= _resolved(theirs):
        return None
    _notebook(pod)["env"] = ours
    return Outcome(pod)


def _notebook(pod: dict[str, Any]) -> dict[str, Any]:
    notebook: dict[str, Any] = pod["spec"]["containers"][0]
    return notebook


def _variables(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return _notebook(pod).get("env") or []


def _references(variable: dict[str, Any]) -> set[str]:
    return set(re.findall(r"\$\(([^)]+)\)", variable.get("value") or ""))


def _settled(variables: list[dict[str, Any]]) -> set[str]:
    """Return the names of those that refer, over others too, to nothing that is missing and in no circle."""
    references = {variable["name"]: _references(variable) - {variable["name"]} for variable in variables}
    settled: set[str] = set()
    while more := {name for name, others in references.items() if others <= settled} - settled:
        settled |= more
    return settled


def _resolved(variables: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return who refers to whom where Kubernetes resolves it."""
    return {
        (variable["name"], earlier["name"])
        for index, variable in enumerate(variables)
        for earlier in variables[:index]
        if earlier["name"] in _references(variable)
    }


@adjusts(
    "nulls below extra_container_config",
    upstream="If a hook or a subclass gets the pod, the spawner sends fields that are null in the resources, variables, "
    "ports and mounts of `extra_container_config`.",
    here="The spawner leaves them out.",
    reason="The API server takes both for the same.",
)
def _nulls(seen: Seen) -> Any:
    if seen.aspect not in _PODS or seen.theirs.raised or "extra_container_config" not in repr(seen.traits):
        return None
    pod = deepcopy(seen.theirs.value)
    for field in ("resources", "env", "ports", "volumeMounts", "lifecycle"):
        if field in _notebook(pod):
            _notebook(pod)[field] = _without_nulls(_notebook(pod)[field])
    return Outcome(pod)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return (
        {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value
    )


@rewrites(
    "an empty service account",
    upstream='`service_account` "" is sent, and the token of the namespace\'s default account is mounted.',
    here="It means None: the spawner sends no account, and the pod mounts no token.",
    reason="Users reach the cluster's API only if you set an account.",
)
def _empty_service_account(seen: Seen) -> Any:
    traits = seen.theirs_altogether.get("traits")
    if seen.name not in _FROM_PODS or traits is None:
        return None
    account = traits.value["service_account"]
    if account is None or (account and _expanding(seen, "expanded at last")(account) != ""):
        return None
    case = _in_profiles(seen, lambda name, value: None if name == "service_account" else value) or seen.case
    return _with_traits(case, service_account=None)


@adjusts(
    "models of their own field's class",
    upstream="A hook finds `V1PodAffinity` in `pod_anti_affinity` and `V1ResourceRequirements` in a claim.",
    here="It finds `V1PodAntiAffinity` and `V1VolumeResourceRequirements`.",
    reason="These are the classes that the client library has for the fields; their attributes are the same.",
)
def _classes(seen: Seen) -> Any:
    if seen.theirs.raised or not seen.aspect.startswith("models of"):
        return None
    shape = deepcopy(seen.theirs.value)
    if shape["model"] == "V1PersistentVolumeClaim":
        shape["spec"]["resources"]["model"] = "V1VolumeResourceRequirements"
    affinity = shape.get("spec", {}).get("affinity", {})
    if isinstance(affinity, dict) and "pod_anti_affinity" in affinity:
        affinity["pod_anti_affinity"]["model"] = "V1PodAntiAffinity"
    return Outcome(shape)


@adjusts(
    "models below models",
    upstream="A hook finds what was configured as a model object, or put in by extra_pod_config and "
    "extra_container_config, as it was configured: models all the way down, or none.",
    here="It finds the same depth of models however it was configured.",
    reason="A hook need not know how the configuration was written.",
)
def _depth(seen: Seen) -> Any:
    if seen.aspect != "models of the pod" or seen.theirs.raised or seen.ours.raised:
        return None
    written = repr(seen.traits)
    if recipes.MODEL not in written and not re.search("extra_(container|pod)_config", written):
        return None
    return Outcome(_at_one_depth(seen.theirs.value, seen.ours.value))


def _at_one_depth(theirs: Any, ours: Any) -> Any:
    """Return upstream's shape, but ours where exactly one of the two is a model."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return {
            key: _at_one_depth(value, ours[key]) if key in ours else value for key, value in theirs.items()
        }
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [_at_one_depth(*pair) for pair in zip(theirs, ours, strict=True)]
    return ours if "dict" in (theirs, ours) else theirs


# --- Defaults and state ---


@adjusts(
    "claims are kept",
    upstream="`delete_pvc` is true: a user's or named server's claim is deleted with them.",
    here="`delete_pvc` is false. If it is true, the home is deleted only if `storage_pvc_ensure` is true, too.",
    reason="A tidied list of users must not cost files.",
)
def _delete_pvc(seen: Seen) -> Any:
    return _with_default(seen, delete_pvc=False)


@adjusts(
    "the text about a slow start",
    upstream="`slow_spawn_message` has its own default.",
    here="The default is another sentence.",
    reason="It fits the messages of the progress page.",
)
def _slow_spawn_message(seen: Seen) -> Any:
    return _with_default(seen, slow_spawn_message=peers.Ours.slow_spawn_message.default_value)


@adjusts(
    "how often the spawner reports a slow start",
    upstream="`slow_spawn_message_frequency` is 5: after the first minute, a message every 5 seconds. None is refused.",
    here="It is None: messages after 1, 2, 3 and 5 minutes, and then every 5 minutes.",
    reason="Repeated lines hide new ones. A number means the same as in KubeSpawner.",
)
def _slow_spawn_message_frequency(seen: Seen) -> Any:
    is_none = seen.traits.get("slow_spawn_message_frequency", 0) is None
    if seen.aspect == "made" and is_none and "'slow_spawn_message_frequency' trait" in str(seen.theirs.error):
        return seen.ours
    return _with_default(seen, slow_spawn_message_frequency=None)


def _with_default(seen: Seen, **default: Any) -> Outcome | None:
    """Return upstream's traits as they would be with another default."""
    (name,) = default
    if seen.aspect != "traits" or seen.theirs.raised or name in seen.traits:
        return None
    if repr(name) in repr(seen.traits):  # a profile sets it, perhaps one that was not chosen
        probe = -93 if default[name] is None else default[name]  # upstream refuses None
        observation = observed(peers.Theirs, _with_traits(seen.case, **{name: probe}))["traits"].value[name]
        if observation != probe:
            default[name] = observation
    return Outcome({**seen.theirs.value, **default})


@adjusts(
    "a namespace in which no server has been",
    upstream="The state names the namespace of `enable_user_namespaces` although no server has been in it.",
    here="The state names it from the first start that may use it.",
    reason="The spawner refuses an existing namespace that nothing marks as the hub's. The name in a state marks it.",
)
def _unused_namespace(seen: Seen) -> Any:
    if seen.aspect not in ("state", "saved state again") or seen.theirs.raised:
        return None
    if not seen.traits.get("enable_user_namespaces"):
        return None
    if "namespace" in seen.case.get("state", {}):
        return None
    return Outcome({key: value for key, value in seen.theirs.value.items() if key != "namespace"})


@adjusts(
    "the version of a state without a claim",
    upstream="The state always has the version 7.1.0.",
    here="Until the spawner has seen a claim, the state keeps the version that it had.",
    reason="After a rollback, KubeSpawner looks for a claim by its old name if the state has a version before 7 and no "
    "claim's name.",
)
def _version_of_state(seen: Seen) -> Any:
    state = seen.case.get("state")
    if not state or seen.aspect not in ("state", "saved state again") or seen.theirs.raised:
        return None
    if "pvc_name" in seen.theirs.value:
        return None
    kept = {key: value for key, value in seen.theirs.value.items() if key != "kubespawner_version"}
    version = state.get("kubespawner_version")
    return Outcome(kept if version is None else {**kept, "kubespawner_version": version})


@adjusts(
    "the saved state keeps a name that remember_pvc_name ignores",
    upstream="With `remember_pvc_name = False`, the next state has no claim's name until a claim is seen.",
    here="The state keeps the name. It has no effect on the choice of the home.",
    reason="It tells other servers, `delete_pvc` and `k8s-hub volumes prune` whose files the claim has.",
)
def _ignored_name(seen: Seen) -> Any:
    name = seen.case.get("state", {}).get("pvc_name")
    if name is None or seen.aspect not in ("state", "saved state again") or seen.theirs.raised:
        return None
    if "pvc_name" in seen.theirs.value or seen.traits.get("remember_pvc_name", True):
        return None
    return Outcome({**seen.theirs.value, "pvc_name": name})


@adjusts(
    "the saved state names claims that were seen",
    upstream="Once a claim was seen, the state has whatever `pvc_name` is, though a profile or hook may have assigned "
    "the name of one that does not exist yet.",
    here="The state has the claim that was seen last.",
    reason="A start that fails before the claim exists must not make the next one forget the home.",
)
def _seen_claims(seen: Seen) -> Any:
    state = seen.case.get("state", {})
    assigned = "'pvc_name'" in repr(seen.traits.get("profile_list"))
    if seen.aspect != "state" or seen.theirs.raised or not assigned or "pvc_name" not in seen.theirs.value:
        return None
    return Outcome({**seen.theirs.value, "pvc_name": state["pvc_name"]})


@adjusts(
    "the state says what was applied of the profiles",
    upstream="The saved state names pod and claim.",
    here="With a `profile_list` it has `applied_options`, too: the profile and its options as the spawner applied them.",
    reason="The culler's rules match what a server has, not what its user requested. KubeSpawner ignores the key.",
)
def _applied_options(seen: Seen) -> Any:
    if (
        seen.aspect != "state"
        or seen.theirs.raised
        or seen.ours.raised
        or not seen.traits.get("profile_list")
    ):
        return None
    applied = seen.ours.value.get(APPLIED_OPTIONS)
    return None if applied is None else Outcome({**seen.theirs.value, APPLIED_OPTIONS: applied})


@adjusts(
    "working_dir is expanded for the pod",
    upstream="`working_dir` is expanded when the spawner is made, and a profile's or a hook's is not.",
    here="It stays a template until the pod is made, whoever has set it.",
    reason="A template is a template everywhere.",
)
def _working_dir(seen: Seen) -> Any:
    if seen.aspect in _PODS and "'working_dir'" in repr(seen.traits.get("profile_list")):
        return _working_dir_of_profile(seen)
    configured = seen.configured.get("traits", {})
    template = configured.get("working_dir", configured.get("singleuser_working_dir"))
    if not template:
        return None
    if seen.aspect == "traits" and not seen.theirs.raised:
        as_expanded = _expanding(seen)(template) == seen.theirs.value["working_dir"]
        return Outcome({**seen.theirs.value, "working_dir": template}) if as_expanded else None
    if seen.aspect in _PODS and "state" in seen.case and not (seen.theirs.raised or seen.ours.raised):
        # The names of the saved state came after it was expanded.
        pod = deepcopy(seen.theirs.value)
        _notebook(pod)["workingDir"] = _expanding(seen, "expanded at last")(seen.traits["working_dir"])
        return Outcome(pod)
    bad = seen.aspect in _FROM_PODS and isinstance(seen.ours.error, TemplateError)
    return seen.ours if bad and seen.ours.error.place == "working_dir" else None


def _working_dir_of_profile(seen: Seen) -> Any:
    template = seen.theirs_altogether["traits"].value["working_dir"]
    ours = seen.ours_altogether["traits"].value["working_dir"]
    if seen.theirs.raised or not template or template not in (ours, _legacy_filled(seen, ours)):
        return None
    pod = deepcopy(seen.theirs.value)
    if _notebook(pod).get("workingDir") == template:
        _notebook(pod)["workingDir"] = _expanding(seen, "expanded at last")(template)
    return Outcome(pod)


@rewrites(
    "working_dir is judged for the pod",
    upstream="With a wrong template in `working_dir`, the hub can make no spawner, and the user's page fails.",
    here="Only a start fails, and its message has the reason.",
    reason="The user and the admin see what is wrong.",
)
def _bad_working_dir(seen: Seen) -> Any:
    if seen.aspect != "made" or not seen.theirs.raised or seen.case.get("unfit") != "working_dir":
        return None
    return _with_traits(seen.case, working_dir=None)


_UNKNOWN_UPSTREAM = {
    "singleuser_allow_privilege_escalation": "allow_privilege_escalation",
    "singleuser_lifecycle_hooks": "lifecycle_hooks",
    "singleuser_image_spec": "image",
}


@rewrites(
    "deprecated names that upstream forgot",
    upstream="`singleuser_allow_privilege_escalation` and `singleuser_lifecycle_hooks` are not known: a missing "
    "comma makes one name of them. `singleuser_image_spec` becomes `image_spec`, which nobody reads.",
    here="They work like the other deprecated names.",
    reason="These are slips of upstream's.",
)
def _joined_names(seen: Seen) -> Any:
    renamed = {new: seen.traits[old] for old, new in _UNKNOWN_UPSTREAM.items() if old in seen.traits}
    if "image_spec" in seen.traits:
        renamed.pop("image", None)
    if not renamed:
        return None
    return {**seen.case, "traits": {**renamed, **seen.traits}}


# --- Profiles ---


@rewrites(
    "port 0 from a profile",
    upstream="`port` 0 means 8888 in the configuration file, but makes an invalid pod when a profile sets it.",
    here="It means 8888 everywhere.",
    reason="A rule with an exception for one place is a trap.",
)
def _port_of_profile(seen: Seen) -> Any:
    return _in_profiles(
        seen, lambda name, value: 8888 if name == "port" and value in (0, {recipes.FUNCTION: 0}) else value
    )


@rewrites(
    "what of profiles could never work is left out",
    upstream="A profile without display_name or of another shape breaks the form and every start; an option without "
    "anything to choose makes starts with its profile fail.",
    here="The log names the place. The spawner leaves out that profile or option, and the others work.",
    reason="One mistake in one profile must not end the starts of all users.",
)
def _left_out(seen: Seen) -> Any:
    if "profile_list" not in seen.traits:
        return None
    mark, profile_list = _profile_list(seen)
    try:
        kept, faults = usable(profile_list)
    except UnusableProfiles:
        return None
    if not (kept and faults):
        return None
    sound = list(kept.values())
    return _with_traits(seen.case, profile_list={mark: sound} if mark else sound)


@rewrites(
    "0, false and numbers are choices",
    upstream="0 and false in `user_options` count as empty, and choose the default. Another number is a KeyError.",
    here="They choose the choice with that key.",
    reason="The user requested it; the form sends the same as text.",
)
def _as_text(seen: Seen) -> Any:
    given = seen.case.get("user_options", {})
    chosen = (
        [profile for profile in _profiles(seen) if profile["slug"] == given.get("profile")] if given else []
    )
    chosen = chosen or [profile for profile in _profiles(seen) if profile["default"]] if given else []

    def text(key: str, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        keys = [name for profile in chosen for name in choices_of(options_of(profile).get(key) or {})]
        return next((name for name in keys if means(value, name)), str(value))

    return _typed(seen, text) if "profile_list" in seen.traits else None


@rewrites(
    "blanks around what a user typed",
    upstream="Blanks and line breaks around a value that is not listed become part of the setting; a choice of "
    "nothing but blanks is a KeyError.",
    here="The spawner cuts them off. Blanks alone are no value.",
    reason="Users paste them by mistake: no image, name or quantity begins or ends with a blank.",
)
def _stripped(seen: Seen) -> Any:
    def stripped(key: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return value.strip() if key.endswith("--unlisted-choice") or value.isspace() else value

    return _typed(seen, stripped)


@rewrites(
    "async overrides",
    upstream="An async function as the value of an override is not awaited: TraitError, although the docs promise it.",
    here="The spawner awaits it.",
    reason="The docs promise it.",
)
def _async_override(seen: Seen) -> Any:
    def awaited(_: str, value: Any) -> Any:
        is_async = isinstance(value, dict) and recipes.COROUTINE in value
        return {recipes.FUNCTION: value[recipes.COROUTINE]} if is_async else value

    return _in_profiles(seen, awaited)


@rewrites(
    "expressions match the whole value",
    upstream="`validation_regex` is matched at the beginning of the value: `pangeo/.*` allows any second line.",
    here="The whole value must match.",
    reason="What the expression does not describe is not allowed.",
)
def _whole_value(seen: Seen) -> Any:
    if "profile_list" not in seen.traits or seen.aspect in _BEFORE_THE_START:
        return None

    def anchored(value: Any) -> Any:
        if isinstance(value, list):
            return [anchored(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: re.sub(r"^(\(\?\w+\))?(.+)$", r"\1(?:\2)\\Z", item)
            if key == "validation_regex"
            else anchored(item)
            for key, item in value.items()
        }

    return _with_traits(seen.case, profile_list=anchored(seen.traits["profile_list"]))


@rewrites(
    "braces that a user typed",
    upstream="A typed value goes into settings that are templates, and the spawner expands it with them: `{` makes the "
    "start fail, and `{username}` becomes a name.",
    here="The typed value stays as it is.",
    reason="Users do not write templates.",
)
def _typed_braces(seen: Seen) -> Any:
    if "profile_list" not in seen.traits or seen.name not in _WITH_TEMPLATES:
        return None
    chosen = seen.case.get("user_options", {}).get("profile")
    typed = set()
    for profile in _profiles(seen):
        is_chosen = profile["slug"] == chosen if chosen else profile.get("default")
        for name, option in profile.get("profile_options", {}).items():
            if EXPANDED_LATER & option["unlisted_choice"].get("kubespawner_override", {}).keys():
                typed |= {f"{name}--unlisted-choice"} if is_chosen else set()
                typed |= {f"profile-option-{profile['slug']}--{name}--unlisted-choice"}

    def literal(key: str, text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}") if key in typed else text

    options = {key: literal(key, text) for key, text in seen.case.get("user_options", {}).items()}
    form = {key: [literal(key, texts[0])] for key, texts in seen.case.get("form", {}).items()}
    return seen.case | ({"form": form} if "form" in seen.case else {"user_options": options})


@rewrites(
    "a custom form gets what is still valid",
    upstream="A custom form gets `user_options` as they are, although the code means to leave out invalid ones.",
    here="The form gets only the options that the user may choose now.",
    reason="A form should not preselect what the hub then refuses.",
)
def _valid_options(seen: Seen) -> Any:
    if seen.aspect != "rendered choices" or seen.theirs.raised or seen.ours.raised:
        return None
    parsed = seen.theirs_altogether.get("user options of the form")
    given = seen.case.get("user_options", {}) if parsed is None else parsed.value
    valid = still_valid(_profiles(seen), given, Person(name=seen.case["username"]))
    case = {key: value for key, value in seen.case.items() if key != "form"}
    return {**case, "user_options": valid} if valid.items() <= given.items() else None


@rewrites(
    "choices are judged without a profile too",
    upstream="If `user_options` name no profile, the default profile applies. The spawner then neither matches typed "
    "values with `validation_regex`, nor refuses them where they are not enabled.",
    here="The spawner checks them as for a profile that `user_options` name.",
    reason="A request to the API must not get around a check.",
)
def _judged(seen: Seen) -> Any:
    given = seen.case.get("user_options", {})
    if seen.aspect != "user options applied" or "form" in seen.case or given.get("profile"):
        return None
    default = next((profile for profile in _profiles(seen) if profile["default"]), None)
    if default is None:
        return None
    named = {**seen.case, "user_options": {**given, "profile": default["slug"]}}
    if "profile" not in default.get("profile_options", {}):
        return named
    # An option of this name would take the slug for its choice; without it, what is refused stays the same.
    fewer = _without_option(seen.traits["profile_list"], "profile")
    only_here = seen.ours.raised and not seen.theirs.raised
    return _with_traits(named, profile_list=fewer) if only_here else None


def _without_option(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_without_option(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {option: each for option, each in item.items() if option != name}
        if key == "profile_options" and isinstance(item, dict)
        else _without_option(item, name)
        for key, item in value.items()
    }


def _profiles(seen: Seen) -> list[dict[str, Any]]:
    """Return the profiles of the case that can work, with their slugs and defaults."""
    _, profile_list = _profile_list(seen)
    return [{"default": False, **profile} for profile in initialised(usable(profile_list)[0].values())]


def _profile_list(seen: Seen) -> tuple[str, Any]:
    """Return the profiles as they are configured, and the mark of the function that returns them, if one does."""
    profiles = seen.traits["profile_list"]
    for mark in (recipes.FUNCTION, recipes.COROUTINE):
        if isinstance(profiles, dict) and mark in profiles:
            return mark, profiles[mark]
    return "", profiles


_BEFORE_THE_START = ("made", "rendered choices", "user options of the form")


def _typed(seen: Seen, change: Callable[[str, Any], Any]) -> Any:
    """Return the case with each value of a key of `user_options`, in the form too, changed for the start."""
    if "profile_list" not in seen.traits or seen.aspect in _BEFORE_THE_START:
        return None
    if "form" not in seen.case:
        options = {key: change(key, value) for key, value in seen.case.get("user_options", {}).items()}
        return {**seen.case, "user_options": options}
    form = {key: [change(key, value) for value in values] for key, values in seen.case["form"].items()}
    return {**seen.case, "form": form}


@adjusts(
    "the form after a number was saved",
    upstream="A number in `user_options` for an option with `validation_regex` raises TypeError, also at each request for "
    "the form.",
    here="The user gets the form.",
    reason="Without the form, the user cannot choose anything else.",
)
def _form_after_number(seen: Seen) -> Any:
    fails = seen.aspect == "rendered choices" and "expected string" in str(seen.theirs.error)
    return seen.ours if fails and not seen.ours.raised else None


@adjusts(
    "a dictionary in place of a text",
    upstream="An override that gives a key of a dictionary a dictionary, where there was a text, raises TypeError.",
    here="The text is replaced.",
    reason="Values of `environment` may be either.",
)
def _dictionary_over_text(seen: Seen) -> Any:
    merged = "does not support item assignment" in str(seen.theirs.error)
    return seen.ours if merged and seen.aspect == "user options applied" else None


@adjusts(
    "profiles of which none can work",
    upstream="The form and each start raise KeyError, TypeError or AttributeError; a list with an entry that is no "
    "dictionary raises TraitError.",
    here="The form says so, the log names the place, and the spawner refuses a start, because the server would have no "
    "profile.",
    reason="The user learns whom to ask, and no user gets a server without the limits that profiles set.",
)
def _none_can_work(seen: Seen) -> Any:
    if not seen.theirs.raised:
        return None
    if seen.aspect == "made":
        refused = "'profile_list' trait" in str(seen.theirs.error) and not seen.ours.raised
        return seen.ours if refused and not usable(seen.traits["profile_list"])[0] else None
    if seen.aspect == "rendered choices":
        return seen.ours if UNUSABLE in str(seen.ours) else None
    refused = seen.aspect == "user options applied" and isinstance(seen.ours.error, SpawnFailed)
    return seen.ours if refused and str(seen.ours.error) == UNUSABLE else None


@adjusts(
    "a wrong choice is the user's",
    upstream='An unknown profile is a ValueError, an unknown choice a KeyError: the user reads "500", and the '
    "hub counts a failure of its own.",
    here="HTTP 400 with a sentence that names what is wrong; the hub does not count it.",
    reason="Five wrong clicks in a row must not end the hub.",
)
def _wrong_choice(seen: Seen) -> Any:
    wrong = seen.aspect == "user options applied" and isinstance(seen.ours.error, SpawnFailed)
    return seen.ours if wrong and seen.theirs.raised else None


@adjusts(
    "a value for an option that is not there",
    upstream="`<option>--unlisted-choice` in `user_options` is ignored if the profile has no such option.",
    here="HTTP 400 names the option.",
    reason="Otherwise the user gets another server than requested.",
)
def _no_such_option(seen: Seen) -> Any:
    if seen.aspect != "user options applied" or not isinstance(seen.ours.error, SpawnFailed):
        return None
    found = re.search('has no option "(.*)"', str(seen.ours.error))
    given = [*seen.case.get("user_options", {}), *seen.case.get("form", {})]
    return seen.ours if found and any(key.endswith(f"{found[1]}--unlisted-choice") for key in given) else None


@rewrites(
    "a profile where there are none",
    upstream="With an empty `profile_list` a profile in `user_options` is an error, but only if the list is []: the "
    "code means to ignore it with a warning.",
    here="It is ignored, and the log says so.",
    reason="Profiles that were removed do not stop servers that were started with one.",
)
def _no_profiles(seen: Seen) -> Any:
    if (
        seen.aspect != "user options applied"
        or "such profile" not in str(seen.theirs.error)
        or seen.ours.raised
    ):
        return None
    if seen.traits.get("profile_list") not in ([], {}, {recipes.FUNCTION: []}, {recipes.COROUTINE: []}):
        return None
    return {**{key: value for key, value in seen.case.items() if key != "form"}, "user_options": {}}


def _in_profiles(seen: Seen, change: Callable[[str, Any], Any]) -> Any:
    """Return the case with each value that a profile overrides changed."""
    if "profile_list" not in seen.traits:
        return None
    return _with_traits(seen.case, profile_list=_overrides_changed(seen.traits["profile_list"], change))


def _overrides_changed(value: Any, change: Callable[[str, Any], Any]) -> Any:
    if isinstance(value, list):
        return [_overrides_changed(item, change) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {name: change(name, override) for name, override in item.items()}
        if key == "kubespawner_override" and isinstance(item, dict)
        else _overrides_changed(item, change)
        for key, item in value.items()
    }


def _with_traits(case: dict[str, Any], **traits: Any) -> dict[str, Any]:
    return {**case, "traits": {**case["traits"], **traits}}


# --- Errors ---


@rewrites(
    "numbers and booleans in the environment",
    upstream="A variable whose value is a number, true or false raises TypeError, and the spawn fails.",
    here="It becomes text, as JSON and YAML write it: `4`, `true`.",
    reason="Whoever writes `OMP_NUM_THREADS: 4` means the text.",
)
def _numbers_in_environment(seen: Seen) -> Any:
    environment = seen.traits.get("environment")
    if not isinstance(environment, dict):
        return None
    changed = {name: _as_text(value) for name, value in environment.items()}
    return None if changed == environment else _with_traits(seen.case, environment=changed)


def _as_text(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, dict):
        return {
            key: _as_text(item) if key in ("value", recipes.FUNCTION) else item for key, item in value.items()
        }
    return value


@adjusts(
    "labels that are no text",
    upstream="A label, annotation or node selector that is a number, true or false is sent, and the API server refuses "
    "the object.",
    here="The error names the label, and the object is not sent.",
    reason="The reader should know what to change.",
)
def _odd_labels(seen: Seen) -> Any:
    error = seen.ours.error
    is_named = isinstance(error, ManifestError) and re.search(
        r"(labels|annotations|nodeSelector)\[", error.place
    )
    return seen.ours if is_named and not seen.theirs.raised else None


@adjusts(
    "fields that are newer than the client library",
    upstream="A field of a container, volume, toleration or affinity that the installed kubernetes_asyncio does not "
    "know is refused (ValueError).",
    here="It is sent, unless a hook or a subclass wants model objects; then the error names it.",
    reason="The API server knows its fields; a new one does not wait for a library.",
)
def _new_fields(seen: Seen) -> Any:
    unknown = re.search("attribute matching '(.*)'", str(seen.theirs.error))
    if not unknown or seen.ours.raised:
        return None
    return seen.ours if repr(camel_case(unknown[1])) in repr(seen.ours.value) else None


@adjusts(
    "the API server judges what is missing",
    upstream="An object without a field that it must have raises ValueError from inside the client library.",
    here="It is sent, and the API server's answer, which names the field, is what the user reads.",
    reason="One judge, whose rules are those of the cluster.",
)
def _missing_fields(seen: Seen) -> Any:
    missing = "must not be `None`" in str(seen.theirs.error)
    return (
        seen.ours if missing and isinstance(seen.theirs.error, ValueError) and not seen.ours.raised else None
    )


@adjusts(
    "values that no server could be started with",
    upstream="A `storage_capacity` that is no quantity or a `slow_spawn_message` with another field than its own is "
    "found when servers are started: every start fails.",
    here="No spawner is made, and the error names the option and the value.",
    reason="The admin finds the mistake before the users do.",
)
def _early(seen: Seen) -> Any:
    if seen.aspect != "made" or not isinstance(seen.ours.error, TraitError):
        return None
    checked = re.match(r"KubeSpawner\.(storage_capacity|slow_spawn_message): ", str(seen.ours.error))
    return seen.ours if checked and seen.case.get("unfit") in (checked[1], "user_storage_capacity") else None


@adjusts(
    "a wrong pod_connect_ip is found for the certificate",
    upstream="A wrong template in `pod_connect_ip` is found when the pod runs.",
    here="With internal_ssl it is found when the certificate is made, before.",
    reason="The certificate is for that host too.",
)
def _wrong_host(seen: Seen) -> Any:
    wrong = seen.aspect == "ssl_alt_names" and isinstance(seen.ours.error, TemplateError)
    return seen.ours if wrong and seen.traits.get("pod_connect_ip") else None


@adjusts(
    "errors that say what is wrong",
    upstream="A template with an unknown field or a value that does not fit raises KeyError, ValueError, "
    "IndexError, AttributeError or TypeError without the place.",
    here="The error names the template or option and the key.",
    reason="The reader should know what to change.",
)
def _both_refuse(seen: Seen) -> Any:
    error = seen.ours.error
    clear = isinstance(error, TemplateError | ManifestError | TraitError)
    return seen.ours if clear and seen.theirs.raised else None
