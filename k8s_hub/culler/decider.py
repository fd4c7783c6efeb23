"""The decider: the one place where facts become a decision, for sweep, dry run, explain and page alike."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from k8s_hub.culler.core.decision import Decision, UserDecision
from k8s_hub.culler.core.policy import Cause, Facts, Verdict, active_at, evaluate, evaluate_user
from k8s_hub.culler.core.rules import Limits, MatchedRule, Rules
from k8s_hub.hub.users import User, unpacked

ArbiterHook = Callable[..., bool | Awaitable[bool]]
"""Called with ``inactive``, ``inactive_limit`` and ``server`` by name; with ``user`` too, where it names that."""

HOOK_SECONDS = 60.0
"""The time limit of an async hook for one server; without it, a hook that never answers would end all culling."""

CHANGES_FORESEEN = 20
"""Changes of rules by their schedules: more than a week has, where days and nights differ."""

_ENDED_BY_TIME = frozenset({Cause.IN_USE, Cause.BUSY, Cause.EXTENDED, Cause.SPARED, Cause.EXEMPT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Decides by rules and limits, and by the arbiter hook where there is one.

    Rules for servers set no limit after which a user is deleted; but whom one of them exempts is not deleted.
    """

    limits: Limits  # where no rule says otherwise
    rules: Rules = field(default_factory=Rules)
    user_limits: Limits | None = None  # after which users are deleted; None: the limits of servers
    user_rules: Rules = field(default_factory=Rules)
    hook: ArbiterHook | None = None
    notice: timedelta | None = None  # how long before a stop its user is warned; None: never

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes that the rules need beside those of the core, each once."""
        return tuple(dict.fromkeys((*self.rules.scopes, *self.user_rules.scopes)))

    async def decide(self, facts: Facts, now: datetime) -> Decision:
        """Decide about one server.

        The hook is asked where nothing but time decides. What it raises is raised; TimeoutError where it took
        longer than HOOK_SECONDS.
        """
        matched = self.rules.for_server(facts.server, facts.user, self.limits, now)
        opinion = None
        if self.hook is not None and evaluate(facts, matched.limits, now).cause in {Cause.IDLE, Cause.IN_USE}:
            opinion = await _opinion(self.hook, facts, matched.limits, now)
        verdict = evaluate(facts, matched.limits, now, opinion=opinion, notice=self.notice)
        if verdict.cause in _ENDED_BY_TIME:
            verdict = self._foreseen(verdict, facts, matched, opinion)
        return Decision(facts=facts, matched=matched, verdict=verdict, at=now)

    def decide_user(self, user: User, now: datetime) -> UserDecision:
        """Decide about one user who has no server left."""
        matched = self.user_rules.for_user(user, self.user_limits or self.limits, now)
        of_servers = self.rules.for_user(user, self.limits, now)
        if of_servers.limits.exempt and not matched.limits.exempt:
            matched = replace(of_servers, limits=replace(matched.limits, exempt=True))
        return UserDecision(
            user=user, matched=matched, verdict=evaluate_user(user, matched.limits, now), at=now
        )

    def _foreseen(
        self, verdict: Verdict, facts: Facts, matched: MatchedRule, opinion: bool | None
    ) -> Verdict:
        """Return the verdict with the time when it will be up: before that, schedules may bring other limits."""
        then = verdict
        for _ in range(CHANGES_FORESEEN):
            if matched.until is None or (then.deadline is not None and then.deadline < matched.until):
                break
            moment = matched.until
            matched = self.rules.for_server(facts.server, facts.user, self.limits, moment)
            then = evaluate(facts, matched.limits, moment, opinion=opinion)
            if then.culls:
                then = replace(then, deadline=moment)
                break
        return replace(verdict, since=then.since or verdict.since, deadline=then.deadline)


async def _opinion(hook: ArbiterHook, facts: Facts, limits: Limits, now: datetime) -> bool:
    arguments: dict[str, Any] = {
        "inactive": now - (active_at(facts, now) or now),
        "inactive_limit": int(limits.timeout.total_seconds()),
        "server": unpacked(facts.server.raw),
    }
    if has_parameter(hook, "user"):
        arguments["user"] = unpacked(facts.user.raw)
    opinion = hook(**arguments)
    if inspect.isawaitable(opinion):
        async with asyncio.timeout(HOOK_SECONDS):
            opinion = await opinion
    return bool(opinion)


def has_parameter(hook: Callable[..., object], name: str) -> bool:
    """Return whether a hook has a parameter of this name.

    ``**kwargs`` is none: a hook that hands all it gets to a function of fewer arguments must go on to work.
    """
    try:
        parameter = inspect.signature(hook).parameters.get(name)
    except (TypeError, ValueError):  # a callable without a signature
        return False
    return parameter is not None and parameter.kind in {
        parameter.POSITIONAL_OR_KEYWORD,
        parameter.KEYWORD_ONLY,
    }
