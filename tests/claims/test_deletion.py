import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_hub.claims.deletion import Deletable, Kept, may_delete
from k8s_hub.claims.home import EXTRA_CLAIM_ANNOTATION
from k8s_hub.naming.templates import Scope
from tests.claims.objects import claim, identity

HOME = claim("claim-ada", "ada")


def asked(candidate=HOME, *, user="ada", server="", scope=Scope.SERVER, referred_to_by=()):
    return may_delete(candidate, identity=identity(user, server), scope=scope, referred_to_by=referred_to_by)


def test_a_claim_of_this_server_that_nobody_else_uses_may_go_by_its_uid():
    assert asked() == Deletable(name="claim-ada", uid="uid-claim-ada")


def test_a_named_servers_own_claim_may_go():
    assert asked(claim("claim-ada--gpu", "ada", "gpu"), server="gpu") == Deletable(
        name="claim-ada--gpu", uid="uid-claim-ada--gpu"
    )


def test_the_home_that_a_users_servers_share_may_go_with_the_default_server():
    assert isinstance(asked(scope=Scope.USER), Deletable)


@pytest.mark.parametrize(
    "candidate, reason",
    [
        (None, "no such claim"),
        (claim("claim-ada", "ada", deletionTimestamp="2026-07-01T12:00:00Z"), "being deleted already"),
        (claim("claim-ada", "ada", uid=None), "no uid"),
        (claim("claim-ada"), "not annotated for any user"),
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
    assert asked(scope=Scope.EVERYBODY) == Kept(reason="its template gives all users the same claim")


def test_a_claim_shared_by_a_users_servers_is_kept_when_a_named_server_goes():
    kept = asked(claim("claim-ada", "ada", "gpu"), server="gpu", scope=Scope.USER)
    assert kept == Kept(reason="the user's other servers share it")


def test_a_claim_that_somebody_refers_to_is_kept_and_they_are_named():
    assert asked(referred_to_by=["server gpu", "user bob"]) == Kept(
        reason="it is used by server gpu, user bob"
    )


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
    st.lists(st.just("user bob"), max_size=1),
)
def test_what_may_go_is_annotated_for_this_server_of_this_release_and_used_by_nobody_else(
    candidate, user, server, scope, referred_to_by
):
    deletion = asked(candidate, user=user, server=server, scope=scope, referred_to_by=referred_to_by)
    if isinstance(deletion, Deletable):
        own = claim("c", user, server)
        assert candidate == own
        assert not referred_to_by
        assert scope is not Scope.EVERYBODY
