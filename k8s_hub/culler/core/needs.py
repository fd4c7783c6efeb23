"""Scopes: which ones the configuration needs and why, and which ones the token should not have."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from k8s_hub.hub.users import missing_scopes

LIST = "list:users"
SERVERS = "read:servers"
STOP = "delete:servers"
ACTIVITY = "read:users:activity"
CREATED = "read:users"
"""The smallest scope that shows the creation time of a user."""
DELETE_USERS = "delete:users"
GROUPS = "read:users:groups"
STATE = "admin:server_state"
ACCESS = "access:servers"
TOKENS = "tokens"
ROUTES = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A scope, and the effect of its absence."""

    scope: str
    without: str


_DOUBT = ". If such a rule may match, the longer limit applies, and a rule that may exempt does exempt"
_WITHOUT = {
    GROUPS: f"the culler cannot tell whether rules for groups match{_DOUBT}",
    STATE: "rules for profiles and options see only what users asked for, and the culler cannot tell whether they match"
    f"{_DOUBT}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a culler that need scopes."""

    culls_users: bool = False
    is_dry_run: bool = False
    of_rules: Sequence[str] = ()  # GROUPS, STATE or both
    asks_servers: bool = False
    has_template: bool = False  # of addresses, without fields of the saved state
    shows_own_token: bool = False

    def needs(self, has: Collection[str]) -> Iterator[Need]:
        """Yield everything that they need beside the scopes of the token."""
        yield Need(scope=LIST, without="the culler finds no users")
        yield Need(scope=SERVERS, without="the culler sees no servers")
        if not self.is_dry_run:
            yield Need(scope=STOP, without="the culler cannot stop servers")
        if self.culls_users:
            yield Need(scope=ACTIVITY, without="cull_users deletes no users")
            yield Need(
                scope=CREATED,
                without="cull_users does not see when users were created: it deletes no user without activity, "
                "and user_max_age has no effect",
            )
            if not self.is_dry_run:
                yield Need(scope=DELETE_USERS, without="cull_users deletes no users")
        for scope in self.of_rules:
            yield Need(scope=scope, without=_WITHOUT[scope])
        if self.asks_servers:
            yield from self._needs_of_probe(has)

    def _needs_of_probe(self, has: Collection[str]) -> Iterator[Need]:
        """Yield what asking servers needs; there are several ways."""
        has_address = self.has_template or ROUTES in has
        opens_all = TOKENS in has or (self.shows_own_token and ACCESS in has)
        if not (has_address and opens_all):
            yield Need(
                scope=STATE,
                without="ask_servers asks no servers, and only the hub's record of activity counts",
            )
        if self.shows_own_token:
            yield Need(
                scope=ACCESS,
                without="ask_with_own_token has no effect: the culler's own token opens no server",
            )


def dangers(has: Collection[str], *, shows_own_token: bool) -> Iterator[str]:
    """Yield a message for each scope that gives the culler's token more power than culling needs."""
    if TOKENS in has:
        yield (
            f"The API token has the scope {TOKENS}: with it, the culler can make a token of any user, even of an admin. "
            "The culler does not need it: set KubeSpawner.save_access_token, and remove the scope from the culler's role"
        )
    if opens_servers(has) and shows_own_token:
        yield (
            f"ask_with_own_token: the culler sends every server a token with the scope {ACCESS}. A user who reads it there "
            "can open the servers of others. KubeSpawner.save_access_token gives each server a token of its own"
        )
    elif opens_servers(has):
        yield (
            f"The API token has the scope {ACCESS}, which the culler does not use: remove it from the culler's role. The "
            "culler asks servers with the token in their state (KubeSpawner.save_access_token), or with ask_with_own_token"
        )


def opens_servers(has: Collection[str]) -> bool:
    """Return whether a token with these scopes opens servers: with a filter, some of them."""
    return any(scope.partition("!")[0] == ACCESS for scope in has)


def lacking(wanted: Iterable[Need], has: Collection[str]) -> Iterator[str]:
    """Yield one message for each missing scope."""
    reasons: dict[str, str] = {}
    for need in wanted:
        reasons.setdefault(need.scope, need.without)
    for missing in missing_scopes(list(reasons), has):
        if missing.partly:
            yield f"The API token has the scope {missing}: for all others, {reasons[missing.name]}"
        else:
            yield f"The API token lacks the scope {missing}: {reasons[missing.name]}"
