"""Claims x users x options: what may go, and the reason why anything else stays."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8s_hub.claims.lookup import username_of
from k8s_hub.hub.users import user_of
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, USER_ID_ANNOTATION
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.volumes.plan import OwnerIndex, Ownership, PruneOptions, plan
from tests.volumes.objects import claim, server, user

NOW = datetime(2026, 7, 1, tzinfo=UTC)
ADA = user("ada", default=server("claim-ada"))
HOME = claim("claim-ada", "ada")
"""Somebody's home: without one the whole is in doubt."""


def planned(*claims, users=(ADA,), mounts=None, release="jhub", **options):
    owners = OwnerIndex.of(users, options.get("templates", ()))
    mounts = {Key("jhub", name): pods for name, pods in (mounts or {}).items()}
    return plan(claims, mounts, owners, PruneOptions(now=NOW, release=release, **options)).findings


def finding(candidate, **known):
    """Return what is planned for one claim, beside a home of somebody who lives."""
    return next(found for found in planned(HOME, candidate, **known) if found.claim is candidate)


def reason(candidate, **known):
    return finding(candidate, **known).kept_because


# --- What may go ---


@pytest.mark.parametrize(
    "name, owner, of",
    [
        ("claim-bob", "bob", ""),
        ("claim-bob--gpu", "bob", "gpu"),
        ("claim-bob-2dgpu", "bob", "gpu"),
        ("claim-bobgpu", "bob", "gpu"),
        ("claim-bob--2", "bob", ""),
        ("claim-jane-doe-example-org---7f73355b", "jane.doe@example.org", ""),
        ("claim-jane-2edoe-40example-2eorg", "jane.doe@example.org", ""),
        ("claim-x-9lives---bc867356--x1", "9lives", "x1"),
    ],
)
def test_a_claim_of_every_era_may_go_when_its_user_has_gone(name, owner, of):
    found = finding(claim(name, owner, of))
    assert found.ownership is Ownership.GONE_USER
    assert found.owner == (f"{owner}/{of}" if of else owner)
    assert found.deletable


@pytest.mark.parametrize("name", ["claim-ada--gpu", "claim-ada-2dgpu", "claim-ada--gpu--2"])
def test_a_claim_of_every_era_may_go_when_its_server_has_gone(name):
    found = finding(claim(name, "ada", "gpu"))
    assert found.ownership is Ownership.GONE_SERVER
    assert found.deletable


@pytest.mark.parametrize(
    "template, name",
    [
        ("home-{username}", "home-bob"),
        ("{username}-files", "bob-files"),
        ("h-{username}--{servername}", "h-bob"),
    ],
)
def test_a_claim_of_a_custom_template_may_go_once_the_template_is_told(template, name):
    stray = claim(name, "bob")
    assert "several users may share a claim of this name" in reason(stray)
    assert finding(stray, templates=[template]).deletable


def test_an_extra_claim_of_a_gone_user_may_go_once_its_template_is_told():
    stray = claim("scratch-bob", "bob", annotations={EXTRA_CLAIM_ANNOTATION: "scratch"})
    assert not finding(stray).deletable
    assert finding(stray, templates=["scratch-{username}"]).deletable


# --- What stays, and why ---


@pytest.mark.parametrize(
    "candidate, known, why",
    [
        # whose it is
        (HOME, {}, "it belongs to ada"),
        (claim("claim-ada--gpu", "ada", "gpu"), {"users": [ADA, user("x")]}, None),
        (
            claim("claim-ada--gpu", "ada", "gpu"),
            {"users": [user("ada", default=server("claim-ada"), gpu=server(has_run=False))]},
            "it belongs to ada/gpu",
        ),
        (claim("claim-zoe", "zoe"), {"users": [ADA, user("zoe")]}, "it belongs to zoe"),
        (claim("restored"), {}, "it has no username annotation"),
        # by state, whatever the annotation says
        (
            claim("claim-bob", "bob"),
            {"users": [ADA, user("robert", default=server("claim-bob"))]},
            "it belongs to robert",
        ),
        (
            claim("claim-ada--a", "ada", "a"),
            {"users": [user("ada", default=server("claim-ada"), b=server("claim-ada--a"))]},
            "it belongs to ada/b",
        ),
        (
            claim("claim-bob", "bob"),
            {"users": [ADA, user("robert", default=server("claim-bob", namespace=None))]},
            "it belongs to robert",
        ),
        (
            claim("claim-bob", "bob"),
            {"users": [ADA, user("eve", default=server("claim-bob", namespace="elsewhere"))]},
            None,
        ),
        (
            claim("scratch-ada", "gone", annotations={EXTRA_CLAIM_ANNOTATION: "scratch"}),
            {
                "users": [user("ada", default=server("claim-ada", extra_claims={"scratch": "scratch-ada"}))],
                "templates": ["scratch-{username}"],
            },
            "it belongs to ada",
        ),
        # somebody may use it and no state says so
        (
            claim("claim-ada--gpu", "ada", "gpu"),
            {"users": [user("ada", default=server()), user("x", default=server("claim-x"))]},
            "ada may use it: that server's saved state names no claim",
        ),
        (
            claim("claim-adagpu", "ada", "gpu"),
            {"users": [ADA, user("adagpu", default=server())]},
            "adagpu may use it: that server's saved state names no claim",
        ),
        (
            claim("claim-bob", "bob"),
            {"users": [ADA, user("robert", default=server(pod="jupyter-bob"))]},
            "robert may use it: that server ran as the pod jupyter-bob, and its saved state names no claim",
        ),
        # shared, perhaps
        (claim("course", "bob"), {}, "several users may share a claim of this name"),
        (claim("claim-ada", "ada", "gpu"), {"users": [user("ada"), ADA]}, "it belongs to ada"),
        (
            claim("home-ada", "ada", "gpu"),
            {"templates": ["home-{username}"]},
            "the user 'ada' still exists, and their other servers may share a claim of this name",
        ),
        (
            claim("home-ada-gpu", "ada", "gpu"),
            {"templates": ["home-{username}-{servername}"]},
            None,
        ),
        (claim("claim-7", "bob"), {"templates": ["claim-{userid}"]}, "several users may share"),
        (
            claim("claim-bob", "Bob"),
            {"users": [ADA, user("bob", default=server("claim-b"))]},
            "a user exists whose name differs from 'Bob' only in case",
        ),
        # in use
        (claim("claim-bob", "bob"), {"mounts": {"claim-bob": ("copy",)}}, "it is mounted by the pod copy"),
        # its own condition
        (
            claim("claim-bob", "bob", deletionTimestamp="2026-06-01T00:00:00Z"),
            {},
            "it is already being deleted",
        ),
        (claim("claim-bob", "bob", uid=None), {}, "it has no uid"),
        # other hubs
        (claim("claim-bob", "bob", release="staging"), {}, "it belongs to the release staging"),
        (claim("claim-bob", "bob", release="staging"), {"release": None}, "pass it with --release"),
        (claim("claim-bob", "bob"), {"release": None}, "pass it with --release"),
        (claim("claim-bob", "bob", release=None), {}, "its labels name no release"),
        (claim("claim-bob", "bob", release=None), {"release": None}, None),
        # age: made on January 1st, 181 days ago
        (claim("claim-bob", "bob"), {"older_than": timedelta(days=180)}, None),
        (
            claim("claim-bob", "bob"),
            {"older_than": timedelta(days=182)},
            "it was created in the last 182 days",
        ),
        (claim("claim-bob", "bob", created=None), {"older_than": timedelta(days=1)}, "its age is unknown"),
        (claim("claim-bob", "bob", created=None), {}, None),
    ],
)
def test_claims_users_and_options(candidate, known, why):
    kept_because = reason(candidate, **known)
    if why is None:
        assert kept_because is None
    else:
        assert why in kept_because


# --- Doubts about the whole ---


def test_a_hub_without_users_keeps_everything():
    (found,) = planned(claim("claim-bob", "bob"), users=())
    assert found.kept_because == "the hub returned no users"


def test_a_hub_whose_users_have_no_claim_here_may_be_another_hub():
    (found,) = planned(claim("claim-bob", "bob", release=None), release=None)
    assert "check the namespace" in found.kept_because
    (found,) = planned(claim("claim-bob", "bob"))
    assert found.deletable


@pytest.mark.parametrize(
    "gone, living, options, is_doubted",
    [
        (4, 3, {}, True),
        (4, 4, {}, False),
        (3, 0, {}, False),
        (4, 3, {"deletes_most": True}, False),
    ],
    ids=["more than half", "half", "few", "more than half, and told so"],
)
def test_a_hub_that_has_lost_most_of_its_users_may_have_lost_its_database(gone, living, options, is_doubted):
    users = [
        user("ada"),
        *(user(f"u{number}", default=server(f"claim-u{number}")) for number in range(living)),
    ]
    claims = [claim(f"claim-u{number}", f"u{number}") for number in range(living)]
    claims += [claim(f"claim-g{number}", f"g{number}") for number in range(gone)]
    owners = OwnerIndex.of(users)
    found = plan(claims, {}, owners, PruneOptions(now=NOW, release="jhub", **options))
    deletable = sum(each.deletable for each in found.findings)
    if is_doubted:
        assert found.doubt.startswith(f"{gone} of {gone + living} claims would be deleted")
        assert deletable == 0
    else:
        assert found.doubt is None
        assert deletable == gone


def test_with_claims_of_two_hubs_nothing_goes_until_one_is_named():
    claims = [HOME, claim("claim-bob", "bob"), claim("claim-eve", "eve", release="staging")]
    assert not any(found.deletable for found in planned(*claims, release=None))
    assert [found.key.name for found in planned(*claims) if found.deletable] == ["claim-bob"]


# --- Hubs in other namespaces ---


@pytest.mark.parametrize("owner, of", [("bob", ""), ("ada", "gpu"), ("stag", "")])
def test_of_all_namespaces_those_of_another_hub_with_the_same_release_are_left_alone(owner, of):
    name = f"claim-{owner}--{of}" if of else f"claim-{owner}"
    found = finding(claim(name, owner, of, namespace="staging"), is_everywhere=True)
    assert "the namespace staging does not contain the user's name" in found.kept_because
    assert finding(claim(name, owner, of, namespace="staging")).deletable


@pytest.mark.parametrize(
    "namespace, owner",
    [
        ("jhub-bob", "bob"),
        ("bob", "bob"),
        ("user-jane-doe-example-org---7f73355b", "jane.doe@example.org"),
        ("jhub-jane-2edoe-40example-2eorg", "jane.doe@example.org"),
    ],
)
def test_of_all_namespaces_those_of_gone_users_are_judged_as_ever(namespace, owner):
    name = "claim-bob" if owner == "bob" else "claim-jane-doe-example-org---7f73355b"
    assert finding(claim(name, owner, namespace=namespace), is_everywhere=True).deletable


# --- What is known of a claim ---


def test_the_last_use_is_that_of_the_servers_that_have_it():
    assert finding(HOME).last_used == datetime(2026, 6, 1, 12, tzinfo=UTC)
    renamed = user("robert", default=server("claim-bob", last_activity="2026-06-20T00:00:00Z"))
    assert finding(claim("claim-bob", "bob"), users=[ADA, renamed]).last_used.day == 20
    assert finding(claim("claim-bob", "bob")).last_used is None


def test_whose_a_claim_is_names_the_server():
    users = [user("ada", default=server("claim-ada"), gpu=server("claim-ada"))]
    assert finding(HOME, users=users).owner == "ada, ada/gpu"
    assert finding(claim("restored")).ownership is Ownership.NOBODY


# --- Always ---

names = st.sampled_from(["ada", "bob", "adagpu"])
servers = st.sampled_from(["", "gpu"])
claim_names = st.sampled_from(
    ["claim-ada", "claim-ada--gpu", "claim-adagpu", "claim-bob", "course", "claim-bob--2"]
)
claims = st.builds(
    claim, claim_names, st.none() | names, servers, release=st.sampled_from([None, "jhub", "other"])
)
described = st.builds(server, st.none() | claim_names, has_run=st.booleans())
users = st.builds(
    lambda name, servers: user(name, **servers),
    names,
    st.dictionaries(st.sampled_from(["default", "gpu"]), described),
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(
    st.lists(claims, max_size=5, unique_by=key_of),
    st.lists(users, max_size=3, unique_by=lambda user: user.name),
    st.sampled_from([None, "jhub"]),
    st.dictionaries(claim_names, st.just(("pod",)), max_size=2),
)
def test_nothing_goes_that_anybody_may_miss(claims, users, release, mounts):
    for found in planned(*claims, users=users, release=release, mounts=mounts):
        if not found.deletable:
            continue
        assert found.key.name not in mounts
        owner = username_of(found.claim)
        assert owner is not None
        states = [server.state or {} for user in users for server in user.servers]
        assert found.key.name not in {state.get("pvc_name") for state in states}
        living = [user for user in users if user.name == owner]
        assert not living or found.ownership is Ownership.GONE_SERVER
        assert found.key.name != "course"
        assert users


# --- Renamed users ---


@pytest.mark.parametrize(
    "created", ["2026-01-01T00:00:00.250000Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]
)
def test_the_claim_of_a_renamed_user_is_theirs_without_a_state(created):
    """The last two are the times of databases without fractions."""
    lovelace = user_of({"name": "lovelace", "created": created, "servers": {}})
    made = claim("claim-bob", "bob", annotations={USER_ID_ANNOTATION: "7@2026-01-01T00:00:00.250000Z"})
    found = finding(made, users=(ADA, lovelace))
    assert (found.ownership, found.owner) == (Ownership.SERVER, "lovelace")
    assert found.kept_because == "it belongs to lovelace"


def test_the_claim_of_a_user_who_has_gone_may_go_although_others_came_in_the_same_second():
    other = user_of({"name": "zoe", "created": "2026-01-01T00:00:00.260000Z", "servers": {}})
    made = claim("claim-bob", "bob", annotations={USER_ID_ANNOTATION: "7@2026-01-01T00:00:00.250000Z"})
    assert finding(made, users=(ADA, other)).deletable


MADE_FOR_LOVELACE = {USER_ID_ANNOTATION: "7@2026-01-01T00:00:00.250000Z"}
LOVELACE = user_of({"name": "lovelace", "created": "2026-01-01T00:00:00.250000Z", "servers": {}})


def test_the_claim_of_a_renamed_user_is_theirs_although_a_new_user_has_the_old_name():
    new_bob = user_of({"name": "bob", "created": "2026-06-01T00:00:00.500000Z", "servers": {}})
    made = claim("claim-bob--gpu", "bob", "gpu", annotations=MADE_FOR_LOVELACE)
    found = finding(made, users=(ADA, LOVELACE, new_bob))
    assert (found.ownership, found.owner) == (Ownership.SERVER, "lovelace")
    assert not found.deletable


def test_of_two_users_of_one_second_the_named_one_has_the_claim():
    """A database without fractions tells them apart by nothing else."""
    second = "2026-01-01T00:00:00Z"
    bob, zoe = (user_of({"name": name, "created": second, "servers": {}}) for name in ("bob", "zoe"))
    made = claim("claim-bob", "bob", annotations=MADE_FOR_LOVELACE)
    assert finding(made, users=(ADA, zoe, bob)).owner == "bob"
