"""The list of profiles as templates see it: in order, with slugs and defaults filled in, and what of it is for whom.

Who may choose is said by the key ``access`` of profiles, options, choices and unlisted choices. Without it,
everybody may. With it, whoever is in one of its ``groups`` or is one of its ``users``; nobody where both are empty.
An option that somebody may not choose from does not exist for them: none of its overrides applies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slugify import slugify

from k8s_hub.objects.raw import Raw

OTHER = "Other..."


def in_order(profile_list: Any) -> list[Any]:
    """Return the profiles as a list; those of a dictionary in the order of its keys, which are no slugs."""
    return [profile for _, profile in with_places(profile_list)]


def with_places(profile_list: Any) -> Iterator[tuple[str, Any]]:
    """Yield each profile with its place, as a log line can name it, in the order of the form."""
    if isinstance(profile_list, Mapping):
        for key in _in_order(profile_list):
            yield f"profile_list.{key}", profile_list[key]
    else:
        for index, profile in enumerate(profile_list):
            yield f"profile_list[{index}]", profile


def initialised(profiles: Iterable[Raw]) -> list[dict[str, Any]]:
    """Return a copy with each profile's slug, one default profile, and each option's default and unlisted choice."""
    return complete([_initialised(profile) for profile in profiles])


def slug_of(profile: Raw) -> Any:
    """Return the profile's slug: its own, else one of its name."""
    slug = profile.get("slug")
    return slugify(str(profile["display_name"])) if slug is None else slug


def complete(fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark a default among profiles, and among the choices of each option, in dictionaries that nobody else has.

    It is the first where none is marked.
    """
    _mark_default(fresh)
    for profile in fresh:
        for option in options_of(profile).values():
            _mark_default(list(choices_of(option).values()))
    return fresh


def options_of(profile: Raw) -> Mapping[str, Any]:
    """Return the options of a profile by their keys."""
    return profile.get("profile_options") or {}


def choices_of(option: Raw) -> Mapping[Any, Any]:
    """Return the choices of an option by their keys."""
    return option.get("choices") or {}


def unlisted_choice_of(option: Raw) -> Raw | None:
    """Return what is said about values that are not among the choices; None if there may be none."""
    unlisted = option.get("unlisted_choice") or {}
    return unlisted if unlisted.get("enabled") else None


def copied(value: Any) -> Any:
    """Copy dictionaries, lists and sets, however deep; everything else (functions, models) is shared."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return set(value) if isinstance(value, set) else value


def _in_order(keys: Iterable[Any]) -> list[Any]:
    try:
        return sorted(keys)
    except TypeError:  # numbers among texts, as YAML makes them
        return sorted(keys, key=str)


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
