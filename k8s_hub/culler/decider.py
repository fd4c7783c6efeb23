"""The decider: makes every decision of the culler, for sweep, dry run, explain and page."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from k8s_hub.culler.core.decision import Decision, UserDecision
from k8s_hub.culler.core.policy import (
    Cause,
    Facts,
    Verdict,
    active_at,
    evaluate,
    evaluate_user,
    warned_at,
)
from k8s_hub.culler.core.rules import Limits, MatchedRule, Rules
from k8s_hub.hub.users import User, unpacked

ArbiterHook = Callable[..., bool | Awaitable[bool]]
"""Called with keyword arguments ``inactive``, ``inactive_limit`` and ``server``, and ``user`` if it has that parameter."""

HOOK_SECONDS = 60.0
"""Time limit of an async hook for one server: a hook that never answers must not block the sweep."""

CHANGES_FORESEEN = 20
"""The decider follows this many schedule changes: more than a week of days and nights has."""

_ENDED_BY_TIME = frozenset({Cause.IN_USE, Cause.BUSY, Cause.EXTENDED, Cause.SPARED, Cause.EXEMPT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    """Decides by rules, limits and the arbiter hook, if there is one.

    The limits of server rules do not apply to users. A server rule that exempts a user also keeps the user.
    """

    limits: Limits  # unless a rule sets others
    rules: Rules = field(default_factory=Rules)
    user_limits: Limits | None = None  # for deleting users; None: the limits of servers
    user_rules: Rules = field(default_factory=Rules)
    hook: ArbiterHook | None = None
    notice: timedelta | None = None  # the time between warning and stop; None: no warnings

    @property
    def scopes(self) -> Sequence[str]:
        """The further scopes that the rules need, without duplicates."""
        return tuple(dict.fromkeys((*self.rules.scopes, *self.user_rules.scopes)))

    async def decide(self, facts: Facts, now: datetime) -> Decision:
        """Decide about one server.

        Call the hook only if the idle limit decides. Raise the hook's errors, and TimeoutError after HOOK_SECONDS.
        """
        matched = self.rules.for_server(facts.server, facts.user, self.limits, now)
        opinion = None
        if self.hook is not None and evaluate(facts, matched.limits, now).cause in {Cause.IDLE, Cause.IN_USE}:
            opinion = await _opinion(self.hook, facts, matched.limits, now)
        verdict = evaluate(facts, matched.limits, now, opinion=opinion, notice=self.notice)
        if verdict.cause in _ENDED_BY_TIME:
            verdict = self._foreseen(verdict, facts, matched, opinion)
        warned = None if self.notice is None else warned_at(facts, verdict, now, self.notice)
        return Decision(facts=facts, matched=matched, verdict=verdict, at=now, is_warned=warned is not None)

    def decide_user(self, user: User, now: datetime) -> UserDecision:
        """Decide about one user without servers."""
        matched = self.user_rules.for_user(user, self.user_limits or self.limits, now)
        of_servers = self.rules.for_user(user, self.limits, now)
        if of_servers.limits.exempt and not matched.limits.exempt:
            exempt = replace(matched.limits, exempt=True, may_be_exempt=of_servers.limits.may_be_exempt)
            matched = replace(of_servers, limits=exempt)
        return UserDecision(
            user=user, matched=matched, verdict=evaluate_user(user, matched.limits, now), at=now
        )

    def _foreseen(
        self, verdict: Verdict, facts: Facts, matched: MatchedRule, opinion: bool | None
    ) -> Verdict:
        """Return the verdict with its deadline under the rules that schedules bring until then."""
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

    ``**kwargs`` does not count: a hook may pass it on to a function that lacks the parameter.
    """
    try:
        parameter = inspect.signature(hook).parameters.get(name)
    except (TypeError, ValueError):  # a callable without a signature
        return False
    return parameter is not None and parameter.kind in {
        parameter.POSITIONAL_OR_KEYWORD,
        parameter.KEYWORD_ONLY,
    }
