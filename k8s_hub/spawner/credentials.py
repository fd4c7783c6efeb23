"""The certificates that a server gets for internal_ssl."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from certipy import Certipy

from k8s_hub.manifests.owned import Certificates

SERVERS_AUTHORITY = "notebooks-ca"
"""The hub's name for the authority that signs the certificates of users' servers."""

LOCAL_NAMES = ["DNS:localhost", "IP:127.0.0.1"]


def sign_certificate(directory: str, name: str, alt_names: Sequence[str]) -> dict[str, str]:
    """Return the paths of a new key and certificate for these names, "DNS:..." or "IP:...".

    ``name`` has at most 64 characters, the limit for a certificate's subject.
    """
    signed = Certipy(store_dir=directory).create_signed_pair(
        name, SERVERS_AUTHORITY, alt_names=list(alt_names), overwrite=True
    )
    return {"keyfile": signed["files"]["key"], "certfile": signed["files"]["cert"]}


def read_certificates(paths: Mapping[str, str], hub_authority: str) -> Certificates:
    """Return the contents of a server's files and of the hub authority's file."""
    return Certificates(
        key=Path(paths["keyfile"]).read_text(),
        certificate=Path(paths["certfile"]).read_text(),
        servers_authority=Path(paths["cafile"]).read_text(),
        hub_authority=Path(hub_authority).read_text(),
    )
