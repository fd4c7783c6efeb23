"""The form's field names, and their conversion to ``user_options``.

The names are KubeSpawner's, because administrators' templates, links and API clients use them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PROFILE = "profile"
OPTION_PREFIX = "profile-option-"
UNLISTED_SUFFIX = "--unlisted-choice"
UNLISTED_CHOICE = "unlisted-choice"
"""The value in the form's list of choices for "use the text field instead"."""


def unlisted_key(option: str) -> str:
    """Return the key in ``user_options`` of an unlisted value for the option."""
    return f"{option}{UNLISTED_SUFFIX}"


def field_name(slug: str, key: str) -> str:
    """Return the form's field name for a key of ``user_options`` other than the profile."""
    return f"{OPTION_PREFIX}{slug}--{key}"


def options_from_fields(fields: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the ``user_options`` for a form's fields: the profile, and the chosen profile's options."""
    slug = _first(fields.get(PROFILE))
    if not slug:
        return {}
    prefix = field_name(slug, "")
    own = {name.removeprefix(prefix): values for name, values in fields.items() if name.startswith(prefix)}
    return {PROFILE: slug, **{key: _first(values) for key, values in own.items()}}


def unrecognised(fields: Iterable[str]) -> list[str]:
    """Return the field names that no profile form has."""
    return sorted(name for name in fields if name != PROFILE and not name.startswith(OPTION_PREFIX))


def _first(values: Sequence[Any] | None) -> Any:
    return values[0] if values else None
