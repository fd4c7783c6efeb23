"""The spawner's reads and writes of the hub's database: no other module of this package touches it.

Reads the rows of other servers and users anew for each call, because these start and end meanwhile.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from jupyterhub import orm
from sqlalchemy import text

from k8s_hub.claims.saved_state import EARLIER_STARTS, NEVER_RUN, SavedState
from k8s_hub.naming.ownership import UserId
from k8s_hub.spawner.address import Address

NOTE = ": for services that ask it what it runs"
"""The end of the note of each server's access token."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

# In SQL, because the hub's own classes would decode the state of every server.
_STATES_NAMING = text(
    "SELECT users.name, spawners.state FROM spawners JOIN users ON users.id = spawners.user_id "
    "WHERE users.id != :user AND spawners.state LIKE :name"
)


# Only a server that runs, or that the hub died with, has a uid in its state.
_ALL_SERVERS = text(
    "SELECT users.id, users.name, spawners.name, spawners.server_id, "
    "CASE WHEN spawners.server_id IS NOT NULL OR spawners.state LIKE :uid THEN spawners.state END "
    "FROM users LEFT JOIN spawners ON spawners.user_id = users.id"
)


@dataclass(frozen=True, slots=True)
class HubDatabase:
    """The rows of one server, of its user, and of the other servers and users that matter to it."""

    #: JupyterHub's object of the user, and the database row of the server.
    user: Any
    orm_spawner: Any

    @classmethod
    def of(cls, spawner: Any) -> Self:
        """Return the rows of a spawner's server."""
        return cls(spawner.user, spawner.orm_spawner)

    # --- This server and its user ---

    def known_since(self) -> datetime | None:
        """Return when the hub added the user (aware); None if the database is too old to say."""
        return _created(self.user.orm_user)

    def user_id(self) -> UserId | None:
        """Return what identifies the user beyond renames; None if the database is too old to say."""
        return _id_of(self.user.id, self.known_since())

    def group_names(self) -> frozenset[str]:
        """Return the names of the user's groups."""
        return frozenset(group.name for group in self.user.groups)

    def save_state(self, state: dict[str, Any]) -> None:
        """Set the state of the server's row; the hub's next commit saves it."""
        self.orm_spawner.state = state

    def keep_starts(self, starts: Sequence[str]) -> None:
        """Keep the ids of this server's starts in the state of the user's default server: this row is removed."""
        row = self.user.orm_user.orm_spawners[""]  # JupyterHub makes sure that each user has it
        kept = SavedState.load(row.state).with_earlier(starts).earlier_starts
        row.state = {**(row.state or NEVER_RUN), EARLIER_STARTS: list(kept)}
        self._commit()  # before any wait: the hub rolls back what a request finds uncommitted

    def save_address(self, server: Any, address: Address) -> None:
        """Make the hub reach the server at another address from now on; ``server`` is the hub's object of it."""
        server.proto, server.ip, server.port = address.scheme, address.host, address.port
        self.user.db.commit()

    def forget_run(self, spawner: Any) -> None:
        """Have the hub forget that the spawner's server runs."""
        spawner.server = None
        self.user.db.commit()

    def has_token(self, token: str) -> bool:
        """Tell whether the user has this token."""
        found = orm.APIToken.find(self.user.db, token)
        return found is not None and found.user is self.user.orm_user

    def complete_adoption(self, *, started: datetime, oauth_scopes: Sequence[str]) -> None:
        """Set what a hub's spawn with another token leaves out: the scopes of its OAuth client, and its true age."""
        self.orm_spawner.started = started.astimezone(UTC).replace(tzinfo=None)
        self.orm_spawner.oauth_client.allowed_scopes = list(oauth_scopes)
        self._commit()

    def roll_back(self) -> None:
        """Drop what could not be committed."""
        self.user.db.rollback()

    def _commit(self) -> None:
        try:
            self.user.db.commit()
        except Exception:
            self.roll_back()
            raise

    def renew_access_token(self, base_url: str) -> str:
        """Return a new token with ``access:servers`` for this server only, and revoke earlier ones.

        Raises ValueError if the user may not access their own server.
        """
        client, db = self.orm_spawner.oauth_client, self.user.db
        for token in db.query(orm.APIToken).filter_by(client_id=client.identifier):
            if (token.note or "").endswith(NOTE):
                db.delete(token)
        made: str = self.user.new_api_token(
            # JupyterHub does not count requests with tokens of such a note as their user's activity.
            note=f"Server at {base_url}{NOTE}",
            scopes=[f"access:servers!server={self.user.name}/{self.orm_spawner.name}"],
            oauth_client=client,
        )
        return made

    # --- Others ---

    def states_of_other_servers(self) -> dict[str, SavedState]:
        """Return the saved states of this user's other servers, by server name."""
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
    def other_users(self) -> "_OtherUsers":
        """The ids of the hub's other users, looked up one by one."""
        return _OtherUsers(self.user)

    @property
    def living_users(self) -> "_LivingUsers":
        """The hub's users and when the hub added them, looked up one by one."""
        return _LivingUsers(self.user.db)

    def taken_by_others(self, namespace: str) -> "_TakenByOthers":
        """Return the claims in the saved states of other users' servers, looked up one by one."""
        return _TakenByOthers(self, namespace)


def user_with(users: Any, user_id: UserId | None) -> Any:
    """Return the hub's user with this id; None if they were deleted. SQLite gives the number to the next user."""
    if user_id is None:
        return None
    try:
        user = users[user_id.number]
    except KeyError:
        return None
    known = _id_of(user.id, _created(user.orm_user))
    return user if known is not None and user_id.is_same(known) else None


def starts_of_removed_servers(user: Any) -> tuple[str, ...]:
    """Return the ids of starts that the user's default server keeps, its own earlier ones among them."""
    row = user.orm_user.orm_spawners.get("")
    return () if row is None else SavedState.load(row.state).earlier_starts


def renewed_access_token(spawner: Any, log_name: str) -> str | None:
    """Return a new token for a server that has just started; log a failure and return None."""
    try:
        return HubDatabase.of(spawner).renew_access_token(spawner.server.base_url)
    except ValueError as error:  # the role of the user does not let them access their own server
        spawner.log.warning("%s: no access token is saved: %s", log_name, error)
        return None


def names_by_id(users: Any) -> Callable[[UserId], str | None]:
    """Return a function that returns the current name of the user with an id; None if the hub has none."""
    rows = users.db.query(orm.User.id, orm.User.name, orm.User.created)
    known = {number: (name, created.replace(tzinfo=UTC)) for number, name, created in rows if created}

    def name_of(user_id: UserId) -> str | None:
        name, created = known.get(user_id.number, ("", None))
        is_same = created is not None and user_id.is_same(UserId(number=user_id.number, created=created))
        return name if is_same else None

    return name_of


def count_as_active(users: Any, now: datetime) -> None:
    """Set the last activity of each server that runs, and of its user: the hub's record is older than their use."""
    db, at = users.db, now.astimezone(UTC).replace(tzinfo=None)
    for spawner in db.query(orm.Spawner).filter(orm.Spawner.server_id.is_not(None)):
        spawner.last_activity = spawner.user.last_activity = at
    db.commit()


_NO_STATE = SavedState()


class ServerRow(NamedTuple):
    """One server of one user of the hub."""

    #: The user's key in JupyterHub's object of all users.
    user_number: int
    username: str
    #: None: the user has no server, not even a stopped one.
    servername: str | None
    #: True while the hub has an address of the server, or is about to have one.
    is_active: bool
    #: Empty for a server that does not run and has no pod.
    state: SavedState


def all_servers(users: Any) -> list[ServerRow]:
    """Return the servers of all users of the hub, and the users without one; ``users`` is JupyterHub's object of them."""
    db = users.db
    is_in_transaction = db.in_transaction()
    rows = [
        ServerRow(
            user_number=number,
            username=username,
            servername=servername,
            is_active=server_id is not None,
            state=_NO_STATE if state is None else SavedState.load(json.loads(state)),
        )
        for number, username, servername, server_id, state in db.execute(_ALL_SERVERS, {"uid": '%"pod_uid"%'})
    ]
    if not is_in_transaction:
        # An idle hub would leave the transaction of this query open for minutes, which databases may end.
        db.commit()
    return rows


@dataclass(frozen=True, slots=True)
class _OtherUsers:
    user: Any

    def __contains__(self, user_id: object) -> bool:
        if not isinstance(user_id, UserId) or user_id.number == self.user.id:
            return False
        row = self.user.db.get(orm.User, user_id.number)
        known = None if row is None else _id_of(row.id, _created(row))
        return known is not None and known.is_same(user_id)


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


def _id_of(number: int, created: datetime | None) -> UserId | None:
    return None if created is None else UserId(number=number, created=created)


def _created(user: Any) -> datetime | None:
    return None if user.created is None else user.created.replace(tzinfo=UTC)  # stored as naive UTC
