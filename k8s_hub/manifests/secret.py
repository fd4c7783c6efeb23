"""The Secret: what a server may know and nobody else, such as its certificates."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEY_FILE = "ssl.key"
CERTIFICATE_FILE = "ssl.crt"
TRUST_FILE = "notebooks-ca_trust.crt"
"""The names of the three files of ``internal_ssl`` inside the pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """The files of ``internal_ssl`` for one server, as text. Never shown: one of them is a private key."""

    key: str = field(repr=False)
    certificate: str = field(repr=False)
    #: Who signed the certificates of the servers, and of the hub: a server trusts both.
    servers_authority: str = field(repr=False)
    hub_authority: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretInputs:
    """The resolved values of one Secret."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    content: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Text by key."""


def build_secret(inputs: SecretInputs) -> dict[str, Any]:
    """Return the Secret's manifest, without an owner."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": inputs.name,
            "labels": dict(inputs.labels),
            "annotations": dict(inputs.annotations),
        },
        "data": {key: b64encode(text.encode()).decode() for key, text in inputs.content.items()},
    }


def certificate_files(certificates: Certificates) -> dict[str, str]:
    """Return the content of a server's Secret, by the names under which its pod finds the files."""
    authorities = certificates.servers_authority.strip("\n"), certificates.hub_authority
    return {
        KEY_FILE: certificates.key,
        CERTIFICATE_FILE: certificates.certificate,
        TRUST_FILE: "\n".join(authorities),
    }
