"""The names of the form's fields, and what a form says in the words of ``user_options``.

KubeSpawner's names: administrators' templates, links and API clients use them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PROFILE = "profile"
OPTION_PREFIX = "profile-option-"
UNLISTED_SUFFIX = "--unlisted-choice"
UNLISTED_CHOICE = "unlisted-choice"
"""What the form's list of choices says for "none of these, but the text beside it"."""


def unlisted_key(option: str) -> str:
    """Return the key in ``user_options`` of a value that is not among the option's choices."""
    return f"{option}{UNLISTED_SUFFIX}"


def field_name(slug: str, key: str) -> str:
    """Return the name of the form's field for a key of ``user_options`` beside the profile."""
    return f"{OPTION_PREFIX}{slug}--{key}"


def options_from_fields(fields: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the ``user_options`` of a form's fields: the profile, and of the options only the chosen profile's."""
    slug = _first(fields.get(PROFILE))
    if not slug:
        return {}
    prefix = field_name(slug, "")
    own = {name.removeprefix(prefix): values for name, values in fields.items() if name.startswith(prefix)}
    return {PROFILE: slug, **{key: _first(values) for key, values in own.items()}}


def unrecognised(fields: Iterable[str]) -> list[str]:
    """Return the names of fields that no form of profiles has."""
    return sorted(name for name in fields if name != PROFILE and not name.startswith(OPTION_PREFIX))


def _first(values: Sequence[Any] | None) -> Any:
    return values[0] if values else None
