"""Every verdict of the policy, from values alone."""

from datetime import timedelta
from typing import Any

import pytest

from k8s_hub.culler.facts import Facts
from k8s_hub.culler.policy import Cause, Limits, judge, judge_user
from k8s_hub.hub.users import Server
from tests.inmemoryhub import NOW, server, user

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
LIMITS = Limits(idle=HOUR)


def facts(subject: Server, **more: Any) -> Facts:
    return Facts(server=subject, user=user(subject.user, subject), **more)


@pytest.mark.parametrize(
    ("subject", "limits", "culls", "cause", "reason"),
    [
        (server("a", idle=HOUR), LIMITS, True, Cause.IDLE, "was idle for 1:00:00"),
        (server("a", idle=HOUR - SECOND), LIMITS, False, Cause.IN_USE, "was active 0:59:59 ago"),
        (server("a", pending="stop"), LIMITS, False, Cause.PENDING, "has a pending stop"),
        (server("a", pending="spawn", ready=False), LIMITS, False, Cause.PENDING, "has a pending spawn"),
        (server("a", ready=False), LIMITS, False, Cause.NOT_READY, "is not ready"),
        # Without activity, the start counts; without a start, nothing does.
        (server("a", idle=None, age=HOUR), LIMITS, True, Cause.IDLE, "was idle for 1:00:00"),
        (server("a", idle=None, age=HOUR / 2), LIMITS, False, Cause.IN_USE, "was active 0:30:00 ago"),
        (server("a", idle=None, age=None), LIMITS, False, Cause.UNKNOWN, "has no known activity or start"),
        (server("a", idle=-HOUR), LIMITS, False, Cause.UNKNOWN, "was active in the future, 1:00:00 from now"),
        # The greatest age goes before activity, but is not guessed.
        (
            server("a", idle=SECOND, age=2 * HOUR),
            Limits(idle=HOUR, age=2 * HOUR),
            True,
            Cause.OLD,
            "was started 2:00:00 ago",
        ),
        (
            server("a", idle=SECOND, age=HOUR),
            Limits(idle=HOUR, age=2 * HOUR),
            False,
            Cause.IN_USE,
            "was active 0:00:01 ago",
        ),
        (
            server("a", idle=SECOND, age=None),
            Limits(idle=HOUR, age=HOUR),
            False,
            Cause.IN_USE,
            "was active 0:00:01 ago",
        ),
        (
            server("a", idle=SECOND, age=-HOUR),
            Limits(idle=HOUR, age=HOUR),
            False,
            Cause.IN_USE,
            "was active 0:00:01 ago",
        ),
        # Kinds that are not culled stay, however idle or old.
        (
            server("a"),
            Limits(idle=HOUR, age=HOUR, default_servers=False),
            False,
            Cause.EXEMPT,
            "is of a kind that is not culled",
        ),
        (
            server("a", "x"),
            Limits(idle=HOUR, default_servers=False),
            True,
            Cause.IDLE,
            "was idle for 2:00:00",
        ),
        (
            server("a", "x"),
            Limits(idle=HOUR, named_servers=False),
            False,
            Cause.EXEMPT,
            "is of a kind that is not culled",
        ),
        (server("a"), Limits(idle=HOUR, named_servers=False), True, Cause.IDLE, "was idle for 2:00:00"),
    ],
)
def test_servers(subject, limits, culls, cause, reason):
    verdict = judge(facts(subject), limits, NOW)
    assert (verdict.culls, verdict.cause, verdict.reason) == (culls, cause, reason)


def test_the_opinion_of_the_hook_replaces_the_idle_limit():
    assert judge(facts(server("a", idle=SECOND)), LIMITS, NOW, opinion=True).culls
    spared = judge(facts(server("a", idle=9 * HOUR)), LIMITS, NOW, opinion=False)
    assert (spared.culls, spared.cause) == (False, Cause.SPARED)


def test_the_opinion_of_the_hook_goes_after_age_and_state():
    limits = Limits(idle=HOUR, age=2 * HOUR)
    assert judge(facts(server("a", idle=SECOND, age=2 * HOUR)), limits, NOW, opinion=False).cause is Cause.OLD
    assert not judge(facts(server("a", pending="stop")), limits, NOW, opinion=True).culls
    assert not judge(facts(server("a", ready=False)), limits, NOW, opinion=True).culls


@pytest.mark.parametrize(
    ("subject", "limits", "culls", "reason"),
    [
        (user("a", idle=HOUR), LIMITS, True, "was idle for 1:00:00"),
        (user("a", idle=SECOND), LIMITS, False, "was active 0:00:01 ago"),
        (user("a", idle=SECOND), Limits(idle=HOUR, age=3 * HOUR), True, "was created 3:00:00 ago"),
        (user("a", idle=None), LIMITS, True, "was idle for 3:00:00"),
        (user("a", admin=True), LIMITS, True, "was idle for 2:00:00"),
        (user("a", admin=True), Limits(idle=HOUR, age=HOUR, admins=False), False, "is an admin"),
    ],
)
def test_users(subject, limits, culls, reason):
    verdict = judge_user(subject, limits, NOW)
    assert (verdict.culls, verdict.reason) == (culls, reason)


def test_admins_are_exempt_as_users_not_their_servers():
    assert judge(facts(server("admin")), Limits(idle=HOUR, admins=False), NOW).culls
