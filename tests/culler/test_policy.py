"""Every verdict of the policy, from values alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core.policy import (
    CLOCK_SKEW,
    Cause,
    Facts,
    Notice,
    Work,
    active_at,
    evaluate,
    evaluate_user,
    runtime_ends,
    wants_notice,
)
from k8s_hub.culler.core.rules import Limits
from k8s_hub.hub.users import Server

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
LIMITS = Limits(timeout=HOUR)


def facts(subject: Server, **more: Any) -> Facts:
    return Facts(server=subject, user=user(subject.user, subject), **more)


def work(*, busy: int = 0, tabs: int = 0, silent: timedelta | None = 2 * HOUR) -> Work:
    """What a server says that executed something ``silent`` before NOW."""
    return Work(busy=busy, connections=tabs, last_execution=None if silent is None else NOW - silent)


@pytest.mark.parametrize(
    ("subject", "limits", "culls", "cause", "reason"),
    [
        (server("a", idle=HOUR), LIMITS, True, Cause.IDLE, "was idle for 1 h"),
        (server("a", idle=HOUR - SECOND), LIMITS, False, Cause.IN_USE, "was active 59 min 59 s ago"),
        (server("a", pending="stop"), LIMITS, False, Cause.PENDING, "is stopping"),
        (server("a", pending="spawn", ready=False), LIMITS, False, Cause.PENDING, "is starting"),
        (server("a", ready=False), LIMITS, False, Cause.NOT_READY, "is not ready"),
        # Without activity, the start counts; without a start, nothing does.
        (server("a", idle=None, age=HOUR), LIMITS, True, Cause.IDLE, "was idle for 1 h"),
        (server("a", idle=None, age=HOUR / 2), LIMITS, False, Cause.IN_USE, "was active 30 min ago"),
        (server("a", idle=None, age=None), LIMITS, False, Cause.UNKNOWN, "has no known activity or start"),
        (server("a", idle=-HOUR), LIMITS, False, Cause.UNKNOWN, "was active in the future, 1 h from now"),
        # The greatest age goes before activity, but is not guessed.
        (
            server("a", idle=SECOND, age=2 * HOUR),
            Limits(timeout=HOUR, max_age=2 * HOUR),
            True,
            Cause.OLD,
            "was started 2 h ago, and its maximum runtime is 2 h",
        ),
        (
            server("a", idle=SECOND, age=HOUR),
            Limits(timeout=HOUR, max_age=2 * HOUR),
            False,
            Cause.IN_USE,
            "was active 1 s ago",
        ),
        (
            server("a", idle=SECOND, age=None),
            Limits(timeout=HOUR, max_age=HOUR),
            False,
            Cause.IN_USE,
            "was active 1 s ago",
        ),
        (
            server("a", idle=SECOND, age=-HOUR),
            Limits(timeout=HOUR, max_age=HOUR),
            False,
            Cause.IN_USE,
            "was active 1 s ago",
        ),
        # Kinds that are not culled stay, however idle or old.
        (
            server("a"),
            Limits(timeout=HOUR, max_age=HOUR, default_servers=False),
            False,
            Cause.EXEMPT,
            "is a default server, and cull_default_servers is false",
        ),
        (
            server("a", "x"),
            Limits(timeout=HOUR, default_servers=False),
            True,
            Cause.IDLE,
            "was idle for 2 h",
        ),
        (
            server("a", "x"),
            Limits(timeout=HOUR, named_servers=False),
            False,
            Cause.EXEMPT,
            "is a named server, and cull_named_servers is false",
        ),
        (server("a"), Limits(timeout=HOUR, named_servers=False), True, Cause.IDLE, "was idle for 2 h"),
    ],
)
def test_servers(subject, limits, culls, cause, reason):
    verdict = evaluate(facts(subject), limits, NOW)
    assert (verdict.culls, verdict.cause, verdict.reason) == (culls, cause, reason)


def test_the_opinion_of_the_hook_replaces_the_idle_limit():
    assert evaluate(facts(server("a", idle=SECOND)), LIMITS, NOW, opinion=True).culls
    spared = evaluate(facts(server("a", idle=9 * HOUR)), LIMITS, NOW, opinion=False)
    assert (spared.culls, spared.cause) == (False, Cause.SPARED)


def test_what_the_hook_ends_began_with_its_last_activity():
    """Not with its start, although its age is the only limit with a date."""
    verdict = evaluate(
        facts(server("a", idle=SECOND)), Limits(timeout=HOUR, max_age=9 * HOUR), NOW, opinion=True
    )
    assert (verdict.culls, verdict.since, verdict.deadline) == (True, NOW - SECOND, None)


def test_the_opinion_of_the_hook_goes_after_age_and_state():
    limits = Limits(timeout=HOUR, max_age=2 * HOUR)
    assert (
        evaluate(facts(server("a", idle=SECOND, age=2 * HOUR)), limits, NOW, opinion=False).cause is Cause.OLD
    )
    assert not evaluate(facts(server("a", pending="stop")), limits, NOW, opinion=True).culls
    assert not evaluate(facts(server("a", ready=False)), limits, NOW, opinion=True).culls


@pytest.mark.parametrize(
    ("subject", "limits", "culls", "reason"),
    [
        (user("a", idle=HOUR), LIMITS, True, "was idle for 1 h"),
        (user("a", idle=SECOND), LIMITS, False, "was active 1 s ago"),
        (
            user("a", idle=SECOND),
            Limits(timeout=HOUR, max_age=3 * HOUR),
            True,
            "was created 3 h ago, and its maximum age is 3 h",
        ),
        (user("a", idle=None), LIMITS, True, "was idle for 3 h"),
        (user("a", admin=True), LIMITS, True, "was idle for 2 h"),
        (user("a", admin=True), Limits(timeout=HOUR, max_age=HOUR, admins=False), False, "is an admin"),
    ],
)
def test_users(subject, limits, culls, reason):
    verdict = evaluate_user(subject, limits, NOW)
    assert (verdict.culls, verdict.reason) == (culls, reason)


def test_admins_are_exempt_as_users_not_their_servers():
    assert evaluate(facts(server("admin")), Limits(timeout=HOUR, admins=False), NOW).culls


# --- Times that cannot be true ---

ZERO = datetime(1970, 1, 1, tzinfo=UTC)
NOBODY_KNOWS = "has no known activity or start"


@pytest.mark.parametrize("zero", [ZERO, datetime(1, 1, 1, tzinfo=UTC), datetime(1999, 12, 31, tzinfo=UTC)])
def test_a_zero_is_not_known(zero):
    for subject in (
        replace(server("a"), last_activity=zero),
        replace(server("a"), last_activity=None, started=zero),
    ):
        verdict = evaluate(facts(subject), LIMITS, NOW)
        assert (verdict.culls, verdict.cause, verdict.reason) == (False, Cause.UNKNOWN, NOBODY_KNOWS)
    of_age = evaluate(
        facts(replace(server("a", idle=SECOND), started=zero)), Limits(timeout=HOUR, max_age=HOUR), NOW
    )
    assert of_age.cause is Cause.IN_USE


@pytest.mark.parametrize("zero", [ZERO, datetime.min.replace(tzinfo=UTC)])
def test_a_user_of_zeros_is_not_deleted(zero):
    for person in (
        replace(user("a"), last_activity=zero),
        replace(user("a"), last_activity=None, created=zero),
        replace(user("a"), last_activity=NOW + HOUR),
    ):
        assert evaluate_user(person, LIMITS, NOW).cause is Cause.UNKNOWN
    assert evaluate_user(
        replace(user("a", idle=SECOND), created=zero), Limits(timeout=HOUR, max_age=HOUR), NOW
    ).cause is (Cause.IN_USE)


def test_a_zero_of_the_server_is_no_answer():
    """Its tabs would else make it 56 years idle."""
    answer = Work(busy=0, connections=2, last_execution=ZERO)
    assert evaluate(facts(server("a", idle=SECOND), work=answer), LIMITS, NOW).reason == "was active 1 s ago"


def test_a_server_whose_clock_is_ahead_is_kept_until_its_time_has_come():
    ahead = facts(server("a", idle=9 * HOUR, age=10 * HOUR), work=work(silent=-HOUR))
    verdict = evaluate(ahead, LIMITS, NOW)
    assert (verdict.culls, verdict.cause) == (False, Cause.UNKNOWN)
    assert verdict.reason == "executed something in the future, 1 h from now"
    assert evaluate(ahead, LIMITS, NOW + HOUR).cause is Cause.IN_USE
    assert evaluate(ahead, LIMITS, NOW + 2 * HOUR).culls


def test_a_clock_that_is_far_ahead_does_not_count():
    far = facts(server("a"), work=work(tabs=1, silent=-CLOCK_SKEW - SECOND))
    assert evaluate(far, LIMITS, NOW).reason == "was idle for 2 h"
    assert not evaluate(facts(server("a"), work=work(tabs=1, silent=-CLOCK_SKEW)), LIMITS, NOW).culls


def test_the_hubs_future_counts_before_the_servers_past():
    strange = facts(server("a", idle=-HOUR), work=work(tabs=1))
    assert evaluate(strange, LIMITS, NOW).cause is Cause.UNKNOWN


# --- What the server itself says ---


@pytest.mark.parametrize(
    ("subject", "answer", "cause", "reason"),
    [
        # An open tab: the hub sees activity all the time.
        (
            server("a", idle=SECOND),
            work(tabs=1),
            Cause.IDLE,
            "has open tabs, but executed nothing for 2 h",
        ),
        (
            server("a", idle=SECOND),
            work(tabs=1, silent=HOUR / 4),
            Cause.IN_USE,
            "executed something 15 min ago",
        ),
        # Without tabs, the newer word counts, whoever said it.
        (server("a", idle=SECOND), work(), Cause.IN_USE, "was active 1 s ago"),
        (server("a"), work(silent=HOUR / 4), Cause.IN_USE, "executed something 15 min ago"),
        (server("a", idle=3 * HOUR), work(), Cause.IDLE, "executed nothing for 2 h"),
        (server("a", idle=HOUR), work(), Cause.IDLE, "was idle for 1 h"),
        # Nothing runs in it, or it does not say when: the hub's word is all there is.
        (server("a", idle=SECOND), work(silent=None), Cause.IN_USE, "was active 1 s ago"),
        (server("a", idle=SECOND), work(tabs=2, silent=None), Cause.IN_USE, "was active 1 s ago"),
        # What was executed before the start is another server's; a start is activity.
        (
            server("a", idle=SECOND, age=HOUR / 2),
            work(tabs=1),
            Cause.IN_USE,
            "was started 30 min ago",
        ),
        (
            server("a", idle=SECOND, age=None),
            work(tabs=1),
            Cause.IDLE,
            "has open tabs, but executed nothing for 2 h",
        ),
        # A kernel that is busy and silent is at work.
        (server("a"), work(busy=1), Cause.BUSY, "runs a busy kernel, without output for 2 h"),
        (server("a"), work(busy=3), Cause.BUSY, "runs 3 busy kernels, without output for 2 h"),
        (server("a"), work(busy=1, silent=None), Cause.BUSY, "runs a busy kernel, without output for 2 h"),
        (
            server("a", idle=SECOND),
            work(busy=1, tabs=1),
            Cause.BUSY,
            "runs a busy kernel, without output for 2 h",
        ),
    ],
)
def test_the_servers_own_word(subject, answer, cause, reason):
    verdict = evaluate(facts(subject, work=answer), LIMITS, NOW)
    assert (verdict.culls, verdict.cause, verdict.reason) == (cause is Cause.IDLE, cause, reason)


def test_a_kernel_is_not_busy_for_ever():
    limits = Limits(timeout=HOUR, busy_limit=2 * HOUR)
    capped = evaluate(facts(server("a", idle=SECOND), work=work(busy=1, tabs=1)), limits, NOW)
    assert (capped.culls, capped.reason) == (True, "runs a busy kernel, without output for 2 h")
    kept = evaluate(facts(server("a"), work=work(busy=1, silent=HOUR)), limits, NOW)
    assert (kept.cause, kept.deadline) == (Cause.BUSY, NOW + HOUR)


def test_a_busy_limit_below_the_idle_limit_makes_no_server_go_earlier():
    kept = evaluate(
        facts(server("a", idle=HOUR / 2), work=work(busy=1)), Limits(timeout=HOUR, busy_limit=SECOND), NOW
    )
    assert (kept.culls, kept.deadline) == (False, NOW + HOUR / 2)


def test_a_kernel_may_be_busy_for_ever_without_a_limit():
    assert (
        evaluate(
            facts(server("a", idle=900 * HOUR), work=work(busy=1, silent=900 * HOUR)), LIMITS, NOW
        ).deadline
        is None
    )


def test_unknown_activity_stays_unknown_whatever_the_server_says():
    nameless = facts(server("a", idle=None, age=None), work=work(tabs=1))
    assert evaluate(nameless, LIMITS, NOW).cause is Cause.UNKNOWN
    assert active_at(nameless, NOW) is None


# --- Its user's wish, its age, and rules ---


def test_a_user_keeps_a_server():
    kept = evaluate(facts(server("a"), extended_until=NOW + HOUR), LIMITS, NOW)
    assert (kept.culls, kept.cause, kept.deadline) == (False, Cause.EXTENDED, NOW + HOUR)
    assert kept.reason == "has an extension for another 1 h"
    assert evaluate(facts(server("a"), extended_until=NOW), LIMITS, NOW).culls
    in_use = evaluate(facts(server("a", idle=SECOND), extended_until=NOW + SECOND), LIMITS, NOW)
    assert in_use.deadline == NOW + HOUR - SECOND


def test_a_user_keeps_nothing_beyond_its_greatest_age():
    limits = Limits(timeout=HOUR, max_age=4 * HOUR)
    kept = evaluate(facts(server("a"), extended_until=NOW + 9 * HOUR), limits, NOW)
    assert (kept.reason, kept.deadline) == ("has an extension for another 1 h", NOW + HOUR)
    assert evaluate(facts(server("a"), extended_until=NOW + 9 * HOUR), limits, NOW + HOUR).cause is Cause.OLD


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"work": work(busy=1, silent=SECOND)},
        {"extended_until": NOW + HOUR},
        {"work": work(silent=SECOND)},
    ],
)
def test_the_greatest_age_goes_before_everything_that_keeps(more):
    limits = Limits(timeout=HOUR, max_age=3 * HOUR)
    for opinion in (None, False, True):
        assert (
            evaluate(facts(server("a", idle=SECOND), **more), limits, NOW, opinion=opinion).cause is Cause.OLD
        )
    assert evaluate(facts(server("a", pending="stop"), **more), limits, NOW).cause is Cause.PENDING
    assert evaluate(facts(server("a"), **more), replace(limits, exempt=True), NOW).cause is Cause.EXEMPT


def test_exempt_by_a_rule():
    verdict = evaluate(facts(server("a")), Limits(timeout=HOUR, exempt=True), NOW)
    assert (verdict.culls, verdict.reason, verdict.deadline) == (False, "is exempt by a rule", None)
    assert (
        evaluate_user(user("a"), Limits(timeout=HOUR, max_age=HOUR, exempt=True), NOW).cause is Cause.EXEMPT
    )


@pytest.mark.parametrize(
    ("subject", "limits", "since", "deadline"),
    [
        (server("a", idle=SECOND), LIMITS, NOW - SECOND, NOW + HOUR - SECOND),
        (server("a", idle=None, age=SECOND), LIMITS, NOW - SECOND, NOW + HOUR - SECOND),
        # Whichever is first: the idle limit or the greatest age.
        (server("a", idle=SECOND), Limits(timeout=HOUR, max_age=9 * HOUR), NOW - SECOND, NOW + HOUR - SECOND),
        (server("a", idle=SECOND), Limits(timeout=HOUR, max_age=3.5 * HOUR), NOW - 3 * HOUR, NOW + HOUR / 2),
        (server("a", idle=-HOUR), Limits(timeout=HOUR, max_age=4 * HOUR), NOW - 3 * HOUR, NOW + HOUR),
        (server("a", idle=-HOUR), LIMITS, None, None),
        (server("a", idle=2 * HOUR), LIMITS, NOW - 2 * HOUR, NOW - HOUR),
        (server("a", idle=SECOND), Limits(timeout=timedelta.max, max_age=timedelta.max), NOW - SECOND, None),
    ],
)
def test_since_and_due(subject, limits, since, deadline):
    verdict = evaluate(facts(subject), limits, NOW)
    assert (verdict.since, verdict.deadline) == (since, deadline)


def test_when_the_maximum_runtime_ends():
    assert runtime_ends(server("a").started, Limits(timeout=HOUR, max_age=4 * HOUR)) == NOW + HOUR
    assert runtime_ends(server("a").started, LIMITS) is None
    assert runtime_ends(None, Limits(timeout=HOUR, max_age=HOUR)) is None


# --- Warnings ---

MINUTE = timedelta(minutes=1)
NOTICE = 10 * MINUTE


def told(verdict_since: datetime | None, ago: timedelta) -> Notice:
    assert verdict_since is not None
    return Notice(at=NOW - ago, since=verdict_since)


def test_nothing_is_stopped_without_a_warning():
    idle = server("a")
    unwarned = evaluate(facts(idle), LIMITS, NOW, notice=NOTICE)
    assert (unwarned.culls, unwarned.cause, unwarned.deadline) == (False, Cause.WARNED, NOW + NOTICE)
    assert unwarned.reason == "was idle for 2 h, but the culler sends a warning first"
    assert wants_notice(facts(idle), unwarned, NOW, NOTICE)


def test_a_warning_takes_its_time():
    idle = server("a", idle=HOUR)
    early = facts(idle, notice=told(idle.last_activity, NOTICE - SECOND))
    verdict = evaluate(early, LIMITS, NOW, notice=NOTICE)
    assert (verdict.cause, verdict.deadline) == (Cause.WARNED, NOW + SECOND)
    assert verdict.reason == "was idle for 1 h, but the culler sent a warning only 9 min 59 s ago"
    assert not wants_notice(early, verdict, NOW, NOTICE)
    assert evaluate(facts(idle, notice=told(idle.last_activity, NOTICE)), LIMITS, NOW, notice=NOTICE).culls


def test_it_is_time_to_warn_once():
    for idle, expected in ((HOUR - NOTICE - SECOND, False), (HOUR - NOTICE, True), (HOUR - SECOND, True)):
        subject = server("a", idle=idle)
        verdict = evaluate(facts(subject), LIMITS, NOW, notice=NOTICE)
        assert wants_notice(facts(subject), verdict, NOW, NOTICE) is expected
        warned = facts(subject, notice=told(subject.last_activity, timedelta()))
        if expected:
            assert not wants_notice(warned, evaluate(warned, LIMITS, NOW, notice=NOTICE), NOW, NOTICE)


def test_activity_makes_a_warning_void():
    subject = server("a", idle=HOUR)
    old = Notice(at=NOW - 2 * HOUR, since=NOW - 3 * HOUR)
    assert evaluate(facts(subject, notice=old), LIMITS, NOW, notice=NOTICE).cause is Cause.WARNED


def test_activity_makes_a_warning_void_that_is_still_young():
    """Such as where users are warned longer before than the idle limit is."""
    subject = server("a", idle=10 * MINUTE)
    warned = facts(subject, notice=Notice(at=NOW - 30 * MINUTE, since=NOW - 90 * MINUTE))
    assert wants_notice(warned, evaluate(warned, LIMITS, NOW, notice=2 * HOUR), NOW, 2 * HOUR)


def test_its_users_wish_makes_a_warning_void():
    """They were warned, kept it for an hour, and are warned again before that hour is over."""
    idle = server("a", idle=2 * HOUR)
    old = told(idle.last_activity, HOUR)
    near = facts(idle, notice=old, extended_until=NOW + NOTICE)
    assert wants_notice(near, evaluate(near, LIMITS, NOW, notice=NOTICE), NOW, NOTICE)
    over = facts(idle, notice=old, extended_until=NOW)
    assert evaluate(over, LIMITS, NOW, notice=NOTICE).cause is Cause.WARNED
    warned_again = facts(idle, notice=told(idle.last_activity, NOTICE), extended_until=NOW)
    assert evaluate(warned_again, LIMITS, NOW, notice=NOTICE).culls


def test_who_was_warned_of_the_idle_limit_is_not_warned_of_the_age_that_came_meanwhile():
    """The sweep at its time failed; in the next, both are over."""
    limits = Limits(timeout=HOUR, max_age=3 * HOUR)
    subject = server("a", idle=HOUR + MINUTE)
    verdict = evaluate(facts(subject, notice=told(subject.last_activity, NOTICE)), limits, NOW, notice=NOTICE)
    assert (verdict.culls, verdict.cause) == (True, Cause.OLD)


def test_a_warning_from_the_future_is_none():
    subject = server("a")
    strange = facts(subject, notice=told(subject.last_activity, -HOUR))
    verdict = evaluate(strange, LIMITS, NOW, notice=NOTICE)
    assert verdict.deadline == NOW + NOTICE
    assert wants_notice(strange, verdict, NOW, NOTICE)


def test_of_its_age_users_are_warned_too():
    limits = Limits(timeout=HOUR, max_age=3 * HOUR + NOTICE)
    subject = server("a", idle=SECOND)
    verdict = evaluate(facts(subject), limits, NOW, notice=NOTICE)
    assert wants_notice(facts(subject), verdict, NOW, NOTICE)
    warned = facts(subject, notice=told(verdict.since, timedelta()))
    assert evaluate(warned, limits, NOW + NOTICE, notice=NOTICE).cause is Cause.OLD
