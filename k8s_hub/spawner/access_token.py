"""The token that opens one running server, for a service that asks it: `KubeSpawner.save_access_token`.

It belongs to the server's OAuth client, which the hub makes for each start and removes when the server ends, however
that comes about, and at its own boot after a crash: the token goes with the client.
"""

from typing import Any

from jupyterhub import orm

NOTE = ": for services that ask it what it runs"


def renew(spawner: Any) -> str:
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
