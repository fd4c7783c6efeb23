import pytest
from hypothesis import given
from hypothesis import strategies as st

from devkit.minicluster.selectors import SelectorError, parse_fields, parse_labels

WEB = {"app": "jupyterhub", "tier": "web"}


@pytest.mark.parametrize(
    "text, is_selected",
    [
        ("", True),
        ("  ", True),
        ("app=jupyterhub", True),
        ("app==jupyterhub", True),
        ("app = jupyterhub , tier = web", True),
        ("app=other", False),
        ("app!=other", True),
        ("app!=jupyterhub", False),
        ("absent!=x", True),
        ("absent=", False),
        ("tier in (web,db)", True),
        ("tier in ( db )", False),
        ("tier in (,web)", True),
        ("tier notin (web,db)", False),
        ("absent notin (web)", True),
        ("absent in (web)", False),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("! app", False),
        ("app=jupyterhub,tier in (web,db),!absent,tier", True),
        ("app=jupyterhub,tier=db", False),
    ],
)
def test_label_selectors_mean_what_the_documentation_says(text, is_selected):
    assert parse_labels(text).matches(WEB) is is_selected


def test_labels_may_have_a_prefix():
    selector = parse_labels("hub.jupyter.org/username=ada,component!=singleuser-storage")
    assert selector.matches({"hub.jupyter.org/username": "ada", "component": "singleuser-server"})


def test_an_empty_value_is_a_value():
    assert parse_labels("hub.jupyter.org/servername=").matches({"hub.jupyter.org/servername": ""})


@pytest.mark.parametrize(
    "text",
    ["=x", "a=b=c", "a in web", "a in (b", "a in (b),", ",", "a,,b", "a b", "!", "a=_", "a in (b c)", "!a=b"],
)
def test_malformed_label_selectors_are_refused_by_name(text):
    with pytest.raises(SelectorError) as refusal:
        parse_labels(text)
    assert repr(text) in str(refusal.value)


words = st.text("abcxyz019", min_size=1, max_size=8)
labels = st.dictionaries(words, words, max_size=5)


@given(labels)
def test_labels_select_themselves(own):
    selector = ",".join(f"{key}={value}" for key, value in own.items())
    assert parse_labels(selector).matches(own)


@given(labels, words, words)
def test_equal_and_unequal_are_opposites(own, key, value):
    assert parse_labels(f"{key}={value}").matches(own) is not parse_labels(f"{key}!={value}").matches(own)


@given(labels, words, st.lists(words, min_size=1, max_size=4))
def test_in_and_notin_are_opposites(own, key, values):
    listed = ",".join(values)
    assert parse_labels(f"{key} in ({listed})").matches(own) is not parse_labels(
        f"{key} notin ({listed})"
    ).matches(own)


@given(labels, words)
def test_present_and_absent_are_opposites(own, key):
    assert parse_labels(key).matches(own) is not parse_labels(f"!{key}").matches(own)


POD = {
    "metadata": {"name": "jupyter-ada", "namespace": "jhub"},
    "spec": {"nodeName": "node-1"},
    "status": {"phase": "Running"},
}
EVENT = {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "jupyter-ada", "uid": "u-1"}}


@pytest.mark.parametrize(
    "text, obj, is_selected",
    [
        ("", POD, True),
        ("metadata.name=jupyter-ada", POD, True),
        ("metadata.name=jupyter-ada,metadata.namespace=jhub", POD, True),
        ("metadata.name=jupyter-ada,,status.phase==Running", POD, True),
        ("status.phase!=Running", POD, False),
        ("spec.nodeName=node-2", POD, False),
        ("spec.nodeName=", EVENT, True),
        ("involvedObject.kind=Pod,involvedObject.uid=u-1", EVENT, True),
        ("involvedObject.uid=u-2", EVENT, False),
        ("involvedObject.name!=jupyter-ada", EVENT, False),
    ],
)
def test_field_selectors_look_into_the_object(text, obj, is_selected):
    assert parse_fields(text).matches(obj) is is_selected


def test_escaped_characters_in_field_values_stand_for_themselves():
    event = {"involvedObject": {"fieldPath": "a,b=c\\d"}}
    assert parse_fields(r"involvedObject.fieldPath=a\,b\=c\\d").matches(event)
    assert parse_fields("involvedObject.fieldPath=x\\\\,reason=").matches(
        {"involvedObject": {"fieldPath": "x\\"}}
    )


@pytest.mark.parametrize("text", ["metadata.name", "=x", "metadata.name=a=b", "metadata.name=a\\"])
def test_malformed_field_selectors_are_refused_by_name(text):
    with pytest.raises(SelectorError) as refusal:
        parse_fields(text)
    assert repr(text) in str(refusal.value)


def test_a_field_nobody_can_select_by_is_refused_by_name():
    with pytest.raises(SelectorError, match=r"'spec\.containers' cannot be selected by"):
        parse_fields("spec.containers=x")
