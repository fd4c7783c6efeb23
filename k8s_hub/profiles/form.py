"""The form in which a user chooses: HTML that needs no script and no library, with KubeSpawner's names of fields."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, Template
from markupsafe import Markup, escape

from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.fields import PROFILE, UNLISTED_CHOICE, field_name, unlisted_key
from k8s_hub.profiles.listing import OTHER, choices_of, options_of, unlisted_choice_of
from k8s_hub.profiles.markup import bare, cleaned
from k8s_hub.profiles.selection import NOTHING_OFFERED, is_given, means


def render_form(profiles: Sequence[Raw], user_options: Raw, *, nothing: str = NOTHING_OFFERED) -> str:
    """Return the form of these profiles, which are for this user, with what was chosen last chosen again.

    Without any profile it says ``nothing``. No text in it can be taken for a template, should the hub look for one.
    """
    return _template().render(profiles=profiles, user_options=user_options, nothing=nothing)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("k8s_hub.profiles", "templates"),
        autoescape=True,
        finalize=_without_braces,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"with_markup": _with_markup, "without_markup": _without_markup}
    environment.globals |= {
        "OTHER": OTHER,
        "PROFILE": PROFILE,
        "UNLISTED_CHOICE": UNLISTED_CHOICE,
        "choices_of": choices_of,
        "field_name": field_name,
        "is_chosen": _is_chosen,
        "is_given": is_given,
        "means": means,
        "options_of": options_of,
        "unlisted_choice_of": unlisted_choice_of,
        "unlisted_key": unlisted_key,
        "unlisted_label": _unlisted_label,
    }
    return environment.get_template("form.html")


def _is_chosen(profile: Raw, user_options: Raw) -> bool:
    chosen = user_options.get(PROFILE)
    return str(profile["slug"]) == str(chosen) if is_given(chosen) else bool(profile.get("default"))


def _unlisted_label(key: str, option: Raw) -> str:
    """Return what stands before the text field; where there are no choices, nothing else names the option."""
    own = (unlisted_choice_of(option) or {}).get("display_name")
    if choices_of(option):
        return str(own or "Other")
    name = option.get("display_name") or key
    return f"{name} ({own})" if own and own != name else str(name)


def _without_braces(value: Any) -> Markup:
    return Markup(str(escape(value)).replace("{", "&#123;"))  # noqa: S704 - escaped in this line


def _with_markup(text: Any) -> Markup:
    return Markup(cleaned(str(text)))  # noqa: S704 - cleaned in this line


def _without_markup(text: Any) -> str:
    return bare(str(text))
