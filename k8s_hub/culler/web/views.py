"""What the pages show, as values: from decisions, limits and the time; no clock, no HTML."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from k8s_hub.culler.core import words
from k8s_hub.culler.core.board import Seen
from k8s_hub.culler.core.decision import Action, Decision
from k8s_hub.culler.core.facts import Work
from k8s_hub.culler.core.holds import Allowance, KeepLimits, can_keep, used_up
from k8s_hub.culler.core.policy import Cause
from k8s_hub.culler.core.report import PassRecord
from k8s_hub.culler.core.words import Message
from k8s_hub.culler.state import Stop
from k8s_hub.text import printable

PER_PAGE = 100

SWEEPS = 20
"""So many rows of sweeps are shown."""

STOPS = 100
"""So many stops are shown."""

STRETCHES = (timedelta(hours=1), timedelta(hours=4))
"""What is offered to users, besides the longest that is allowed."""

SHORTEST = timedelta(minutes=1)
"""An extension up to the maximum runtime is offered if it is as long as this."""

_FATES = {
    Action.STOPPED: "It was stopped.",
    Action.STOPPING: "It is being stopped.",
    Action.GONE: "It is gone.",
    Action.FAILED: "Stopping it failed; the next sweep tries again.",
}

_NEVER = {
    Cause.EXEMPT: "It is exempt: it is not stopped automatically.",
    Cause.PENDING: "It is not stopped while it starts or stops.",
    Cause.NOT_READY: "It is not stopped before it is ready.",
    Cause.UNKNOWN: "It is not stopped: its last activity is not known.",
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
    limit: str | None  # in words, and where it is from; None: it has none, because it is exempt
    source: str  # who says when it was used
    age_ends: datetime | None
    last_activity: datetime | None
    kept_until: datetime | None
    warned_at: datetime | None
    action: str

    @property
    def key(self) -> str:
        """Its name for people and programs, such as alice or alice/lab."""
        return name_of(self.user, self.server)

    @property
    def title(self) -> str:
        """Its name for its own user."""
        return title_of(self.server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How long a user may keep a server now; ``sentence`` says what is left, or why nothing is."""

    stretches: tuple[timedelta, ...] = ()
    until: datetime | None = None  # its maximum runtime, where that comes before the longest stretch
    sentence: Message = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One pass, or several that stopped nothing, in the list of sweeps."""

    begun: datetime
    kind: str
    seconds: float
    error: str | None
    outcome: Message


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


def name_of(user: str, server: str) -> str:
    """Return a server's name for people and programs, such as alice or alice/lab."""
    return printable(f"{user}/{server}" if server else user)


def title_of(server: str) -> str:
    """Return a server's name for its own user."""
    return printable(server) or "Default server"


def title_of_page(user: str | None) -> str:
    """Return the heading of another user's page; None: of one whose name nobody has confirmed."""
    return "Servers of a user" if user is None else f"Servers of {printable(user)}"


def row_of(decision: Decision, *, action: Action = Action.KEPT, is_dry_run: bool = False) -> Row:
    """Return what the pages show of a decision."""
    return row(Seen.of(decision, action), is_dry_run=is_dry_run)


def row(seen: Seen, *, is_dry_run: bool = False, is_own: bool = True) -> Row:
    """Return what the pages show of a server; is_own: to its user."""
    verdict = seen.verdict
    fate, condition = _fate(seen, is_dry_run=is_dry_run, is_own=is_own)
    is_exempt = verdict.cause is Cause.EXEMPT
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
        limit=None if is_exempt else f"{words.duration(seen.idle_limit)}, {_origin(seen.rule)}",
        source=_source(seen.work),
        age_ends=None if is_exempt else seen.age_ends,
        last_activity=seen.last_activity,
        kept_until=seen.kept_until,
        warned_at=seen.warned_at,
        action=seen.action.value,
    )


# --- Keeping ---


def offer(
    seen: Seen, allowance: Allowance, limits: KeepLimits, now: datetime, *, by_admin: bool = False
) -> Offer:
    """Return how long this server may be kept now; by_admin: as an admin, whom the quota does not bind."""
    if not can_keep(limits, by_admin=by_admin):
        return Offer()
    if reason := why_not(seen, now):
        return Offer(sentence=reason)
    if allowance.again is not None and not by_admin:
        return Offer(sentence=used_up(limits, allowance.again))
    stretches = [each for each in STRETCHES if each < limits.longest] + [limits.longest]
    possible = tuple(each for each in stretches if why_not(seen, now, each) is None)
    until = _limit_to_offer(seen, limits, now)
    if not possible and until is None:
        return Offer(sentence=_why_none(seen, now + stretches[0]))
    quota = (
        "Extensions by admins do not count for anybody's quota."
        if by_admin
        else f"{allowance.left} of {words.some(limits.per_week, 'extension')} left within seven days, "
        "for all servers together."
    )
    return Offer(stretches=possible, until=until, sentence=(quota,))


def _why_none(seen: Seen, first: datetime) -> Message:
    """Return why none is offered of the extensions of which the shortest would last until ``first``."""
    if seen.age_ends is not None and seen.age_ends < first:
        return _ends(seen.age_ends)
    return ("It is already extended for as long as is possible now.",)


def _ends(end: datetime) -> Message:
    return ("It reaches its maximum runtime at ", end, " and cannot be extended beyond that.")


def _limit_to_offer(seen: Seen, limits: KeepLimits, now: datetime) -> datetime | None:
    """Return when its maximum runtime ends, where it can be extended until then and not beyond."""
    end = seen.age_ends
    if end is None or not SHORTEST <= end - now < limits.longest:
        return None
    is_longer = seen.kept_until is None or seen.kept_until < end
    is_of_use = seen.verdict.due is None or seen.verdict.due < end or seen.verdict.culls
    return end if is_longer and is_of_use else None


def why_not(seen: Seen, now: datetime, stretch: timedelta = timedelta()) -> Message | None:
    """Return why this server cannot be kept for so long, whatever its user's quota; None: it can."""
    if seen.verdict.cause is Cause.EXEMPT:
        return ("It is exempt, so it needs no extension.",)
    if seen.verdict.cause in {Cause.PENDING, Cause.NOT_READY}:
        return ("You can extend it once it is ready.",)
    end = seen.age_ends
    if end is not None and end < now + max(stretch, SHORTEST):
        return _ends(end)
    if stretch and seen.kept_until is not None and seen.kept_until >= now + stretch:
        return ("It is already extended until ", seen.kept_until, ", which is longer.")
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


def stops_of(stops: Sequence[Stop], user: str, running: Collection[str]) -> list[Stop]:
    """Return the last stop of each of a user's servers that did not run since; ``stops``: the newest first."""
    last: dict[str, Stop] = {}
    for stop in stops:
        if stop.user == user:
            last.setdefault(stop.server, stop)
    return [stop for stop in last.values() if not stop.ran_again and stop.server not in running]


def stops_with(stops: Sequence[Stop], text: str) -> list[Stop]:
    """Return the newest stops of servers that have the text in their names."""
    part = text.strip().casefold()
    return [stop for stop in stops if part in f"{stop.user}/{stop.server}".casefold()][:STOPS]


def sweeps(passes: Sequence[PassRecord]) -> list[SweepRow]:
    """Return the rows of the list of passes, the newest first; neighbours that stopped nothing are one."""
    rows: list[SweepRow] = []
    for is_empty, group in groupby(reversed(passes), key=_is_empty):
        records = list(group)
        rows += [_empty_sweeps(records)] if is_empty and len(records) > 1 else map(_sweep, records)
    return rows[:SWEEPS]


def _is_empty(record: PassRecord) -> bool:
    """Return whether a sweep did nothing that anybody would look for."""
    report = record.report
    return report is not None and record.kind == "sweep" and not any(
        (
            *(report.stopped, report.stopping, report.gone, report.would_stop, report.failed, report.hidden),
            *(report.braked, report.quiet, report.warned, report.deleted, report.delete_failed, report.lost),
        )
    )  # fmt: skip


def _empty_sweeps(records: Sequence[PassRecord]) -> SweepRow:
    last, first = records[0], records[-1]
    outcome = (
        f"{len(records)} sweeps stopped nothing, the first at ",
        first.begun,
        f". The last: {last.report}",
    )
    return replace(_sweep(last), outcome=outcome)


def _sweep(record: PassRecord) -> SweepRow:
    return SweepRow(
        begun=record.begun,
        kind=record.kind,
        seconds=record.seconds,
        error=None if record.error is None else printable(record.error),
        outcome=() if record.report is None else (str(record.report),),
    )


def banners(
    passes: Sequence[PassRecord], missing_scopes: Sequence[str], *, is_dry_run: bool = False
) -> tuple[str, ...]:
    """Return what an admin should know before all else; missing_scopes: a sentence for each."""
    return tuple(_banners(passes, missing_scopes, is_dry_run=is_dry_run))


def _banners(passes: Sequence[PassRecord], missing_scopes: Sequence[str], *, is_dry_run: bool) -> list[str]:
    said = []
    if is_dry_run:
        said.append("Dry run: no servers are stopped.")
    last = passes[-1] if passes else None
    if last is None:
        said.append("No sweep has ended yet.")
    elif last.error is not None:
        said.append(printable(f"The last {last.kind} failed: {last.error}"))
    elif last.report is not None:
        if last.report.braked:
            said.append(
                f"The last sweep did not stop {words.some(last.report.braked, 'server')}: too many that were in use"
                " the sweep before would have stopped at once. The next sweep stops them."
            )
        if last.report.quiet:
            said.append(
                f"{words.some(last.report.quiet, 'server')} not stopped: the hub was away and does not know yet"
                " who was active meanwhile."
            )
    return [*said, *dict.fromkeys(missing_scopes)]


# --- Words ---


def _fate(seen: Seen, *, is_dry_run: bool, is_own: bool) -> tuple[str, str]:
    verdict = seen.verdict
    if seen.action in _FATES:
        return _FATES[seen.action], ""
    if verdict.culls:
        return (
            ("It would be stopped, but this is a dry run.", "")
            if is_dry_run
            else ("Stops at the next sweep.", "")
        )
    if verdict.cause in {Cause.BRAKED, Cause.QUIET, Cause.UNASKED}:
        return "It is not stopped this time; a later sweep decides again.", ""
    if verdict.due is None:
        return _NEVER.get(verdict.cause, "It is not stopped."), ""
    return "Stops at", _condition(seen, is_own=is_own)


def _condition(seen: Seen, *, is_own: bool) -> str:
    verdict = seen.verdict
    if verdict.due == seen.age_ends or (seen.age_ends is not None and seen.age_ends <= seen.at):
        return "even if in use: it reaches its maximum runtime."
    if seen.work is not None and seen.work.busy:
        return "unless its kernels produce output before then."
    if seen.work is not None and seen.work.connections:
        run = "you run something" if is_own else "something is run"
        return f"unless {run} before then; an open tab does not count."
    return f"unless {'you use it' if is_own else 'it is used'} before then."


def _origin(rule: str | None) -> str:
    return "the default limit" if rule is None else f"by the rule {printable(rule)}"


def _source(work: Work | None) -> str:
    if work is None:
        return "the hub"
    kernels, tabs = words.some(work.busy, "busy kernel"), words.some(work.connections, "open connection")
    return f"the server itself: {kernels}, {tabs}"
