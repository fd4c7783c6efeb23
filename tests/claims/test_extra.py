"""What may be written as an extra claim, and which claim it then is."""

import re

import pytest

from k8s_hub.claims.deletion import Deletable, Kept, Sibling
from k8s_hub.claims.extra import (
    KEEP_ANNOTATION,
    ExtraClaim,
    RetentionPolicy,
    choose_extra,
    may_delete_extra,
    parse_extra_claims,
)
from k8s_hub.claims.home import Create, Refuse, UseExisting, Why
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.naming.templates import Scope
from tests.claims.objects import claim, identity, listed, request

SCRATCH = {"name": "scratch", "capacity": "10Gi", "mount_path": "/scratch"}
TEMPLATE = "scratch--{user_server}"


def scratch(**more):
    return parse_extra_claims([{**SCRATCH, **more}])[0]


# What the admin writes


def test_three_keys_are_enough():
    assert scratch() == ExtraClaim(
        name="scratch",
        name_template=TEMPLATE,
        capacity="10Gi",
        mount_path="/scratch",
        storage_class=None,
        access_modes=("ReadWriteOnce",),
        sub_path="",
        read_only=False,
        keep=RetentionPolicy.ALWAYS,
    )


def test_a_dict_gives_names_and_order_by_its_keys():
    entries = {
        "work": {"capacity": "1Gi", "mount_path": "/work"},
        "data": {"capacity": "1Gi", "mount_path": "/data"},
    }
    assert [extra.name for extra in parse_extra_claims(entries)] == ["data", "work"]


def test_a_name_in_the_dicts_value_leaves_the_key_for_the_order():
    entries = {"1": {"name": "work", "capacity": "1Gi", "mount_path": "/work"}}
    assert [extra.name for extra in parse_extra_claims(entries)] == ["work"]


@pytest.mark.parametrize(
    "changed, complaint",
    [
        ({"name": "Scratch"}, "[0].name: 'Scratch' is not a name"),
        ({"name": "a--b"}, "[0].name: 'a--b' is not a name"),
        ({"name": "x" * 41}, "[0].name: "),
        ({"name": 7}, "[0].name: 7 is not a name"),
        ({"capacity": "big"}, "[0].capacity: 'big' is not a Kubernetes quantity"),
        ({"capacity": "0"}, "[0].capacity: '0' is not greater than zero"),
        ({"capacity": 10}, "[0].capacity: 10 is not text"),
        ({"mount_path": "scratch"}, "[0].mount_path: 'scratch' is not an absolute path"),
        ({"mount_path": "/a:b"}, "[0].mount_path: '/a:b' is not an absolute path"),
        ({"sub_path": "../bob"}, "[0].sub_path: '../bob' is not a path inside the volume"),
        ({"storage_class": 7}, "[0].storage_class: 7 is neither text nor None"),
        ({"access_modes": ["ReadWriteTwice"]}, "[0].access_modes: ['ReadWriteTwice'] is not a list of"),
        ({"access_modes": "ReadWriteOnce"}, "[0].access_modes: 'ReadWriteOnce' is not a list of"),
        ({"access_modes": []}, "[0].access_modes: [] is not a list of"),
        (
            {"access_modes": ["ReadWriteOnce", "ReadWriteOncePod"]},
            "[0].access_modes: ['ReadWriteOnce', 'ReadWriteOncePod'] combines ReadWriteOncePod",
        ),
        ({"read_only": "yes"}, "[0].read_only: 'yes' is neither True nor False"),
        ({"keep": "never"}, "[0].keep: 'never' is not one of keep, with-server"),
        ({"name_template": "{usrname}"}, "[0].name_template: '{usrname}' is not usable"),
        ({"name_template": "{username"}, "[0].name_template: '{username' is not usable"),
        (
            {"name_template": "Scratch-{username}"},
            "[0].name_template: 'Scratch-{username}' does not give a valid name",
        ),
        (
            {"name_template": "{pvc_name}-scratch"},
            "[0].name_template: '{pvc_name}-scratch' does not give a valid name",
        ),
        ({"name_template": None}, "[0].name_template: None is not text"),
        (
            {"name_template": "scratch-{username}", "keep": "with-server"},
            "[0].keep: 'with-server' needs a claim per server",
        ),
        ({"mount": "/x"}, "[0].mount: unknown key (did you mean mount_path?); the keys are name,"),
        ({"size": "1Gi"}, "[0].size: unknown key; the keys are name, name_template, capacity"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_value(changed, complaint):
    with pytest.raises(ValueError, match="^" + re.escape(complaint)):
        scratch(**changed)


@pytest.mark.parametrize("key", ["name", "capacity", "mount_path"])
def test_what_is_missing_is_named(key):
    with pytest.raises(ValueError, match=rf"^\[0\]\.{key}: is missing$"):
        parse_extra_claims([{other: value for other, value in SCRATCH.items() if other != key}])


def test_an_entry_of_a_dict_is_named_by_its_key():
    with pytest.raises(ValueError, match=r"^\['scratch'\]\.capacity: is missing$"):
        parse_extra_claims({"scratch": {"mount_path": "/scratch"}})


def test_an_entry_that_is_no_dict_is_named():
    with pytest.raises(ValueError, match=r"^\[1\]: 'data' is not a dictionary$"):
        parse_extra_claims([SCRATCH, "data"])


@pytest.mark.parametrize(
    "second, complaint",
    [
        (
            {"name": "scratch", "name_template": "b", "mount_path": "/b"},
            r"^\[1\]\.name: 'scratch' is already used by",
        ),
        ({"name": "b", "name_template": TEMPLATE, "mount_path": "/b"}, r"^\[1\]\.name_template: "),
        ({"name": "b"}, r"^\[1\]\.mount_path: '/scratch' is already used by \[0\]$"),
    ],
)
def test_no_two_claims_share_a_name_or_a_place(second, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_extra_claims([SCRATCH, {**SCRATCH, **second}])


@pytest.mark.parametrize(
    "template, scope",
    [
        (TEMPLATE, Scope.SERVER),
        ("scratch-{username}", Scope.USER),
        ("course-data", Scope.EVERYBODY),
    ],
)
def test_the_template_says_who_shares_the_claim(template, scope):
    assert scratch(name_template=template).scope is scope


# Which claim it is


def extra(name, user="ada", server="", use="scratch", **more):
    return claim(name, user, server, annotations={EXTRA_CLAIM_ANNOTATION: use}, **more)


def chosen(asked, *claims):
    choice = choose_extra(asked, "scratch", listed(*claims))
    assert not isinstance(choice, Refuse), choice
    return type(choice), choice.name, choice.why


def asked(**more):
    return request(**{"template": TEMPLATE, "legacy_names": (), **more})


def test_the_first_time_it_is_created():
    assert chosen(asked()) == (Create, "scratch--ada", Why.FIRST)


def test_it_is_found_by_its_name():
    assert chosen(asked(), extra("scratch--ada")) == (UseExisting, "scratch--ada", Why.TEMPLATE)


def test_it_is_found_by_its_annotation_after_the_template_has_changed():
    """Its home and another extra claim of this server are not it."""
    others = (claim("claim-ada", "ada"), extra("data--ada", use="data"))
    assert chosen(asked(), *others, extra("tmp-ada")) == (UseExisting, "tmp-ada", Why.ANNOTATED)


def test_it_is_found_by_the_saved_state_after_the_user_was_renamed():
    """The annotation still carries the old name, which nobody has now."""
    request = asked(remembered_name="scratch--eve")
    assert chosen(request, extra("scratch--eve", "eve")) == (UseExisting, "scratch--eve", Why.REMEMBERED)


def test_one_that_was_prepared_by_hand_is_used():
    assert chosen(asked(), claim("scratch--ada")) == (UseExisting, "scratch--ada", Why.TEMPLATE)


def test_that_of_another_server_is_not_it():
    gpu = extra("scratch--ada--gpu", server="gpu")
    assert chosen(asked(taken={"scratch--ada--gpu"}), gpu) == (Create, "scratch--ada", Why.FIRST)


def test_one_of_all_users_is_used_by_all_and_created_by_the_first():
    shared = asked(template="course-data")
    assert chosen(shared) == (Create, "course-data", Why.FIRST)
    assert chosen(shared, extra("course-data", "bob"))[:2] == (UseExisting, "course-data")


def test_whoever_created_one_of_all_users_follows_a_new_name_as_the_others_do():
    assert chosen(asked(template="course-2"), extra("course-1"))[:2] == (Create, "course-2")


@pytest.mark.parametrize(
    "taken",
    [
        extra("scratch--ada", "bob"),
        extra("scratch--ada", use="data"),
        claim("scratch--ada", "ada"),
        claim("scratch--ada", "bob"),
    ],
    ids=["another user's", "another extra claim", "a home", "another user's home"],
)
def test_a_name_that_leads_to_other_files_is_refused_in_a_sentence(taken):
    choice = choose_extra(asked(), "scratch", listed(taken))
    assert isinstance(choice, Refuse)
    assert choice.message.endswith("Contact your administrator.")
    assert "scratch--ada" in choice.detail


def test_a_remembered_claim_that_is_a_home_by_now_is_not_taken():
    request = asked(remembered_name="claim-ada")
    assert chosen(request, claim("claim-ada", "ada")) == (Create, "scratch--ada", Why.FIRST)


def test_a_claim_that_is_being_deleted_is_chosen_so_that_its_end_is_waited_for():
    dying = extra("scratch--ada", deletionTimestamp="2026-07-01T12:00:00Z")
    assert chosen(asked(), dying)[0] is UseExisting


# Its end

GOING = {KEEP_ANNOTATION: "with-server", EXTRA_CLAIM_ANNOTATION: "scratch"}


def going(user="ada", server="gpu", **more):
    return claim("scratch--ada--gpu", user, server, annotations={**GOING, **more})


def judged(candidate, *, is_kept=False, siblings=(), other_users=()):
    return may_delete_extra(
        candidate,
        "scratch",
        is_kept=is_kept,
        identity=identity("ada", "gpu"),
        siblings=siblings,
        other_users=other_users,
    )


def test_what_is_to_go_with_its_server_goes():
    assert judged(going(), siblings=[Sibling(servername="")]) == Deletable(
        name="scratch--ada--gpu", uid="uid-scratch--ada--gpu"
    )


def test_that_of_a_renamed_server_goes_although_its_annotation_has_the_old_name():
    assert isinstance(judged(going(server="old"), siblings=[Sibling(servername="")]), Deletable)


@pytest.mark.parametrize(
    "candidate, doubts, reason",
    [
        (going(), {"is_kept": True}, "configured to outlive its server"),
        (going(**{KEEP_ANNOTATION: "keep"}), {}, "configured to outlive its server"),
        (extra("scratch--ada--gpu", server="gpu"), {}, "configured to outlive its server"),
        (going(**{EXTRA_CLAIM_ANNOTATION: "data"}), {}, "names another extra claim"),
        (going("bob"), {}, "annotated for the user 'bob'"),
        (going(), {"other_users": ["bob"]}, "used by user 'bob'"),
        (
            going(),
            {"siblings": [Sibling(servername="x", claim="scratch--ada--gpu")]},
            "used by server 'x'",
        ),
        (going(server="x"), {"siblings": [Sibling(servername="x")]}, "used by server 'x'"),
    ],
)
def test_a_doubt_keeps_it(candidate, doubts, reason):
    kept = judged(candidate, **doubts)
    assert isinstance(kept, Kept)
    assert reason in kept.reason
