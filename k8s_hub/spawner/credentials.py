"""What a server is given to be trusted: certificates for internal_ssl, and a token that opens it alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from certipy import Certipy
from jupyterhub import orm

from k8s_hub.manifests.owned import Certificates

SERVERS_AUTHORITY = "notebooks-ca"
"""The hub's name for the authority that signs the certificates of users' servers."""

LOCAL_NAMES = ["DNS:localhost", "IP:127.0.0.1"]


def sign_certificate(directory: str, name: str, alt_names: Sequence[str]) -> dict[str, str]:
    """Return the paths of a new key and certificate for these names, "DNS:..." or "IP:...".

    ``name`` has 64 characters at most: that is all a certificate may call its subject.
    """
    signed = Certipy(store_dir=directory).create_signed_pair(
        name, SERVERS_AUTHORITY, alt_names=list(alt_names), overwrite=True
    )
    return {"keyfile": signed["files"]["key"], "certfile": signed["files"]["cert"]}


def read_certificates(paths: Mapping[str, str], hub_authority: str) -> Certificates:
    """Return what is in a server's files and in that of the hub's authority."""
    return Certificates(
        key=Path(paths["keyfile"]).read_text(),
        certificate=Path(paths["certfile"]).read_text(),
        servers_authority=Path(paths["cafile"]).read_text(),
        hub_authority=Path(hub_authority).read_text(),
    )


NOTE = ": for services that ask it what it runs"


def renew_access_token(spawner: Any) -> str:
    """Return a new token with ``access:servers`` for this server only; an earlier one is revoked.

    Raise ValueError where the user may not access their own server.
    """
    client, db = spawner.orm_spawner.oauth_client, spawner.user.db
    for token in db.query(orm.APIToken).filter_by(client_id=client.identifier):
        if (token.note or "").endswith(NOTE):
            db.delete(token)
    made: str = spawner.user.new_api_token(
        # JupyterHub does not take requests with tokens of such a name for their user's activity.
        note=f"Server at {spawner.server.base_url}{NOTE}",
        scopes=[f"access:servers!server={spawner.user.name}/{spawner.name}"],
        oauth_client=client,
    )
    return made
