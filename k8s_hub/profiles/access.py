"""Who may choose what: the key ``access`` of profiles, options, choices and unlisted choices.

Without it, everybody may. With it, whoever is in one of its ``groups`` or is one of its ``users``; nobody where both
are empty. An option that somebody may not choose from does not exist for them: none of its overrides applies.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.listing import choices_of, complete, options_of, unlisted_choice_of

ACCESS = "access"
GROUPS, USERS = RULES = ("groups", "users")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whose server it is: the user's name, and the names of their groups in the hub."""

    name: str
    groups: frozenset[str] = frozenset()


def may_choose(ruled: Raw, person: Person) -> bool:
    """Tell whether this profile, option or choice is for this person."""
    access = ruled.get(ACCESS)
    if access is None:
        return True
    return person.name in (access.get(USERS) or ()) or not person.groups.isdisjoint(access.get(GROUPS) or ())


def has_rules(profiles: Iterable[Raw]) -> bool:
    """Tell whether anything is for some people only."""
    return any(ruled.get(ACCESS) is not None for ruled in _ruled(profiles))


def offered(profiles: Sequence[Raw], person: Person) -> Sequence[Raw]:
    """Return what of initialised profiles is for this person, without the rules; defaults are among what is left."""
    if not has_rules(profiles):
        return list(profiles)
    return complete(
        [_offered_profile(profile, person) for profile in profiles if may_choose(profile, person)]
    )


def _offered_profile(profile: Raw, person: Person) -> dict[str, Any]:
    result = _without_rules(profile)
    if options_of(profile):
        found = {name: _offered_option(option, person) for name, option in options_of(profile).items()}
        result["profile_options"] = {name: option for name, option in found.items() if option is not None}
    return result


def _offered_option(option: Raw, person: Person) -> dict[str, Any] | None:
    """Return what is left of an option; None if nothing is."""
    if not may_choose(option, person):
        return None
    result = _without_rules(option)
    if choices_of(option):
        result["choices"] = {
            key: _without_rules(choice)
            for key, choice in choices_of(option).items()
            if may_choose(choice, person)
        }
    unlisted = option.get("unlisted_choice") or {}
    result["unlisted_choice"] = _without_rules(unlisted)
    if not may_choose(unlisted, person):
        result["unlisted_choice"]["enabled"] = False
    return result if choices_of(result) or unlisted_choice_of(result) else None


def _without_rules(ruled: Raw) -> dict[str, Any]:
    return {key: value for key, value in ruled.items() if key != ACCESS}


def _ruled(profiles: Iterable[Raw]) -> Iterator[Raw]:
    for profile in profiles:
        yield profile
        for option in options_of(profile).values():
            yield option
            yield option.get("unlisted_choice") or {}
            yield from choices_of(option).values()
