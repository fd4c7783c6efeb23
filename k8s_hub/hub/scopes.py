"""Scopes: which of those that a program wants its token lacks, in whole or in part."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingScope:
    """A scope that a token does not have for everybody."""

    name: str
    partly: tuple[str, ...] = ()  # what the token has of it: for some users, groups or servers

    def __str__(self) -> str:
        return f"{self.name} (only {', '.join(self.partly)})" if self.partly else self.name


def missing_scopes(wanted: Iterable[str], has: Collection[str]) -> tuple[MissingScope, ...]:
    """Return what is missing of the scopes ``wanted``, each once, in their order.

    has: as `HubApi.scopes` tells them, with all that they imply. A scope with a filter, such as
    ``access:servers!user=ada``, is a part of the scope without it, except where the filtered one is wanted.
    """
    return tuple(
        MissingScope(name=name, partly=tuple(sorted(scope for scope in has if scope.startswith(f"{name}!"))))
        for name in dict.fromkeys(wanted)
        if name not in has and name.partition("!")[0] not in has
    )
