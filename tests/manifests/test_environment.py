import copy
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.manifests.casing import ManifestError
from k8s_hub.manifests.environment import build_environment


def order_of(env):
    return [entry["name"] for entry in build_environment(env)]


def test_variables_are_sorted_by_name():
    assert build_environment({"B": "2", "A": "1"}) == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
    ]


def test_a_reference_stands_after_what_it_refers_to():
    assert order_of({"A": "$(C)/x", "B": "2", "C": "$(D)", "D": "4"}) == ["B", "D", "C", "A"]


def test_the_order_does_not_depend_on_the_order_given():
    env = {"A": "$(C)", "B": "$(NOWHERE)", "C": "3", "D": "$(D)"}
    orders = {tuple(order_of(dict(shuffled))) for shuffled in permutations(env.items())}
    assert orders == {("C", "D", "A", "B")}


def test_a_reference_to_a_variable_of_the_cluster_breaks_no_other_reference():
    env = {"API": "https://$(KUBERNETES_SERVICE_HOST)", "A_URL": "$(API)/x", "Z": "1"}
    assert order_of(env) == ["Z", "API", "A_URL"]


def test_a_circle_is_kept_in_the_order_of_names_behind_all_others():
    assert order_of({"B": "$(A)", "A": "$(B)", "Z": "1"}) == ["Z", "A", "B"]


def test_a_variable_without_value_keeps_its_name():
    assert build_environment({"A": None}) == [{"name": "A"}]


@pytest.mark.parametrize("key", ["valueFrom", "value_from"])
def test_a_value_may_come_from_elsewhere(key):
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    assert build_environment({"TOKEN": {key: source}}) == [{"name": "TOKEN", "valueFrom": source}]


def test_a_dict_may_carry_another_name_by_which_it_is_referred_to():
    assert order_of({"b": {"name": "REAL", "value": "1"}, "a": "$(REAL)"}) == ["REAL", "a"]


def test_the_environment_given_stays_as_it_is():
    env = {"TOKEN": {"value_from": {"secretKeyRef": {}}}, "A": "$(TOKEN)"}
    before = copy.deepcopy(env)
    build_environment(env)
    assert env == before


@pytest.mark.parametrize(
    "value, text",
    [
        (8888, "8888"),
        (0, "0"),
        (-1, "-1"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        ({"value": 7}, "7"),
        (10**18, "1000000000000000000"),
    ],
)
def test_numbers_and_booleans_become_text_as_yaml_writes_them(value, text):
    assert build_environment({"PORT": value}) == [{"name": "PORT", "value": text}]


@pytest.mark.parametrize(
    "value",
    [["secret"], {"value": ["secret"]}, b"secret", {"secret"}, float("inf"), float("nan"), 10**5000],
    ids=["list", "list as value", "bytes", "set", "infinite", "no number", "5,001 digits"],
)
def test_a_value_that_has_no_text_is_refused_by_name_without_showing_it(value):
    with pytest.raises(ManifestError, match=r"^environment\['PORT'\] (must be|is)") as refusal:
        build_environment({"PORT": value})
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("key", [5, None, True, ("A",)])
def test_a_name_that_is_no_text_is_refused(key):
    with pytest.raises(ManifestError, match=r"^environment has .* as the name of a variable"):
        build_environment({"A": "x", key: "secret"})


@pytest.mark.parametrize("name", [5, None, ["A"]])
def test_a_variable_without_a_name_is_refused(name):
    with pytest.raises(ManifestError, match=r"^environment\['A'\] must have a text as its name"):
        build_environment({"A": {"name": name, "value": "secret"}})


@given(
    st.permutations("ABCDEF"),
    st.lists(st.sets(st.integers(0, 5)), min_size=6, max_size=6),
    st.sets(st.sampled_from("ABCDEF")),
)
def test_references_without_a_circle_always_resolve(names, earlier, pointing_outside):
    references = {
        name: [names[place] for place in sorted(places) if place < names.index(name)]
        + ["CLUSTER"] * (name in pointing_outside)
        for name, places in zip(names, earlier, strict=True)
    }
    env = {name: "".join(f"$({other})" for other in others) for name, others in references.items()}
    order = order_of(env)
    assert sorted(order) == sorted(env)
    for name, others in references.items():
        assert all(order.index(other) < order.index(name) for other in others if other != "CLUSTER")
