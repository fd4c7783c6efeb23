"""The pages as HTML: values into templates, with every name escaped."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from k8s_hub.culler.core import words
from k8s_hub.culler.core.words import Message
from k8s_hub.text import printable


def render(template: str, **values: Any) -> str:
    """Return a page; ``now`` must be among the values."""
    return _environment().get_template(template).render(values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("k8s_hub.culler.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": _time,
        "second": _second,
        "clock": _clock,
        "message": _message,
        "relative": _relative,
        "duration": words.duration,
        "printable": printable,
    }
    return environment


# A script says the times in the reader's own zone; without it, all of them are in UTC.


def _time(at: datetime) -> Markup:
    """Return a time element."""
    return _element(at, words.moment(at))


def _second(at: datetime) -> Markup:
    """Return a time element to the second: sweeps may be seconds apart."""
    return _element(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", Markup(" data-seconds"))


@pass_context
def _clock(context: Context, at: datetime) -> Markup:
    """Return a time element without the date where that is today's."""
    return _element(at, words.clock(at, context["now"]), Markup(" data-clock"))


def _element(at: datetime, text: str, mark: Markup = Markup()) -> Markup:  # noqa: B008 - a value
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}"{}>{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", mark, text)


def _message(message: Message) -> Markup:
    """Return a sentence with its times as elements."""
    return Markup().join(_time(part) if isinstance(part, datetime) else part for part in message)


@pass_context
def _relative(context: Context, at: datetime) -> str:
    return words.relative(at, context["now"])
