"""The pages as HTML: values into templates, with every name escaped."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from k8s_hub.culler.judging import words


def render(template: str, **values: Any) -> str:
    """Return a page; ``now`` must be among the values."""
    return _environment().get_template(template).render(values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("k8s_hub.culler.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": _time,
        "second": _second,
        "relative": _relative,
        "duration": words.duration,
    }
    return environment


def _time(at: datetime) -> Markup:
    """Return a time element: UTC for people, until a script says it in their own time."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", words.moment(utc))


def _second(at: datetime) -> Markup:
    """Return a time element to the second: sweeps may be seconds apart."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" data-seconds>{}</time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{utc:%Y-%m-%d %H:%M:%S} UTC"
    )


@pass_context
def _relative(context: Context, at: datetime) -> str:
    return words.relative(at, context["now"])
