"""Decisions in words and as JSON."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core.decision import Action, Decision
from k8s_hub.culler.core.policy import Cause, Facts, Notice, Work, facts_of
from k8s_hub.culler.core.rules import Limits, Rules
from k8s_hub.culler.decider import Decider

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ONLY_THE_HUB = "Only the activity that the hub reports counts: the culler did not ask the server (ask_servers), or got no answer."
NO_RULE = "The default limits apply: no rule matches."
GPU = [{"name": "gpu", "timeout": "1h"}]


async def decided(
    *,
    idle: timedelta | None = 10 * MINUTE,
    limits: Limits = Limits(timeout=HOUR),  # noqa: B008 - a value
    rules: list[dict[str, Any]] = GPU,
    notice: timedelta | None = None,
    hook: Any = None,
    subject: dict[str, Any] | None = None,
    **more: Any,
) -> Decision:
    lab = server("ada", "lab", idle=idle, **(subject or {}))
    facts = Facts(server=lab, user=user("ada", lab), **more)
    return await Decider(limits=limits, rules=Rules.parse(rules), notice=notice, hook=hook).decide(facts, NOW)


def work(*, busy: int = 0, tabs: int = 0, silent: timedelta = 2 * HOUR) -> Work:
    return Work(busy=busy, connections=tabs, last_execution=NOW - silent)


# --- One line ---


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ({}, "ada/lab: kept: was active 10 min ago (limit 1 h, rule 'gpu')"),
        ({"rules": []}, "ada/lab: kept: was active 10 min ago (limit 1 h)"),
        (
            {"rules": [{"timeout": "3h"}]},
            "ada/lab: kept: was active 10 min ago (limit 3 h, rules[0])",
        ),
        (
            {"work": work(tabs=1), "rules": []},
            "ada/lab: would be stopped: has open tabs, but executed nothing for 2 h (limit 1 h)",
        ),
        (
            {
                "work": work(busy=1),
                "idle": HOUR,
                "limits": Limits(timeout=HOUR, busy_limit=24 * HOUR),
                "rules": [],
            },
            "ada/lab: kept: runs a busy kernel, without output for 1 h (busy limit 1 day)",
        ),
        (
            {"work": work(busy=2), "idle": 2 * HOUR},
            "ada/lab: kept: runs 2 busy kernels, without output for 2 h (no busy limit, rule 'gpu')",
        ),
        ({"subject": {"pending": "stop"}}, "ada/lab: kept: is stopping"),
        (
            {"rules": [{"name": "staff", "exempt": True}]},
            "ada/lab: kept: is exempt by a rule (rule 'staff')",
        ),
        (
            {"limits": Limits(timeout=HOUR, max_age=3 * HOUR), "rules": []},
            "ada/lab: would be stopped: was started 3 h ago, and its maximum runtime is 3 h (maximum runtime 3 h)",
        ),
        (
            {"idle": HOUR, "notice": MINUTE, "rules": []},
            "ada/lab: kept: was idle for 1 h, but the culler sends a warning first (limit 1 h)",
        ),
    ],
)
async def test_sentence(case, sentence):
    assert (await decided(**case)).sentence() == sentence


# --- What would change it ---


@pytest.mark.parametrize(
    ("case", "changes"),
    [
        (
            {"rules": []},
            ["Stops at 12:50 UTC unless somebody uses it before then.", ONLY_THE_HUB, NO_RULE],
        ),
        (
            {"work": work(tabs=1, silent=MINUTE), "rules": []},
            ["Stops at 12:59 UTC unless it executes something before then.", NO_RULE],
        ),
        (
            {"work": work(busy=1), "limits": Limits(timeout=HOUR, busy_limit=24 * HOUR), "rules": []},
            ["Stops at 2026-07-02 11:50 UTC unless its kernels produce output before then.", NO_RULE],
        ),
        (
            {"work": work(busy=1), "rules": []},
            ["It does not stop while its kernels are busy: there is no busy limit.", NO_RULE],
        ),
        (
            {"idle": 2 * HOUR, "extended_until": NOW + HOUR, "rules": []},
            [
                "Stops at 13:00 UTC unless somebody uses it before then.",
                "It would stop now without its extension.",
                NO_RULE,
            ],
        ),
        (
            {"idle": HOUR, "rules": []},
            [
                "Activity before the stop keeps it running.",
                ONLY_THE_HUB,
                NO_RULE,
                "A rule with exempt: true would keep it running.",
            ],
        ),
        (
            {"limits": Limits(timeout=HOUR, max_age=3 * HOUR), "rules": []},
            [
                "Its user cannot change that: it has reached its maximum runtime.",
                NO_RULE,
                "A rule with exempt: true would keep it running.",
            ],
        ),
        (
            {"limits": Limits(timeout=HOUR, max_age=3.5 * HOUR), "rules": [], "work": work(silent=HOUR)},
            ["Stops at 12:30 UTC even if in use: it reaches its maximum runtime.", NO_RULE],
        ),
        (
            {"idle": HOUR, "notice": 5 * MINUTE, "rules": []},
            ["Stops at 12:05 UTC unless somebody uses it before then: the culler sent a warning.", NO_RULE],
        ),
        (
            {"limits": Limits(timeout=HOUR, max_age=3 * HOUR), "notice": 5 * MINUTE, "rules": []},
            ["Stops at 12:05 UTC even if in use: the culler sent a warning.", NO_RULE],
        ),
        (
            {"hook": lambda **_: False, "rules": []},
            ["Every sweep asks the arbiter hook again.", NO_RULE],
        ),
        (
            {"rules": [{"name": "staff", "exempt": True}]},
            ["Limits apply once no rule with exempt: true matches; now rule 'staff' does."],
        ),
        (
            {"limits": Limits(timeout=HOUR, named_servers=False), "rules": []},
            ["Limits apply if cull_named_servers is true.", NO_RULE],
        ),
        (
            {"subject": {"pending": "spawn"}},
            ["The culler decides once the spawn has ended: it never stops a pending server."],
        ),
        ({"subject": {"ready": False}}, ["The culler decides once the hub reports it ready."]),
        (
            {"idle": -HOUR, "rules": []},
            [
                "The culler decides from 13:00 UTC on. Check the clocks of the hub and of the culler.",
                NO_RULE,
            ],
        ),
        (
            {"work": work(silent=-HOUR), "rules": []},
            [
                (
                    "The culler decides from 13:00 UTC on. Check the clock of its node: a time more than 1 day "
                    "ahead does not count."
                ),
                NO_RULE,
            ],
        ),
        (
            {"idle": None, "subject": {"age": None}, "rules": []},
            [
                (
                    "The culler decides once the hub reports its last_activity or started. Check GET /hub/api/users/ada, "
                    "and whether the token's scope read:servers includes this user."
                ),
                NO_RULE,
            ],
        ),
        (
            {"idle": NOW - datetime(1970, 1, 1, tzinfo=UTC), "rules": []},
            [
                "The culler decides once the hub reports a possible time, not 1970-01-01T00:00:00Z. Check the hub's clock.",
                NO_RULE,
            ],
        ),
        (
            {
                "rules": [{"name": "day", "timeout": "1h", "schedule": {"hours": "08:00-18:00"}}],
                "work": work(),
            },
            [
                "Stops at 12:50 UTC unless somebody uses it before then.",
                "The limits of rule 'day' apply: an earlier rule that matches would replace them.",
                "Other limits may apply from 18:00 UTC on: the schedule of a rule changes them.",
            ],
        ),
    ],
)
async def test_changes(case, changes):
    assert list((await decided(**case)).changes()) == changes


async def test_what_is_held_back():
    decision = await decided(idle=2 * HOUR, rules=[])
    for cause, words in (
        (Cause.BRAKE, "brake"),
        (Cause.OUTAGE_GRACE, "outage"),
        (Cause.UNPROBED, "asks"),
    ):
        held = decision.held_back(cause, "not now")
        assert (held.verdict.culls, held.verdict.cause) == (False, cause)
        assert held.sentence().startswith("ada/lab: held back: was idle for 2 h, but not now")
        assert words in held.changes()[0]
        assert "A rule with exempt: true would keep it running." not in held.changes()


@pytest.mark.parametrize("cause", list(Cause))
async def test_every_cause_has_a_word_about_what_would_change_it(cause):
    decision = await decided()
    decision = replace(decision, verdict=replace(decision.verdict, cause=cause))
    assert all(sentence.endswith(".") for sentence in decision.changes())
    assert decision.changes()


async def test_a_time_beyond_all_dates_is_said_so():
    decision = await decided(work=work(), limits=Limits(timeout=timedelta.max), rules=[])
    assert decision.verdict.deadline is None
    assert decision.changes() == ("The culler foresees no stop.", NO_RULE)


# --- JSON ---


async def test_record():
    since = NOW - 2 * HOUR
    decision = await decided(
        idle=2 * HOUR,
        limits=Limits(timeout=HOUR, max_age=24 * HOUR),
        work=work(tabs=2),
        extended_until=NOW - MINUTE,
        notice=5 * MINUTE,
    )
    decision = replace(decision, facts=replace(decision.facts, notice=Notice(at=NOW - MINUTE, since=since)))
    record = decision.as_json(Action.KEPT)
    assert json.loads(json.dumps(record)) == {
        "time": "2026-07-01T12:00:00Z",
        "user": "ada",
        "server": "lab",
        "action": "kept",
        "verdict": "keep",
        "cause": "warned",
        "reason": "was idle for 2 h, but the culler sends a warning first",
        "rule": "gpu",
        "rules_in_doubt": [],
        "since": "2026-07-01T10:00:00Z",
        "due": "2026-07-01T12:05:00Z",
        "idle_seconds": 7200,
        "idle_limit_seconds": 3600,
        "age_limit_seconds": 86400,
        "started": "2026-07-01T09:00:00Z",
        "last_activity": "2026-07-01T10:00:00Z",
        "ready": True,
        "pending": None,
        "busy_kernels": 0,
        "connections": 2,
        "last_execution": "2026-07-01T10:00:00Z",
        "kept_until": "2026-07-01T11:59:00Z",
        "warned_at": "2026-07-01T11:59:00Z",
    }


async def test_what_is_not_known_is_null():
    record = (await decided(idle=None, subject={"age": None}, rules=[])).as_json(Action.KEPT)
    known = {key for key, value in record.items() if value is not None}
    assert known == {
        "time",
        "user",
        "server",
        "action",
        "verdict",
        "cause",
        "reason",
        "rules_in_doubt",
        "idle_limit_seconds",
        "ready",
    }
    assert (await decided(idle=-HOUR)).as_json(Action.KEPT)["idle_seconds"] is None


# --- Facts ---


class StateStore:
    def extended_until(self, user: str, server: str) -> datetime | None:
        return NOW if (user, server) == ("ada", "lab") else None

    def notice(self, user: str, server: str) -> Notice | None:
        return Notice(at=NOW, since=NOW) if (user, server) == ("ada", "lab") else None


def test_facts_of():
    lab = server("ada", "lab")
    ada = user("ada", lab)
    assert facts_of(lab, ada) == Facts(server=lab, user=ada)
    everything = Facts(
        server=lab, user=ada, work=work(), extended_until=NOW, notice=Notice(at=NOW, since=NOW)
    )
    assert facts_of(lab, ada, StateStore(), work()) == everything
    assert facts_of(server("ada"), ada, StateStore()).extended_until is None


def test_a_warning_from_before_the_start_is_no_fact():
    """The culler stopped the server after it, and its user has started it again."""
    lab = server("ada", "lab")
    again = replace(lab, started=NOW + timedelta(seconds=1))

    assert facts_of(again, user("ada", again), StateStore()).notice is None
