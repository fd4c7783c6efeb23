"""Laws of the policy, over any facts, limits, words of the hook, and clocks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from devkit.testing.inmemoryhub import NOW
from k8s_hub.culler.core.decision import Action, Decision
from k8s_hub.culler.core.policy import (
    CLOCK_SKEW,
    EARLIEST,
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
from k8s_hub.culler.core.rules import Limits, MatchedRule
from k8s_hub.hub.users import Server, User

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
TICK = timedelta(microseconds=1)

any_time = st.datetimes(timezones=st.just(UTC)) | st.sampled_from((FIRST, LAST, EARLIEST, EARLIEST - TICK))
near = st.integers(-600, 600).map(lambda minutes: NOW + timedelta(minutes=minutes))
"""Minutes around NOW: so few that what is equal happens."""
moments = near | any_time
history = st.integers(0, 600).map(lambda minutes: NOW - timedelta(minutes=minutes))
lengths = st.integers(1, 600).map(lambda minutes: timedelta(minutes=minutes))
any_length = lengths | st.timedeltas(min_value=TICK)


def servers(times: st.SearchStrategy[datetime]) -> st.SearchStrategy[Server]:
    return st.builds(
        Server,
        user=st.just("ada"),
        name=st.sampled_from(("", "lab")),
        ready=st.sampled_from((True, True, True, False)),
        pending=st.sampled_from((None, None, None, "spawn", "stop")),
        started=st.none() | times,
        last_activity=st.none() | times,
        raw=st.just({}),
    )


def everything(times: st.SearchStrategy[datetime]) -> st.SearchStrategy[Facts]:
    return st.builds(
        Facts,
        server=servers(times),
        user=st.just(
            User(name="ada", admin=False, created=None, last_activity=None, servers=(), groups=None, raw={})
        ),
        work=st.none()
        | st.builds(
            Work, busy=st.integers(0, 2), connections=st.integers(0, 2), last_execution=st.none() | times
        ),
        extended_until=st.none() | times,
        notice=st.none() | st.builds(Notice, at=times, since=times),
    )


def limits(length: st.SearchStrategy[timedelta]) -> st.SearchStrategy[Limits]:
    return st.builds(
        Limits,
        timeout=length,
        max_age=st.none() | length,
        busy_limit=st.none() | length,
        exempt=st.sampled_from((False, False, False, True)),
        default_servers=st.sampled_from((True, True, True, False)),
        named_servers=st.sampled_from((True, True, True, False)),
    )


opinions = st.none() | st.booleans()


def judged_by_time(facts: Facts) -> Facts:
    return replace(facts, server=replace(facts.server, ready=True, pending=None, name=""))


def exempting_none(limits: Limits) -> Limits:
    return replace(limits, exempt=False, default_servers=True)


timely = everything(moments).map(judged_by_time)
timely_past = everything(history).map(judged_by_time)
"""Servers of which nothing but times decides."""
timely_limits = limits(lengths).map(exempting_none)


@given(everything(any_time), limits(any_length), any_time, opinions, st.none() | any_length)
@example(
    Facts(
        server=Server(user="a", name="", ready=True, pending=None, started=LAST, last_activity=FIRST, raw={}),
        user=User(name="a", admin=False, created=LAST, last_activity=FIRST, servers=()),
    ),
    Limits(timeout=timedelta.max, max_age=timedelta.max),
    LAST,
    None,
    timedelta.max,
)
def test_no_time_is_too_strange(facts, limits, now, opinion, notice):
    """Nothing raises, from the year 1 to the year 9999; and everything can be told."""
    verdict = evaluate(facts, limits, now, opinion=opinion, notice=notice)
    if notice is not None:
        wants_notice(facts, verdict, now, notice)
    decision = Decision(facts=facts, matched=MatchedRule(limits=limits), verdict=verdict, at=now)
    assert decision.as_json(Action.KEPT)["verdict"] == ("stop" if verdict.culls else "keep")
    assert decision.sentence()
    assert decision.changes()


@given(st.none() | moments, st.none() | moments, st.booleans(), limits(any_length), moments)
def test_no_user_with_newer_activity_is_deleted(created, active, admin, limits, now):
    user = User(name="ada", admin=admin, created=created, last_activity=active, servers=())
    verdict = evaluate_user(user, limits, now)
    if verdict.culls:
        seen = created if active is None else active
        assert not limits.exempt
        assert is_over(created, limits.max_age, now) or is_over(seen, limits.timeout, now)


def is_over(begun: datetime | None, limit: timedelta | None, now: datetime) -> bool:
    return begun is not None and begun >= EARLIEST and limit is not None and now - begun >= limit


@given(timely, timely_limits, near, st.none() | lengths)
def test_no_server_with_newer_activity_is_stopped(facts, limits, now, notice):
    """Unless its greatest age has come. Activity is what the hub saw; with open tabs, what was executed."""
    server, work = facts.server, facts.work
    if not evaluate(facts, limits, now, notice=notice).culls or is_over(server.started, limits.max_age, now):
        return
    seen = server.started if server.last_activity is None else server.last_activity
    assert seen is not None
    assert EARLIEST <= seen <= now
    executed = None if work is None else work.last_execution
    is_word = executed is not None and executed >= EARLIEST and executed - now <= CLOCK_SKEW
    if is_word:
        assert is_over(executed, limits.timeout, now)
    if not (is_word and work.connections):
        assert is_over(seen, limits.timeout, now)
    assert facts.extended_until is None or facts.extended_until <= now
    if work is not None and work.busy:
        assert limits.busy_limit is not None
        assert is_over(active_at(facts, now), limits.busy_limit, now)


@given(everything(moments), limits(any_length), moments, opinions, st.none() | any_length)
def test_some_are_never_stopped(facts, limits, now, opinion, notice):
    """Whatever their age, their idle time and the hook."""
    server = facts.server
    is_of_a_kind = limits.named_servers if server.name else limits.default_servers
    if not (server.pending or not server.ready or limits.exempt or not is_of_a_kind):
        return
    assert not evaluate(facts, limits, now, opinion=opinion, notice=notice).culls


@given(timely, timely_limits, near, opinions)
def test_the_greatest_age_goes_before_everything_else(facts, limits, now, opinion):
    server = facts.server
    verdict = evaluate(facts, limits, now, opinion=opinion)
    assert (verdict.cause is Cause.OLD) is is_over(server.started, limits.max_age, now)
    end = runtime_ends(server.started, limits)
    if end is not None and not verdict.culls:
        assert verdict.deadline is not None
        assert now < verdict.deadline <= end


@given(timely_past, timely_limits, st.floats(0, 1))
def test_it_is_kept_until_it_is_due_and_not_longer(facts, limits, part):
    """Judged by the same facts at another time; news may always change it."""
    now = NOW
    facts = replace(facts, notice=None)
    verdict = evaluate(facts, limits, now)
    if verdict.culls or verdict.deadline is None:
        return
    assert verdict.deadline > now
    before = min(now + part * (verdict.deadline - now), verdict.deadline - TICK)
    assert not evaluate(facts, limits, before).culls
    assert evaluate(facts, limits, before).deadline == verdict.deadline
    assert evaluate(facts, limits, verdict.deadline).culls


@given(timely_past, st.none() | near, timely_limits)
def test_a_server_that_is_kept_by_its_user_goes_when_that_ends(facts, extended_until, limits):
    facts = replace(facts, extended_until=extended_until)
    verdict = evaluate(facts, limits, NOW)
    if verdict.culls or verdict.deadline is None:
        return
    assert evaluate(facts, limits, verdict.deadline).culls


@given(timely, timely_limits, near, opinions, lengths)
def test_nobody_is_stopped_before_the_warning_has_taken_its_time(facts, limits, now, opinion, notice):
    verdict = evaluate(facts, limits, now, opinion=opinion, notice=notice)
    if verdict.culls:
        assert facts.notice is not None
        assert facts.notice.at <= now - notice
    unwarned = evaluate(facts, limits, now, opinion=opinion)
    assert (verdict == unwarned) if verdict.culls else (verdict.cause is Cause.WARNED or verdict == unwarned)


@given(timely_past, timely_limits, lengths, lengths)
def test_one_warning_is_enough_and_comes_in_time(facts, limits, notice, every):
    """Sweeps, as far apart as they may be: each server is warned once, and stopped one notice later at the earliest."""
    warnings, now = [], NOW
    facts = replace(facts, notice=None)
    deadline = evaluate(facts, limits, now).deadline
    for _ in range(10_000):
        verdict = evaluate(facts, limits, now, notice=notice)
        if verdict.culls:
            break
        if verdict.deadline is None:
            assert not warnings
            return
        if wants_notice(facts, verdict, now, notice):
            warnings.append(now)
            facts = replace(facts, notice=Notice(at=now, since=verdict.since))
        now += every
    assert len(warnings) == 1
    assert now - warnings[0] >= notice
    if deadline is not None:
        assert now - max(deadline, NOW) <= notice + 2 * every


@given(
    servers(moments),
    st.none() | st.builds(Work, busy=st.just(0), connections=st.just(0), last_execution=st.none() | history),
    near,
)
def test_without_tabs_the_servers_word_only_makes_it_younger(server, work, now):
    user = User(name="ada", admin=False, created=None, last_activity=None, servers=())
    hubs = active_at(Facts(server=server, user=user), now)
    both = active_at(Facts(server=server, user=user, work=work), now)
    assert (hubs is None) == (both is None)
    assert hubs is None or both >= hubs
