"""The last changes to a pod, after all hooks: `security_profile` and secret variables, and their checks."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from traitlets import TraitError

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.owned import SecretEnvironment, environment_secret_name, separated
from k8s_hub.manifests.pod import PodInputs, build_pod
from k8s_hub.manifests.restricted import Contradiction, contradictions, restricted
from k8s_hub.objects.keys import key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.compat.models import to_json
from k8s_hub.spawner.failures import SpawnFailed

TOKEN_VARIABLES = frozenset({"JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"})

DECISIVE = (
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
    "extra_annotations",
)
"""The options that decide a pod's security; each except the last is an input of the pod with the same name."""

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """The settings that protect the cluster; a profile or a choice may strengthen them but not weaken them."""

    security_profile: str
    api_token_in_secret: bool
    secret_environment: list[str]
    user_namespace_allow_existing: bool

    @classmethod
    def of(cls, spawner: Any) -> Self:
        """Return the current settings of a spawner."""
        return cls(
            security_profile=spawner.security_profile,
            api_token_in_secret=spawner.api_token_in_secret,
            secret_environment=list(spawner.secret_environment),
            user_namespace_allow_existing=spawner.user_namespace_allow_existing,
        )

    def weakened_by(self, other: "Protection") -> list[str]:
        """Return the names of the settings that protect less in the other."""
        weaker = {
            "security_profile": bool(self.security_profile)
            and other.security_profile != self.security_profile,
            "api_token_in_secret": self.api_token_in_secret and not other.api_token_in_secret,
            "secret_environment": not {*self.secret_environment} <= {*other.secret_environment},
            "user_namespace_allow_existing": other.user_namespace_allow_existing
            and not self.user_namespace_allow_existing,
        }
        return [name for name, is_weaker in weaker.items() if is_weaker]


_PUBLIC = ("JUPYTERHUB_", "JUPYTER_IMAGE", "MEM_", "CPU_")
"""The prefixes of the hub's own variables; among these only the token is a secret."""


def refuse_contradictions(profile: str, configured: Mapping[str, Any]) -> None:
    """Raise TraitError if one of the `DECISIVE` options, as configured, contradicts the `security_profile`.

    `secured` judges the rest with the pod: the results of callables and the changes by profiles and hooks.
    """
    options = dict(configured)
    annotations = options.pop("extra_annotations")
    try:
        known = {name: to_json(value) for name, value in options.items() if not callable(value)}
        together = _contradictions(annotations=annotations, **known)
    except ManifestError:
        return  # every start reports this
    if not together:
        return
    alone = {name: _contradictions(**{name: value}) for name, value in known.items()}
    alone["extra_annotations"] = _contradictions(annotations=annotations)
    raise TraitError(
        "; ".join(
            _words(profile, name, configured[name], found)
            for name in alone
            for found in alone[name]
            if found in together
        )
    )


def secured(pod: Raw, protection: Protection, api_token: str) -> SecretEnvironment:
    """Return the pod as the security options require it, and the content of its Secret.

    Raises SpawnFailed if the pod contradicts the profile, whoever caused that. Raises ManifestError if a secret
    variable refers to other variables.
    """
    if protection.security_profile:
        if found := contradictions(pod):
            raise SpawnFailed(_refusal(protection.security_profile, found))
        pod = restricted(pod)
    token = api_token if protection.api_token_in_secret else ""
    names = {*protection.secret_environment, *(TOKEN_VARIABLES if token else ())}
    if not names:
        return SecretEnvironment(pod=pod, content={})
    return separated(
        pod,
        environment_secret_name(key_of(pod).name),
        lambda name, value: name in names or (token != "" and token in value),
    )


def secrets_in(pod: Raw, spawner: Any) -> frozenset[str]:
    """Return the values of a spawner's pod that no log and no message may contain.

    A value that is part of a name which users see, such as the image, is not a secret.
    """
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


def secrets_configured_for(spawner: Any) -> frozenset[str]:
    """Return the values that no log and no message may contain before the spawner has a pod.

    These are its token, all texts of the environment, and those of the variables of configured containers.
    """
    containers = (spawner.init_containers, spawner.extra_containers, spawner.extra_container_config)
    texts = (*_texts_in(spawner.environment), *_texts_in(containers, below="env"))
    return frozenset({str(spawner.api_token), *texts})


def _texts_in(value: Any, *, below: str | None = None, depth: int = 50) -> Iterator[str]:
    """Yield the texts in lists and dictionaries, down to ``depth``; with ``below``, only those under that key."""
    if isinstance(value, str):
        if below is None:
            yield value
    elif isinstance(value, Mapping | list | tuple) and depth:
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in pairs:
            yield from _texts_in(item, below=None if key == below else below, depth=depth - 1)


# --- Protections that users' choices cannot remove ---


def weakening(before: Protection, name: str, value: Any) -> list[str]:
    """Return why a profile cannot set a protection to this value; empty if it can."""
    if name not in {each.name for each in fields(Protection)}:
        return []
    changed: Any = {name: value}
    after = replace(before, **changed)
    return [
        f"{each} protects the cluster, and no profile can turn it off" for each in before.weakened_by(after)
    ]


@contextmanager
def protected(spawner: Any) -> Iterator[None]:
    """Fail, and restore the settings, if the profiles and choices applied in the body weaken a protection."""
    before = Protection.of(spawner)
    yield
    taken = before.weakened_by(Protection.of(spawner))
    if taken:
        for name in taken:  # a subclass may try again
            setattr(spawner, name, getattr(before, name))
        raise weakened(taken)


def weakened(taken: Collection[str]) -> SpawnFailed:
    """Return the failure of a start after its profile or its user's choice weakened these protections."""
    return SpawnFailed(
        Diagnosis.failed(
            Stage.REQUEST,
            Reason.POLICY,
            "Your choice would turn off a protection of this hub, which the hub does not allow. "
            "Choose something else, or contact your administrator.",
            detail=f"profiles and user options cannot weaken {', '.join(taken)}",
        )
    )


def _contradictions(**inputs: Any) -> list[Contradiction]:
    return contradictions(build_pod(PodInputs(pod_name="", image="", **inputs)))


def _words(profile: str, name: str, value: Any, found: Contradiction) -> str:
    is_all = value == found.value and type(value) is type(found.value)
    said, more = (f" = {value!r}", "") if is_all else ("", f": {found}")
    return f'KubeSpawner.{name}{said} contradicts security_profile = "{profile}"{more}'


def _refusal(profile: str, found: list[Contradiction]) -> Diagnosis:
    shown = ", ".join(str(each).removeprefix("spec.") for each in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.POLICY,
        f'The security standard "{profile}" of this hub does not allow your server: {shown}{more}. '
        "Choose something else, or contact your administrator.",
        detail=f'security_profile = "{profile}" is contradicted by {"; ".join(map(str, found))}',
    )
