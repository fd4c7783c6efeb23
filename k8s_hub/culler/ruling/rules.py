"""Rules: which limits hold for which server, and when; the first that matches decides."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import translate
from typing import Any, Self

from k8s_hub.culler.ruling import durations
from k8s_hub.culler.ruling.limits import Limits
from k8s_hub.culler.ruling.reading import BadRule, below, mapping, one_or_more, shown, text, truth
from k8s_hub.culler.ruling.schedule import Schedule, parse_schedule
from k8s_hub.hub.users import Server, User
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.fields import PROFILE, UNLISTED_CHOICE, unlisted_key

__all__ = ["BadRule", "Rule", "Rules", "Ruling"]

GROUPS_SCOPE = "read:users:groups"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The limits that hold for one server, and the rule they are from."""

    limits: Limits
    rule: str | None = None  # its name, or its place, such as "rules[2]"; None: the defaults
    until: datetime | None = (
        None  # when a schedule may change it, if the server stays as it is; None: not in sight
    )


@dataclass(frozen=True, slots=True)
class Globs:
    """Patterns, of which one must match all of a text, letter by letter."""

    patterns: tuple[re.Pattern[str], ...]

    def match(self, word: str) -> bool:
        """Return whether a word matches."""
        return any(pattern.match(word) for pattern in self.patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Conditions, all of which must hold; None: anything will do."""

    profile: Globs | None = None
    options: tuple[tuple[str, Globs], ...] = ()
    group: Globs | None = None
    user: Globs | None = None
    server: Globs | None = None
    admin: bool | None = None

    def fits_user(self, user: User) -> bool:
        """Return whether all that is asked of the user is so; groups that are hidden match nothing."""
        return (
            (self.admin is None or self.admin == user.admin)
            and (self.user is None or self.user.match(user.name))
            and (self.group is None or any(map(self.group.match, user.groups or ())))
        )

    def fits_server(self, server: Server) -> bool:
        """Return whether all that is asked of the server is so; what was not chosen matches nothing."""
        return (self.server is None or self.server.match(server.name)) and (
            not self.asks_choices or self._fits_choices(_choices(server))
        )

    @property
    def asks_choices(self) -> bool:
        """Whether it depends on what was chosen for the server."""
        return self.profile is not None or bool(self.options)

    @property
    def asks_server(self) -> bool:
        """Whether it depends on more than the user."""
        return self.asks_choices or self.server is not None

    def _fits_choices(self, choices: Raw) -> bool:
        return (self.profile is None or _has(choices, PROFILE, self.profile)) and all(
            _has(choices, name, globs) for name, globs in self.options
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Limits for those who match, as long as its schedule holds."""

    name: str
    limits: Mapping[str, Any]  # fields of Limits; the others come from the defaults
    match: Match = field(default_factory=Match)
    schedule: Schedule | None = None  # None: always


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, checked, in their order."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, raw: Any, path: str = "rules") -> Self:
        """Read a list of rules, or a mapping whose only key ``rules`` has it; raise BadRule."""
        if isinstance(raw, Mapping):
            raw = mapping(raw, path, keys=("rules",)).get("rules", raw)
        if not isinstance(raw, list | tuple):
            raise BadRule(f"{path}: must be a list of rules, not {shown(raw)}")
        rules = tuple(_rule(item, f"{path}[{index}]", f"rules[{index}]") for index, item in enumerate(raw))
        _refuse_doubles(rules, path)
        _refuse_unreachable(rules, path)
        return cls(rules)

    def for_server(self, server: Server, user: User, defaults: Limits, now: datetime) -> Ruling:
        """Return what holds for a server now."""
        return self._ruling(lambda match: match.fits_user(user) and match.fits_server(server), defaults, now)

    def for_user(self, user: User, defaults: Limits, now: datetime) -> Ruling:
        """Return what holds now for a user who has no server: only rules that do not speak of servers count."""
        return self._ruling(lambda match: not match.asks_server and match.fits_user(user), defaults, now)

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes that they need beside those of the core."""
        return (GROUPS_SCOPE,) if any(rule.match.group is not None for rule in self.rules) else ()

    def _ruling(self, fits: Callable[[Match], bool], defaults: Limits, now: datetime) -> Ruling:
        changes = []
        for rule in self.rules:
            if not fits(rule.match):
                continue
            if rule.schedule is not None:
                changes.append(rule.schedule.next_change(now))
            if rule.schedule is None or rule.schedule.holds(now):
                return Ruling(
                    limits=replace(defaults, **rule.limits), rule=rule.name, until=_earliest(changes)
                )
        return Ruling(limits=defaults, until=_earliest(changes))


def _earliest(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


# --- What was chosen for a server ---


def _choices(server: Server) -> Raw:
    choices = server.raw.get("user_options")
    return choices if isinstance(choices, Mapping) else {}


def _has(choices: Raw, name: str, globs: Globs) -> bool:
    """Return whether a choice matches, or the text in place of one that is not on the list."""
    value = choices.get(name)
    if value == UNLISTED_CHOICE:
        value = choices.get(unlisted_key(name), value)
    word = _word(value)
    return word is not None and globs.match(word)


def _word(value: Any) -> str | None:
    """Return a value as it is written in YAML and JSON; None for what is more than one word."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            return None


# --- Reading ---

_MATCHES = ("profile", "options", "group", "user", "server", "admin")
_LIMITS = {"timeout": "idle", "max_age": "age", "busy_limit": "busy", "exempt": "exempt"}
_KEYS = ("name", "match", "schedule", *_LIMITS)


def _rule(raw: Any, path: str, place: str) -> Rule:
    raw = mapping(raw, path, keys=_KEYS)
    return Rule(
        name=_name(raw["name"], f"{path}.name") if "name" in raw else place,
        limits=_limits(raw, path),
        match=_match(raw["match"], f"{path}.match") if "match" in raw else Match(),
        schedule=parse_schedule(raw["schedule"], f"{path}.schedule") if "schedule" in raw else None,
    )


def _name(raw: Any, path: str) -> str:
    name = text(raw, path).strip()
    if not name:
        raise BadRule(f"{path}: is empty")
    return name


def _limits(raw: Raw, path: str) -> Raw:
    given = {key: raw[key] for key in _LIMITS if key in raw}
    if not given:
        raise BadRule(f"{path}: sets nothing; a rule sets {', '.join(_LIMITS)}")
    limits = {_LIMITS[key]: _limit(key, value, below(path, key)) for key, value in given.items()}
    if limits.get("exempt") and len(limits) > 1:
        others = ", ".join(key for key in given if key != "exempt")
        raise BadRule(f"{path}.exempt: true leaves no meaning to {others}")
    return limits


def _limit(key: str, value: Any, path: str) -> Any:
    if key == "exempt":
        return truth(value, path)
    duration = durations.parse_or_never(value, path)
    if key == "timeout" and duration is None:
        raise BadRule(
            f"{path}: {shown(value)} is no time; for servers that are never stopped, set exempt: true"
        )
    return duration


def _match(raw: Any, path: str) -> Match:
    if raw is None:  # a key without a value, as templates leave behind
        return Match()
    raw = mapping(raw, path, keys=_MATCHES)
    globs = {key: _globs(raw[key], f"{path}.{key}") for key in ("profile", "group", "user") if key in raw}
    return Match(
        **globs,
        options=_options(raw["options"], f"{path}.options") if "options" in raw else (),
        server=_globs(raw["server"], f"{path}.server", may_be_empty=True) if "server" in raw else None,
        admin=truth(raw["admin"], f"{path}.admin") if "admin" in raw else None,
    )


def _options(raw: Any, path: str) -> tuple[tuple[str, Globs], ...]:
    if not isinstance(raw, Mapping) or not raw:
        raise BadRule(f"{path}: must be a mapping of options to their values, not {shown(raw)}")
    return tuple(
        (text(name, below(path, name)), _globs(value, below(path, name))) for name, value in raw.items()
    )


def _globs(raw: Any, path: str, *, may_be_empty: bool = False) -> Globs:
    return Globs(
        tuple(_glob(item, where, may_be_empty=may_be_empty) for where, item in one_or_more(raw, path))
    )


def _glob(raw: Any, path: str, *, may_be_empty: bool) -> re.Pattern[str]:
    glob = text(raw, path)
    if not glob and not may_be_empty:
        raise BadRule(f'{path}: is empty, which matches nothing; "*" matches everything')
    return re.compile(translate(glob))


def _refuse_doubles(rules: Sequence[Rule], path: str) -> None:
    """Refuse names that two rules have: decisions name the rule that they are from."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if rule.name in seen:
            raise BadRule(
                f"{path}[{index}].name: {shown(rule.name)} is already the name of {path}[{seen[rule.name]}]"
            )
        seen[rule.name] = index


def _refuse_unreachable(rules: Sequence[Rule], path: str) -> None:
    """Refuse rules after one that always holds for everybody."""
    for index, rule in enumerate(rules[:-1]):
        if rule.match == Match() and rule.schedule is None:
            raise BadRule(
                f"{path}[{index + 1}]: can never hold, because {path}[{index}] holds for everybody; put that one last"
            )
