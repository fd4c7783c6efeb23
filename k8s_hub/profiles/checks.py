"""Whether configured profiles can work: what never could is refused in one sentence that says where it stands.

KubeSpawner's freedom stays: what it takes, or ignores, is taken here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.access import RULES
from k8s_hub.profiles.listing import choices_of, options_of, slug_of, unlisted_choice_of
from k8s_hub.profiles.overrides import filled_in


class UnusableProfiles(ValueError):  # noqa: N818 - what the profiles are
    """Profiles that could never work; the message begins with the path to the place."""


def check(profile_list: Any, *, path: str = "profile_list") -> None:
    """Raise UnusableProfiles where a profile, or the list as such, could never be started."""
    for place, profile in placed(profile_list, path):
        _check_dictionary(profile, place)
        if profile.get("display_name") is None:
            raise UnusableProfiles(f"{place}: display_name is missing")
        _check_override(profile, place)
        _check_rules(profile, place)
        _check_options(profile, f"{place}.profile_options")


def useless_slugs(profile_list: Any, *, path: str = "profile_list") -> Iterator[str]:
    """Yield a sentence, path first, for each profile of a list without other faults that nobody can choose."""
    seen: dict[str, str] = {}
    for place, profile in placed(profile_list, path):
        slug = str(slug_of(profile))
        if slug in seen:
            yield f'{place}: its slug "{slug}" is already that of {seen[slug]}; give it another'
        elif not slug and not (profile.get("default") or not seen):
            yield f"{place}: display_name has no letters to make a slug of; give it a slug"
        seen.setdefault(slug, place)


def fixed_overrides(profile_list: Any, *, path: str = "profile_list") -> Iterator[tuple[str, str, Any]]:
    """Yield the path, name and value of each setting that profiles and choices replace by a fixed value."""
    for place, profile in placed(profile_list, path):
        yield from _fixed(profile, place)
        for name, option in options_of(profile).items():
            for key, choice in choices_of(option).items():
                yield from _fixed(choice, f"{place}.profile_options.{name}.choices.{key}")


def placed(profile_list: Any, path: str = "profile_list") -> Iterator[tuple[str, Any]]:
    """Yield each profile with its path, in the order of the list or of the dictionary's keys."""
    if isinstance(profile_list, Mapping):
        yield from ((f"{path}.{key}", profile_list[key]) for key in sorted(profile_list))
    elif isinstance(profile_list, list | tuple):
        yield from ((f"{path}[{index}]", profile) for index, profile in enumerate(profile_list))
    else:
        raise UnusableProfiles(
            f"{path}: must be a list or a dictionary of profiles, not {_kind(profile_list)}"
        )


def _fixed(owner: Raw, place: str) -> Iterator[tuple[str, str, Any]]:
    for name, value in (owner.get("kubespawner_override") or {}).items():
        if not callable(value) and not isinstance(value, dict):
            yield f"{place}.kubespawner_override.{name}", name, value


def _check_options(profile: Raw, place: str) -> None:
    _check_optional_dictionary(profile.get("profile_options"), place)
    for name, option in options_of(profile).items():
        _check_option(option, f"{place}.{name}")


def _check_option(option: Any, place: str) -> None:
    _check_dictionary(option, place)
    _check_rules(option, place)
    _check_optional_dictionary(option.get("choices"), f"{place}.choices")
    for key, choice in choices_of(option).items():
        _check_dictionary(choice, f"{place}.choices.{key}")
        _check_override(choice, f"{place}.choices.{key}")
        _check_rules(choice, f"{place}.choices.{key}")
    _check_optional_dictionary(option.get("unlisted_choice"), f"{place}.unlisted_choice")
    unlisted = unlisted_choice_of(option)
    if unlisted is not None:
        _check_unlisted(unlisted, f"{place}.unlisted_choice")
    elif not choices_of(option):
        raise UnusableProfiles(f"{place}: has neither choices nor an unlisted_choice that is enabled")


def _check_unlisted(unlisted: Raw, place: str) -> None:
    _check_override(unlisted, place)
    _check_rules(unlisted, place)
    regex = unlisted.get("validation_regex")
    try:
        re.compile(regex or "")
    except (re.error, TypeError) as error:
        raise UnusableProfiles(
            f"{place}.validation_regex: {regex!r} is no regular expression ({error})"
        ) from None
    for name, template in (unlisted.get("kubespawner_override") or {}).items():
        try:
            filled_in({name: template}, "value")
        except (ValueError, LookupError, AttributeError) as error:
            raise UnusableProfiles(
                f"{place}.kubespawner_override.{name}: is malformed ({error}); literal braces are written {{{{ and }}}}"
            ) from None


def _check_override(owner: Raw, place: str) -> None:
    _check_optional_dictionary(owner.get("kubespawner_override"), f"{place}.kubespawner_override")


def _check_rules(ruled: Raw, place: str) -> None:
    for rule in RULES:
        names = ruled.get(rule)
        if names is None:
            continue
        if not isinstance(names, list | tuple | set | frozenset):
            raise UnusableProfiles(f"{place}.{rule}: must be a list of names, not {_kind(names)}")
        for name in names:
            if not isinstance(name, str):
                raise UnusableProfiles(f"{place}.{rule}: {name!r} is no name")


def _check_optional_dictionary(value: Any, place: str) -> None:
    if value is not None:
        _check_dictionary(value, place)


def _check_dictionary(value: Any, place: str) -> None:
    if not isinstance(value, Mapping):
        raise UnusableProfiles(f"{place}: must be a dictionary, not {_kind(value)}")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "a dictionary"
        case _:
            return f"a {type(value).__name__}"
