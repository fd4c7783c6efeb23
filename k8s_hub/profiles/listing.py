"""The list of profiles as templates see it: in order, with slugs and defaults filled in."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slugify import slugify

from k8s_hub.objects.raw import Raw

OTHER = "Other..."


def in_order(profile_list: Any) -> list[Any]:
    """Return the profiles as a list; those of a dictionary in the order of its keys, which are no slugs."""
    return [profile for _, profile in placed(profile_list)]


def placed(profile_list: Any) -> Iterator[tuple[str, Any]]:
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
