"""The profile form: HTML without scripts and libraries, with KubeSpawner's field names, and the notice above it."""

import html
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any

from jinja2 import Environment, PackageLoader, Template
from markupsafe import Markup, escape

from k8s_hub.objects import timestamps
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.fields import PROFILE, UNLISTED_CHOICE, field_name, unlisted_key
from k8s_hub.profiles.listing import OTHER, choices_of, options_of, unlisted_choice_of
from k8s_hub.profiles.selection import NOTHING_OFFERED, is_given, means
from k8s_hub.text import format_time


def render_form(profiles: Sequence[Raw], user_options: Raw, *, nothing: str = NOTHING_OFFERED) -> str:
    """Return the form for a user's profiles, with the last choice preselected.

    Without profiles it shows the text ``nothing``. All braces are escaped, so the hub cannot take the form for a template.
    """
    return _template().render(profiles=profiles, user_options=user_options, nothing=nothing)


def render_last_end(at: datetime, cause: str) -> str:
    """Return the notice above a form that says how the user's last server ended, in the reader's own time zone."""
    environment = _template().environment
    return environment.get_template("last-end.html").render(
        moment=timestamps.format_seconds(at), time=format_time(at), cause=cause
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("k8s_hub.profiles", "templates"),
        autoescape=True,
        finalize=_without_braces,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"with_markup": cleaned, "without_markup": bare}
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
    """Return the label of the text field. Without choices, it must also name the option."""
    own = (unlisted_choice_of(option) or {}).get("display_name")
    if choices_of(option):
        return str(own or "Other")
    name = option.get("display_name") or key
    return f"{name} ({own})" if own and own != name else str(name)


def _without_braces(value: Any) -> Markup:
    return Markup(str(escape(value)).replace("{", "&#123;"))  # noqa: S704 - escaped in this line


# --- Administrators' texts: simple markup works, as in KubeSpawner's form; anything else is shown as text ---


_TAGS = frozenset(
    {
        "a",
        "abbr",
        "b",
        "br",
        "code",
        "del",
        "em",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "s",
    }
    | {"samp", "small", "span", "strong", "sub", "sup", "u", "ul"}
)
_VOID = frozenset({"br", "hr", "img"})
_ATTRIBUTES = frozenset({"alt", "class", "height", "href", "src", "target", "title", "width"})
_ADDRESSES = frozenset({"href", "src"})
_SCHEMES = ("https:", "http:", "mailto:")


def cleaned(text: Any) -> Markup:
    """Return the text as HTML, with harmless markup only, and every tag closed."""
    return Markup(_read(text, keeps_tags=True))  # noqa: S704 - cleaned in this line


def bare(text: Any) -> str:
    """Return the text without markup, unescaped."""
    return _read(text, keeps_tags=False)


def _read(text: Any, *, keeps_tags: bool) -> str:
    reader = _Reader(keeps_tags=keeps_tags)
    reader.feed(str(text))
    reader.close()
    return reader.result()


class _Reader(HTMLParser):
    def __init__(self, *, keeps_tags: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._keeps_tags = keeps_tags
        self._parts: list[str] = []
        self._open: list[str] = []

    def result(self) -> str:
        closing = [f"</{tag}>" for tag in reversed(self._open)]
        return "".join(self._parts + closing)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self.handle_data(self.get_starttag_text() or "")
        elif self._keeps_tags:
            kept = "".join(
                f' {name}="{html.escape(value or "")}"' for name, value in attrs if _is_harmless(name, value)
            )
            self._parts.append(f"<{tag}{kept}>")
            if tag not in _VOID:
                self._open.append(tag)
        elif tag == "br":
            self._parts.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _TAGS:
            self.handle_data(f"</{tag}>")
        elif tag in self._open:
            while True:
                last = self._open.pop()
                self._parts.append(f"</{last}>")
                if last == tag:
                    break

    def handle_data(self, data: str) -> None:
        self._parts.append(html.escape(data) if self._keeps_tags else data)


def _is_harmless(name: str, value: str | None) -> bool:
    if name not in _ATTRIBUTES:
        return False
    if name not in _ADDRESSES:
        return True
    # Browsers ignore blanks and control characters in front of and within a scheme.
    address = "".join(character for character in value or "" if character > " ").lower()
    return ":" not in address.partition("/")[0] or address.startswith(_SCHEMES)
