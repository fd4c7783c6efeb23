"""The fold from events to view, in literals."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.kube.core.errors import RelistRequired
from k8s_hub.kube.core.store import Store
from k8s_hub.kube.core.watch import Bookmark, Error, ListPage, Malformed, Removed, Updated
from k8s_hub.objects.keys import Key, key_of

A, B, C = (Key("n", name) for name in "abc")


def pod(name: str, version: str = "1", *, uid: str = "", owner: str = "ada", phase: str = "Running"):
    return {
        "metadata": {
            "name": name,
            "namespace": "n",
            "uid": uid or f"uid-{name}",
            "resourceVersion": version,
            "labels": {"owner": owner},
        },
        "status": {"phase": phase},
        "spec": {"env": "much that is not kept"},
    }


def project(raw):
    if raw["status"]["phase"] == "Unwanted":
        return None
    return {"metadata": raw["metadata"], "phase": raw["status"]["phase"]}


def by_owner(kept):
    return [kept["metadata"]["labels"]["owner"]]


def page(*pods, version: str = "10", first: bool = True, token: str = ""):
    return ListPage(items=pods, resource_version=version, is_first=first, continue_token=token)


FOUND = {
    "gone": None,
    "same": pod("a"),
    "other phase": pod("a", phase="Failed"),
    "successor": pod("a", uid="later"),
    "not kept": pod("a", phase="Unwanted"),
    "odd": pod("a") | {"status": "text"},
    "odd successor": pod("a", uid="later") | {"status": "text"},
}


@pytest.fixture
def odd():
    """The objects that the store skipped."""
    return []


@pytest.fixture
def store(odd):
    return Store(project, by_owner, on_malformed=odd.append)


def names(found):
    return [kept["metadata"]["name"] for kept in found]


def test_a_list_shows_when_its_last_page_is_in(store):
    assert store.apply(page(pod("a"), token="t")) == set()
    assert len(store.view) == 0

    assert store.apply(page(pod("b"), first=False)) == {A, B}
    assert set(store.view) == {A, B}
    assert store.view.resource_version == "10"


def test_what_is_kept_is_the_projection(store):
    store.apply(page(pod("a")))

    assert store.view.get(A) == {"metadata": pod("a")["metadata"], "phase": "Running"}


def test_added_modified_deleted(store):
    store.apply(page())

    assert store.apply(Updated(pod("a", "11", phase="Pending"))) == {A}
    assert store.view.get(A)["phase"] == "Pending"
    assert store.apply(Updated(pod("a", "12"))) == {A}
    assert store.view.get(A)["phase"] == "Running"
    assert store.apply(Removed(pod("a", "13"))) == {A}
    assert store.view.get(A) is None
    assert store.view.resource_version == "13"


def test_a_change_of_what_is_not_kept_is_none():
    store = Store(lambda raw: raw["status"], lambda kept: [kept["phase"]])
    store.apply(page(pod("a")))
    entry = store.view.entry(A)

    assert store.apply(Updated(pod("a", "11"))) == set()
    assert store.view.resource_version == "11"
    assert store.apply(page(pod("a", "11"), version="20")) == set()
    assert store.apply(Updated(pod("a", "21", uid="another"))) == {A}
    assert store.view.entry(A) is not entry


def test_a_deletion_of_what_was_not_known_changes_nothing(store):
    store.apply(page())

    assert store.apply(Removed(pod("a", "11"))) == set()


def test_a_second_list_is_not_half_seen_and_tells_what_vanished(store):
    store.apply(page(pod("a"), pod("b"), pod("c")))

    store.apply(page(pod("a"), version="20", token="t"))
    assert set(store.view) == {A, B, C}

    changed = store.apply(page(pod("b", "15"), version="20", first=False))
    assert changed == {B, C}  # b is another, c is gone, a is as it was
    assert set(store.view) == {A, B}


def test_a_list_that_starts_over_forgets_its_first_try(store):
    store.apply(page(pod("a"), token="t"))
    store.apply(page(pod("b")))

    assert set(store.view) == {B}


def test_an_object_that_was_replaced_in_between_is_a_change(store):
    store.apply(page(pod("a", "5")))

    assert store.apply(page(pod("a", "5", uid="another"))) == {A}
    assert store.view.entry(A).uid == "another"


def test_what_the_projection_drops_is_not_there(store):
    store.apply(page(pod("a"), pod("b", phase="Unwanted")))
    assert set(store.view) == {A}

    assert store.apply(Updated(pod("a", "11", phase="Unwanted"))) == {A}
    assert store.view.get(A) is None
    assert store.apply(Updated(pod("a", "12", phase="Unwanted"))) == set()


def test_objects_are_found_by_index_as_they_are_now(store):
    store.apply(page(pod("b"), pod("a"), pod("c", owner="bob")))
    assert names(store.view.find("ada")) == ["a", "b"]

    store.apply(Updated(pod("a", "11", owner="bob")))
    store.apply(Removed(pod("b", "12")))
    assert names(store.view.find("ada")) == []
    assert names(store.view.find("bob")) == ["a", "c"]
    assert store.view.find("nobody") == ()


def test_an_index_value_of_nobody_costs_nothing(store):
    store.apply(page(pod("a")))
    store.apply(Removed(pod("a", "11")))

    assert store._content.index == {}


def test_a_bookmark_moves_the_version_only(store):
    store.apply(page(pod("a")))

    assert store.apply(Bookmark("30")) == set()
    assert store.view.resource_version == "30"


def test_an_error_changes_nothing(store):
    store.apply(page(pod("a")))

    assert store.apply(Error(RelistRequired("old"))) == set()
    assert (set(store.view), store.view.resource_version) == ({A}, "10")


def test_has_seen(store):
    assert not store.view.has_seen("")  # nothing was heard at all

    store.apply(page(version="10"))
    assert store.view.has_seen("")
    assert store.view.has_seen("9")
    assert store.view.has_seen("10")
    assert not store.view.has_seen("11")
    assert store.view.has_seen("not a number")


@pytest.mark.parametrize("found", FOUND.values(), ids=FOUND)
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_what_would_be_kept_is_what_a_list_keeps(store, known, found):
    store.apply(page(*[pod("a")] * known))

    is_kept = store.would_keep(A, found)

    assert is_kept == (store.apply(page(*[found] * (found is not None))) == set())


def test_the_order_of_fields_is_no_change(store):
    store.apply(page(pod("a")))
    found = pod("a")

    assert store.would_keep(A, {**found, "metadata": dict(reversed(found["metadata"].items()))})


def test_readers_get_copies(store):
    store.apply(page(pod("a")))

    store.view.get(A)["phase"] = "broken"

    assert store.view.get(A)["phase"] == "Running"


def test_each_change_is_another_entry(store):
    store.apply(page(pod("a")))
    entry = store.view.entry(A)
    assert store.view.entry(A) is entry

    store.apply(Updated(pod("a", "11")))
    assert store.view.entry(A) is not entry


def test_many_under_one_index_value(store):
    store.apply(page(*(pod(name) for name in "abc")))
    store.apply(Removed(pod("b", "11")))

    assert names(store.view.find("ada")) == ["a", "c"]


def by_groups(kept):
    return kept["metadata"]["labels"]["owner"].split()


changes = st.lists(
    st.tuples(
        st.sampled_from([Updated, Removed]),
        st.sampled_from("abcd"),
        st.sampled_from(["", "x", "y", "x y", "y x"]),
        st.sampled_from(["Pending", "Running", "Unwanted"]),
    ),
    max_size=12,
)


@given(changes)
def test_the_index_has_what_is_there_under_its_values_whatever_has_happened(happened):
    store, there = Store(project, by_groups), {}
    store.apply(page())
    for version, (event, name, groups, phase) in enumerate(happened, start=11):
        store.apply(event(pod(name, str(version), owner=groups, phase=phase)))
        there.pop(name, None)
        if event is not Removed and phase != "Unwanted":
            there[name] = groups.split()

    expected = {
        group: {name for name, groups in there.items() if group in groups}
        for group in {group for groups in there.values() for group in groups}
    }
    assert {group: {key.name for key in keys} for group, keys in store._content.index.items()} == expected
    for group in "xy":
        assert names(store.view.find(group)) == sorted(expected.get(group, ()))


def test_a_change_elsewhere_in_an_object_leaves_the_index_alone(store):
    store.apply(page(pod("a"), pod("b")))
    before = store.view.entry(A).values

    store.apply(Updated(pod("a", "11", phase="Pending")))

    assert list(store._content.index["ada"]) == [A, B]
    assert store.view.entry(A).values is before
    assert names(store.view.find("ada")) == ["a", "b"]


def test_what_is_kept_is_little_for_the_garbage_collector_to_visit():
    store = Store(lambda raw: raw, by_owner)
    gc.collect()
    before = len(gc.get_objects())
    store.apply(page(*(pod(f"p{number}", owner=f"o{number}") for number in range(1000))))
    gc.collect()

    assert (len(gc.get_objects()) - before) / 1000 < 5


def test_input_is_not_changed(store):
    given, expected = pod("a"), pod("a")
    store.apply(page(given))

    assert given == expected


def test_iterating_survives_a_change(store):
    store.apply(page(pod("a"), pod("b")))

    for key in store.view:
        store.apply(Removed(pod(key.name, "11")))

    assert len(store.view) == 0


def test_what_has_an_index_value_twice_changes_and_goes_like_others():
    """Two volumes of one claim in one pod."""
    store = Store(lambda raw: raw, index=lambda kept: ("claim", "claim"))
    store.apply(page(pod("a")))
    store.apply(Updated(pod("a", "11")))
    assert names(store.view.find("claim")) == ["a"]
    store.apply(Removed(pod("a", "12")))
    assert store.view.find("claim") == ()


def unprojectable(name, version="11", *, uid="", **parts):
    whole = pod(name, version, uid=uid)
    return whole | parts | {"metadata": whole["metadata"] | parts.get("metadata", {})}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


# Made in the test: pytest itself cannot write some of them.
@pytest.mark.parametrize(
    "make",
    [
        lambda: {"status": "Running"},
        lambda: {"status": None},
        lambda: {"status": {}},
        lambda: {"metadata": {"labels": {"owner": ["a", "list"]}}},
        lambda: {"metadata": {"labels": "a=b"}},
        lambda: {"status": {"phase": 10**5_000}},
        lambda: {"status": {"phase": nested(100_000)}},
    ],
)
def test_an_object_that_cannot_be_taken_in_is_skipped_and_the_others_are_shown(store, odd, make):
    store.apply(page(pod("a"), unprojectable("b", **make()), pod("c")))

    assert set(store.view) == {A, C}
    assert store.view.find("ada") == (store.view.get(A), store.view.get(C))
    assert [key_of(one.obj) for one in odd] == [B]
    assert odd[0].why == f"it cannot be stored ({type(odd[0].error).__name__})"


@pytest.mark.parametrize(
    "event", [Malformed(pod("a", "12"), "unreadable"), Updated(unprojectable("a", "12", status="text"))]
)
def test_what_was_known_of_an_object_stays_while_it_is_odd(store, event):
    store.apply(page(pod("a")))
    known = store.view.entry(A)

    assert store.apply(event) == set()
    assert store.view.entry(A) is known
    assert store.view.resource_version == "12"

    store.apply(Updated(pod("a", "13", phase="Failed")))
    assert store.view.get(A)["phase"] == "Failed"


def test_an_odd_object_is_not_gone_from_the_list_after(store):
    """A view that is read anew shows what cannot be read as it was known: a missing pod would be a stopped server."""
    store.apply(page(pod("a"), pod("b"), pod("c")))

    changed = store.apply(
        ListPage(
            items=[unprojectable("a", "20", status="text")],
            malformed=[Malformed({"metadata": {"namespace": "n", "name": "b"}}, "unreadable")],
            resource_version="20",
            is_first=True,
            continue_token="",
        )
    )

    assert changed == {C}
    assert set(store.view) == {A, B}
    assert names(store.view.find("ada")) == ["a", "b"]


def test_an_odd_object_is_not_taken_for_an_earlier_one_of_its_name(store):
    store.apply(page(pod("a", uid="old")))
    store.apply(page(unprojectable("a", "20", uid="new", status="text"), version="20"))

    assert set(store.view) == set()


def test_an_object_without_a_version_does_not_set_the_view_back(store):
    store.apply(page(pod("a")))
    store.apply(Malformed({}, "unreadable"))
    store.apply(Removed({"metadata": {"namespace": "n", "name": "a"}}))
    store.apply(Bookmark(""))

    assert set(store.view) == set()
    assert store.view.resource_version == "10"
