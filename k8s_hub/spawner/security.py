"""The last hand on a pod: `security_profile` and secret variables, after all hooks; and what contradicts the profile."""

from typing import TYPE_CHECKING, Any

from traitlets import TraitError

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.pod import PodInputs, build_pod
from k8s_hub.manifests.restricted import Contradiction, contradictions, restricted
from k8s_hub.manifests.secret_environment import SecretEnvironment, environment_secret_name, separated
from k8s_hub.objects.keys import key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.models import to_json

if TYPE_CHECKING:
    from k8s_hub.spawner.kubespawner import KubeSpawner

TOKEN_VARIABLES = frozenset({"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"})

_DECISIVE = (
    "uid",
    "privileged",
    "allow_privilege_escalation",
    "container_security_context",
    "pod_security_context",
    "volumes",
    "init_containers",
    "extra_containers",
    "lifecycle_hooks",
    "extra_container_config",
    "extra_pod_config",
)
"""The options of which a pod's security is made; each is an input of the pod by the same name."""

_SHOWN = 3

_PUBLIC = ("JUPYTERHUB_", "JUPYTER_IMAGE", "MEM_", "CPU_")
"""How the hub's own variables begin, of which only the token is a secret."""


def refuse_contradictions(spawner: "KubeSpawner") -> None:
    """Raise TraitError if an option, as it is configured, contradicts `security_profile`.

    What is not known yet is judged with the pod: what callables return, what profiles and hooks change.
    """
    if spawner.security_profile == "":
        return
    options = {name: getattr(spawner, name) for name in _DECISIVE}
    known = {name: to_json(value) for name, value in options.items() if not callable(value)}
    annotations = dict(spawner.extra_annotations)
    together = _contradictions(annotations=annotations, **known)
    if not together:
        return
    alone = {name: _contradictions(**{name: value}) for name, value in known.items()}
    alone["extra_annotations"] = _contradictions(annotations=annotations)
    raise TraitError(
        "; ".join(
            _words(spawner, name, found) for name in alone for found in alone[name] if found in together
        )
    )


def secured(spawner: "KubeSpawner", pod: Raw) -> SecretEnvironment:
    """Return the pod as the options for security want it, and what its Secret holds.

    Raises SpawnFailed for a pod that contradicts the profile, whoever has made it so.
    """
    if spawner.security_profile:
        if found := contradictions(pod):
            raise SpawnFailed(_refusal(spawner.security_profile, found))
        pod = restricted(pod)
    token = spawner.api_token if spawner.api_token_in_secret else ""
    names = {*spawner.secret_environment, *(TOKEN_VARIABLES if token else ())}
    if not names:
        return SecretEnvironment(pod=pod, content={})
    try:
        return separated(
            pod,
            environment_secret_name(key_of(pod).name),
            lambda name, value: name in names or (token != "" and token in value),
        )
    except ManifestError as error:
        raise SpawnFailed(
            Diagnosis.failed(
                Stage.REQUEST,
                Reason.INVALID,
                "The environment of your server is not valid. Please tell your administrator.",
                detail=str(error),
            )
        ) from error


def secrets_of(spawner: "KubeSpawner", pod: Raw) -> frozenset[str]:
    """Return the values of the pod's variables that nobody may read in a log or a sentence."""
    shown = (spawner.user.name, spawner.image, spawner.namespace, spawner.pod_name)
    variables = (
        (str(entry.get("name")), str(entry.get("value") or ""))
        for kind in ("initContainers", "containers")
        for container in pod["spec"].get(kind) or ()
        for entry in container.get("env") or ()
    )
    values = {
        value
        for name, value in variables
        if name in TOKEN_VARIABLES or not (name.startswith(_PUBLIC) or any(value in each for each in shown))
    }
    return frozenset(values | {spawner.api_token})


def _contradictions(**inputs: Any) -> list[Contradiction]:
    return contradictions(build_pod(PodInputs(pod_name="", image="", **inputs)))


def _words(spawner: "KubeSpawner", name: str, found: Contradiction) -> str:
    value = getattr(spawner, name)
    is_all = value == found.value and type(value) is type(found.value)
    said, more = (f" = {value!r}", "") if is_all else ("", f": {found}")
    return f'KubeSpawner.{name}{said} contradicts security_profile = "{spawner.security_profile}"{more}'


def _refusal(profile: str, found: list[Contradiction]) -> Diagnosis:
    shown = ", ".join(str(each).removeprefix("spec.") for each in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.POLICY,
        f'The security standard "{profile}" of this hub does not allow what your server would be: {shown}{more}. '
        "Please choose something else, or tell your administrator.",
        detail=f'security_profile = "{profile}" is contradicted by {"; ".join(map(str, found))}',
    )
