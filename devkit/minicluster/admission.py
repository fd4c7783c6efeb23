"""Admission: the checks and defaults that clients rely on.

There are no quotas and policies. Tests plant such refusals as faults, with Status bodies of a real server.
"""

import re
import secrets
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from devkit.minicluster.amounts import wrong_amounts
from devkit.minicluster.resources import API_VERSION, CLAIMS, NAMESPACES, PODS, SECRETS, SERVICES, Kind
from devkit.minicluster.shapes import check_shape
from devkit.minicluster.statuses import bad_request, invalid, namespace_ending, not_found
from k8s_hub.objects.keys import labels_of, metadata_of
from k8s_hub.objects.raw import Raw

CLAIM_PROTECTION = "kubernetes.io/pvc-protection"
DEFAULT_GRACE_SECONDS = 30

# What the server adds to a generateName; without vowels, so that no words appear.
_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def admit(kind: Kind, namespace: str | None, body: object, default_class: str) -> dict[str, Any]:
    """Return the object to store for a create's body; raise StatusError for an invalid one."""
    obj = _typed(kind, body)
    metadata = dict(metadata_of(obj))
    if kind.namespaced:
        if metadata.get("namespace") not in {None, "", namespace}:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = namespace
    metadata["name"] = _name(kind, metadata)
    check_shape(kind, {**obj, "metadata": metadata})
    if kind == PODS and (causes := list(wrong_amounts(obj["spec"]))):
        raise invalid(kind.kind, metadata["name"], causes)
    for server_owned in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "selfLink"):
        metadata.pop(server_owned, None)
    return _with_defaults(kind, {**obj, "metadata": metadata}, default_class)


def check_namespace(kind: Kind, name: str, namespace: str, found: Raw | None) -> None:
    """Refuse a create in a namespace that is missing or being deleted."""
    if found is None:
        raise not_found(NAMESPACES.plural, namespace)
    if found.get("status", {}).get("phase") == "Terminating":
        raise namespace_ending(kind.plural, name, namespace)


def requested_name(body: object) -> str:
    """Return the name in a create's body, for fault rules; empty if there is none."""
    metadata = body.get("metadata") if isinstance(body, Mapping) else None
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def _typed(kind: Kind, body: object) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        raise bad_request(f"the body is not a JSON object: a {kind.kind} was expected")
    said = (body.get("apiVersion", API_VERSION), body.get("kind", kind.kind))
    if said != (API_VERSION, kind.kind):
        raise bad_request(
            f"{said[1]} in version {said[0]!r} cannot be handled as a {kind.kind}: "
            f"expected {kind.kind} of {API_VERSION}"
        )
    if not isinstance(body.get("metadata", {}), Mapping):
        raise bad_request(f"the metadata of the {kind.kind} is not a JSON object")
    return {"kind": kind.kind, "apiVersion": API_VERSION, **body}


def _name(kind: Kind, metadata: Mapping[str, Any]) -> str:
    name, prefix = metadata.get("name"), metadata.get("generateName")
    if not name and not prefix:
        cause = ("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
        raise invalid(kind.kind, "", [cause])
    if not name:
        suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))
        return f"{prefix}{suffix}"
    _check_name(kind, name)
    return str(name)


def _check_name(kind: Kind, name: object) -> None:
    if not isinstance(name, str):
        raise bad_request(f"metadata.name of the {kind.kind} is not a string: {name!r}")
    is_label = kind in {NAMESPACES, SERVICES}
    limit = 63 if is_label else 253
    causes = []
    if not (_LABEL if is_label else _SUBDOMAIN).fullmatch(name):
        causes.append(("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": {_NAME_RULE}'))
    if len(name) > limit:
        message = f'Invalid value: "{name}": must be no more than {limit} characters'
        causes.append(("metadata.name", "FieldValueInvalid", message))
    if causes:
        raise invalid(kind.kind, name, causes)


def _with_defaults(kind: Kind, obj: dict[str, Any], default_class: str) -> dict[str, Any]:
    if kind == PODS:
        return _pod(obj)
    if kind == CLAIMS:
        return _claim(obj, default_class)
    if kind == NAMESPACES:
        return _namespace(obj)
    if kind == SECRETS:
        return _secret(obj)
    return obj


def _pod(obj: dict[str, Any]) -> dict[str, Any]:
    spec = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": DEFAULT_GRACE_SECONDS,
        **(obj.get("spec") or {}),
    }
    return {**obj, "spec": spec, "status": {"phase": "Pending"}}


def _claim(obj: dict[str, Any], default_class: str) -> dict[str, Any]:
    spec = {"volumeMode": "Filesystem", **(obj.get("spec") or {})}
    if spec.get("storageClassName") is None:
        spec["storageClassName"] = default_class
    metadata = {**obj["metadata"], "finalizers": [CLAIM_PROTECTION]}
    return {**obj, "metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}


def _secret(obj: dict[str, Any]) -> dict[str, Any]:
    strings = obj.get("stringData") or {}
    encoded = {name: b64encode(str(text).encode()).decode() for name, text in strings.items()}
    rest = {field: value for field, value in obj.items() if field != "stringData"}
    return {"type": "Opaque", **rest, "data": {**(obj.get("data") or {}), **encoded}}


def _namespace(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    labels = {**labels_of(obj), "kubernetes.io/metadata.name": metadata["name"]}
    return {
        **obj,
        "metadata": {**metadata, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }
