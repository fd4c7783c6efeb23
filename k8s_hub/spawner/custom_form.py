"""An administrator's own template of the form in which users choose a profile."""

from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader, Template, TemplateNotFound

from k8s_hub.objects.raw import Raw


def render_custom_form(
    text: str, directories: Sequence[str], *, profile_list: Sequence[Raw], user_options: Raw
) -> str | None:
    """Return the form of the template's text, else of a form.html in the directories; None if there is neither.

    As in KubeSpawner, nothing is escaped, and ``tojson`` keeps the order of keys: that of profiles has a meaning.
    """
    environment = Environment(loader=FileSystemLoader(list(directories)))  # noqa: S701 - templates decide themselves
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    template = _template(environment, text)
    return None if template is None else template.render(profile_list=profile_list, user_options=user_options)


def _template(environment: Environment, text: str) -> Template | None:
    if text:
        return environment.from_string(text)
    try:
        return environment.get_template("form.html")
    except TemplateNotFound:
        return None
