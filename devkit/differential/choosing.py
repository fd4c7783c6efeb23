"""What hypothesis draws of profiles: lists of them, and what users choose."""

from typing import Any

from hypothesis import strategies as st
from slugify import slugify

from devkit.differential import recipes
from devkit.differential.drawing import (
    DEPRECATED,
    TRAITS,
    Drawn,
    dicts,
    optional,
    servernames,
    usernames,
    words,
)

_OPTIONS = (
    "{% for p in profile_list %}{% for key, o in (p.profile_options or {}).items() %}"
    "[{{ key }}|{{ o.display_name }}|{{ o.unlisted_choice }}"
    "{% for name, c in (o.choices or {}).items() %}|{{ name }}={{ c.display_name }}{{ c.default }}{% endfor %}]"
    "{% endfor %}{% endfor %}"
)
FORMS = (
    "{% for p in profile_list %}[{{ p.slug }}|{{ p.display_name }}|{{ p.description }}|{{ p.default }}]{% endfor %}",
    _OPTIONS,
    "{{ user_options }}",
    "{{ profile_list | length }} {{ user_options | tojson }} {% raw %}{{ spawner.name }}{% endraw %}",
    "{% set style %}{% include 'style.css' %}{% endset %}{{ style | length > 0 }} {{ profile_list | length }}",
)
"""Forms of administrators, which get `profile_list` and `user_options`."""

_LOCKED_IN = frozenset(
    {
        "additional_profile_form_template_paths",
        "enable_user_namespaces",  # the namespace is chosen before the profile
        "get_pod_url",
        "modify_pod_hook",
        "slug_scheme",
    }
)
_OVERRIDABLE = sorted(TRAITS.keys() - _LOCKED_IN - DEPRECATED.keys())

_display_names = st.one_of(
    st.sampled_from(["Small", "Large GPU", "\u00dcber & <b>", "a--b", "R/Python", "{username}"]),
    st.text("abcABC \u00fc-_", min_size=1, max_size=10).filter(slugify),
)
_option_names = st.sampled_from([*["image", "gpu", "size-1", "a--b", "\u00fc b"] * 3, "profile"])
_choice_names = st.sampled_from(["one", "two", "3", "0", "false", "a b", "x--y", "\u00df"])
_AS_JSON = {"3": 3, "0": 0, "false": False, "1.5": 1.5, "7": 7}
"""What an API client may send for these texts."""
_patterns = st.sampled_from(
    ["", ".*", ".*", ".*", "^[a-z/]+$", "[a-z]+", "pangeo/.*", "a|b", "\\d+\\.\\d+", "(?i)ABC"]
)
_written = st.one_of(
    st.sampled_from(
        [
            "pangeo/x",
            "abc",
            "ABC",
            "1.5",
            "a",
            "b",
            "ab",
            "pangeo/x\n{0}",
            " pangeo/x",
            "abc\n",
            "\t ",
            "0",
            "",
            "{username}",
            "{value}",
            "}",
            "7",
        ]
    ),
    st.sampled_from(["{username}", "{value}", "a{b", "}"]),
    st.text(max_size=5),
)


def _not_lazy(value: Any) -> bool:
    return not (isinstance(value, dict) and recipes.LAZY in value)


@st.composite
def overrides(draw: Any) -> Any:
    chosen = draw(st.lists(st.sampled_from(_OVERRIDABLE), max_size=3, unique=True))
    made = {}
    for name in chosen:
        value = draw(TRAITS[name].filter(_not_lazy))
        made[name] = draw(
            st.sampled_from([value] * 6 + [{recipes.FUNCTION: value}, {recipes.COROUTINE: value}])
        )
    if draw(st.booleans()):
        # Dicts are merged, and None takes keys away, however deep.
        name = draw(
            st.sampled_from(["environment", "extra_labels", "node_selector", "extra_resource_limits"])
        )
        made[name] = draw(
            dicts(st.sampled_from(["A", "B", "C", "a"]), optional(st.sampled_from(["1", "{username}"])))
        )
    if draw(st.integers(0, 3)) == 0:
        # No options, but what KubeSpawner sets all the same.
        name = draw(st.sampled_from(["pvc_name", "pvc_name", "of_a_hook"]))
        made[name] = draw(st.sampled_from(["project-a", "claim-ada", {recipes.FUNCTION: "project-b"}]))
    if draw(st.integers(0, 3)) == 0:
        made["volumes"] = {"b": {"name": "b", "emptyDir": {"medium": None}}, "2-b": None, "A": {"name": "z"}}
    return made


_FORMATTED = {
    "image": "{value}",
    "mem_limit": "{value}G",
    "environment": {"A": "{value}", "B": "{{value}}", "C": "{other} {value!r}", "D": None},
    "extra_labels": {"v": "v-{value}"},
    "node_selector": {"a": ["{value}", {"b": "{value}"}]},
    "args": ["--x={value}", "{{{value}}}"],
    "cmd": "{value}",
    "extra_pod_config": {"hostname": "{value}"},
}
_FOREIGN = {"allowed_groups": st.just(["Example-Org:Staff"]), "allowed_users": st.just([])}
"""Keys of administrators' functions, which mean nothing to the spawner."""
_formatted = st.sampled_from([{name: value} for name, value in _FORMATTED.items()])
_rules = {
    **_FOREIGN,
    "enabled": st.booleans(),
    "display_name": _display_names,
    "display_name_in_choices": _display_names,
    "validation_regex": _patterns,
    "validation_message": words,
}
_unlisted = st.one_of(
    st.fixed_dictionaries({}, optional=_rules),
    st.fixed_dictionaries({"kubespawner_override": _formatted}, optional=_rules),
)


_unsound_profiles = st.sampled_from(
    [
        None,
        "text",
        {"slug": "small"},
        {"display_name": "Broken", "profile_options": ["x"]},
        {"display_name": "Broken", "profile_options": {"o": {"choices": ["x"]}}},
    ]
)
_few_overrides = st.sampled_from(
    [
        {},
        {"image": "lab:1", "port": 0},
        {"mem_limit": "1G"},
        {"environment": {"A": None, "B": "{username}"}},
        {"extra_labels": {"a": "{user_server}"}},
        {"pvc_name": "project-a"},
        {"pvc_name": "claim-{username}"},
        {"uid": {recipes.FUNCTION: 7}},
        {"cmd": {recipes.COROUTINE: ["start"]}},
    ]
)


def _profiles(overrides: Drawn, *, have_options: bool = False) -> Drawn:
    """Return profiles with all that they may have; with ``have_options`` each has some."""
    choice = st.fixed_dictionaries(
        {"display_name": _display_names},
        optional={
            "default": st.sampled_from([True, True, False]),
            "kubespawner_override": overrides,
            **_FOREIGN,
        },
    )
    choices = st.dictionaries(_choice_names, choice, min_size=1, max_size=3)
    sound = st.one_of(
        st.fixed_dictionaries(
            {"display_name": _display_names, "choices": choices},
            optional={"unlisted_choice": _unlisted, **_FOREIGN},
        ),
        st.fixed_dictionaries(
            {
                "display_name": _display_names,
                "unlisted_choice": _unlisted.map(lambda rules: {**rules, "enabled": True}),
            },
            optional={"choices": st.just({}) | choices},
        ),
    )
    empty = st.fixed_dictionaries({"display_name": _display_names}, optional={"choices": st.just({})})
    options = st.one_of(sound, sound, sound, sound, empty)
    always = {"profile_options": st.dictionaries(_option_names, options, min_size=1, max_size=2)}
    return st.fixed_dictionaries(
        {"display_name": _display_names, **(always if have_options else {})},
        optional={
            "slug": st.sampled_from(["small", "large", "a--b", "S p", "\u00fc"]),
            "description": words,
            "default": st.booleans(),
            "kubespawner_override": overrides,
            **({} if have_options else {"profile_options": dicts(_option_names, options)}),
            **_FOREIGN,
        },
    )


def slug_of(profile: dict[str, Any]) -> str:
    slug: str = profile.get("slug") or slugify(profile["display_name"])
    return slug


_no_profiles = st.sampled_from([[]])


@st.composite
def _cases(draw: Any, possible: Drawn, *, most_traits: int) -> Any:
    """Cases with profiles, and a user's choice from the form or by the API."""
    profiles = draw(st.lists(possible, min_size=1, max_size=3, unique_by=slug_of) | _no_profiles)
    chosen = draw(st.sampled_from(profiles)) if profiles and draw(st.integers(0, 4)) else None
    given: dict[str, Any] = {}
    for option, its in (chosen or {}).get("profile_options", {}).items():
        if its.get("choices") and draw(st.booleans()):
            given[option] = draw(st.sampled_from(list(its["choices"])))
        if "unlisted_choice" in its and draw(st.integers(0, 3)):
            given[f"{option}--unlisted-choice"] = draw(_written)
    if draw(st.integers(0, 9)) == 0:
        given[draw(st.sampled_from(["image", "gpu--unlisted-choice", "other"]))] = draw(_written)
    slug = (
        draw(st.sampled_from(["", "nothing-so"])) if chosen is None and draw(st.integers(0, 4)) == 0 else None
    )
    slug = slug if chosen is None else slug_of(chosen)

    if profiles and draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(profiles)))
        profiles = [*profiles[:place], draw(_unsound_profiles), *profiles[place:]]

    names = draw(st.lists(st.sampled_from(_OVERRIDABLE), max_size=most_traits, unique=True))
    traits = {name: draw(TRAITS[name]) for name in names}
    traits["profile_form_template"] = draw(st.sampled_from(FORMS))
    traits["profile_list"] = draw(
        st.sampled_from(
            [
                profiles,
                profiles,
                {f"{9 - number}-key": profile for number, profile in enumerate(profiles)},
                {recipes.FUNCTION: profiles},
                {recipes.COROUTINE: profiles},
            ]
        )
    )
    if isinstance(traits["profile_list"], list) and draw(st.integers(0, 3)) == 0:
        traits["options_form"] = {recipes.DEFAULT_FORM: True}
    case = {"username": draw(usernames), "servername": draw(servernames), "traits": traits}
    if draw(st.booleans()):
        case["state"] = {"kubespawner_version": "7.1.0", "pvc_name": "claim-of-before"}
    if draw(st.booleans()):
        return {**case, "form": _form(slug, given) | draw(_strange_fields)}
    if draw(st.booleans()):
        given = {key: _AS_JSON.get(value, value) for key, value in given.items()}
    return {**case, "user_options": ({} if slug is None else {"profile": slug}) | given}


profile_cases = _cases(_profiles(overrides()), most_traits=4)
"""Profiles that override anything."""

choice_cases = _cases(_profiles(_few_overrides, have_options=True), most_traits=0)
"""Profiles that override little, so that more of an example is about what is offered and chosen."""

_strange_fields = st.sampled_from(
    [{}, {}, {"other": ["x"]}, {"profile-option-small--image": ["one"]}, {"profile-option-": ["", "b"]}]
)


def _form(slug: str | None, given: dict[str, Any]) -> dict[str, list[str]]:
    profile = {} if slug is None else {"profile": [slug]}
    return profile | {f"profile-option-{slug}--{name}": [value] for name, value in given.items()}
