"""Validates a user's choice against their profiles, and returns its overrides.

``user_options`` may be any JSON, because the hub's API accepts any.
"""

import re
import signal
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.fields import (
    OPTION_PREFIX,
    PROFILE,
    UNLISTED_CHOICE,
    UNLISTED_SUFFIX,
    field_name,
    unlisted_key,
)
from k8s_hub.profiles.listing import (
    Person,
    choices_of,
    copied,
    may_choose,
    offered,
    options_of,
    unlisted_choice_of,
)

MATCH_SECONDS = 0.005
"""CPU seconds for all regular expressions of one request. They take microseconds, unless one backtracks.

The event loop may block four times as long: the kernel counts in ticks, and ``re`` checks for signals only every 4096 steps.
"""


class TooSlow(Exception):
    """A regular expression exceeded its time limit."""


class MatchBudget:
    """The CPU time that is left for the regular expressions of one request."""

    def __init__(self, seconds: float = MATCH_SECONDS) -> None:
        self._left = seconds
        self._is_matching = False

    def matches(self, expression: str, text: str) -> bool:
        """Return whether the expression matches the whole text; raise TooSlow if no time is left.

        There is no limit outside the main thread, where Python has no signals. A hub's event loop is in the main thread.
        """
        pattern = re.compile(expression)
        if threading.current_thread() is not threading.main_thread():
            return pattern.fullmatch(text) is not None
        if self._left <= 0:
            raise TooSlow
        previous = signal.signal(signal.SIGVTALRM, self._interrupt)
        try:
            self._is_matching = True
            signal.setitimer(signal.ITIMER_VIRTUAL, self._left)
            return pattern.fullmatch(text) is not None
        finally:
            self._is_matching = False  # first: a signal that comes from here on interrupts nothing
            self._left, _ = signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, previous)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if self._is_matching:
            raise TooSlow


LONGEST_VALUE = 4000
"""The longest unlisted value, in characters."""

LONGEST_TOGETHER = 4 * LONGEST_VALUE
"""The longest total of a server's unlisted values, in characters: the hub's database stores them."""

NOTHING_OFFERED = "No profile is available to you. Ask your administrator for access."

_SHOWN = 60
_LISTED = 8


class WrongChoice(ValueError):
    """A choice is invalid or not available to the user. The message is for the user.

    ``detail`` is for the administrator, if the configuration may be at fault.
    """

    def __init__(self, sentence: str, *, detail: str = "") -> None:
        super().__init__(sentence)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The chosen profile, and the overrides of the profile and the chosen options in order."""

    profile: Raw
    overrides: Sequence[Raw]
    chosen: Raw  # by option: the key of the choice, including defaults, or the typed value


def select(
    profiles: Sequence[Raw], user_options: Raw, person: Person, *, templates: Collection[str] = ()
) -> Selection:
    """Return the selection for ``user_options`` from initialised profiles; raise WrongChoice for the first error.

    ``templates``: as of :func:`k8s_hub.profiles.selection.filled_in`.
    """
    complete, profile = _found(profiles, user_options.get(PROFILE), person)
    _refuse_unknown(complete, user_options)
    budget = MatchBudget()
    found = {
        name: _chosen(name, options_of(profile).get(name), user_options, templates, budget)
        for name in options_of(complete)
    }
    chosen = {name: value for name, (value, _) in found.items() if value is not None}
    if sum(len(value) for value in chosen.values() if isinstance(value, str)) > LONGEST_TOGETHER:
        raise WrongChoice(
            f"The values of the options have more than {LONGEST_TOGETHER} characters together. Shorten them."
        )
    overrides = [_override(profile), *(override for _, override in found.values())]
    return Selection(profile=profile, overrides=overrides, chosen=chosen)


def profile_of(profiles: Sequence[Raw], slug: Any, person: Person) -> Raw:
    """Return the profile with this slug as this person sees it; without a slug, their default profile."""
    return _found(profiles, slug, person)[1]


def still_valid(
    profiles: Sequence[Raw], user_options: Raw, person: Person, *, keeps_texts: bool = False
) -> dict[str, Any]:
    """Return the options that are still valid; empty if the profile is gone.

    ``keeps_texts``: keep invalid text that the user typed, so that they can correct it.
    """
    try:
        complete, profile = _found(profiles, user_options.get(PROFILE), person)
    except WrongChoice:
        return {}
    gone = {key for key in unknown_to(complete, user_options) if _is_meant_for_an_option(key)}
    budget = MatchBudget()
    for name in options_of(complete):
        try:
            _chosen(name, options_of(profile).get(name), user_options, (), budget)
        except WrongChoice:
            text = unlisted_key(name)
            gone |= {name} if keeps_texts and isinstance(user_options.get(text), str) else {name, text}
    return {key: value for key, value in user_options.items() if key not in gone}


def unknown_to(profile: Raw, user_options: Iterable[str]) -> list[str]:
    """Return the keys that the profile does not know."""
    known = {PROFILE, *options_of(profile), *map(unlisted_key, options_of(profile))}
    return sorted(str(key) for key in user_options if key not in known)


def is_given(value: Any) -> bool:
    """Return whether a value of ``user_options`` is set: 0 and false are, None and blank strings are not."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def means(choice: Any, key: Any) -> bool:
    """Return whether a value of ``user_options`` selects the choice with this key.

    Numbers and booleans also match as strings, because YAML, JSON and forms differ in types.
    """
    return str(key) == str(choice) or (isinstance(choice, bool) and key == str(choice).lower())


def in_quotes(text: str) -> str:
    """Return the text in quotation marks, shortened for a sentence."""
    readable = text[: _SHOWN + 1].encode(errors="backslashreplace").decode()
    return f'"{readable}"' if len(text) <= _SHOWN else f'"{readable[:_SHOWN]}…"'


def _found(profiles: Sequence[Raw], slug: Any, person: Person) -> tuple[Raw, Raw]:
    """Return a profile as configured, and as this person sees it."""
    offer = offered(profiles, person)
    if not offer:
        raise WrongChoice(NOTHING_OFFERED)
    pairs = list(zip((profile for profile in profiles if may_choose(profile, person)), offer, strict=True))
    if not is_given(slug):
        return next(pair for pair in pairs if pair[1].get("default"))
    wanted = _text(slug, PROFILE)
    for pair in pairs:
        if str(pair[1]["slug"]) == wanted:
            return pair
    names = _choose_from(profile["slug"] for profile in offer)
    if any(str(profile["slug"]) == wanted for profile in profiles):
        raise WrongChoice(f"The profile {in_quotes(wanted)} is not available to you; {names}.")
    raise WrongChoice(f"There is no profile {in_quotes(wanted)}; {names}.")


def _chosen(
    name: str, option: Raw | None, user_options: Raw, templates: Collection[str], budget: MatchBudget
) -> tuple[Any, Raw]:
    """Return the chosen value of an option (None without one) and its override.

    ``option`` is None if the user may not use it.
    """
    choice, unlisted = user_options.get(name), user_options.get(unlisted_key(name))
    if option is None:
        if is_given(choice) or is_given(unlisted):
            raise WrongChoice(f"The option {in_quotes(name)} is not available to you.")
        return None, {}
    if is_given(unlisted):
        value = _text(unlisted, unlisted_key(name)).strip()
        rules = _rules_for(name, option, value)
        _match(name, rules, value, budget)
        return value, filled_in(_override(rules), value, templates=templates)
    key, listed = _listed(name, option, choice) if is_given(choice) else _default(name, option)
    return key if isinstance(key, str | int | float) else str(key), _override(listed)


def _rules_for(name: str, option: Raw, value: str) -> Raw:
    """Return the option's rules for an unlisted value."""
    rules = unlisted_choice_of(option)
    if rules is None:
        raise WrongChoice(
            f"The option {in_quotes(name)} does not accept a value of your own, such as {in_quotes(value)};"
            f" {_choose_from(choices_of(option))}."
        )
    if len(value) > LONGEST_VALUE:
        raise WrongChoice(
            f"The value of the option {in_quotes(name)} has {len(value)} characters, but may have at most {LONGEST_VALUE}."
        )
    return rules


def _match(name: str, rules: Raw, value: str, budget: MatchBudget) -> None:
    """Raise WrongChoice unless the rules allow the value."""
    regex = rules.get("validation_regex")
    try:
        if not regex or budget.matches(regex, value):
            return
    except TooSlow:
        raise WrongChoice(
            f"The option {in_quotes(name)} cannot be {in_quotes(value)}: checking it took too long."
            " Try a shorter value, or contact your administrator.",
            detail=f"option {name!r}: the validation_regex {regex!r} was too slow for a value of {len(value)} characters;"
            " avoid repetitions within repetitions, and repetitions of the same characters side by side",
        ) from None
    hint = rules.get("validation_message") or f"it does not match {regex}"
    raise WrongChoice(f"The option {in_quotes(name)} cannot be {in_quotes(value)}: {hint}")


def _listed(name: str, option: Raw, choice: Any) -> tuple[Any, Raw]:
    wanted = _text(choice, name)
    for key, listed in choices_of(option).items():
        if means(choice, key):
            return key, listed
    rules = unlisted_choice_of(option)
    if wanted == UNLISTED_CHOICE and rules is not None:
        raise WrongChoice(_value_is_missing(name, rules))
    if not choices_of(option):
        raise WrongChoice(
            f"The option {in_quotes(name)} has no choice {in_quotes(wanted)}; put a value"
            f" of your own into {in_quotes(unlisted_key(name))}."
        )
    raise WrongChoice(
        f"The option {in_quotes(name)} has no choice {in_quotes(wanted)}; {_choose_from(choices_of(option))}."
    )


def _default(name: str, option: Raw) -> tuple[Any, Raw]:
    for key, choice in choices_of(option).items():
        if choice.get("default"):
            return key, choice
    raise WrongChoice(_value_is_missing(name, unlisted_choice_of(option) or {}))


def _value_is_missing(name: str, rules: Raw) -> str:
    return f"The option {in_quotes(name)} needs a value. {rules.get('validation_message') or ''}".rstrip()


def _refuse_unknown(profile: Raw, user_options: Raw) -> None:
    """Refuse unknown keys that look like options: ignoring them would start a different server than requested.

    Other unknown keys are ignored, as in KubeSpawner: clients and hooks have keys of their own.
    """
    slug = str(profile["slug"])
    for key in unknown_to(profile, user_options):
        if not (_is_meant_for_an_option(key) and is_given(user_options[key])):
            continue
        if key.startswith(OPTION_PREFIX):
            own = key.removeprefix(field_name(slug, ""))
            hint = f"; use {in_quotes(own)} in user_options" if own != key else ""
            raise WrongChoice(f"{in_quotes(key)} is the name of a form field{hint}.")
        option = key.removesuffix(UNLISTED_SUFFIX)
        raise WrongChoice(f"The profile {in_quotes(slug)} has no option {in_quotes(option)}.")


def _is_meant_for_an_option(key: str) -> bool:
    """Return whether an unknown key has the form of a known one."""
    # In a form, a field of the profile "a--b" looks like one of the profile "a".
    is_text = key.endswith(UNLISTED_SUFFIX) and "--" not in key.removesuffix(UNLISTED_SUFFIX)
    return is_text or key.startswith(OPTION_PREFIX)


def _text(value: Any, key: str) -> str:
    """Return a string, or a number as a string: API clients may send either."""
    if isinstance(value, str | int | float):
        text = str(value)
        if any("\ud800" <= character <= "\udfff" for character in text):
            # JSON can say it, but no page, request or file can be written with it.
            raise WrongChoice(f"{in_quotes(key)} contains an invalid character: {in_quotes(text)}.")
        return text
    raise WrongChoice(f"{in_quotes(key)} must be a string, not {_KINDS.get(type(value), 'something else')}.")


_KINDS: dict[type, str] = {list: "a list", dict: "an object"}


def _override(chosen: Raw) -> Raw:
    override: Raw = chosen.get("kubespawner_override") or {}
    return override


def _choose_from(names: Iterable[Any]) -> str:
    words = [in_quotes(str(name)) for name in names]
    shown = [*words[:_LISTED], f"{len(words) - _LISTED} more"] if len(words) > _LISTED else words
    if len(shown) < 2:
        return f"choose {shown[0]}"
    return f"choose one of {', '.join(shown[:-1])} and {shown[-1]}"


# --- What an override makes of a value ---


def merged(current: Raw, changes: Raw) -> dict[str, Any]:
    """Merge changes into a dictionary, recursively; None removes a key."""
    result = dict(current)
    for key, value in changes.items():
        if value == {} and key in result:
            continue
        if isinstance(value, dict):
            present = result.get(key)
            result[key] = merged(present if isinstance(present, dict) else {}, value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = copied(value)
    return result


def filled_in(override: Raw, value: str, *, templates: Collection[str] = ()) -> dict[str, Any]:
    """Return the override with every ``{value}`` filled in; other fields stay as they are.

    ``{{`` and ``}}`` become single braces. ``templates``: settings that are expanded again later, where braces that the user
    typed must stay literal.
    """
    literal = value.replace("{", "{{").replace("}", "}}")
    return {
        name: _filled(template, literal if name in templates else value, key=value)
        for name, template in override.items()
    }


def _filled(template: Any, value: str, *, key: str) -> Any:
    """Fill ``value`` into the template, and ``key`` into keys of dictionaries, which are not expanded again."""
    if isinstance(template, str):
        return template.format_map(_Fields(value=value))
    if isinstance(template, list):
        return [_filled(item, value, key=key) for item in template]
    if isinstance(template, set):
        return {_filled(item, value, key=key) for item in template}
    if isinstance(template, Mapping):
        return {_filled(name, key, key=key): _filled(item, value, key=key) for name, item in template.items()}
    return template


class _Fields(dict[str, str]):
    """Keeps unknown fields as they are."""

    def __missing__(self, name: str) -> str:
        return "{" + name + "}"
