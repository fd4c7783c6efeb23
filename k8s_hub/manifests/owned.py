"""Objects that a pod owns: Secrets for certificates and for environment variables, and a Service."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.metadata import object_metadata
from k8s_hub.naming import slugs
from k8s_hub.objects.raw import Raw

KEY_FILE = "ssl.key"
CERTIFICATE_FILE = "ssl.crt"
TRUST_FILE = "notebooks-ca_trust.crt"
"""Names of the files of ``internal_ssl`` in the pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """The files of ``internal_ssl`` for one server. Never print them: one is a private key."""

    key: str = field(repr=False)
    certificate: str = field(repr=False)
    #: The authorities that signed the certificates of servers and of the hub. A server trusts both.
    servers_authority: str = field(repr=False)
    hub_authority: str = field(repr=False)


def build_secret(
    name: str, content: Mapping[str, str], *, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """Return the Secret's manifest, without an owner. ``content`` is text by key."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": object_metadata(name, labels, annotations),
        "data": {key: b64encode(text.encode()).decode() for key, text in content.items()},
    }


def certificate_files(certificates: Certificates) -> dict[str, str]:
    """Return the content of a server's Secret, by file name."""
    authorities = certificates.servers_authority.strip("\n"), certificates.hub_authority
    return {
        KEY_FILE: certificates.key,
        CERTIFICATE_FILE: certificates.certificate,
        TRUST_FILE: "\n".join(authorities),
    }


_CONTAINERS = ("initContainers", "containers")
_REFERENCE = re.compile(r"\$(?:\$|\([^)]*\))")
"""References that Kubernetes expands in values, but not in Secrets: ``$(NAME)``, and ``$$`` for a dollar sign."""
_NO_KEY = re.compile(r"[^-._a-zA-Z0-9]")
_SUFFIX = ".env"
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretEnvironment:
    """A pod, and the content of the Secret that it refers to; empty without secret variables."""

    pod: Raw = field(repr=False)
    content: Mapping[str, str] = field(repr=False)


def environment_secret_name(pod_name: str) -> str:
    """Return the name of a pod's Secret. Its dot avoids the names of other pods' Secrets."""
    fits = len(pod_name) + len(_SUFFIX) <= _LONGEST_NAME
    return f"{pod_name if fits else slugs.service(pod_name)}{_SUFFIX}"


def separated(pod: Raw, secret_name: str, is_secret: Callable[[str, str], bool]) -> SecretEnvironment:
    """Move environment variables for which ``is_secret(name, value)`` is true into a Secret.

    References to them, as ``$(NAME)``, stay valid. Raises ManifestError for a secret variable with references of its own:
    Kubernetes does not expand them in a Secret.
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
    """Return the value that the container would see."""
    if any(found != "$$" for found in _REFERENCE.findall(value)):
        raise ManifestError(
            "is secret and refers to other variables with $(...), which a Secret does not support: "
            "put the secret part into a variable of its own",
            f"environment[{name!r}]",
        )
    return value.replace("$$", "$")


def _put(content: dict[str, str], name: str, value: str) -> str:
    """Add a value under a key derived from the variable's name; return the key."""
    wished = key = _NO_KEY.sub("_", name)
    number = 1
    while content.setdefault(key, value) != value:
        number += 1
        key = f"{wished}-{number}"
    return key


def build_service(
    name: str,
    *,
    port: int,
    selector: Mapping[str, str],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """Return the Service's manifest, without an owner: it leads to the same port of the only pod with these labels."""
    return {
        "kind": "Service",
        "metadata": object_metadata(name, labels, annotations),
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": "http", "port": port, "targetPort": port}],
            "selector": dict(selector),
        },
    }
