"""Rules: which limits apply to which server, and when; the first matching rule decides.

The token may not see a user's groups or a server's state. Then a rule may match or not, and the longer limit applies:
missing knowledge keeps a server.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import translate
from functools import cached_property, partial
from typing import Any, Self

from k8s_hub.claims.saved_state import AppliedOptions, SavedState
from k8s_hub.culler.core import needs
from k8s_hub.culler.core.mistakes import BadOption, every
from k8s_hub.culler.core.reading import any_mapping, below, mapping, one_or_more, text, truth
from k8s_hub.culler.core.schedule import Schedule, parse_schedule
from k8s_hub.hub.users import Server, User, state_in, unpacked
from k8s_hub.objects.raw import Raw
from k8s_hub.text import quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a server or user; rules set those in `LIMIT_KEYS`."""

    timeout: timedelta  # since its last activity
    max_age: timedelta | None = None  # its maximum runtime, in use or not; None: none
    busy_limit: timedelta | None = None  # in place of timeout while kernels are busy, if longer; None: none
    exempt: bool = False  # True: never stop the server or delete the user
    may_be_exempt: bool = False  # exempt only because the token cannot see whether a rule exempts it
    default_servers: bool = True  # False: default servers are exempt
    named_servers: bool = True  # False: named servers are exempt
    admins: bool = True  # False: never delete admins; their servers still stop


LONGEST = 1_000_000_000
"""In seconds: 31 years. A longer time is a mistake, and would lead to dates that do not exist."""

NEVER = "never"

_UNITS = (
    ("w|weeks?", 604_800),
    ("d|days?", 86_400),
    ("h|hours?", 3_600),
    ("m|mins?|minutes?", 60),
    ("s|secs?|seconds?", 1),
)
_PARTS = re.compile(r"\s*".join(rf"(?:([0-9]{{1,10}})\s*(?:{names})(?![a-z]))?" for names, _ in _UNITS))
_SECONDS = re.compile("0|[1-9][0-9]{0,9}")  # not 010, which some read as 8


def parse_duration(raw: Any, path: str = "duration") -> timedelta:
    """Read a duration of a second or more; raise BadOption with ``path``."""
    seconds = _seconds_in(raw)
    if seconds is None:
        raise BadOption(f"{path}: {quoted(raw)} is not a duration such as 900 (seconds), 15m or 1d 12h")
    if not 0 < seconds <= LONGEST:
        raise BadOption(f"{path}: {quoted(raw)} is not between one second and 31 years")
    return timedelta(seconds=seconds)


def parse_limit(raw: Any, path: str = "duration") -> timedelta | None:
    """Read a duration; "never" and 0 are None. Raise BadOption with ``path``."""
    return None if raw == NEVER or _seconds_in(raw) == 0 else parse_duration(raw, path)


def _seconds_in(raw: Any) -> int | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return raw
    if not isinstance(raw, str):
        return None
    written = raw.strip()
    if _SECONDS.fullmatch(written):
        return int(written)
    parts = _PARTS.fullmatch(written)
    if not written or parts is None:
        return None
    return sum(
        int(number or 0) * seconds for number, (_, seconds) in zip(parts.groups(), _UNITS, strict=True)
    )


def _longest(durations: Iterable[timedelta | None]) -> timedelta | None:
    longest = timedelta()
    for duration in durations:
        if duration is None:  # no limit
            return None
        longest = max(longest, duration)
    return longest


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitKey:
    """A key of rules that sets the field of this name in `Limits`; the option of this name is its default."""

    read: Callable[[Any, str], Any] = parse_limit  # gets the raw value and its path; raises BadOption
    most_lenient: Callable[[Iterable[Any]], Any] = _longest  # chooses from the values of several rules
    may_be_never: bool = True
    is_for_users: bool = True  # rules for deleting users have it, too


LIMIT_KEYS: Mapping[str, LimitKey] = {
    "timeout": LimitKey(may_be_never=False),
    "max_age": LimitKey(),
    "busy_limit": LimitKey(is_for_users=False),
    "exempt": LimitKey(read=truth, most_lenient=any),
}


def most_lenient(possible: Sequence[Limits]) -> Limits:
    """Return the longest of each limit, if one of several may apply; the first applies if no other does."""
    longest = {
        name: key.most_lenient(getattr(limits, name) for limits in possible)
        for name, key in LIMIT_KEYS.items()
    }
    return replace(possible[0], **longest, may_be_exempt=longest["exempt"] and not possible[0].exempt)


LONGEST_WORD = 100_000
"""In characters: patterns see only this much of a choice, because users can send texts of any length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A rule that may match or not, because the token lacks a scope."""

    rule: str
    scope: str  # the scope that would show it
    exempts: bool = False  # whether the rule exempts what it matches


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRule:
    """The limits that apply to one server, and their rule."""

    limits: Limits
    name: str | None = None  # the rule's name, or its place, such as "rules[2]"; None: the defaults
    until: datetime | None = None  # when a schedule may change the match; None: not foreseen
    doubts: tuple[Doubt, ...] = ()  # earlier rules that may match: the longest of all limits applies


@dataclass(frozen=True, slots=True)
class Globs:
    """Case-sensitive patterns; one must match the whole text."""

    patterns: tuple[re.Pattern[str], ...]

    def match(self, word: str) -> bool:
        """Return whether a word matches."""
        return any(pattern.match(word) for pattern in self.patterns)


class Subject:
    """A user, and maybe one of their servers, as conditions see them."""

    def __init__(self, user: User, server: Server | None = None) -> None:
        self.user = user
        self.server = server

    @cached_property
    def chosen(self) -> AppliedOptions:
        """The options that the spawner applied; if it saved none, those that the user requested."""
        applied = SavedState.load(state_in(self._words)).applied_options
        return AppliedOptions.asked_for(self._words.get("user_options")) if applied is None else applied

    @cached_property
    def hides_choices(self) -> bool:
        """Whether the token cannot see the applied options."""
        return state_in(self._words) is None

    def hides(self, scope: str) -> bool:
        """Return whether the data of this scope is hidden."""
        return self.user.groups is None if scope == needs.GROUPS else self.hides_choices

    def has_chosen(self, fits: bool) -> bool | None:
        """Return whether a choice fits; None: unknown, because a hidden state may contain an applied default."""
        return fits or (None if self.hides_choices else False)

    @property
    def server_name(self) -> str:
        """The name of the server, empty for the default one."""
        return "" if self.server is None else self.server.name

    @cached_property
    def _words(self) -> Raw:
        return {} if self.server is None else unpacked(self.server.raw)


def _globs(raw: Any, path: str, *, may_be_empty: bool = False) -> Globs:
    return Globs(
        tuple(_glob(item, where, may_be_empty=may_be_empty) for where, item in one_or_more(raw, path))
    )


def _glob(raw: Any, path: str, *, may_be_empty: bool) -> re.Pattern[str]:
    glob = text(raw, path)
    if not glob and not may_be_empty:
        raise BadOption(f'{path}: is empty, which matches nothing; "*" matches everything')
    return re.compile(translate(glob))


def _globs_of_options(raw: Any, path: str) -> tuple[tuple[str, Globs], ...]:
    if not isinstance(raw, Mapping) or not raw:
        raise BadOption(f"{path}: must be a mapping of options to their values, not {quoted(raw)}")
    return tuple(
        (text(name, below(path, name)), _globs(value, below(path, name))) for name, value in raw.items()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchKey:
    """A key of ``match``."""

    read: Callable[[Any, str], Any]  # raw value and path to the wanted value; raises BadOption
    fits: Callable[[Any, Subject], bool | None]  # wanted value and subject to the answer; None: unknown
    scope: str | None = None  # needed to know the answer
    is_for_users: bool = True  # about the user, not about a server


MATCH_KEYS: Mapping[str, MatchKey] = {
    "admin": MatchKey(read=truth, fits=lambda wanted, subject: wanted == subject.user.admin),
    "user": MatchKey(read=_globs, fits=lambda globs, subject: globs.match(subject.user.name)),
    "server": MatchKey(
        read=partial(_globs, may_be_empty=True),  # the default server's name
        fits=lambda globs, subject: globs.match(subject.server_name),
        is_for_users=False,
    ),
    "group": MatchKey(
        read=_globs,
        fits=lambda globs, subject: (
            None if subject.user.groups is None else any(map(globs.match, subject.user.groups))
        ),
        scope=needs.GROUPS,
    ),
    "profile": MatchKey(
        read=_globs,
        fits=lambda globs, subject: subject.has_chosen(_has(subject.chosen.profile, globs)),
        scope=needs.STATE,
        is_for_users=False,
    ),
    "options": MatchKey(
        read=_globs_of_options,
        fits=lambda wanted, subject: subject.has_chosen(
            all(_has(subject.chosen.options.get(name), globs) for name, globs in wanted)
        ),
        scope=needs.STATE,
        is_for_users=False,
    ),
}
"""In the order of comparison: unpack the state only if everything else fits."""


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions by key; all must hold."""

    conditions: tuple[tuple[str, Any], ...] = ()

    def fits(self, subject: Subject) -> bool | None:
        """Return whether all conditions hold; None: unknown. Without a server, conditions on servers do not hold."""
        answer: bool | None = True
        for name, wanted in self.conditions:
            key = MATCH_KEYS[name]
            is_about = key.is_for_users or subject.server is not None
            fits = is_about and key.fits(wanted, subject)
            if fits is False:
                return False
            answer = answer and fits
        return answer

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes that it needs."""
        scopes = (MATCH_KEYS[name].scope for name, _ in self.conditions)
        return tuple(dict.fromkeys(scope for scope in scopes if scope is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Limits for matching servers or users, while its schedule applies."""

    name: str
    limits: Mapping[str, Any]  # fields of Limits; defaults fill the others
    match: Match = field(default_factory=Match)
    schedule: Schedule | None = None  # None: always


@dataclass(frozen=True, slots=True)
class Rules:
    """The checked rules, in order."""

    rules: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, raw: Any, path: str = "rules") -> Self:
        """Read rules for servers, a list or a mapping with the key ``rules``; raise BadOption."""
        return cls._parse(sections(raw, path)[0], path, _SERVERS)

    @classmethod
    def parse_users(cls, raw: Any, path: str = "users") -> Self:
        """Read a list of rules for deleting users; raise BadOption."""
        return cls._parse(raw, path, _USERS)

    @classmethod
    def _parse(cls, raw: Any, path: str, section: "_Section") -> Self:
        if not isinstance(raw, list | tuple):
            raise BadOption(f"{path}: must be a list of rules, not {quoted(raw)}")
        rules = tuple(
            every(
                *(partial(_rule, item, f"{path}[{index}]", index, section) for index, item in enumerate(raw))
            )
        )
        _refuse_doubles(rules, path)
        _refuse_unreachable(rules, path)
        return cls(rules)

    def for_server(self, server: Server, user: User, defaults: Limits, now: datetime) -> MatchedRule:
        """Return the limits that apply to a server now."""
        return self._matched(Subject(user, server), defaults, now)

    def for_user(self, user: User, defaults: Limits, now: datetime) -> MatchedRule:
        """Return the limits that apply to a user now; rules about servers do not count."""
        return self._matched(Subject(user), defaults, now)

    @property
    def scopes(self) -> Sequence[str]:
        """The further scopes that the rules need, without duplicates."""
        return tuple(dict.fromkeys(scope for rule in self.rules for scope in rule.match.scopes))

    @property
    def surprises(self) -> Sequence[str]:
        """Warnings about the schedules of rules."""
        return tuple(
            f"schedule of {rule.name}: {sentence}"
            for rule in self.rules
            if rule.schedule is not None
            for sentence in rule.schedule.surprises
        )

    def _matched(self, subject: Subject, defaults: Limits, now: datetime) -> MatchedRule:
        changes: list[datetime | None] = []
        possible: list[Rule] = []  # rules that apply now if they match
        certain: Rule | None = None  # the first rule that certainly matches and applies now
        for rule in self.rules:
            fits = rule.match.fits(subject)
            if fits is False:
                continue
            if rule.schedule is not None:
                changes.append(rule.schedule.next_change(now))
            if rule.schedule is None or rule.schedule.holds(now):
                if fits:
                    certain = rule
                    break
                possible.append(rule)
        limits = [replace(defaults, **({} if rule is None else rule.limits)) for rule in (certain, *possible)]
        return MatchedRule(
            limits=most_lenient(limits) if possible else limits[0],
            name=None if certain is None else certain.name,
            until=min((change for change in changes if change is not None), default=None),
            doubts=tuple(
                Doubt(rule=rule.name, scope=scope, exempts=bool(rule.limits.get("exempt")))
                for rule in possible
                for scope in rule.match.scopes
                if subject.hides(scope)
            ),
        )


def _has(value: Any, globs: Globs) -> bool:
    return any(globs.match(word[:LONGEST_WORD]) for word in _words(value))


def _words(value: Any) -> Sequence[str]:
    """Return the spellings of a choice that rules may use; none for a list or null."""
    match value:
        case str():
            return (value,)
        case bool():  # in YAML and in Python
            return (str(value).lower(), str(value))
        case int() | float():
            return (quoted(value),)
        case _:
            return ()


# --- Reading ---


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """The differences between rules for servers and rules for users."""

    name: str
    has_schedules: bool
    match_keys: Sequence[str]
    limit_keys: Mapping[str, LimitKey]
    instead: str  # advice for a timeout of never


_SERVERS = _Section(
    name="rules",
    has_schedules=True,
    match_keys=tuple(MATCH_KEYS),
    limit_keys=LIMIT_KEYS,
    instead="to keep these servers, set exempt: true",
)
_USERS = _Section(
    name="users",
    has_schedules=False,
    match_keys=[name for name, key in MATCH_KEYS.items() if key.is_for_users],
    limit_keys={name: key for name, key in LIMIT_KEYS.items() if key.is_for_users},
    instead="to keep these users, set exempt: true",
)


def sections(raw: Any, path: str) -> tuple[Any, Any]:
    """Return the rules for servers and those for users; a bare list is for servers."""
    if not isinstance(raw, Mapping):
        return raw, ()
    raw = mapping(raw, path, keys=("rules", "users"))
    return raw.get("rules", () if raw else raw), raw.get("users", ())


def _rule(raw: Any, path: str, index: int, section: _Section) -> Rule:
    others = ("name", "match", "schedule") if section.has_schedules else ("name", "match")
    given = any_mapping(raw, path)
    _, name, limits, match, schedule = every(
        lambda: mapping(given, path, keys=(*others, *section.limit_keys)),
        lambda: _name(given["name"], f"{path}.name") if "name" in given else f"{section.name}[{index}]",
        lambda: _limits(given, path, section, others),
        lambda: _match(given["match"], f"{path}.match", section) if "match" in given else Match(),
        lambda: parse_schedule(given["schedule"], f"{path}.schedule") if "schedule" in given else None,
    )
    return Rule(name=name, limits=limits, match=match, schedule=schedule)


def _name(raw: Any, path: str) -> str:
    name = text(raw, path).strip()
    if not name:
        raise BadOption(f"{path}: is empty")
    return name


def _limits(raw: Raw, path: str, section: _Section, others: Sequence[str]) -> Raw:
    given = [name for name in section.limit_keys if name in raw]
    read = every(*(partial(_limit, raw[name], below(path, name), name, section) for name in given))
    limits = dict(zip(given, read, strict=True))
    if not limits and raw.keys() <= set(others):  # an unknown key may be a limit with a mistake in its name
        raise BadOption(f"{path}: sets no limit; set one of {', '.join(section.limit_keys)}")
    if limits.get("exempt") and len(limits) > 1:
        more = ", ".join(name for name in limits if name != "exempt")
        raise BadOption(f"{path}.exempt: true cannot be combined with {more}")
    return limits


def _limit(raw: Any, path: str, name: str, section: _Section) -> Any:
    key = section.limit_keys[name]
    limit = key.read(raw, path)
    if limit is None and not key.may_be_never:
        raise BadOption(f"{path}: {quoted(raw)} is not a limit; {section.instead}")
    return limit


def _match(raw: Any, path: str, section: _Section) -> Match:
    if raw is None:  # a key without a value, as templates render it
        return Match()
    raw = any_mapping(raw, path)
    given = [name for name in section.match_keys if name in raw]
    _, *wanted = every(
        lambda: mapping(raw, path, keys=section.match_keys),
        *(partial(MATCH_KEYS[name].read, raw[name], f"{path}.{name}") for name in given),
    )
    return Match(tuple(zip(given, wanted, strict=True)))


def _refuse_doubles(rules: Sequence[Rule], path: str) -> None:
    """Refuse duplicate names: decisions identify their rule by name."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if rule.name in seen:
            raise BadOption(
                f"{path}[{index}].name: {quoted(rule.name)} is already the name of {path}[{seen[rule.name]}]"
            )
        seen[rule.name] = index


def _refuse_unreachable(rules: Sequence[Rule], path: str) -> None:
    """Refuse rules after one that always matches everything."""
    for index, rule in enumerate(rules[:-1]):
        if rule.match == Match() and rule.schedule is None:
            raise BadOption(
                f"{path}[{index + 1}]: never applies, because {path}[{index}] matches everything; put that rule last"
            )
