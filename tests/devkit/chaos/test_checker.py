"""Each invariant of the soak finds what was planted, by its name, and finds nothing in a good record."""

from dataclasses import replace
from itertools import chain

import pytest

from devkit.chaos import checker
from devkit.chaos.record import (
    Canary,
    Change,
    Cull,
    End,
    Fault,
    HubEnd,
    Leak,
    Operation,
    Request,
    Sample,
    Start,
)

START = Start(
    at=0,
    seed=1,
    minutes=5,
    users=1,
    spawner="k8s_hub",
    hub=6,
    idle_timeout=60,
    cull_every=10,
    start_timeout=60,
)
END = End(load=400, at=500)


def change(at, kind="ADDED", resource="pods", uid="1", server="u1/", **values):
    known = {"name": f"{resource}-{uid}", "release": "jhub", "version": "1", **values}
    return Change(at=at, kind=kind, resource=resource, uid=uid, server=server, **known)


def pod(born, *, gone=None, uid="1", server="u1/", address="127.1.0.1", **values):
    """A pod that is ready after a second, and the end of it."""
    alive = {"uid": uid, "server": server, "phase": "Running", **values}
    life = [change(born, **alive | {"phase": "Pending"})]
    life.append(change(born + 1, "MODIFIED", is_ready=True, address=address, **alive))
    return life if gone is None else [*life, change(gone, "DELETED", is_terminating=True, **alive)]


def samples(begin, end, state="ready", server="u1/", routes=None):
    return [Sample(at=at + 0.5, servers={server: state}, routes=routes) for at in range(begin, end)]


def start(begin, end, outcome="ready", message="", server="u1/"):
    return Operation(
        begin=begin, end=end, verb="start", server=server, status=202, outcome=outcome, message=message
    )


def activity(at, server="u1/"):
    return Operation(begin=at, end=at, verb="activity", server=server, status=200)


def fault(begin, end, kind="hub killed"):
    return Fault(kind=kind, begin=begin, end=end)


def violations(*events, at_end="stopped"):
    """What the judge says of these events, by invariant; the server stops for the end."""
    flat = [each for event in events for each in (event if isinstance(event, list) else [event])]
    last = [Sample(at=499, servers={"u1/": at_end})]
    facts = checker.Facts([START, *flat, *last, END])
    return {(each.invariant, each.server) for each in checker.judge(facts)}


GOOD = [start(100, 102), pod(100, gone=200), samples(0, 100, "stopped"), samples(102, 200), fault(300, 310)]


def test_a_good_record_has_no_violation():
    assert violations(*GOOD, samples(202, 400, "stopped")) == set()


def test_a_server_shown_stopped_whose_pod_runs():
    assert violations(pod(100, gone=400), samples(102, 200, "stopped")) == {
        ("shown stopped while its pod runs", "u1/")
    }


def test_a_fault_excuses_it_for_a_while():
    shown = [pod(100, gone=400), samples(102, 200)]
    assert violations(*shown, fault(200, 220), samples(200, 229, "stopped"), samples(229, 400)) == set()
    assert violations(*shown, fault(200, 220), samples(200, 235, "stopped"), samples(235, 400)) == {
        ("shown stopped while its pod runs", "u1/")
    }


def test_a_pod_of_an_account_that_the_older_database_does_not_have():
    shown = [pod(100, gone=400), samples(102, 150), samples(150, 300, "stopped")]
    back = Fault(kind="database back by a minute", begin=145, end=150)
    assert violations(*shown, back) == {("shown stopped while its pod runs", "u1/")}
    assert violations(*shown, back, asked("delete", 98)) == set()
    assert violations(*shown, back, asked("delete", 40)) == {("shown stopped while its pod runs", "u1/")}


def test_one_sample_alone_is_no_disagreement():
    assert violations(pod(100, gone=400), samples(150, 151, "stopped"), samples(151, 400)) == set()


@pytest.mark.parametrize(
    "life, state",
    [
        (pod(100, gone=150), "ready"),
        (pod(100, gone=300), "spawn"),
        (pod(100, gone=150), "stop"),
    ],
)
def test_a_view_that_is_not_fresh(life, state):
    assert violations(life, samples(160, 175, state)) == {("stale view", "u1/")}
    assert (
        violations(life, samples(150, 153, state) if state != "spawn" else samples(101, 105, state)) == set()
    )


def test_a_hub_that_got_no_processor_is_not_blamed_for_being_late():
    late = samples(160, 175, "spawn")
    starved = [replace(sample, starved=0.6) for sample in late]
    assert violations(pod(100, gone=300), late) == {("stale view", "u1/")}
    assert violations(pod(100, gone=300), starved) == set()


def test_a_hub_that_got_no_processor_is_blamed_for_being_very_late():
    gone = [Sample(at=at + 0.5, servers={"u1/": "ready"}, starved=0.6) for at in range(160, 220)]
    assert violations(pod(100, gone=150), gone) == {("stale view", "u1/")}


@pytest.mark.parametrize("resource", ["pods", "secrets", "services"])
def test_an_object_without_a_server(resource):
    assert ("object without a server", "u1/") in violations(change(100, resource=resource))
    assert violations(change(100, resource=resource, release="another")) == set()
    assert violations(change(100, resource=resource), change(200, "DELETED", resource)) == set()


def test_two_pods_of_a_server():
    both = [*pod(100, gone=400), *pod(150, gone=400, uid="2")]
    assert violations(both) == {("two pods of a server", "u1/")}
    dying = change(149, "MODIFIED", is_terminating=True)
    assert violations(pod(100), dying, pod(150, gone=400, uid="2"), change(151, "DELETED")) == set()
    assert violations(pod(100, gone=400), pod(150, gone=400, uid="2", server="u1/lab")) == set()


def test_two_claims_of_a_server():
    claims = [change(100, resource="persistentvolumeclaims", uid=uid) for uid in "12"]
    assert violations(*claims) == {("two claims of a server", "u1/")}
    assert violations(claims[0], replace(claims[0], kind="MODIFIED", at=120)) == set()


@pytest.mark.parametrize(
    "loss",
    [
        change(200, "DELETED", "persistentvolumeclaims"),
        Canary(server="u1/", name="claim", found="it has the uid 7"),
    ],
)
def test_a_lost_claim(loss):
    assert violations(change(100, resource="persistentvolumeclaims"), loss) == {("claim deleted", "u1/")}


def test_a_claim_that_the_hub_wanted_deleted():
    asked = Request(at=1, verb="delete", resource="persistentvolumeclaims", name="claim-u1", code=403)
    assert violations(asked) == {("claim deleted", "")}


def test_a_foreign_object_that_the_hub_touched():
    foreign = change(1, release="another", name="theirs")
    asked = Request(at=2, verb="delete", resource="pods", name="theirs", code=200)
    assert violations(foreign, asked) == {("foreign object touched", "")}
    assert violations(foreign, replace(asked, verb="get")) == set()
    assert violations(foreign, replace(asked, resource="secrets")) == set()


def test_another_hub_may_touch_its_own_objects_alone():
    theirs = change(1, release="other-hub", name="theirs")
    asked = Request(at=2, verb="delete", resource="pods", name="theirs", code=200, account="other-hub")
    assert violations(theirs, asked) == set()
    ours = [pod(100, gone=400, name="ours"), samples(102, 400)]
    asked = replace(asked, at=200, name="ours")
    assert violations(*ours, asked) == {("foreign object touched", "")}
    assert violations(*ours, replace(asked, verb="create", resource="secrets")) == set()


@pytest.mark.parametrize(
    "operation",
    [
        start(100, 200, "endless"),
        start(100, 195, "ready"),
        start(100, 110, "failed", "Spawn failed"),
        start(100, 110, "failed", "Spawn failed: Timeout"),
        start(100, 110, "lost", "ClientConnectorError"),
    ],
)
def test_a_start_without_an_end_or_a_reason(operation):
    found = {invariant for invariant, _ in violations(operation, fault(105, 120, "quota"))}
    assert found == {"start without an end or a reason"}


@pytest.mark.parametrize("kind", ["hub killed", "disk full"])
def test_a_start_is_lost_with_its_hub(kind):
    assert violations(start(100, 110, "lost"), fault(109, 115, kind)) == set()


def test_a_start_is_lost_with_the_removal_of_its_server():
    assert violations(start(100, 110, "lost"), asked("remove", 95)) == set()
    assert violations(start(100, 110, "lost"), asked("remove", 95, "u2/")) != set()


def test_a_start_that_failed_in_peace():
    failed = start(100, 110, "failed", "Spawn failed: no room")
    assert violations(failed) == {("start failed in peace", "u1/")}
    assert violations(failed, fault(80, 95)) == set()
    assert violations(failed, fault(105, 120, "quota")) == set()


def test_a_slow_start_in_peace():
    quick = [start(at, at + 2) for at in range(20, 100, 10)]
    late = start(100, 130)
    assert violations(quick, late) == {("slow start in peace", "u1/")}
    assert violations(quick, start(100, 115)) == set()
    assert violations([start(at, at + 8) for at in range(20, 100, 10)], late) == set()
    assert violations(quick, late, fault(80, 95)) == set()
    assert violations(quick, late, fault(110, 115)) == set()
    starved = [Sample(at=at + 0.5, servers={"u1/": "spawn"}, starved=0.6) for at in range(100, 130)]
    assert violations(quick, late, starved) == set()


def deleted(at, name="pods-1", code=200):
    return Request(at=at, verb="delete", resource="pods", name=name, code=code)


def asked(verb, begin, server="u1/", **values):
    return Operation(begin=begin, end=begin + 1, verb=verb, server=server, status=204, **values)


@pytest.mark.parametrize(
    "no_reason",
    [
        [],
        [start(99, 103, "lost"), fault(101, 104)],
        [asked("stop", 80)],
        [asked("stop", 190, "u1/lab")],
        [asked("stop", 190, "u2/")],
        [asked("rename", 190)],
        [asked("rename", 80), fault(199, 210)],
        [Fault(kind="database back by a minute", begin=150, end=195)],
        [Cull(at=190, server="u1/lab")],
        [fault(199, 210)],
    ],
)
def test_a_pod_that_the_hub_deleted_for_nobody(no_reason):
    life = [pod(100, gone=201), samples(102, 200)]
    assert violations(*life, deleted(200), *no_reason) == {("pod deleted without a request", "u1/")}


@pytest.mark.parametrize(
    "reason",
    [
        asked("stop", 199),
        asked("cancel", 150),
        asked("delete", 199),
        asked("remove", 199),
        Cull(at=200, server="u1/"),
        start(199, 203),
        start(100, 201, "failed", "Spawn failed: no room"),
        Fault(kind="pods deleted", begin=198, end=199, note="pods-7, pods-1"),
        change(199, "MODIFIED", is_terminating=True),
        change(199, "MODIFIED", phase="Failed"),
    ],
)
def test_a_pod_that_the_hub_had_to_delete(reason):
    life = [activity(195), pod(100, gone=201)]
    assert ("pod deleted without a request", "u1/") not in violations(*life, deleted(200), reason)


def test_a_pod_with_an_earlier_name_that_the_hub_found_after_it_lost_its_database():
    """No user can reach it: it serves the URL of that name."""
    back = Fault(kind="database back by a minute", begin=150, end=195)
    life = [pod(100, gone=201), samples(102, 200), deleted(200)]
    assert violations(*life, asked("rename", 80), back) == set()
    assert violations(*life, asked("rename", 80, "u2/"), back) == {("pod deleted without a request", "u1/")}


def test_a_pod_whose_start_the_hub_could_not_save():
    full, life = fault(95, 110, "disk full"), [pod(100, gone=201), samples(102, 200), deleted(200)]
    assert violations(*life, full) == set()
    assert violations(*life, fault(120, 130, "disk full")) == {("pod deleted without a request", "u1/")}


def test_a_delete_that_was_refused_is_none():
    assert violations(pod(100, gone=300), deleted(200, code=409)) == set()


def test_a_hub_that_ended_by_itself():
    assert violations(HubEnd(at=100, last_words="bye")) == {("hub ended by itself", "")}


def test_an_active_server_culled():
    used = [start(100, 101), activity(150)]
    assert violations(pod(100, gone=191), *used, Cull(at=190, server="u1/")) == {
        ("active server culled", "u1/")
    }
    assert violations(pod(100, gone=206), *used, Cull(at=205, server="u1/")) == set()
    assert violations(*used, Cull(at=190, server="u1/")) == set()


def test_an_idle_server_left():
    kept = [start(100, 101), pod(100), samples(102, 400)]
    assert ("idle server left", "u1/") in violations(*kept, at_end="ready")
    assert ("idle server left", "u1/") not in violations(*kept, activity(450), at_end="ready")


def test_a_wrong_route():
    last = Sample(at=499.5, servers={"u1/": "ready"}, routes={"u1/": "127.1.0.9"})
    used = [activity(480), pod(100)]
    assert violations(*used, last, at_end="ready") == {("wrong route", "u1/")}
    assert violations(*used, replace(last, routes={"u1/": "127.1.0.1"}), at_end="ready") == set()


def test_a_token_in_a_log():
    assert violations(Leak(secret="the culler's token", place="hub.log")) == {("token leaked", "")}


def test_too_many_requests():
    asked = [Request(at=100, verb="get", resource="pods", name="x", code=200)] * 101
    assert violations(*asked) == {("too many requests", "")}
    assert violations(*asked, start(99, 101)) == set()
    assert violations(*asked, start(60, 95)) == set()
    assert violations(*asked, start(60, 85)) == {("too many requests", "")}
    assert violations(*asked, start(95, 130)) == set()
    assert violations(*asked, Cull(at=99, server="u1/")) == set()


def test_every_invariant_has_its_test():
    """The names that this file asserts are those that the judge can say."""
    import inspect
    import re

    said = set(re.findall(r'invariant(?:=| = |", )?"([a-z ]+)"', inspect.getsource(checker)))
    said |= {"shown stopped while its pod runs", "stale view"}
    tested = inspect.getsource(__import__(__name__, fromlist=["x"]))
    assert len(said) == len(checker.INVARIANTS)
    assert all(f'"{name}"' in tested for name in said)


def test_healing_ends_with_the_last_disagreement_and_needs_a_start():
    shown = [pod(50, gone=499), samples(52, 100), samples(100, 125, "stopped"), samples(125, 400)]
    begun = start(121, 122)
    facts = checker.Facts([START, fault(100, 120), *chain(*shown), begun, END])
    assert checker.heal_seconds(facts, 0) == pytest.approx(4.5)
    without_start = checker.Facts([event for event in facts.events if event is not begun])
    assert checker.heal_seconds(without_start, 0) is None


def test_a_fault_that_the_next_one_meets_is_not_healed():
    shown = [pod(50, gone=499), samples(52, 100), samples(100, 150, "stopped"), samples(150, 400)]
    events = [fault(100, 120), fault(140, 145), start(121, 122), start(146, 147)]
    facts = checker.Facts([START, *chain(*shown), *events, END])
    assert checker.heal_seconds(facts, 0) is None
    assert checker.heal_seconds(facts, 1) == pytest.approx(
        2
    )  # what the first one left is not the second one's
