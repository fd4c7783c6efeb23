import traceback
from dataclasses import fields, replace

import pytest

from k8s_hub.naming.templates import (
    Names,
    Scope,
    SlugScheme,
    TemplateError,
    expand,
    expand_all,
    expand_dns_name,
    expand_host,
    in_setting,
    scope_of,
)

JANE = Names.of(username="Jane.Doe", servername="gpu", userid=7, hub_namespace="jhub")
DEFAULT = Names.of(username="ada", userid=1, hub_namespace="jhub")


@pytest.mark.parametrize(
    "field, value",
    [
        ("userid", "7"),
        ("unescaped_username", "Jane.Doe"),
        ("unescaped_servername", "gpu"),
        ("hubnamespace", "jhub"),
        ("username", "jane-doe---4e148699"),
        ("servername", "gpu"),
        ("user_server", "jane-doe---4e148699--gpu"),
        ("safe_username", "jane-doe---4e148699"),
        ("safe_servername", "gpu"),
        ("safe_user_server", "jane-doe---4e148699--gpu"),
        ("escaped_username", "-4aane-2e-44oe"),
        ("escaped_servername", "gpu"),
        ("escaped_user_server", "-4aane-2e-44oe--gpu"),
        ("legacy_escape_username", "jane-doe"),
        ("pod_name", "pod_name_unavailable!"),
        ("pvc_name", "pvc_name_unavailable!"),
        ("namespace", "namespace_unavailable!"),
    ],
)
def test_each_field_has_kubespawners_value(field, value):
    assert expand(f"{{{field}}}", JANE) == value


def test_the_escape_scheme_changes_the_three_fields_that_follow_the_scheme():
    escaped = Names.of(
        username="Jane.Doe", servername="gpu", userid=7, hub_namespace="jhub", scheme=SlugScheme.ESCAPE
    )
    changed = {f.name for f in fields(Names) if getattr(escaped, f.name) != getattr(JANE, f.name)}
    # {servername} is the same in both schemes because "gpu" needs no escape.
    assert changed == {"username", "user_server"}
    assert escaped.user_server == "-4aane-2e-44oe--gpu"


def test_an_unknown_scheme_is_refused_by_name():
    with pytest.raises(ValueError, match="'sane'"):
        Names.of(username="ada", userid=1, hub_namespace="jhub", scheme="sane")


def test_the_hub_in_namespace_default_is_called_user():
    assert Names.of(username="ada", userid=1, hub_namespace="default").hubnamespace == "user"


def test_resolved_names_can_be_added():
    names = replace(DEFAULT, pod_name="p", pvc_name="c", namespace="n")
    assert expand("{pod_name} {pvc_name} {namespace}", names) == "p c n"


@pytest.mark.parametrize(
    "template, expanded",
    [
        ("claim-{username}--{servername}", "claim-ada"),
        ("claim-{username}{servername}", "claim-ada"),
        ("{escaped_user_server}", "ada"),
        ("{username}-", "ada-"),
        ("{username}--{servername}-", "ada---"),
        ("plain", "plain"),
        ("", ""),
        ('{{"user": "{username}"}}', '{"user": "ada"}'),
    ],
)
def test_dashes_at_the_end_go_unless_the_template_ends_with_one(template, expanded):
    assert expand(template, DEFAULT) == expanded


def test_an_unknown_field_is_told_with_the_nearest_one_and_all_there_are():
    with pytest.raises(TemplateError) as refusal:
        expand("claim-{usrname}", DEFAULT)
    message = str(refusal.value)
    assert "unknown field (did you mean {username}?)" in message
    assert "user_server" in message


@pytest.mark.parametrize(
    "template", ["{", "}", "{username", "{0}", "{}", "{username.x}", "{username!z}", "{username:d}"]
)
def test_a_malformed_template_is_an_error(template):
    with pytest.raises(TemplateError, match="is a malformed template"):
        expand(template, DEFAULT)


SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    "template",
    [
        f'{{"password": "{SECRET}"}}',
        f"{{{SECRET}",
        f"{SECRET}}}",
        f"{{{SECRET}}}",
        f"{{username.{SECRET}}}",
        f"{{username!{SECRET}}}",
        f"{{username:{SECRET}}}",
        f"{{0[{SECRET}]}}",
    ],
)
def test_no_error_shows_what_is_in_the_template(template):
    with pytest.raises(TemplateError) as refusal:
        expand(template, DEFAULT)
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_no_error_about_a_scope_shows_what_is_in_the_template():
    with pytest.raises(TemplateError) as refusal:
        scope_of(f"claim-{{{SECRET}")
    assert SECRET not in "".join(traceback.format_exception(refusal.value))


def test_an_error_in_lists_and_dicts_names_the_keys_that_lead_to_it():
    value = {"env": [{"value": "{username}"}, {"value": "{"}]}
    with pytest.raises(TemplateError, match=r"^\['env'\]\[1\]\['value'\] is a malformed template") as refusal:
        expand_all(value, lambda template: expand(template, DEFAULT))
    with (
        pytest.raises(TemplateError, match=r"^volumes\['env'\]\[1\]\['value'\] is a malformed template"),
        in_setting("volumes"),
    ):
        raise refusal.value


def test_json_in_a_template_gets_the_hint_about_literal_braces():
    with pytest.raises(TemplateError, match=r"literal braces are written \{\{ and \}\}"):
        expand('{"a": 1}', DEFAULT)


def test_expansion_goes_into_lists_and_the_values_of_dicts_only():
    model = object()
    value = {
        "{username}": ["{username}", {"deep": "{userid}"}],
        "n": 1,
        "none": None,
        "m": model,
        "t": ("{username}",),
    }
    assert expand_all(value, str.upper) == {
        "{username}": ["{USERNAME}", {"deep": "{USERID}"}],
        "n": 1,
        "none": None,
        "m": model,
        "t": ("{username}",),
    }


def test_expansion_leaves_its_input_as_it_is():
    value = {"volumes": [{"name": "{username}"}]}
    expand_all(value, str.upper)
    assert value == {"volumes": [{"name": "{username}"}]}


def test_each_label_of_a_host_is_expanded_by_itself():
    assert expand_host("{a}.pods.{b}-", str.upper) == "{A}.pods.{B}-"


def test_the_dns_name_has_two_fields_of_its_own():
    template = "{name}.{namespace}.svc.cluster.local"
    assert expand_dns_name(template, name="p", namespace="n") == "p.n.svc.cluster.local"
    with pytest.raises(TemplateError, match=r"unknown field.*the fields are name, namespace"):
        expand_dns_name("{username}", name="p", namespace="n")


@pytest.mark.parametrize(
    "template, scope",
    [
        ("claim-{user_server}", Scope.SERVER),
        ("claim-{username}--{servername}", Scope.SERVER),
        ("claim-{userid}{servername}", Scope.SERVER),
        ("claim-{escaped_user_server}", Scope.SERVER),
        ("claim-for-{pod_name}", Scope.SERVER),
        ("claim-{username}", Scope.USER),
        ("claim-{userid}", Scope.USER),
        ("claim-{legacy_escape_username}", Scope.USER),
        ("claim-{unescaped_username}", Scope.USER),
        ("shared-home", Scope.EVERYBODY),
        ("home-of-{{username}}", Scope.EVERYBODY),
        ("{hubnamespace}-home", Scope.EVERYBODY),
        ("home-{servername}", Scope.EVERYBODY),
    ],
)
def test_the_scope_of_a_template_is_who_shares_the_name(template, scope):
    assert scope_of(template) is scope


def test_the_scope_of_a_malformed_template_is_an_error():
    with pytest.raises(TemplateError, match="malformed"):
        scope_of("claim-{username")
