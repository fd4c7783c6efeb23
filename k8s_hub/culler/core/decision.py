"""A decision: the facts about one server, the rule that applies, the verdict, and what would change it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from k8s_hub.culler.core.policy import (
    CLOCK_SKEW,
    EARLIEST,
    Cause,
    Facts,
    Verdict,
    Work,
    active_at,
    runtime_ends,
)
from k8s_hub.culler.core.rules import MatchedRule
from k8s_hub.hub.users import ServerKey, User
from k8s_hub.objects import timestamps
from k8s_hub.text import format_clock, format_duration


class Action(StrEnum):
    """What the culler did about a decision."""

    STOPPED = "stopped"
    STOPPING = "stopping"  # the hub has not finished the stop yet
    GONE = "gone"  # something else stopped it meanwhile
    KEPT = "kept"
    WOULD_STOP = "would stop"  # in a dry run or a look
    WOULD_DELETE = "would delete"  # a user, in a dry run or a look
    DELETED = "deleted"  # a user
    FAILED = "failed"  # the stop or deletion failed


_STATES = frozenset({Cause.PENDING, Cause.NOT_READY})
"""States that come before every limit and rule."""

HELD = frozenset({Cause.BRAKE, Cause.OUTAGE_GRACE, Cause.UNPROBED})
"""Causes that keep a server which is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision about one server, at one time."""

    facts: Facts
    matched: MatchedRule
    verdict: Verdict
    at: datetime
    is_warned: bool = False  # its user was warned of the stop at the verdict's deadline
    held_until: datetime | None = None  # the culler stops no server before, because the hub was away

    @property
    def key(self) -> ServerKey:
        """Which server it is about."""
        return self.facts.server.key

    @property
    def idle(self) -> timedelta | None:
        """The time since its last activity; None if that is unknown or in the future."""
        since = active_at(self.facts, self.at)
        return None if since is None or since > self.at else self.at - since

    def held_back(self, cause: Cause, why: str, until: datetime | None = None) -> Self:
        """Return the decision to keep it this time, although it is due.

        why: completes the reason; until: when it stops if nothing changes, None: not known.
        """
        return replace(self, verdict=self.verdict.held_back(cause, why, until))

    def not_before(self, until: datetime) -> Self:
        """Return the decision about a server that is not due yet: it does not stop before this time."""
        deadline = self.verdict.deadline
        if deadline is None or deadline >= until:
            return self
        return replace(self, verdict=replace(self.verdict, deadline=until), held_until=until)

    def record(self, action: Action) -> "DecisionRecord":
        """Return the record for decision log, dry run, `explain` and page."""
        facts, server = self.facts, self.facts.server
        return DecisionRecord(
            at=self.at,
            user=server.user,
            server=server.name,
            action=action,
            verdict=self.verdict,
            matched=self.matched,
            idle=self.idle,
            started=server.started,
            last_activity=server.last_activity,
            ready=server.ready,
            pending=server.pending,
            work=facts.work,
            extended_until=facts.extended_until,
            warned_at=None if facts.notice is None else facts.notice.at,
            is_warned=self.is_warned,
            held_until=self.held_until,
        )

    def as_json(self, action: Action) -> dict[str, Any]:
        """Return the record as JSON."""
        return self.record(action).as_json()

    def sentence(self, fate: str = "") -> str:
        """Return it in one line with limit and rule, for logs, dry run and `explain`; fate: what came of it."""
        kept = "held back" if self.verdict.cause in HELD else "kept"
        fate = fate or ("would be stopped" if self.verdict.culls else kept)
        return _sentence(self.subject, fate, self.verdict.reason, self._limits_in_words())

    @property
    def subject(self) -> str:
        """The server, as logs show it."""
        return str(self.facts.server)

    def changes(self) -> Sequence[str]:
        """Return what would change the verdict, in sentences."""
        if self.verdict.cause in _STATES:
            return tuple(self._changes_of_cause())
        return (*self._changes_of_cause(), *self._changes_of_age(), *self._changes_of_rules())

    # --- The end of the sentence ---

    def _limits_in_words(self) -> Iterator[str]:
        limits, cause = self.matched.limits, self.verdict.cause
        if cause in _STATES:
            return
        if self._is_by_age:
            yield f"maximum runtime {format_duration(limits.max_age or timedelta())}"
        elif cause in {Cause.IDLE, Cause.IN_USE, Cause.WARNED} and not self._is_busy:
            yield f"limit {format_duration(limits.timeout)}"
        elif cause in {Cause.IDLE, Cause.IN_USE, Cause.WARNED, Cause.BUSY}:
            yield self._busy_limit()
        yield from _rules_in_words(self.matched)

    def _busy_limit(self) -> str:
        limit, timeout = self.matched.limits.busy_limit, self.matched.limits.timeout
        return "no busy limit" if limit is None else f"busy limit {format_duration(max(timeout, limit))}"

    # --- What would change it ---

    def _changes_of_cause(self) -> Iterator[str]:  # noqa: C901, PLR0912 - one case for each cause
        verdict = self.verdict
        server = self.facts.server
        match verdict.cause:
            case Cause.PENDING:
                yield f"The culler decides once the {server.pending} has ended: it never stops a pending server."
            case Cause.NOT_READY:
                yield "The culler decides once the hub reports it ready."
            case Cause.UNKNOWN:
                yield from self._what_is_unknown()
            case Cause.EXEMPT if self.matched.limits.exempt:
                if self.matched.name is not None and not self.matched.doubts:
                    yield f"Limits apply once no rule with exempt: true matches; now {named(self.matched.name)} does."
                if verdict.deadline is not None:
                    yield from self._what_it_waits_for()
            case Cause.EXEMPT:
                yield f"Limits apply if cull_{'named' if server.name else 'default'}_servers is true."
            case Cause.EXTENDED | Cause.IN_USE | Cause.BUSY if not self._is_by_age:
                yield from self._what_it_waits_for()
            case Cause.WARNED if self._is_by_age:
                yield f"Stops at {self._clock(verdict.deadline)} even if in use: the culler sent a warning."
            case Cause.WARNED:
                yield f"Stops at {self._clock(verdict.deadline)} unless somebody uses it before then: the culler sent a warning."
            case Cause.IDLE:
                yield "Activity before the stop keeps it running."
            case Cause.OLD:
                yield "Its user cannot change that: it has reached its maximum runtime."
            case Cause.SPARED:
                yield "Every sweep asks the arbiter hook again."
            case Cause.BRAKE:
                is_known = verdict.deadline is not None and verdict.deadline > self.at
                at = f", at about {self._clock(verdict.deadline)}," if is_known else ""
                yield (
                    f"The next sweep{at} stops it unless somebody uses it before then: the brake holds for one sweep only."
                )
            case Cause.OUTAGE_GRACE:
                yield (
                    f"Stops at {self._clock(verdict.deadline)} unless somebody uses it before then: after the hub's "
                    "outage, the culler first gives servers time to report activity."
                )
            case Cause.UNPROBED:
                yield "A later sweep asks it what it runs, and decides again."
            case _:
                pass  # _changes_of_age has its maximum runtime
        if self.held_until is not None:
            yield f"The culler stops no server before {self._clock(self.held_until)}, because the hub was away."
        if verdict.cause in {Cause.IDLE, Cause.IN_USE} and self.facts.work is None:
            yield (
                "Only the activity that the hub reports counts: the culler did not ask the server (ask_servers), "
                "or got no answer."
            )

    def _what_it_waits_for(self) -> Iterator[str]:
        verdict = self.verdict
        if verdict.deadline is None:
            is_busy = self._is_busy and self.matched.limits.busy_limit is None
            yield (
                f"It does not stop while its kernels are busy: there is {self._busy_limit()}."
                if is_busy
                else "The culler foresees no stop."
            )
            return
        use = "it executes something" if self._has_tabs else "its kernels produce output"
        if not (self._has_tabs or self._is_busy):
            use = "somebody uses it"
        yield f"Stops at {self._clock(verdict.deadline)} unless {use} before then."
        is_idle = self.idle is not None and self.idle >= self.matched.limits.timeout
        if verdict.cause is Cause.EXTENDED and is_idle:
            yield "It would stop now without its extension."

    def _what_is_unknown(self) -> Iterator[str]:
        server, work = self.facts.server, self.facts.work
        seen = server.started if server.last_activity is None else server.last_activity
        if seen is None:
            yield (
                "The culler decides once the hub reports its last_activity or started. Check GET /hub/api/users/"
                f"{server.user}, and whether the token's scope read:servers includes this user."
            )
        elif seen < EARLIEST:
            yield f"The culler decides once the hub reports a possible time, not {_iso(seen)}. Check the hub's clock."
        elif seen > self.at:
            yield f"The culler decides from {self._clock(seen)} on. Check the clocks of the hub and of the culler."
        elif work is not None and work.last_execution is not None:
            yield (
                f"The culler decides from {self._clock(work.last_execution)} on. Check the clock of its node: "
                f"a time more than {format_duration(CLOCK_SKEW)} ahead does not count."
            )

    def _changes_of_age(self) -> Iterator[str]:
        end = runtime_ends(self.facts.server.started, self.matched.limits)
        if end is not None and end > self.at and self.verdict.cause is not Cause.EXEMPT:
            yield f"Stops at {self._clock(end)} even if in use: it reaches its maximum runtime."

    def _changes_of_rules(self) -> Iterator[str]:
        if self.matched.doubts:
            yield from _doubts_in_words(self.matched)
        elif self.matched.name is None:
            yield "The default limits apply: no rule matches."
        elif self.verdict.cause is not Cause.EXEMPT:
            rule = named(self.matched.name)
            yield f"The limits of {rule} apply: an earlier rule that matches would replace them."
        if self.matched.until is not None:
            yield f"Other limits may apply from {self._clock(self.matched.until)} on: the schedule of a rule changes them."
        if self.verdict.culls:
            yield "A rule with exempt: true would keep it running."

    # --- Facts ---

    @property
    def _is_by_age(self) -> bool:
        """Whether the maximum runtime ends it, or will."""
        verdict = self.verdict
        if verdict.cause is Cause.OLD:
            return True
        end = runtime_ends(self.facts.server.started, self.matched.limits)
        if verdict.cause is Cause.WARNED:
            return end is not None and end <= self.at
        return end is not None and verdict.deadline == end

    @property
    def _is_busy(self) -> bool:
        return self.facts.work is not None and self.facts.work.busy > 0

    @property
    def _has_tabs(self) -> bool:
        return self.facts.work is not None and self.facts.work.connections > 0

    def _clock(self, moment: datetime | None) -> str:
        return _clock(moment, self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """A decision and its action, without the hub's models: these take too much memory for ten thousand servers."""

    at: datetime
    user: str
    server: str  # "" is the user's default server
    action: Action
    verdict: Verdict
    matched: MatchedRule
    idle: timedelta | None  # None: not known
    started: datetime | None
    last_activity: datetime | None
    ready: bool
    pending: str | None
    work: Work | None  # None: not asked, or no answer
    extended_until: datetime | None
    warned_at: datetime | None
    is_warned: bool  # of the stop at the verdict's deadline
    held_until: datetime | None  # the culler stops no server before, because the hub was away

    @property
    def runtime_ends(self) -> datetime | None:
        """When it reaches its maximum runtime; None: no maximum."""
        return runtime_ends(self.started, self.matched.limits)

    def as_json(self) -> dict[str, Any]:
        """Return the record as the decision log has it."""
        limits, work = self.matched.limits, self.work
        return {
            "time": _iso(self.at),
            "user": self.user,
            "server": self.server,
            "action": self.action.value,
            "verdict": self.verdict.word,
            "cause": self.verdict.cause.value,
            "reason": self.verdict.reason,
            "rule": self.matched.name,
            "rules_in_doubt": _in_doubt(self.matched),
            "since": _iso(self.verdict.since),
            "due": _iso(self.verdict.deadline),
            "idle_seconds": _seconds(self.idle),
            "idle_limit_seconds": _seconds(limits.timeout),
            "age_limit_seconds": _seconds(limits.max_age),
            "started": _iso(self.started),
            "last_activity": _iso(self.last_activity),
            "ready": self.ready,
            "pending": self.pending,
            "busy_kernels": None if work is None else work.busy,
            "connections": None if work is None else work.connections,
            "last_execution": None if work is None else _iso(work.last_execution),
            "kept_until": _iso(self.extended_until),
            "warned_at": _iso(self.warned_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDecision:
    """The decision about one user without servers."""

    user: User
    matched: MatchedRule
    verdict: Verdict
    at: datetime

    @property
    def subject(self) -> str:
        """The user, as logs show it."""
        return f"user {self.user.name}"

    def held_back(self, cause: Cause, why: str, until: datetime) -> Self:
        """Return the decision to keep the user until then, although the user is due; ``why`` completes the reason."""
        return replace(self, verdict=self.verdict.held_back(cause, why, until))

    def as_json(self, action: Action) -> dict[str, Any]:
        """Return it as JSON, with the keys of `DecisionRecord.as_json` that a user has; ``server`` is null."""
        user, verdict, limits = self.user, self.verdict, self.matched.limits
        is_past = verdict.since is not None and verdict.since <= self.at
        return {
            "time": _iso(self.at),
            "user": user.name,
            "server": None,
            "action": action.value,
            "verdict": "delete" if verdict.culls else "keep",
            "cause": verdict.cause.value,
            "reason": verdict.reason,
            "rule": self.matched.name,
            "rules_in_doubt": _in_doubt(self.matched),
            "since": _iso(verdict.since),
            "due": _iso(verdict.deadline),
            "idle_seconds": _seconds(self.at - verdict.since) if is_past and verdict.since else None,
            "idle_limit_seconds": _seconds(limits.timeout),
            "age_limit_seconds": _seconds(limits.max_age),
            "created": _iso(user.created),
            "last_activity": _iso(user.last_activity),
        }

    def sentence(self, fate: str = "") -> str:
        """Return it in one line with limit and rule, for logs, dry run and `explain`; fate: what came of it."""
        fate = fate or ("would be deleted" if self.verdict.culls else "kept")
        return _sentence(self.subject, fate, self.verdict.reason, self._limits_in_words())

    def _limits_in_words(self) -> Iterator[str]:
        if self.verdict.cause in {Cause.IDLE, Cause.IN_USE}:
            yield f"limit {format_duration(self.matched.limits.timeout)}"
        yield from _rules_in_words(self.matched)

    def changes(self) -> Iterator[str]:
        """Yield what would change the verdict, in sentences."""
        yield from _doubts_in_words(self.matched)
        if self.verdict.deadline is not None and not self.verdict.culls:
            yield f"The culler deletes the user at {_clock(self.verdict.deadline, self.at)} unless they are active before then."


def _sentence(subject: str, fate: str, reason: str, limits: Iterator[str]) -> str:
    details = ", ".join(limits)
    return f"{subject}: {fate}: {reason}" + (f" ({details})" if details else "")


def _rules_in_words(matched: MatchedRule) -> Iterator[str]:
    if matched.name is not None:
        yield named(matched.name)
    yield from (f"{named(rule)} in doubt" for rule in _in_doubt(matched))


def _in_doubt(matched: MatchedRule) -> list[str]:
    return list(dict.fromkeys(doubt.rule for doubt in matched.doubts))


def _doubts_in_words(matched: MatchedRule) -> Iterator[str]:
    for doubt in matched.doubts:
        yield (
            f"The culler cannot tell whether {named(doubt.rule)} matches: the API token lacks the scope {doubt.scope}. "
            "Without it, the longer limit applies, and a rule that may exempt does exempt. Add it to the role of the "
            "culler's service (load_roles)."
        )


def named(rule: str) -> str:
    """Return a rule's name, or its place, for a sentence."""
    return rule if rule.startswith(("rules[", "users[")) else f"rule {rule!r}"


def _clock(moment: datetime | None, at: datetime) -> str:
    """Return a time as text, without the date of today."""
    return "a time after the last possible date" if moment is None else format_clock(moment, at)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else timestamps.format_exact(moment)


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())
