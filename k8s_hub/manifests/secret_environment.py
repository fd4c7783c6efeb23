"""Environment variables that nobody reads in the pod: their values are in a Secret, and the pod refers to it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.naming import slugs
from k8s_hub.objects.raw import Raw

_CONTAINERS = ("initContainers", "containers")
_REFERENCE = re.compile(r"\$(?:\$|\([^)]*\))")
"""What Kubernetes looks for in a value, but not in a Secret: ``$(NAME)``, and ``$$`` for a dollar sign."""
_NO_KEY = re.compile(r"[^-._a-zA-Z0-9]")
_SUFFIX = ".env"
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretEnvironment:
    """A pod, and the content of the Secret that it refers to; empty if nothing of the pod is secret."""

    pod: Raw = field(repr=False)
    content: Mapping[str, str] = field(repr=False)


def environment_secret_name(pod_name: str) -> str:
    """Return the name of the Secret of a pod; its dot keeps it apart from the names of other pods' Secrets."""
    fits = len(pod_name) + len(_SUFFIX) <= _LONGEST_NAME
    return f"{pod_name if fits else slugs.service(pod_name)}{_SUFFIX}"


def separated(pod: Raw, secret_name: str, is_secret: Callable[[str, str], bool]) -> SecretEnvironment:
    """Move the variables of all containers for whose name and value ``is_secret`` is true.

    References to them, as ``$(NAME)``, stay valid. Raises ManifestError for one that itself refers to others: in
    a Secret, nobody would fill that in.
    """
    content: dict[str, str] = {}

    def entry(given: Any) -> Any:
        value = given.get("value") if isinstance(given, Mapping) else None
        if not isinstance(value, str) or not is_secret(given["name"], value):
            return given
        key = _put(content, given["name"], _literal(given["name"], value))
        kept = {name: item for name, item in given.items() if name != "value"}
        return {**kept, "valueFrom": {"secretKeyRef": {"name": secret_name, "key": key}}}

    def container(given: Any) -> Any:
        return {**given, "env": [entry(each) for each in given["env"]]} if given.get("env") else given

    spec = pod["spec"]
    changed = {kind: [container(each) for each in spec[kind]] for kind in _CONTAINERS if spec.get(kind)}
    return SecretEnvironment(pod={**pod, "spec": {**spec, **changed}}, content=content)


def _literal(name: str, value: str) -> str:
    """Return a value as the container would see it."""
    if any(found != "$$" for found in _REFERENCE.findall(value)):
        raise ManifestError(
            "is secret and refers to other variables by $(...), which a Secret cannot: "
            "put what is secret into a variable of its own",
            f"environment[{name!r}]",
        )
    return value.replace("$$", "$")


def _put(content: dict[str, str], name: str, value: str) -> str:
    """Add a value under a key like the variable's name; return the key."""
    wished = key = _NO_KEY.sub("_", name)
    number = 1
    while content.setdefault(key, value) != value:
        number += 1
        key = f"{wished}-{number}"
    return key
