"""An administrator's own template of the form in which users choose a profile."""

from collections.abc import Sequence

from jinja2 import (
    ChoiceLoader,
    DictLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    Template,
    TemplateNotFound,
)

from k8s_hub.profiles.form import render_form

_FORM = "form.html"


def custom_form(text: str, directories: Sequence[str]) -> Template | None:
    """Return the template of the text, else the form.html in the directories; None if there is neither.

    It is rendered with ``profile_list`` and ``user_options``. As in KubeSpawner, nothing is escaped, ``tojson`` keeps
    the order of keys, because that of profiles has a meaning, and what the directories lack (form.html, style.css) is
    the package's.
    """
    own = FileSystemLoader(list(directories))
    environment = Environment(loader=ChoiceLoader([own, *_PACKAGED]))  # noqa: S701 - templates decide themselves
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    environment.globals["packaged_form"] = render_form
    if text:
        return environment.from_string(text)
    try:
        return own.load(environment, _FORM, environment.globals)
    except TemplateNotFound:
        return None


_PACKAGED = (
    # Rendered by itself: it escapes, and needs functions of its own.
    DictLoader({_FORM: "{{ packaged_form(profile_list, user_options)|safe }}"}),
    PackageLoader("k8s_hub.profiles", "templates"),
)
