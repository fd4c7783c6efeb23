"""The six rules of "Whose claim is it?" in docs/lifecycle.md, their order, and every skip."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.claims.home import Create, HomeName, Refuse, UseExisting, Why, choose_home, legacy_names
from k8s_hub.claims.lookup import username_of
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, is_ours
from k8s_hub.naming.templates import Names, Scope
from k8s_hub.objects.keys import annotations_of, key_of
from tests.claims.objects import Users, claim, identity, listed, made_for, request, user_id

SHARED = "shared-home"
PER_USER = "claim-{username}"


def chosen(asked, *claims):
    choice = choose_home(asked, listed(*claims))
    assert not isinstance(choice, Refuse), choice
    return type(choice), choice.name, choice.why


SIGNED_UP = datetime(2025, 1, 1, tzinfo=UTC)  # long before the claims of these tests were made
LATER = datetime(2026, 6, 1, tzinfo=UTC)  # after they were made
KNOWN = {"ada": SIGNED_UP, "bob": SIGNED_UP}


# Where the name came from

NAMED = HomeName(template=PER_USER, template_name="claim-ada")


@pytest.mark.parametrize(
    ("names", "current"),
    [
        ({}, "claim-ada"),
        ({"remembered_name": "claim-old"}, "claim-old"),
        ({"assigned_name": "project-x"}, "project-x"),
        ({"remembered_name": "claim-old", "assigned_name": "project-x"}, "project-x"),
        ({"remembered_name": "claim-old", "assigned_name": ""}, ""),
    ],
)
def test_of_the_names_of_a_home_the_one_that_was_said_last_counts(names, current):
    assert replace(NAMED, **names).current == current


def test_a_home_that_was_found_is_remembered_and_no_longer_assigned():
    found = replace(NAMED, assigned_name="project-x").found("project-x")

    assert found == replace(NAMED, remembered_name="project-x")


# Rule 1: a name set by a hook, a profile or a subclass


def test_rule_1_an_explicit_name_wins_over_everything():
    asked = request(assigned_name="project-x", remembered_name="claim-ada")
    claims = [claim("claim-ada", "ada"), claim("project-x")]
    assert chosen(asked, *claims) == (UseExisting, "project-x", Why.ASSIGNED)


def test_rule_1_an_explicit_name_is_created_even_where_another_home_exists():
    assert chosen(request(assigned_name="project-x"), claim("claim-ada", "ada")) == (
        Create,
        "project-x",
        Why.ASSIGNED,
    )


def test_rule_1_an_explicit_claim_may_be_shared_between_users():
    """Its first user's annotation is on it; the admin's code gave its name to others too."""
    asked = request(assigned_name="project-x", living_users=KNOWN)
    assert chosen(asked, claim("project-x", "bob")) == (UseExisting, "project-x", Why.ASSIGNED)


# Rule 2: the name in saved state


def test_rule_2_the_remembered_claim_wins_over_the_templates():
    asked = request(remembered_name="claim-old")
    claims = [claim("claim-old", "ada"), claim("claim-ada", "ada")]
    assert chosen(asked, *claims) == (UseExisting, "claim-old", Why.REMEMBERED)


def test_rule_2_a_remembered_claim_without_annotations_is_used():
    assert chosen(request(remembered_name="restored"), claim("restored")) == (
        UseExisting,
        "restored",
        Why.REMEMBERED,
    )


def test_rule_2_a_remembered_claim_that_is_gone_is_forgotten():
    assert chosen(request(remembered_name="gone"), claim("claim-ada", "ada")) == (
        UseExisting,
        "claim-ada",
        Why.TEMPLATE,
    )


def test_rule_2_a_remembered_claim_of_somebody_else_is_skipped():
    asked = request(remembered_name="claim-bob", living_users=KNOWN)
    assert chosen(asked, claim("claim-bob", "bob")) == (Create, "claim-ada", Why.FIRST)


def test_rule_2_the_claim_of_a_renamed_user_is_still_theirs():
    """Annotated for a name that nobody has any more: the user had it before."""
    asked = request(remembered_name="claim-lovelace", living_users=KNOWN)
    assert chosen(asked, claim("claim-lovelace", "lovelace")) == (
        UseExisting,
        "claim-lovelace",
        Why.REMEMBERED,
    )


def test_rule_2_the_claim_of_a_renamed_user_is_still_theirs_when_the_old_name_is_somebody_elses():
    """Bob is robert now, and a new bob came after the claim was made."""
    asked = request("robert", remembered_name="claim-bob", living_users={"bob": LATER, "robert": SIGNED_UP})
    assert chosen(asked, claim("claim-bob", "bob")) == (UseExisting, "claim-bob", Why.REMEMBERED)


def test_rule_2_a_claim_of_unknown_age_is_the_living_users():
    asked = request("robert", remembered_name="claim-bob", living_users={"bob": LATER, "robert": SIGNED_UP})
    assert chosen(asked, claim("claim-bob", "bob", created=None)) == (Create, "claim-robert", Why.FIRST)


def test_rules_3_to_5_a_new_user_does_not_get_the_home_of_a_renamed_one():
    """The new bob meets the claim that robert made when he was bob."""
    asked = request("bob", known_since=LATER, taken_by_others={"claim-bob"})
    assert chosen(asked, claim("claim-bob", "bob")) == (Create, "claim-bob--2", Why.TEMPLATE_TAKEN)


def test_rule_3_a_user_who_is_older_than_the_claim_keeps_it_whoever_else_has_it_in_state():
    asked = request("bob", known_since=SIGNED_UP, taken_by_others={"claim-bob"})
    assert chosen(asked, claim("claim-bob", "bob")) == (UseExisting, "claim-bob", Why.TEMPLATE)


# A user's id, which outlasts every name

BOB, ADA = user_id(7), user_id(8)


def by_id(username, own=BOB, others=(ADA,), server="", **changed):
    known = identity(username, server, user_id=own, other_users=Users(*others))
    return request(username, server, **{"identity": known, **changed})


@pytest.mark.parametrize("server", ["", "gpu"])
def test_the_home_of_a_renamed_user_is_found_without_a_state(server):
    home = claim("claim-old", "bob", server, annotations=made_for(BOB))
    other = claim("claim-other", "bob", "tpu", annotations=made_for(BOB))
    assert chosen(by_id("robert", server=server), home, other) == (UseExisting, "claim-old", Why.ANNOTATED)


def test_a_renamed_users_servers_find_the_home_that_they_share():
    home = claim("claim-bob", "bob", annotations=made_for(BOB))
    asked = by_id("robert", server="gpu", template=PER_USER)
    assert chosen(asked, home) == (UseExisting, "claim-bob", Why.ANNOTATED)


@pytest.mark.parametrize("stranger", [user_id(7, second=1), user_id(7, microsecond=6), user_id(9)])
def test_a_claim_of_another_database_is_not_found_by_its_number(stranger):
    """The users of a new database are numbered from 1 again."""
    home = claim("claim-bob", "bob", annotations=made_for(stranger))
    assert chosen(by_id("robert"), home) == (Create, "claim-robert", Why.FIRST)


def test_a_claim_of_another_database_is_found_by_its_name():
    home = claim("claim-bob", "bob", annotations=made_for(user_id(1)))
    assert chosen(by_id("bob"), home) == (UseExisting, "claim-bob", Why.TEMPLATE)


@pytest.mark.parametrize("template", ["claim-{user_server}", "files-{user_server}"])
def test_ones_own_claim_counts_more_than_that_of_a_deleted_user_of_the_name(template):
    earlier = claim("claim-bob", "bob", annotations=made_for(user_id(1)), created="2025-01-01T00:00:00Z")
    own = claim("claim-bob--2", "bob", annotations=made_for(BOB))
    asked = by_id("bob", template=template)
    assert chosen(asked, earlier, own) == (UseExisting, "claim-bob--2", Why.ANNOTATED)


@pytest.mark.parametrize("remembered", [None, "claim-bob"])
def test_the_new_user_of_a_name_gets_no_claim_of_the_renamed_one(remembered):
    home = claim("claim-bob", "bob", annotations=made_for(ADA))
    asked = by_id("bob", remembered_name=remembered, living_users={"bob": SIGNED_UP})
    assert chosen(asked, home) == (Create, "claim-bob--2", Why.TEMPLATE_TAKEN)


def test_a_claim_that_all_users_share_is_everybodys_whoever_was_the_first():
    home = claim(SHARED, "bob", annotations=made_for(ADA))
    assert chosen(by_id("bob", template=SHARED), home) == (UseExisting, SHARED, Why.TEMPLATE)


def test_a_home_that_is_ours_by_its_id_is_ours_although_the_old_name_is_somebody_elses():
    home = claim("claim-old", "ada", annotations=made_for(BOB))
    asked = by_id("bob", remembered_name="claim-old", living_users={"ada": SIGNED_UP})
    assert chosen(asked, home) == (UseExisting, "claim-old", Why.REMEMBERED)


def test_rule_3_a_name_that_is_used_again_meets_the_old_files():
    """Nobody else has the claim: the user was deleted and came back, or the hub's database is new."""
    asked = request("bob", known_since=LATER)
    assert chosen(asked, claim("claim-bob", "bob")) == (UseExisting, "claim-bob", Why.TEMPLATE)


def test_rule_3_a_claim_that_all_users_share_is_everybodys_whenever_they_came():
    asked = request("bob", template=SHARED, known_since=LATER, taken_by_others={SHARED})
    assert chosen(asked, claim(SHARED, "ada")) == (UseExisting, SHARED, Why.TEMPLATE)


def test_rule_2_a_remembered_claim_that_all_users_share_is_used():
    asked = request(template=SHARED, remembered_name="shared-before", living_users=KNOWN)
    assert chosen(asked, claim("shared-before", "bob")) == (UseExisting, "shared-before", Why.REMEMBERED)


def test_rule_2_two_servers_that_remember_the_same_claim_both_keep_it():
    """KubeSpawner left such states behind; taking it from one of them would be an empty home."""
    asked = request(remembered_name="claim-ada", taken={"claim-ada"})
    assert chosen(asked, claim("claim-ada", "ada")) == (UseExisting, "claim-ada", Why.REMEMBERED)


# Rule 3: the template's name


def test_rule_3_the_templates_claim_is_used_if_ours():
    assert chosen(request(), claim("claim-ada", "ada")) == (UseExisting, "claim-ada", Why.TEMPLATE)


def test_rule_3_the_templates_claim_is_used_if_unowned():
    assert chosen(request(), claim("claim-ada")) == (UseExisting, "claim-ada", Why.TEMPLATE)


def test_rule_3_the_templates_claim_is_used_after_the_release_got_another_name():
    assert chosen(request(), claim("claim-ada", "ada", release="before")) == (
        UseExisting,
        "claim-ada",
        Why.TEMPLATE,
    )


def test_rule_3_a_claim_shared_by_all_users_is_used_whoever_created_it():
    asked = request(template=SHARED, living_users=KNOWN)
    assert chosen(asked, claim("shared-home", "bob")) == (UseExisting, "shared-home", Why.TEMPLATE)


def test_rule_3_a_claim_shared_by_a_users_servers_is_used_by_each():
    asked = request("ada", "gpu", template=PER_USER, taken={"claim-ada"})
    assert chosen(asked, claim("claim-ada", "ada")) == (UseExisting, "claim-ada", Why.TEMPLATE)


def test_rule_3_a_claim_in_another_namespace_is_another_claim():
    assert chosen(request(), claim("claim-ada", "ada", namespace="other")) == (Create, "claim-ada", Why.FIRST)


def test_rule_3_skips_a_claim_that_another_server_of_this_user_has():
    """The default server was renamed and took its claim along; this is the new default server."""
    asked = request(taken={"claim-ada"})
    assert chosen(asked, claim("claim-ada", "ada")) == (Create, "claim-ada--2", Why.TEMPLATE_TAKEN)


# Rule 4: the names of earlier versions (each era: test_legacy.py)


def test_rule_4_a_legacy_claim_is_used_if_ours():
    asked = request("user-1")
    assert chosen(asked, claim("claim-user-2d1", "user-1")) == (UseExisting, "claim-user-2d1", Why.LEGACY)


def test_rule_4_a_legacy_claim_without_annotations_is_used_if_the_name_is_exact():
    assert chosen(request("user-1"), claim("claim-user-2d1")) == (UseExisting, "claim-user-2d1", Why.LEGACY)


def test_rule_4_the_templates_claim_wins_over_a_legacy_one():
    claims = [claim("claim-user-2d1", "user-1"), claim("claim-user-1", "user-1")]
    assert chosen(request("user-1"), *claims) == (UseExisting, "claim-user-1", Why.TEMPLATE)


def test_rule_4_a_later_version_wins_over_an_earlier_one():
    claims = [claim("claim-ada-gpu", "ada", "gpu"), claim("claim-adagpu", "ada", "gpu")]
    asked = request("ada", "gpu")
    assert chosen(asked, *claims) == (UseExisting, "claim-adagpu", Why.LEGACY)


def test_rule_4_skips_a_legacy_claim_of_somebody_else():
    assert chosen(request("user-1"), claim("claim-user-2d1", "user-2d1")) == (
        Create,
        "claim-user-1",
        Why.FIRST,
    )


def test_rule_4_skips_a_legacy_claim_of_another_server():
    asked = request("ada", "gpu")
    assert chosen(asked, claim("claim-adagpu", "ada", "cpu")) == (Create, "claim-ada--gpu", Why.FIRST)


def test_rule_4_skips_a_claim_of_another_release():
    """Two hubs in one namespace: the other one uses the template that was ours before."""
    asked = request(template="home-{user_server}")
    assert chosen(asked, claim("claim-ada", "ada", release="other")) == (Create, "home-ada", Why.FIRST)
    assert chosen(asked, claim("claim-ada", release="other")) == (Create, "home-ada", Why.FIRST)


def test_rule_4_skips_a_claim_that_another_server_of_this_user_has():
    asked = request("user-1", taken={"claim-user-2d1"})
    assert chosen(asked, claim("claim-user-2d1", "user-1")) == (Create, "claim-user-1", Why.FIRST)


# Rule 5: any claim annotated for this server


def test_rule_5_a_claim_of_an_old_template_is_found_by_its_annotations():
    assert chosen(request(), claim("home-of-ada", "ada")) == (UseExisting, "home-of-ada", Why.ANNOTATED)


def test_rule_5_finds_the_claim_of_a_named_server():
    claims = [claim("one", "ada"), claim("two", "ada", "gpu"), claim("three", "bob", "gpu")]
    assert chosen(request("ada", "gpu"), *claims) == (UseExisting, "two", Why.ANNOTATED)


def test_rule_5_where_servers_share_a_home_finds_the_claim_of_any_of_them():
    asked = request("ada", "gpu", template=PER_USER)
    assert chosen(asked, claim("home-of-ada", "ada")) == (UseExisting, "home-of-ada", Why.ANNOTATED)


def test_rule_5_the_oldest_of_several_is_used():
    claims = [
        claim("newer", "ada", created="2026-02-01T00:00:00Z"),
        claim("older", "ada", created="2025-02-01T00:00:00Z"),
    ]
    assert chosen(request(), *claims) == (UseExisting, "older", Why.ANNOTATED)


@pytest.mark.parametrize("unsound", [{"deletionTimestamp": "2026-07-01T12:00:00Z"}, {"phase": "Lost"}])
def test_rule_5_a_sound_claim_is_preferred_to_an_older_one_that_is_dying_or_lost(unsound):
    claims = [
        claim("newer", "ada", created="2026-02-01T00:00:00Z"),
        claim("older", "ada", created="2025-02-01T00:00:00Z", **unsound),
    ]
    assert chosen(request(), *claims) == (UseExisting, "newer", Why.ANNOTATED)


def test_rule_5_skips_a_claim_besides_the_home():
    scratch = claim("scratch-ada", "ada", annotations={EXTRA_CLAIM_ANNOTATION: "scratch"})
    assert chosen(request(), scratch) == (Create, "claim-ada", Why.FIRST)


def test_rule_5_skips_a_claim_that_another_server_of_this_user_has():
    asked = request(taken={"home-of-ada"})
    assert chosen(asked, claim("home-of-ada", "ada")) == (Create, "claim-ada", Why.FIRST)


def test_rule_5_skips_claims_of_another_release_and_another_namespace():
    claims = [claim("one", "ada", release="other"), claim("two", "ada", namespace="other")]
    assert chosen(request(), *claims) == (Create, "claim-ada", Why.FIRST)
    assert chosen(request(template=PER_USER), *claims) == (Create, "claim-ada", Why.FIRST)


# Rule 6: create


def test_rule_6_a_first_claim_gets_the_templates_name():
    assert chosen(request()) == (Create, "claim-ada", Why.FIRST)


def test_rule_6_a_taken_name_gets_the_first_free_number():
    asked = request(taken={"claim-ada", "claim-ada--3"})
    claims = [claim("claim-ada", "ada"), claim("claim-ada--2", "ada", "other")]
    assert chosen(asked, *claims) == (Create, "claim-ada--4", Why.TEMPLATE_TAKEN)


def test_rule_6_a_taken_name_is_not_given_again_after_its_claim_has_gone():
    assert chosen(request(taken={"claim-ada"})) == (Create, "claim-ada--2", Why.TEMPLATE_TAKEN)


def test_rule_6_a_numbered_claim_is_found_again_without_state():
    asked = request(taken={"claim-ada"})
    claims = [claim("claim-ada", "ada"), claim("claim-ada--2", "ada", created="2026-05-01T00:00:00Z")]
    assert chosen(asked, *claims) == (UseExisting, "claim-ada--2", Why.ANNOTATED)


def test_rule_6_the_template_name_of_somebody_else_is_refused_with_a_sentence_for_each():
    """Numbers of users begin again in a new database: {userid} then leads to strangers' files."""
    choice = choose_home(request(template="claim-{userid}"), listed(claim("claim-7", "bob")))
    assert isinstance(choice, Refuse)
    assert choice.owner == "bob"
    assert "bob" not in choice.message
    assert "administrator" in choice.message
    assert "jhub/claim-7" in choice.detail
    assert "'bob'" in choice.detail
    assert "'ada'" in choice.detail


def test_rule_6_nobody_is_refused_who_has_a_home_elsewhere():
    claims = [claim("claim-7", "bob"), claim("claim-ada", "ada")]
    asked = request(template="claim-{userid}")
    assert chosen(asked, *claims) == (UseExisting, "claim-ada", Why.LEGACY)


# What all rules have in common


@pytest.mark.parametrize("state", [{"deletionTimestamp": "2026-07-01T12:00:00Z"}, {"phase": "Lost"}])
def test_a_dying_or_lost_claim_is_returned_as_existing(state):
    home = claim("claim-ada", "ada", **state)
    choice = choose_home(request(), listed(home))
    assert choice == UseExisting(name="claim-ada", claim=home, why=Why.TEMPLATE)


users = st.sampled_from(["ada", "bob", "user-1"])
servers = st.sampled_from(["", "gpu"])
claim_names = st.sampled_from(
    [
        *(
            "claim-ada",
            "claim-ada--gpu",
            "claim-adagpu",
            "claim-ada-gpu",
            "claim-bob",
            "claim-user-1",
            "claim-user-2d1",
        ),
        *("claim-ada--2", "claim-7", "shared-home", "somewhere"),
    ]
)
claims = st.builds(
    claim,
    claim_names,
    st.none() | users,
    servers,
    namespace=st.sampled_from(["jhub", "other"]),
    release=st.sampled_from([None, "jhub", "other"]),
    annotations=st.sampled_from([{}, {EXTRA_CLAIM_ANNOTATION: "scratch"}]),
    phase=st.sampled_from(["Bound", "Lost"]),
)
templates = st.sampled_from(["claim-{user_server}", "claim-{username}", "claim-{userid}", SHARED])
requests = st.builds(
    request,
    users,
    servers,
    template=templates,
    remembered_name=st.none() | claim_names,
    taken=st.frozensets(claim_names, max_size=3),
    living_users=st.just({**KNOWN, "user-1": SIGNED_UP}),
)


def is_home_of(asked, candidate):
    return (
        is_ours(candidate, asked.identity)
        and EXTRA_CLAIM_ANNOTATION not in annotations_of(candidate)
        and key_of(candidate).name not in asked.taken
    )


@given(requests, st.lists(claims, max_size=6, unique_by=key_of))
def test_no_claim_is_created_and_nobody_refused_while_a_home_exists(asked, existing):
    choice = choose_home(asked, listed(*existing))
    if any(is_home_of(asked, candidate) for candidate in existing):
        assert isinstance(choice, UseExisting)


@given(requests, st.lists(claims, max_size=6, unique_by=key_of))
def test_nobody_gets_a_claim_of_another_user_where_the_template_is_per_user(asked, existing):
    choice = choose_home(asked, listed(*existing))
    if isinstance(choice, UseExisting) and asked.scope is not Scope.EVERYBODY:
        assert username_of(choice.claim) in {None, asked.identity.username}


@given(requests, st.lists(claims, max_size=6, unique_by=key_of))
def test_a_claim_to_create_is_free(asked, existing):
    choice = choose_home(asked, listed(*existing))
    if isinstance(choice, Create):
        assert choice.name not in {key_of(c).name for c in existing if key_of(c).namespace == "jhub"}
        assert choice.name not in asked.taken or asked.scope is not Scope.SERVER


@given(requests, st.lists(claims, max_size=6, unique_by=key_of))
def test_a_claim_in_use_is_one_of_this_namespace(asked, existing):
    choice = choose_home(asked, listed(*existing))
    if isinstance(choice, UseExisting):
        assert key_of(choice.claim) == (identity().namespace, choice.name)


@given(requests, st.lists(claims, max_size=6, unique_by=key_of))
def test_the_choice_does_not_depend_on_the_order_of_the_claims(asked, existing):
    assert choose_home(asked, listed(*existing)) == choose_home(asked, listed(*reversed(existing)))


@given(requests, st.lists(claims, max_size=6, unique_by=key_of))
def test_the_claim_once_created_is_the_home_from_then_on(asked, existing):
    choice = choose_home(asked, listed(*existing))
    if isinstance(choice, Create):
        who = asked.identity
        created = claim(choice.name, who.username, who.servername, created="2026-09-01T00:00:00Z")
        again = choose_home(asked, listed(*existing, created))
        assert isinstance(again, UseExisting)
        assert again.claim is created


ERAS = [
    tuple(row)
    for row in json.loads((Path(__file__).parent.parent / "data" / "claims" / "eras.json").read_text())
]


def found_for(user, server="", template="claim-{user_server}"):
    names = Names.of(username=user, servername=server, userid=7, hub_namespace="jhub")
    return {legacy.name: legacy.is_unmistakable for legacy in legacy_names(template, names)}


@pytest.mark.parametrize("version, template, user, server, name", ERAS)
def test_the_name_of_every_era_is_among_the_legacy_names(version, template, user, server, name):
    assert name in found_for(user, server)


@pytest.mark.parametrize("version, template, user, server, name", ERAS)
def test_the_claim_of_every_era_is_the_home_and_no_new_one_is_made(version, template, user, server, name):
    home = choose_home(request(user, server), listed(claim(name, user, server)))
    assert isinstance(home, UseExisting)
    assert home.name == name


@pytest.mark.parametrize("version, template, user, server, name", ERAS)
def test_the_claim_of_every_era_is_found_even_where_legacy_names_are_not_handled(
    version, template, user, server, name
):
    """Then by its annotations."""
    home = choose_home(request(user, server, legacy_names=()), listed(claim(name, user, server)))
    assert isinstance(home, UseExisting)
    assert home.name == name


@pytest.mark.parametrize("version, template, user, server, name", [row for row in ERAS if not row[3]])
def test_a_default_servers_claim_that_lost_its_annotations_is_found_by_name(
    version, template, user, server, name
):
    home = choose_home(request(user, server), listed(claim(name)))
    assert isinstance(home, UseExisting)
    assert home.name == name


def test_a_template_of_the_admin_is_known_in_every_era():
    names = found_for("user-1", "gpu", template="home-{username}{servername}")
    assert {"home-user-1gpu", "home-user-2d1gpu", "home-user-2d1-gpu", "home-user-2d1-2dgpu"} <= names.keys()


def test_the_latest_version_comes_first_and_no_name_twice():
    names = list(found_for("user-1"))
    assert names == ["claim-user-1", "claim-user-2d1"]


@pytest.mark.parametrize(
    "name, is_unmistakable",
    [
        ("claim-ada--gpu", True),
        ("claim-adagpu", False),
        ("claim-ada-gpu", False),
        ("claim-ada-2dgpu", False),
    ],
)
def test_names_that_another_server_may_have_had_are_marked(name, is_unmistakable):
    assert found_for("ada", "gpu")[name] is is_unmistakable


def test_an_unannotated_claim_is_not_taken_by_a_name_that_another_server_may_have_had():
    """claim-adagpu without annotations may be the user adagpu's."""
    choice = choose_home(request("ada", "gpu"), listed(claim("claim-adagpu")))
    assert choice.name == "claim-ada--gpu"
    assert choice.why is Why.FIRST
