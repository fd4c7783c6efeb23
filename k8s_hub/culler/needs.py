"""Scopes: what the configuration needs of the token, and what it is for."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from k8s_hub.hub.scopes import missing_scopes

LIST = "list:users"
SERVERS = "read:servers"
STOP = "delete:servers"
ACTIVITY = "read:users:activity"
DELETE_USERS = "delete:users"
STATE = "admin:server_state"
ACCESS = "access:servers"
TOKENS = "tokens"
ROUTES = "proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A scope, and what does not work without it."""

    scope: str
    without: str


def needs(*, culls_users: bool, is_dry_run: bool, of_rules: Sequence[str]) -> Iterator[Need]:
    """Return what is needed beside what asking servers takes."""
    yield Need(scope=LIST, without="no server can be found")
    yield Need(scope=SERVERS, without="no server can be seen")
    if not is_dry_run:
        yield Need(scope=STOP, without="no server can be stopped")
    if culls_users:
        yield Need(scope=ACTIVITY, without="cull_users deletes nobody")
        if not is_dry_run:
            yield Need(scope=DELETE_USERS, without="cull_users deletes nobody")
    for scope in of_rules:
        yield Need(scope=scope, without="rules that match groups never match")


def needs_of_asking(has: Collection[str], *, has_template: bool) -> Iterator[Need]:
    """Return what asking servers needs of a token that has these scopes: one of several ways."""
    off = "no server can be asked, and only the hub's word counts (ask_servers)"
    if not has_template and ROUTES not in has:
        yield Need(scope=STATE, without=off)
    if ACCESS not in has:
        yield Need(scope=TOKENS, without=off)


def opens_servers(has: Collection[str]) -> bool:
    """Return whether a token with these scopes opens servers itself: some, where the scope has a filter."""
    return any(scope.partition("!")[0] == ACCESS for scope in has)


def lacking(wanted: Sequence[Need], has: Collection[str]) -> Iterator[str]:
    """Return a sentence for each scope that is missing, once each."""
    reasons = {need.scope: need.without for need in reversed(wanted)}
    for missing in missing_scopes([need.scope for need in wanted], has):
        if missing.partly:
            yield f"The API token has the scope {missing}: for all others {reasons[missing.name]}"
        else:
            yield f"The API token lacks the scope {missing}: {reasons[missing.name]}"
