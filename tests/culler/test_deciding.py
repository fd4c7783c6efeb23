"""The decider: rules, the arbiter hook in its two forms, and what schedules bring."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core.decision import UserDecision
from k8s_hub.culler.core.policy import Cause, Facts, Notice, Work, wants_notice
from k8s_hub.culler.core.rules import Limits, Rules
from k8s_hub.culler.decider import HOOK_SECONDS, Decider
from k8s_hub.hub.users import user_of

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
LIMITS = Limits(timeout=HOUR)
DAYS_AND_NIGHTS = [
    {"name": "night", "timeout": "15m", "schedule": {"hours": "22:00-06:00"}},
    {"name": "day", "timeout": "8h"},
]


def facts(idle: timedelta | None = 2 * HOUR, **more: Any) -> Facts:
    subject = server(
        "ada", "lab", idle=idle, **{key: more.pop(key) for key in ("age", "pending") if key in more}
    )
    return Facts(server=subject, user=user("ada", subject), **more)


def probed() -> tuple[list[dict[str, Any]], Callable[..., bool]]:
    """A hook of idle-culler 2.0.0, and what it was asked."""
    questions = []

    def hook(inactive, inactive_limit, server):
        questions.append({"inactive": inactive, "inactive_limit": inactive_limit, "server": server})
        return inactive.total_seconds() >= inactive_limit

    return questions, hook


# --- The hook ---


async def test_the_hook_of_three_arguments():
    questions, hook = probed()
    decision = await Decider(limits=LIMITS, hook=hook).decide(facts(), NOW)
    assert (decision.verdict.culls, decision.verdict.reason) == (
        True,
        "is idle according to the arbiter hook",
    )
    assert questions == [
        {"inactive": 2 * HOUR, "inactive_limit": 3600, "server": {"name": "lab", "state": {}}},
    ]


async def test_the_limit_that_it_is_told_is_the_rules():
    questions, hook = probed()
    rules = Rules.parse([{"name": "long", "match": {"server": "lab"}, "timeout": "3h"}])
    decision = await Decider(limits=LIMITS, rules=rules, hook=hook).decide(facts(), NOW)
    assert [question["inactive_limit"] for question in questions] == [3 * 3600]
    assert (decision.verdict.cause, decision.matched.name) == (Cause.SPARED, "long")


async def test_its_idle_time_is_that_of_the_server_where_tabs_are_open():
    questions, hook = probed()
    work = Work(busy=0, connections=1, last_execution=NOW - 2 * HOUR)
    assert (await Decider(limits=LIMITS, hook=hook).decide(facts(MINUTE, work=work), NOW)).verdict.culls
    assert [question["inactive"] for question in questions] == [2 * HOUR]


def named(inactive, inactive_limit, server, user):
    return user["groups"] == ["staff"]


def named_only(*, user, **_others):
    return user["groups"] == ["staff"]


class Callee:
    async def __call__(self, inactive, inactive_limit, server, user=None):
        return user["groups"] == ["staff"]


@pytest.mark.parametrize(
    "hook",
    [
        named,
        named_only,
        Callee(),
        functools.partial(named),
    ],
)
async def test_a_hook_that_names_user_gets_the_hubs_model(hook):
    ada = user_of({"name": "ada", "groups": ["staff"], "servers": {"lab": {"ready": True}}})
    subject = Facts(server=server("ada", "lab"), user=ada)
    assert (await Decider(limits=LIMITS, hook=hook).decide(subject, NOW)).verdict.culls


@pytest.mark.parametrize("kind", ["kwargs", "positional"])
async def test_a_hook_that_does_not_name_user_gets_three_arguments(kind):
    """Such as one that hands all it gets to the older form."""
    questions, older = probed()

    def handing_on(**all_):
        return older(**all_)

    def first_positional(user=None, /, **all_):
        return older(**all_)

    hook = handing_on if kind == "kwargs" else first_positional
    assert (await Decider(limits=LIMITS, hook=hook).decide(facts(), NOW)).verdict.culls
    assert len(questions) == 1


async def test_a_hook_without_a_signature():
    """Some callables of C have none."""
    with pytest.raises(TypeError, match="keyword"):
        await Decider(limits=LIMITS, hook=getattr).decide(facts(), NOW)


EXEMPT = Rules.parse([{"exempt": True}])
BUSY = Work(busy=1, connections=0, last_execution=NOW - 2 * HOUR)


@pytest.mark.parametrize(
    ("subject", "rules", "cause"),
    [
        (facts(None, age=None), Rules(), Cause.UNKNOWN),
        (facts(-HOUR), Rules(), Cause.UNKNOWN),
        (facts(pending="stop"), Rules(), Cause.PENDING),
        (facts(), EXEMPT, Cause.EXEMPT),
        (facts(extended_until=NOW + HOUR), Rules(), Cause.EXTENDED),
        (facts(work=BUSY), Rules(), Cause.BUSY),
        (facts(age=9 * HOUR), Rules(), Cause.OLD),
    ],
)
async def test_it_is_asked_where_nothing_but_time_decides(subject, rules, cause):
    questions, hook = probed()
    limits = Limits(timeout=HOUR, max_age=8 * HOUR)
    decision = await Decider(limits=limits, rules=rules, hook=hook).decide(subject, NOW)
    assert (decision.verdict.cause, questions) == (cause, [])


@pytest.mark.parametrize("subject", [facts(), facts(MINUTE), facts(None, age=2 * HOUR)])
async def test_it_is_asked_whether_its_user_is_to_be_warned_or_not(subject):
    questions, hook = probed()
    decider = Decider(limits=LIMITS, hook=hook, notice=10 * MINUTE)
    verdict = (await decider.decide(subject, NOW)).verdict
    assert len(questions) == 1
    assert not verdict.culls
    assert wants_notice(subject, verdict, NOW, 10 * MINUTE) is (verdict.cause is Cause.WARNED)


async def test_after_the_warning_the_hooks_word_holds():
    subject = facts(MINUTE)
    decider = Decider(limits=LIMITS, hook=lambda **_: True, notice=10 * MINUTE)
    told = facts(MINUTE, notice=Notice(at=NOW, since=subject.server.last_activity))
    for later, culls in ((MINUTE, False), (10 * MINUTE, True), (9 * HOUR, True)):
        assert (await decider.decide(told, NOW + later)).verdict.culls is culls


async def test_what_it_raises_is_raised():
    def hook(**_):
        raise KeyError("profile_name")

    with pytest.raises(KeyError):
        await Decider(limits=LIMITS, hook=hook).decide(facts(), NOW)


@pytest.mark.looptime
async def test_it_may_not_take_for_ever(looptime):
    async def hook(inactive, inactive_limit, server):
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await Decider(limits=LIMITS, hook=hook).decide(facts(), NOW)
    assert looptime == pytest.approx(HOOK_SECONDS, abs=0.1)


# --- Users ---


NIGHTS = {"name": "nights", "timeout": "15m", "max_age": "1h"}


@pytest.mark.parametrize(
    "rule", [NIGHTS, {**NIGHTS, "match": {"user": "*"}}, {**NIGHTS, "match": {"admin": False}}]
)
def test_a_limit_of_servers_deletes_no_account(rule):
    """A user who was there twenty minutes ago has an account of thirty days, whatever their servers have."""
    thirty_days = Limits(timeout=timedelta(days=30))
    decider = Decider(limits=thirty_days, rules=Rules.parse([rule]))
    decision = decider.decide_user(user("ada", idle=20 * MINUTE), NOW)
    assert (decision.verdict.cause, decision.verdict.culls) == (Cause.IN_USE, False)
    assert (decision.matched.limits, decision.matched.name) == (thirty_days, None)


def test_without_limits_of_their_own_users_have_those_of_servers():
    """As in idle-culler."""
    old = Limits(timeout=9 * HOUR, max_age=2 * HOUR)
    assert Decider(limits=LIMITS).decide_user(user("ada"), NOW).verdict.cause is Cause.IDLE
    assert Decider(limits=old).decide_user(user("ada"), NOW).verdict.cause is Cause.OLD


def test_users_have_limits_and_rules_of_their_own():
    users = Rules.parse_users(
        [
            {"name": "guests", "match": {"user": "guest-*"}, "timeout": "1h"},
            {"match": {"group": "staff"}, "exempt": True},
        ]
    )
    decider = Decider(limits=LIMITS, user_limits=Limits(timeout=timedelta(days=30)), user_rules=users)

    def decided(name: str, groups: tuple[str, ...] | None) -> UserDecision:
        return decider.decide_user(replace(user(name), groups=groups), NOW)

    assert decided("guest-1", ()).verdict.cause is Cause.IDLE
    assert decided("guest-1", ()).matched.name == "guests"
    assert decided("ada", ()).verdict.cause is Cause.IN_USE
    assert decided("eve", ("staff",)).verdict.cause is Cause.EXEMPT
    assert decided("eve", None).verdict.cause is Cause.EXEMPT, "groups that are hidden exempt"
    assert [doubt.scope for doubt in decided("eve", None).matched.doubts] == ["read:users:groups"]


@pytest.mark.parametrize("groups", [("staff",), None])
def test_whom_a_rule_for_servers_exempts_or_may_exempt_is_not_deleted_either(groups):
    rules = Rules.parse([{"match": {"group": "staff"}, "exempt": True}])
    decider = Decider(limits=LIMITS, rules=rules, user_limits=Limits(timeout=MINUTE))
    assert decider.decide_user(replace(user("eve"), groups=groups), NOW).verdict.cause is Cause.EXEMPT
    assert decider.decide_user(replace(user("eve"), groups=()), NOW).verdict.cause is Cause.IDLE


# --- What schedules bring ---


def evening(minutes: int) -> datetime:
    return datetime(2026, 7, 1, 22, tzinfo=UTC) + minutes * MINUTE


async def decided(rules: list[dict[str, Any]], now: datetime, *, idle: timedelta, **more: Any) -> Any:
    subject = server("ada", idle=NOW - now + idle, age=NOW - now + 9 * HOUR)
    decider = Decider(limits=LIMITS, rules=Rules.parse(rules), **more)
    return (await decider.decide(Facts(server=subject, user=user("ada", subject)), now)).verdict


@pytest.mark.parametrize(
    ("now", "idle", "deadline"),
    [
        (
            evening(-120),
            timedelta(),
            evening(0),
        ),  # by day 8 h; the night stops at once what is idle for 15 min
        (evening(-10), 5 * MINUTE, evening(0)),
        (evening(-10), MINUTE, evening(4)),
        (evening(-9 * 60), timedelta(), evening(-60)),  # over before the night
        (evening(475), timedelta(), evening(475) + 8 * HOUR),  # 05:55: it is day before the 15 min are over
    ],
)
async def test_when_it_is_up_across_a_change_of_schedule(now, idle, deadline):
    verdict = await decided(DAYS_AND_NIGHTS, now, idle=idle)
    assert (verdict.cause, verdict.since, verdict.deadline) == (Cause.IN_USE, now - idle, deadline)


async def test_a_night_that_ends_an_exemption_is_in_sight():
    rules = [{"name": "office", "exempt": True, "schedule": {"hours": "08:00-22:00"}}]
    verdict = await decided(rules, evening(-10), idle=2 * HOUR)
    assert (verdict.cause, verdict.deadline) == (Cause.EXEMPT, evening(0))


async def test_at_the_moment_of_a_change_the_new_rule_holds():
    rules = [{"exempt": True, "schedule": {"hours": "22:00-06:00"}}, {"timeout": "8h"}]
    verdict = await decided(rules, evening(-10), idle=8 * HOUR - 10 * MINUTE)
    assert (verdict.cause, verdict.deadline) == (Cause.IN_USE, evening(8 * 60))


async def test_the_warning_before_a_night_is_given_once_and_holds():
    notice = 10 * MINUTE
    verdict = await decided(DAYS_AND_NIGHTS, evening(-10), idle=HOUR, notice=notice)
    subject = server("ada", idle=NOW - evening(-10) + HOUR, age=None)
    told = Facts(
        server=subject, user=user("ada", subject), notice=Notice(at=evening(-10), since=verdict.since)
    )
    assert not wants_notice(told, verdict, evening(-9), notice)
    decider = Decider(limits=LIMITS, rules=Rules.parse(DAYS_AND_NIGHTS), notice=notice)
    assert (await decider.decide(told, evening(0))).verdict.culls


async def test_an_age_that_only_the_night_has():
    """The period that it ends began with the start: what a warning is about."""
    rules = [{"timeout": "8h", "max_age": "9h", "schedule": {"hours": "22:00-06:00"}}]
    verdict = await decided([*rules, {"timeout": "8h"}], evening(-10), idle=MINUTE)
    assert (verdict.cause, verdict.since, verdict.deadline) == (
        Cause.IN_USE,
        evening(-10) - 9 * HOUR,
        evening(0),
    )
