"""The list of profiles in order, with slugs and defaults filled in, and the part that each user may choose.

The key ``access`` of profiles, options, choices and unlisted choices restricts them to its ``groups`` and ``users``; with
empty lists no user may choose them. Without the key, every user may. If a user may not use an option, none of its overrides
applies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slugify import slugify

from k8s_hub.objects.raw import Raw
from k8s_hub.text import in_key_order

OTHER = "Other..."


def in_order(profile_list: Any) -> list[Any]:
    """Return the profiles as a list. A dictionary is sorted by its keys, which are not slugs."""
    return [profile for _, profile in with_places(profile_list)]


def with_places(profile_list: Any) -> Iterator[tuple[str, Any]]:
    """Yield each profile with its path for messages, in the order of the form."""
    if isinstance(profile_list, Mapping):
        for key in in_key_order(profile_list):
            yield f"profile_list.{key}", profile_list[key]
    else:
        for index, profile in enumerate(profile_list):
            yield f"profile_list[{index}]", profile


def initialised(profiles: Iterable[Raw]) -> list[dict[str, Any]]:
    """Return a copy with slugs, a default profile, and each option's default and unlisted choice filled in."""
    return complete([_initialised(profile) for profile in profiles])


def slug_of(profile: Raw) -> Any:
    """Return the profile's slug, or make one from its name."""
    slug = profile.get("slug")
    return slugify(str(profile["display_name"])) if slug is None else slug


def complete(fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark the first profile, and the first choice of each option, as default if none is marked.

    Changes the dictionaries in place.
    """
    _mark_default(fresh)
    for profile in fresh:
        for option in options_of(profile).values():
            _mark_default(list(choices_of(option).values()))
    return fresh


def options_of(profile: Raw) -> Mapping[str, Any]:
    """Return the options of a profile by key."""
    return profile.get("profile_options") or {}


def choices_of(option: Raw) -> Mapping[Any, Any]:
    """Return the choices of an option by key."""
    return option.get("choices") or {}


def unlisted_choice_of(option: Raw) -> Raw | None:
    """Return the rules for values that are not among the choices; None if such values are not allowed."""
    unlisted = option.get("unlisted_choice") or {}
    return unlisted if unlisted.get("enabled") else None


def copied(value: Any) -> Any:
    """Copy nested dictionaries, lists and sets; share everything else (functions, models)."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return set(value) if isinstance(value, set) else value


def _initialised(profile: Raw) -> dict[str, Any]:
    result: dict[str, Any] = copied(dict(profile))
    result["slug"] = slug_of(result)
    if options_of(result):
        # YAML may have made a number of a name; a form and the API can only give a text.
        result["profile_options"] = {str(name): option for name, option in options_of(result).items()}
    for option in options_of(result).values():
        unlisted = option["unlisted_choice"] = option.get("unlisted_choice") or {}
        unlisted.setdefault("enabled", False)
        if unlisted["enabled"]:
            unlisted.setdefault("display_name_in_choices", OTHER)
    return result


def _mark_default(items: list[dict[str, Any]]) -> None:
    if items and not any(item.get("default") for item in items):
        items[0]["default"] = True


# --- For whom it is ---


ACCESS = "access"
GROUPS, USERS = RULES = ("groups", "users")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the hub and their groups."""

    name: str
    groups: frozenset[str] = frozenset()


def has_foreign_access(ruled: Raw) -> bool:
    """Return whether ``access`` is a string: no rule, but a word that an administrator's own function filters by."""
    return isinstance(ruled.get(ACCESS), str)


def _rule_of(ruled: Raw) -> Raw | None:
    return None if has_foreign_access(ruled) else ruled.get(ACCESS)


def may_choose(ruled: Raw, person: Person) -> bool:
    """Return whether this person may choose the profile, option or choice."""
    access = _rule_of(ruled)
    if access is None:
        return True
    return person.name in (access.get(USERS) or ()) or not person.groups.isdisjoint(access.get(GROUPS) or ())


def has_rules(profiles: Iterable[Raw]) -> bool:
    """Return whether any access rule exists."""
    return any(_rule_of(ruled) is not None for ruled in _ruled(profiles))


def offered(profiles: Sequence[Raw], person: Person) -> Sequence[Raw]:
    """Return the parts of initialised profiles that this person may choose, without access rules and with new defaults."""
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
    """Return the part of the option that this person may choose; None if there is none."""
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
