import pytest

from devkit.perturb.invariants import (
    CLAIMS,
    PODS,
    SECRETS,
    Change,
    Told,
    Trial,
    always,
    in_the_end,
    of_others,
    survived,
    with_its_home,
)
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, USERNAME_ANNOTATION

TRIAL = Trial(names=frozenset({"ada", "ada-new"}))
ADDRESS = "127.1.0.5"
READY = Told(state="ready", target=f"http://{ADDRESS}:8888")


def made(name, uid, *, user="ada", **annotations):
    own = {USERNAME_ANNOTATION: user, **annotations}
    return {"metadata": {"name": name, "namespace": "hub", "uid": uid, "annotations": own}}


def pod(uid="pod-1", *, user="ada", phase="Running", home="claim-ada"):
    volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": home}}]
    status = {"phase": phase, "podIP": ADDRESS}
    return {**made("jupyter-ada", uid, user=user), "spec": {"volumes": volumes}, "status": status}


def claim(uid="claim-1", name="claim-ada", **options):
    return made(name, uid, **options)


def dying(obj):
    return {**obj, "metadata": {**obj["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def added(obj, plural=PODS):
    return Change(plural, "ADDED", obj)


def gone(obj, plural=PODS):
    return Change(plural, "DELETED", obj)


GOOD = [added(claim(), CLAIMS), added(pod("old")), gone(pod("old")), added(pod())]


def names(violations):
    return [violation.invariant for violation in violations]


def test_a_good_history_violates_nothing():
    assert always(GOOD, TRIAL) == []
    assert in_the_end(GOOD, TRIAL, READY) == []
    assert with_its_home(GOOD, TRIAL) == []
    assert of_others(GOOD, ()) == []


def test_two_pods_at_once_are_found_even_if_one_is_gone_in_the_end_and_under_another_name():
    history = [added(pod("old")), added(pod("new", user="ada-new")), gone(pod("old"))]
    assert names(always(history, TRIAL)) == ["two pods"]


def test_pods_of_two_users_are_not_two_pods():
    assert always([added(pod("one")), added(pod("two", user="bob"))], TRIAL) == []


def test_a_second_claim_is_found_even_if_the_first_was_under_an_earlier_name():
    history = [added(claim(), CLAIMS), added(claim("claim-2", "claim-ada-new", user="ada-new"), CLAIMS)]
    assert names(always(history, TRIAL)) == ["two claims"]


def test_an_extra_claim_is_no_second_home():
    extra = claim("claim-2", "scratch-ada", **{EXTRA_CLAIM_ANNOTATION: "scratch"})
    assert always([added(claim(), CLAIMS), added(extra, CLAIMS)], TRIAL) == []


@pytest.mark.parametrize("last", [gone(claim(), CLAIMS), Change(CLAIMS, "MODIFIED", dying(claim()))])
def test_a_deleted_claim_is_found_unless_its_deletion_was_asked_for(last):
    history = [added(claim(), CLAIMS), last]
    assert names(always(history, TRIAL)) == ["a claim was deleted"]
    assert names(of_others(history, ())) == ["a claim was deleted"]
    assert always(history, Trial(names=TRIAL.names, may_delete_claims=True)) == []
    assert of_others(history, {"ada"}) == []


@pytest.mark.parametrize("state", ["stopped", "no user"])
@pytest.mark.parametrize("left", [added(pod()), added(made("jupyter-ada", "secret"), SECRETS)])
def test_nothing_is_left_without_a_server(state, left):
    assert names(in_the_end([left], TRIAL, Told(state=state))) == ["without a server"]
    assert in_the_end([left, gone(left.obj, left.plural)], TRIAL, Told(state=state)) == []


def test_a_start_survives_its_hub():
    assert survived(READY) == []
    assert names(survived(Told(state="stopped"))) == ["the start was lost"]


def test_a_claim_may_stay_without_a_server():
    assert in_the_end([added(claim(), CLAIMS)], TRIAL, Told(state="no user")) == []


@pytest.mark.parametrize(
    "history",
    [
        [],
        [added(pod()), gone(pod())],
        [added(pod()), added(pod("other"))],
        [added(pod(phase="Pending"))],
        [added(dying(pod()))],
    ],
)
def test_a_ready_server_has_one_pod_that_runs(history):
    assert names(in_the_end(history, TRIAL, READY)) == ["the hub disagrees"]


@pytest.mark.parametrize("target", [None, "http://127.1.0.6:8888"])
def test_a_route_leads_to_the_pod(target):
    assert names(in_the_end(GOOD, TRIAL, Told(state="ready", target=target))) == ["the hub disagrees"]


def test_what_is_pending_has_not_come_right():
    assert names(in_the_end(GOOD, TRIAL, Told(state="pending spawn"))) == ["the hub disagrees"]


def test_a_pod_mounts_all_volumes_of_its_user_and_no_others():
    assert names(with_its_home([added(claim(), CLAIMS), added(pod(home="claim-bob"))], TRIAL)) == [
        "another home"
    ]
    assert names(with_its_home([added(pod())], TRIAL)) == ["another home"]
