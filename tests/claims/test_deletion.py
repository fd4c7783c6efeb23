import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.claims.deletion import Deletable, Kept, Sibling, may_delete
from k8s_hub.claims.home import legacy_names
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.naming.templates import Names, Scope, scope_of
from tests.claims.objects import Users, claim, identity, made_for, user_id

HOME = claim("claim-ada", "ada")


def asked(candidate=HOME, *, user="ada", server="", scope=Scope.SERVER, **known):
    return may_delete(candidate, identity=identity(user, server), scope=scope, **known)


def sibling(name, claim=None, *, has_run=True):
    """Return the server of ada's as the spawner describes it."""
    names = legacy_names(
        "claim-{user_server}",
        Names.of(username="ada", servername=name, userid=7, hub_namespace="jhub"),
    )
    return Sibling(
        servername=name, claim=claim, has_run=has_run, names=frozenset(legacy.name for legacy in names)
    )


def test_a_claim_of_this_server_that_nobody_else_uses_may_go_by_its_uid():
    assert asked() == Deletable(name="claim-ada", uid="uid-claim-ada")


def test_a_named_servers_own_claim_may_go():
    assert asked(claim("claim-ada--gpu", "ada", "gpu"), server="gpu") == Deletable(
        name="claim-ada--gpu", uid="uid-claim-ada--gpu"
    )


@pytest.mark.parametrize(
    ("other", "is_kept"),
    [
        (Sibling(servername="x", has_run=True, names=None), True),
        (Sibling(servername="x", has_run=True, names=None, claim="claim-ada"), True),
        (Sibling(servername="x", has_run=True, names=None, claim="claim-ada--x"), False),
        (Sibling(servername="x", has_run=False, names=None), False),
        (Sibling(servername="x", has_run=True, names=frozenset()), False),
    ],
)
def test_a_server_that_has_run_may_use_any_claim_if_nothing_tells_the_name_of_its_own(other, is_kept):
    assert isinstance(asked(siblings=[other]), Kept) == is_kept


def test_the_home_that_a_users_servers_share_may_go_with_the_default_server():
    assert isinstance(asked(scope=Scope.USER), Deletable)


@pytest.mark.parametrize(
    "candidate, reason",
    [
        (None, "it does not exist"),
        (claim("claim-ada", "ada", deletionTimestamp="2026-07-01T12:00:00Z"), "already being deleted"),
        (claim("claim-ada", "ada", uid=None), "no uid"),
        (claim("claim-ada"), "no username annotation"),
        (claim("claim-ada", "bob"), "annotated for the user 'bob'"),
        (claim("claim-ada", "ada", "gpu"), "another server"),
        (claim("claim-ada", "ada", namespace="other"), "another namespace"),
        (claim("claim-ada", "ada", release="other"), "another release"),
        (claim("claim-ada", "ada", annotations={EXTRA_CLAIM_ANNOTATION: "scratch"}), "not a home"),
    ],
)
def test_a_doubt_about_the_claim_keeps_it(candidate, reason):
    kept = asked(candidate)
    assert isinstance(kept, Kept)
    assert reason in kept.reason


def test_a_claim_shared_by_all_users_is_kept_when_its_creator_goes():
    assert asked(scope=Scope.EVERYBODY) == Kept(reason="all users share it")


def test_a_claim_shared_by_a_users_servers_is_kept_when_a_named_server_goes():
    kept = asked(claim("claim-ada", "ada", "gpu"), server="gpu", scope=Scope.USER)
    assert kept == Kept(reason="the user's other servers share it")


def test_a_claim_that_somebody_refers_to_is_kept_and_they_are_named():
    assert asked(siblings=[sibling("gpu", "claim-ada")], other_users=["bob"]) == Kept(
        reason="it is used by server 'gpu', user 'bob'"
    )


# Servers that were renamed: the claim's annotation keeps the old name, the state names the claim.

RENAMED = claim("claim-ada--a", "ada", "a")
"""Its server was called a when it was made, and is called b now."""


@pytest.mark.parametrize(
    "case, siblings",
    [
        ("nobody is called a", [sibling("", has_run=False)]),
        ("a new a has a claim of its own", [sibling("", "claim-ada"), sibling("a", "claim-ada--a--2")]),
    ],
)
def test_a_renamed_server_takes_its_claim_along(case, siblings):
    deletion = asked(RENAMED, server="b", is_remembered=True, siblings=siblings)
    assert deletion == Deletable(name="claim-ada--a", uid="uid-claim-ada--a"), case


@pytest.mark.parametrize(
    "case, siblings, reason",
    [
        ("a new a has not run yet", [sibling("a", has_run=False)], "used by server 'a'"),
        ("the state of a names no claim", [sibling("a")], "used by server 'a'"),
        ("both states name it", [sibling("a", "claim-ada--a")], "used by server 'a'"),
        ("another server may use any claim", [sibling("gpu")], "annotated for another server"),
    ],
)
def test_a_renamed_servers_claim_stays_where_another_server_may_need_it(case, siblings, reason):
    kept = asked(RENAMED, server="b", is_remembered=True, siblings=siblings)
    assert isinstance(kept, Kept), case
    assert reason in kept.reason


def test_what_state_does_not_name_is_another_servers():
    kept = asked(RENAMED, server="b", siblings=[sibling("", "claim-ada")])
    assert kept == Kept(reason="it is annotated for another server")


def test_the_new_a_does_not_take_the_renamed_servers_claim_along():
    kept = asked(RENAMED, server="a", siblings=[sibling("b", "claim-ada--a")])
    assert kept == Kept(reason="it is used by server 'b'")


def test_a_renamed_default_servers_claim_stays_until_the_new_one_has_its_own():
    home = claim("claim-ada", "ada")
    asking = {"server": "x", "is_remembered": True}
    assert asked(home, **asking, siblings=[sibling("", has_run=False)]) == Kept(
        reason="it is used by the default server"
    )
    assert isinstance(asked(home, **asking, siblings=[sibling("", "claim-ada--2")]), Deletable)


def test_a_home_that_was_shared_before_the_template_changed_stays_for_the_default_server():
    """Made by the server gpu for all of ada's; the default server ran under a version that saved no claim."""
    home = claim("claim-ada", "ada", "gpu")
    kept = asked(home, server="gpu", is_remembered=True, siblings=[sibling("")])
    assert kept == Kept(reason="it is used by the default server")


def test_a_claim_annotated_for_the_earlier_name_of_a_renamed_user_is_kept():
    """The name may be somebody else's tomorrow; `k8s-hub volumes` knows when nobody uses it."""
    kept = asked(claim("claim-bob", "bob"), user="robert", is_remembered=True)
    assert kept == Kept(reason="it is annotated for the user 'bob'")


@pytest.mark.parametrize("server", ["", "gpu"])
def test_a_claim_of_a_custom_template_for_each_server_goes_with_its_own(server):
    template = "claim-{username}--{servername}"
    assert scope_of(template) is Scope.SERVER
    name = "claim-ada--gpu" if server else "claim-ada"
    other = sibling("" if server else "gpu", "claim-ada" if server else "claim-ada--gpu")
    assert isinstance(asked(claim(name, "ada", server), server=server, siblings=[other]), Deletable)


names = st.sampled_from(["ada", "bob"])
servers = st.sampled_from(["", "gpu"])


@given(
    st.builds(
        claim,
        st.just("c"),
        st.none() | names,
        servers,
        namespace=st.sampled_from(["jhub", "other"]),
        release=st.sampled_from(["jhub", "other"]),
    ),
    names,
    servers,
    st.sampled_from(Scope),
    st.booleans(),
    st.lists(st.builds(sibling, st.sampled_from(["", "a"]), st.sampled_from([None, "c", "d"])), max_size=2),
    st.lists(st.just("bob"), max_size=1),
)
def test_what_may_go_is_of_this_user_and_release_and_used_by_nobody_else(
    candidate, user, server, scope, is_remembered, siblings, other_users
):
    deletion = asked(
        candidate,
        user=user,
        server=server,
        scope=scope,
        is_remembered=is_remembered,
        siblings=siblings,
        other_users=other_users,
    )
    if isinstance(deletion, Deletable):
        assert candidate in [claim("c", user, of) for of in ("", "gpu")]
        assert not other_users
        assert scope is not Scope.EVERYBODY
        if scope is Scope.SERVER:
            assert candidate == claim("c", user, server) or is_remembered
            assert "c" not in {other.claim for other in siblings}


def test_the_claim_of_a_renamed_user_stays_when_the_new_user_of_the_name_goes():
    home = claim("claim-ada", "ada", annotations=made_for(user_id(7)))
    whose = identity("ada", user_id=user_id(8), other_users=Users(user_id(7)))
    assert may_delete(home, identity=whose, scope=Scope.SERVER) == Kept(
        reason="it belongs to a renamed user, who had this name before"
    )
