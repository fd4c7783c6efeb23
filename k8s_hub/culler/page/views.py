"""What the pages show, as values: from decisions, limits and the time; no clock, no HTML."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from k8s_hub.culler.judging import words
from k8s_hub.culler.judging.decision import Action, Decision
from k8s_hub.culler.judging.facts import Work
from k8s_hub.culler.judging.policy import Cause
from k8s_hub.culler.keeping import Allowance, KeepLimits
from k8s_hub.culler.page.board import Seen
from k8s_hub.culler.sweeping.report import PassRecord

PER_PAGE = 100

STRETCHES = (timedelta(hours=1), timedelta(hours=4))
"""What is offered to users, besides the longest that is allowed."""

_FATES = {
    Action.STOPPED: "It was stopped.",
    Action.STOPPING: "It is being stopped.",
    Action.GONE: "It is gone.",
    Action.FAILED: "Stopping it failed; the next sweep tries again.",
}

_NEVER = {
    Cause.EXEMPT: "It is never stopped.",
    Cause.PENDING: "It is not stopped while this lasts.",
    Cause.NOT_READY: "It is not stopped before it is ready.",
    Cause.UNKNOWN: "It is not stopped: nobody knows when it was used.",
    Cause.BUSY: "It is not stopped while its kernels are busy.",
    Cause.SPARED: "It is not stopped for now; each sweep decides again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server on a page."""

    user: str
    server: str  # "" is the user's default server
    verdict: str  # "stop" or "keep", as in a decision's record
    cause: str
    reason: str  # completes the sentence "it ..."
    rule: str | None  # None: the default limits
    since: datetime | None
    due: datetime | None
    idle: str | None  # in words; None: not known
    fate: str  # a sentence without the time, which is due
    condition: str  # the sentence's end, after the time; empty where the time is not part of it
    limit: str  # in words, and where it is from
    source: str  # who says when it was used
    age_ends: datetime | None
    last_activity: datetime | None
    kept_until: datetime | None
    warned_at: datetime | None
    action: str

    @property
    def key(self) -> str:
        """Its name for people and programs, such as alice or alice/lab."""
        return f"{self.user}/{self.server}" if self.server else self.user

    @property
    def title(self) -> str:
        """Its name for its own user."""
        return self.server or "Default server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How long a user may keep a server now; ``sentence`` says what is left, or why nothing is."""

    stretches: tuple[timedelta, ...] = ()
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which servers an admin wants to see."""

    text: str = ""  # part of the name of a user or server, in any case
    cause: str = ""  # empty: every one
    page: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of the servers that a filter lets through."""

    seen: tuple[Seen, ...]
    page: int
    pages: int
    found: int
    total: int
    causes: tuple[tuple[str, int], ...]  # of all servers


def row_of(decision: Decision, *, action: Action = Action.KEPT, is_dry_run: bool = False) -> Row:
    """Return what the pages show of a decision."""
    return row(Seen.of(decision, action), is_dry_run=is_dry_run)


def row(seen: Seen, *, is_dry_run: bool = False) -> Row:
    """Return what the pages show of a server."""
    verdict = seen.verdict
    fate, condition = _fate(seen, is_dry_run=is_dry_run)
    return Row(
        user=seen.user,
        server=seen.server,
        verdict="stop" if verdict.culls else "keep",
        cause=verdict.cause.value,
        reason=verdict.reason,
        rule=seen.rule,
        since=verdict.since,
        due=verdict.due,
        idle=None if seen.idle is None else words.duration(seen.idle),
        fate=fate,
        condition=condition,
        limit=f"{words.duration(seen.idle_limit)}, {_origin(seen.rule)}",
        source=_source(seen.work),
        age_ends=seen.age_ends,
        last_activity=seen.last_activity,
        kept_until=seen.kept_until,
        warned_at=seen.warned_at,
        action=seen.action.value,
    )


# --- Keeping ---


def offer(seen: Seen, allowance: Allowance, limits: KeepLimits, now: datetime) -> Offer:
    """Return how long this server may be kept now."""
    if not limits.per_week:
        return Offer()
    if reason := why_not(seen, now):
        return Offer(sentence=reason)
    if allowance.again is not None:
        return Offer(
            sentence=f"The {limits.per_week} times within seven days are used up;"
            f" the next is free on {words.moment(allowance.again)}."
        )
    stretches = [each for each in STRETCHES if each < limits.longest] + [limits.longest]
    possible = tuple(each for each in stretches if why_not(seen, now, each) is None)
    if not possible:
        return Offer(sentence="It is kept for as long as is possible now.")
    return Offer(
        stretches=possible,
        sentence=f"{allowance.left} of {limits.per_week} times left within seven days, for all servers together.",
    )


def why_not(seen: Seen, now: datetime, stretch: timedelta = timedelta()) -> str | None:
    """Return the sentence why this server cannot be kept for so long, whatever its user's allowance; None: it can."""
    if seen.verdict.cause is Cause.EXEMPT:
        return "It is never stopped, so there is no need to keep it."
    if seen.verdict.cause in {Cause.PENDING, Cause.NOT_READY}:
        return "It can be kept once it is ready."
    if seen.age_ends is not None and seen.age_ends < now + max(stretch, min(STRETCHES)):
        end = words.moment(seen.age_ends)
        return f"It is stopped on {end} because of its age, so it cannot be kept beyond that."
    if stretch and seen.kept_until is not None and seen.kept_until >= now + stretch:
        return f"It is already kept until {words.moment(seen.kept_until)}, which is longer."
    return None


# --- The admin's list ---


def listing(servers: Sequence[Seen], wanted: Filter) -> Listing:
    """Return the page that was asked for; one that does not exist is the nearest that does."""
    text = wanted.text.strip().casefold()
    found = [
        seen
        for seen in servers
        if wanted.cause in {"", seen.verdict.cause.value} and text in f"{seen.user}/{seen.server}".casefold()
    ]
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, wanted.page), pages)
    return Listing(
        seen=tuple(found[(page - 1) * PER_PAGE : page * PER_PAGE]),
        page=page,
        pages=pages,
        found=len(found),
        total=len(servers),
        causes=tuple(sorted(Counter(seen.verdict.cause.value for seen in servers).items())),
    )


def banners(
    passes: Sequence[PassRecord], missing_scopes: Sequence[str], *, is_dry_run: bool = False
) -> tuple[str, ...]:
    """Return what an admin should know before all else."""
    return tuple(_banners(passes, missing_scopes, is_dry_run=is_dry_run))


def _banners(passes: Sequence[PassRecord], missing_scopes: Sequence[str], *, is_dry_run: bool) -> list[str]:
    said = []
    if is_dry_run:
        said.append("Dry run: nothing is stopped.")
    last = passes[-1] if passes else None
    if last is None:
        said.append("No sweep has ended yet.")
    elif last.error is not None:
        said.append(f"The last {last.kind} failed: {last.error}")
    elif last.report is not None:
        if last.report.braked:
            said.append(
                f"The brake held back {last.report.braked} stops in the last sweep:"
                " too many servers at once that were in use the sweep before. The next sweep goes on."
            )
        if last.report.quiet:
            said.append(
                f"{last.report.quiet} servers are spared: the hub was away, and has yet to hear who was active."
            )
    if missing_scopes:
        said.append(
            f"The API token lacks the scopes {', '.join(missing_scopes)}: what needs them is not done."
        )
    return said


# --- Words ---


def _fate(seen: Seen, *, is_dry_run: bool) -> tuple[str, str]:
    verdict = seen.verdict
    if seen.action in _FATES:
        return _FATES[seen.action], ""
    if verdict.culls:
        return (
            ("It would be stopped, but this is a dry run.", "")
            if is_dry_run
            else (
                "It is stopped at the next sweep.",
                "",
            )
        )
    if verdict.cause in {Cause.BRAKED, Cause.QUIET, Cause.UNASKED}:
        return "It is not stopped this time; a later sweep decides again.", ""
    if verdict.due is None:
        return _NEVER.get(verdict.cause, "It is not stopped."), ""
    return "It is stopped from", _condition(seen)


def _condition(seen: Seen) -> str:
    verdict = seen.verdict
    if verdict.due == seen.age_ends or (seen.age_ends is not None and seen.age_ends <= seen.at):
        return "on, used or not: its greatest age comes then."
    if seen.work is not None and seen.work.busy:
        return "on, unless its kernels say something until then."
    if seen.work is not None and seen.work.connections:
        return "on, unless something is executed until then; an open tab does not count."
    return "on, unless it is used until then."


def _origin(rule: str | None) -> str:
    return "the default limit" if rule is None else f"by the rule {rule}"


def _source(work: Work | None) -> str:
    if work is None:
        return "the hub"
    kernels = f"{work.busy} busy kernel{'' if work.busy == 1 else 's'}"
    tabs = f"{work.connections} open connection{'' if work.connections == 1 else 's'}"
    return f"the server itself: {kernels}, {tabs}"
