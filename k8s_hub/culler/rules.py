"""Rules: which limits hold for which server, and when; the first that matches decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from k8s_hub.culler.policy import Limits
from k8s_hub.hub.users import Server, User


class BadRule(Exception):  # noqa: N818 - it says what it is
    """A rule that makes no sense; the message begins with the path of the key, such as ``rules[2].match.user``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The limits that hold for one server, and the rule they are from."""

    limits: Limits
    rule: str | None = None  # its name, or "rule 2"; None: the defaults


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, checked, in their order."""

    rules: tuple[Any, ...] = ()

    @classmethod
    def parse(cls, raw: Any) -> Self:
        """Read a list of rules; raise BadRule."""
        raise NotImplementedError

    def for_server(self, server: Server, user: User, defaults: Limits, now: datetime) -> Ruling:
        """Return what holds for a server now."""
        return Ruling(limits=defaults)

    def for_user(self, user: User, defaults: Limits, now: datetime) -> Ruling:
        """Return what holds now for a user who has no server: only rules that do not speak of servers count."""
        return Ruling(limits=defaults)

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes that they need beside those of the core."""
        return ()
