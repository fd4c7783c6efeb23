"""The decider: the one place where facts become a decision, for sweep, dry run, explain and page alike."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from k8s_hub.culler.decision import Decision
from k8s_hub.culler.facts import Facts
from k8s_hub.culler.policy import Cause, Limits, Verdict, active_at, judge, judge_user
from k8s_hub.culler.rules import Rules
from k8s_hub.hub.users import User

ArbiterHook = Callable[..., bool | Awaitable[bool]]
"""Called with ``inactive``, ``inactive_limit`` and ``server``; with ``user`` too, where it takes that."""

HOOK_SECONDS = 60.0
"""What an async hook may take for one server; one that never answered would end all culling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Decides by rules and limits, and by the arbiter hook where there is one."""

    limits: Limits  # where no rule says otherwise
    rules: Rules = field(default_factory=Rules)
    hook: ArbiterHook | None = None
    notice: timedelta | None = None  # how long before a stop its user is warned; None: never

    async def decide(self, facts: Facts, now: datetime) -> Decision:
        """Decide about one server."""
        ruling = self.rules.for_server(facts.server, facts.user, self.limits, now)
        verdict = judge(facts, ruling.limits, now, notice=self.notice)
        if self.hook is not None and _is_a_question_of_time(facts, verdict):
            opinion = await self._opinion(self.hook, facts, ruling.limits, now)
            verdict = judge(facts, ruling.limits, now, opinion=opinion, notice=self.notice)
        return Decision(facts=facts, ruling=ruling, verdict=verdict, at=now)

    def decide_user(self, user: User, now: datetime) -> Verdict:
        """Decide about one user who has no server left."""
        return judge_user(user, self.rules.for_user(user, self.limits, now).limits, now)

    async def _opinion(self, hook: ArbiterHook, facts: Facts, limits: Limits, now: datetime) -> bool:
        inactive = now - (active_at(facts) or now)
        arguments = {
            "inactive": inactive,
            "inactive_limit": int(limits.idle.total_seconds()),
            "server": facts.server.raw,
        }
        if _takes_user(hook):
            arguments["user"] = facts.user.raw
        opinion = hook(**arguments)
        if inspect.isawaitable(opinion):
            async with asyncio.timeout(HOOK_SECONDS):
                opinion = await opinion
        return bool(opinion)


def _is_a_question_of_time(facts: Facts, verdict: Verdict) -> bool:
    """Return whether idle time decides: then the hook does in its place."""
    if verdict.cause is Cause.WARNED:
        return verdict.since != facts.server.started
    return verdict.cause in {Cause.IDLE, Cause.IN_USE}


def _takes_user(hook: ArbiterHook) -> bool:
    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):  # a callable without a signature
        return False
    return any(each.name == "user" or each.kind is each.VAR_KEYWORD for each in parameters)
