"""The hub's database, as far as the spawner reads and writes it: no other module of this package touches it.

What other servers and users have is read whenever it is asked for, because they start and end meanwhile.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from jupyterhub import orm
from sqlalchemy import text

from k8s_hub.claims.saved_state import SavedState
from k8s_hub.spawner.address import Address

NOTE = ": for services that ask it what it runs"
"""How the notes of servers' access tokens end."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# In SQL, because the hub's own classes would decode the state of every server there is.
_STATES_NAMING = text(
    "SELECT users.name, spawners.state FROM spawners JOIN users ON users.id = spawners.user_id "
    "WHERE users.id != :user AND spawners.state LIKE :name"
)


@dataclass(frozen=True, slots=True)
class HubDatabase:
    """The rows of one server, of its user, and of whoever else matters to it."""

    #: JupyterHub's object of the user and its row of the server.
    user: Any
    orm_spawner: Any

    @classmethod
    def of(cls, spawner: Any) -> Self:
        """Return the rows of a spawner's server."""
        return cls(spawner.user, spawner.orm_spawner)

    # --- This server and its user ---

    def known_since(self) -> datetime | None:
        """Return when the hub came to know the user (aware); None in a database that is too old to say."""
        return _created(self.user.orm_user)

    def group_names(self) -> frozenset[str]:
        """Return the names of the user's groups."""
        return frozenset(group.name for group in self.user.groups)

    def save_state(self, state: dict[str, Any]) -> None:
        """Have the server's row keep this state from the hub's next commit on."""
        self.orm_spawner.state = state

    def save_address(self, server: Any, address: Address) -> None:
        """Let the hub ask for the server, whose object it is, at another address from now on."""
        server.proto, server.ip, server.port = address.scheme, address.host, address.port
        self.user.db.commit()

    def renew_access_token(self, base_url: str) -> str:
        """Return a new token with ``access:servers`` for this server only; an earlier one is revoked.

        Raises ValueError where the user may not access their own server.
        """
        client, db = self.orm_spawner.oauth_client, self.user.db
        for token in db.query(orm.APIToken).filter_by(client_id=client.identifier):
            if (token.note or "").endswith(NOTE):
                db.delete(token)
        made: str = self.user.new_api_token(
            # JupyterHub does not take requests with tokens of such a name for their user's activity.
            note=f"Server at {base_url}{NOTE}",
            scopes=[f"access:servers!server={self.user.name}/{self.orm_spawner.name}"],
            oauth_client=client,
        )
        return made

    # --- Others ---

    def states_of_other_servers(self) -> dict[str, SavedState]:
        """Return the saved states of this user's other servers, by their names."""
        return {
            name: SavedState.load(row.state)
            for name, row in self.user.orm_user.orm_spawners.items()
            if name != self.orm_spawner.name
        }

    def users_with_claim(self, name: str, namespace: str) -> list[str]:
        """Return the names of the other users whose servers have this claim in their saved state."""
        rows = self.user.db.execute(
            _STATES_NAMING, {"user": self.user.orm_user.id, "name": f"%{json.dumps(name)}%"}
        )
        states = ((user, SavedState.load(json.loads(state))) for user, state in rows)
        return sorted(
            {user for user, state in states if name in state.claims and state.namespace in {None, namespace}}
        )

    @property
    def living_users(self) -> "_LivingUsers":
        """The users that the hub knows, and since when, looked up one by one."""
        return _LivingUsers(self.user.db)

    def taken_by_others(self, namespace: str) -> "_TakenByOthers":
        """Return the claims that servers of other users have in their state, looked up one by one."""
        return _TakenByOthers(self, namespace)


def renewed_access_token(spawner: Any, log_name: str) -> str | None:
    """Return the new token of a server that has just started; None, which is logged, where there is none."""
    try:
        return HubDatabase.of(spawner).renew_access_token(spawner.server.base_url)
    except ValueError as error:  # the role of the user does not let them access their own server
        spawner.log.warning("%s: no access token is saved: %s", log_name, error)
        return None


@dataclass(frozen=True, slots=True)
class _LivingUsers:
    db: Any

    def get(self, username: str, /) -> datetime | None:
        user = orm.User.find(self.db, username)
        return None if user is None else _created(user) or _LONG_AGO


@dataclass(frozen=True, slots=True)
class _TakenByOthers:
    database: HubDatabase
    namespace: str

    def __contains__(self, name: object) -> bool:
        return bool(self.database.users_with_claim(str(name), self.namespace))


def _created(user: Any) -> datetime | None:
    return None if user.created is None else user.created.replace(tzinfo=UTC)  # kept without saying so
