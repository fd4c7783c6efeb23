"""Checks configured profiles: leaves out those that cannot work, with a message for each.

Whatever KubeSpawner accepts or ignores is accepted here.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from typing import Any

from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.listing import (
    ACCESS,
    RULES,
    choices_of,
    has_foreign_access,
    options_of,
    slug_of,
    unlisted_choice_of,
    with_places,
)
from k8s_hub.profiles.selection import filled_in
from k8s_hub.text import kind_of, nearest

FOREIGN_RULES = ("allowed_groups", "allowed_users")
"""Keys that KubeSpawner ignores and that administrators' functions may use. k8s_hub 0.1 restricted access by them."""

TOO_LATE = {
    "pod_name_template": "pod_name",
    "pvc_name_template": "pvc_name",
    "secret_name_template": "secret_name",
    "user_namespace_template": "namespace",
    "enable_user_namespaces": "namespace",
}
"""Settings that are used before a profile applies, and what a profile can set instead."""

_PROFILE_KEYS = frozenset(
    {"display_name", "slug", "description", "default", "kubespawner_override", "profile_options", ACCESS}
)
_OPTION_KEYS = frozenset({"display_name", "choices", "unlisted_choice", ACCESS})
_CHOICE_KEYS = frozenset({"display_name", "default", "kubespawner_override", ACCESS})
_UNLISTED_KEYS = frozenset(
    {
        "enabled",
        "display_name",
        "display_name_in_choices",
        "validation_regex",
        "validation_message",
        "kubespawner_override",
        ACCESS,
    }
)
_LIKENESS_OF_KEYS = 0.85
"""Own templates and functions of administrators may read other keys, such as ``display_order``: those are no typing errors."""

_NOTHING_TO_CHOOSE = "has neither choices nor an enabled unlisted_choice"


class UnusableProfiles(ValueError):
    """A profile cannot work. The message begins with the path to the fault."""


def usable(profile_list: Any, *, of_function: bool = False) -> tuple[dict[str, Raw], list[str]]:
    """Return the usable profiles by their paths, in order, and a message for each fault.

    A key that seems to be misspelled leaves out nothing. An option without choices is left out alone. Any other fault leaves out
    its whole profile, because the rest might start a different server than intended. Raises UnusableProfiles
    if ``profile_list`` is not a list or dictionary.

    ``of_function``: an administrator's function returned the list. The ``access`` of a profile may then be a string.
    """
    if not isinstance(profile_list, Mapping | list | tuple):
        raise UnusableProfiles(
            f"profile_list: must be a list or a dictionary of profiles, not {_kind(profile_list)}"
        )
    kept, faults = {}, []
    for place, profile in with_places(profile_list):
        try:
            _check_profile(profile, place, of_function=of_function)
        except UnusableProfiles as error:
            faults += [f"{error}; the profile is left out", *_misspelled_keys(profile, place)]
            continue
        empty = [name for name, option in options_of(profile).items() if _is_empty(option)]
        faults += [
            f"{place}.profile_options.{name}: {_NOTHING_TO_CHOOSE}; the option is left out" for name in empty
        ]
        faults += _misspelled_keys(profile, place)
        kept[place] = _without_options(profile, empty)
    return kept, faults


def useless_slugs(profiles: Mapping[str, Raw]) -> Iterator[str]:
    """Yield a message for each usable profile that no user can choose."""
    seen: dict[str, str] = {}
    for place, profile in profiles.items():
        slug = str(slug_of(profile))
        if slug in seen:
            yield f'{place}: the slug "{slug}" is already used by {seen[slug]}; set another slug'
        elif not slug and not (profile.get("default") or not seen):
            yield f"{place}: display_name has no letters to make a slug from; set slug"
        seen.setdefault(slug, place)


def foreign_rules(profiles: Mapping[str, Raw]) -> Iterator[str]:
    """Yield the path of each key that looks like an access rule, but is not one."""
    for place, part in chain(_choosable(profiles), _options(profiles)):
        yield from (f"{place}.{key}" for key in FOREIGN_RULES if key in part)
        if has_foreign_access(part):
            yield f"{place}.{ACCESS}"


def overrides_too_late(profiles: Mapping[str, Raw]) -> Iterator[str]:
    """Yield a message for each override that comes too late to have an effect."""
    for place, part in _choosable(profiles):
        override = part.get("kubespawner_override") or {}
        for name in override.keys() & TOO_LATE.keys():
            if TOO_LATE[name] not in override:
                yield (
                    f"{place}.kubespawner_override.{name}: has no effect, because names are made before profiles apply;"
                    f" set {TOO_LATE[name]} instead"
                )


def unknown_overrides(
    profiles: Mapping[str, Raw], is_known: Callable[[str], bool], options: Collection[str]
) -> Iterator[str]:
    """Yield a message for each override of an unknown option; ``options`` are candidates for "did you mean"."""
    for place, name, _ in overridden(profiles):
        if not is_known(name):
            similar = nearest(name, options)
            hint = f"; did you mean {similar}?" if similar else "; it is set, but only hooks can use it"
            yield f"{place}: is not an option of the spawner{hint}"


def overridden(profiles: Mapping[str, Raw], *, with_unlisted: bool = True) -> Iterator[tuple[str, str, Any]]:
    """Yield the path, name and value of each override of profiles, choices and unlisted choices."""
    for place, part in _choosable(profiles, with_unlisted=with_unlisted):
        for name, value in (part.get("kubespawner_override") or {}).items():
            yield f"{place}.kubespawner_override.{name}", name, value


def fixed_overrides(profiles: Mapping[str, Raw]) -> Iterator[tuple[str, str, Any]]:
    """Yield the path, name and value of each override that is not a function, without unlisted choices."""
    for place, name, value in overridden(profiles, with_unlisted=False):
        if not callable(value):
            yield place, name, value


def _choosable(profiles: Mapping[str, Raw], *, with_unlisted: bool = True) -> Iterator[tuple[str, Raw]]:
    """Yield profiles, choices and unlisted choices with their paths."""
    yield from profiles.items()
    for place, option in _options(profiles):
        yield from ((f"{place}.choices.{key}", choice) for key, choice in choices_of(option).items())
        unlisted = unlisted_choice_of(option)
        if unlisted is not None and with_unlisted:
            yield f"{place}.unlisted_choice", unlisted


def _options(profiles: Mapping[str, Raw]) -> Iterator[tuple[str, Raw]]:
    for place, profile in profiles.items():
        yield from (
            (f"{place}.profile_options.{name}", option) for name, option in options_of(profile).items()
        )


def _misspelled_keys(profile: Any, place: str) -> Iterator[str]:
    """Yield a message for each key that is like a known one that is not there."""
    for path, part, known in _with_known_keys(profile, place):
        for key in part:
            if key in known or str(key).startswith("x-"):
                continue
            if similar := nearest(key, sorted(known - part.keys()), likeness=_LIKENESS_OF_KEYS):
                yield f"{path}.{key}: is unknown, and has no effect; did you mean {similar}?"


def _with_known_keys(profile: Any, place: str) -> Iterator[tuple[str, Raw, frozenset[str]]]:
    """Yield each part of a profile, which may be malformed, with its path and its keys."""
    yield from _if_dictionary(place, profile, _PROFILE_KEYS)
    for path, option in _items_in(profile, "profile_options", place):
        yield from _if_dictionary(path, option, _OPTION_KEYS)
        for of_choice, choice in _items_in(option, "choices", path):
            yield from _if_dictionary(of_choice, choice, _CHOICE_KEYS)
        unlisted = option.get("unlisted_choice") if isinstance(option, Mapping) else None
        yield from _if_dictionary(f"{path}.unlisted_choice", unlisted, _UNLISTED_KEYS)


def _if_dictionary(path: str, part: Any, known: frozenset[str]) -> Iterator[tuple[str, Raw, frozenset[str]]]:
    if isinstance(part, Mapping):
        yield path, part, known


def _items_in(owner: Any, key: str, place: str) -> Iterator[tuple[str, Any]]:
    items = owner.get(key) if isinstance(owner, Mapping) else None
    if isinstance(items, Mapping):
        yield from ((f"{place}.{key}.{name}", item) for name, item in items.items())


def _check_profile(profile: Any, place: str, *, of_function: bool) -> None:
    _check_dictionary(profile, place)
    if profile.get("display_name") is None:
        raise UnusableProfiles(f"{place}: display_name is missing")
    _check_override(profile, place)
    if not (of_function and has_foreign_access(profile)):
        _check_access(profile, place)
    _check_optional_dictionary(profile.get("profile_options"), f"{place}.profile_options")
    for name, option in options_of(profile).items():
        if option is not None:
            _check_option(option, f"{place}.profile_options.{name}")


def _is_empty(option: Raw | None) -> bool:
    return option is None or not (choices_of(option) or unlisted_choice_of(option))


def _without_options(profile: Raw, names: list[Any]) -> Raw:
    if not names:
        return profile
    kept = {name: option for name, option in options_of(profile).items() if name not in names}
    return {**profile, "profile_options": kept}


def _check_option(option: Any, place: str) -> None:
    _check_dictionary(option, place)
    _check_access(option, place)
    _check_optional_dictionary(option.get("choices"), f"{place}.choices")
    for key, choice in choices_of(option).items():
        _check_dictionary(choice, f"{place}.choices.{key}")
        _check_override(choice, f"{place}.choices.{key}")
        _check_access(choice, f"{place}.choices.{key}")
    _check_optional_dictionary(option.get("unlisted_choice"), f"{place}.unlisted_choice")
    unlisted = unlisted_choice_of(option)
    if unlisted is not None:
        _check_unlisted(unlisted, f"{place}.unlisted_choice")


def _check_unlisted(unlisted: Raw, place: str) -> None:
    _check_override(unlisted, place)
    _check_access(unlisted, place)
    regex = unlisted.get("validation_regex")
    try:
        re.compile(regex or "")
    except (re.error, TypeError) as error:
        raise UnusableProfiles(
            f"{place}.validation_regex: {regex!r} is not a regular expression ({error})"
        ) from None
    for name, template in (unlisted.get("kubespawner_override") or {}).items():
        try:
            filled_in({name: template}, "value")
        except (ValueError, LookupError, AttributeError) as error:
            raise UnusableProfiles(
                f"{place}.kubespawner_override.{name}: is malformed ({error}); literal braces are written {{{{ and }}}}"
            ) from None


def _check_override(owner: Raw, place: str) -> None:
    override = owner.get("kubespawner_override")
    _check_optional_dictionary(override, f"{place}.kubespawner_override")
    for name in override or ():
        if not isinstance(name, str):
            raise UnusableProfiles(f"{place}.kubespawner_override: {name!r} is not an option of the spawner")


def _check_access(ruled: Raw, place: str) -> None:
    access = ruled.get(ACCESS)
    if access is None:
        return
    place = f"{place}.{ACCESS}"
    _check_dictionary(access, place)
    for rule, names in access.items():
        if rule not in RULES:
            raise UnusableProfiles(f"{place}.{rule}: unknown key; use {' or '.join(RULES)}")
        if names is not None:
            _check_names(names, f"{place}.{rule}")
    if all(access.get(rule) is None for rule in RULES):
        raise UnusableProfiles(f"{place}: has neither {' nor '.join(RULES)}")


def _check_names(names: Any, place: str) -> None:
    if not isinstance(names, list | tuple | set | frozenset):
        raise UnusableProfiles(f"{place}: must be a list of names, not {_kind(names)}")
    for name in names:
        if not isinstance(name, str):
            raise UnusableProfiles(f"{place}: {name!r} is not a name")


def _check_optional_dictionary(value: Any, place: str) -> None:
    if value is not None:
        _check_dictionary(value, place)


def _check_dictionary(value: Any, place: str) -> None:
    if not isinstance(value, Mapping):
        raise UnusableProfiles(f"{place}: must be a dictionary, not {_kind(value)}")


def _kind(value: Any) -> str:
    return "empty" if value is None else kind_of(value)
