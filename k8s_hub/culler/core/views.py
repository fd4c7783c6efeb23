"""What the pages show, as values: from decisions, limits and the time; no clock, no HTML."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from k8s_hub.culler.core.decision import Action, DecisionRecord
from k8s_hub.culler.core.extensions import ExtensionLimits, Quota, can_extend, used_up
from k8s_hub.culler.core.policy import Cause, Work
from k8s_hub.culler.core.report import PassRecord, Stop
from k8s_hub.text import Message, counted, format_duration, printable

PER_PAGE = 100

SWEEPS = 20
"""So many rows of sweeps are shown."""

STOPS = 100
"""So many stops are shown."""

OFFERED = (timedelta(hours=1), timedelta(hours=4))
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
    """One server on a page: the record of the decision about it, and the words around that."""

    record: DecisionRecord
    fate: str  # a message without the time, which is the deadline
    condition: str  # the message's end, after the time; empty where the time is not part of it
    idle: str | None  # None: not known
    limit: str | None  # with where it is from; None: it has none, because it is exempt
    source: str  # who says when it was used

    @property
    def key(self) -> str:
        """Its name for people and programs, such as alice or alice/lab."""
        return name_of(self.record.user, self.record.server)

    @property
    def title(self) -> str:
        """Its name for its own user."""
        return title_of(self.record.server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How long a user may extend a server now; ``sentence`` says what is left, or why nothing is."""

    lengths: tuple[timedelta, ...] = ()
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
class ServersPage:
    """One page of the servers that a filter lets through."""

    records: tuple[DecisionRecord, ...]
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


def row(record: DecisionRecord, *, is_dry_run: bool = False, is_own: bool = True) -> Row:
    """Return what the pages show of a server; is_own: to its user."""
    fate, condition = _fate(record, is_dry_run=is_dry_run, is_own=is_own)
    is_exempt = record.verdict.cause is Cause.EXEMPT
    limit = f"{format_duration(record.matched.limits.timeout)}, {_origin(record.matched.name)}"
    return Row(
        record=record,
        fate=fate,
        condition=condition,
        idle=None if record.idle is None else format_duration(record.idle),
        limit=None if is_exempt else limit,
        source=_source(record.work),
    )


# --- Extensions ---


def offer(
    record: DecisionRecord, quota: Quota, limits: ExtensionLimits, now: datetime, *, by_admin: bool = False
) -> Offer:
    """Return how long this server may be extended now; by_admin: as an admin, whom the quota does not bind."""
    if not can_extend(limits, by_admin=by_admin):
        return Offer()
    if reason := why_not(record, now):
        return Offer(sentence=reason)
    if quota.again is not None and not by_admin:
        return Offer(sentence=used_up(limits, quota.again))
    lengths = [each for each in OFFERED if each < limits.longest] + [limits.longest]
    possible = tuple(each for each in lengths if why_not(record, now, each) is None)
    until = _limit_to_offer(record, limits, now)
    if not possible and until is None:
        return Offer(sentence=_why_none(record, now + lengths[0]))
    left = (
        "Extensions by admins do not count for anybody's quota."
        if by_admin
        else f"{quota.left} of {counted(limits.per_week, 'extension')} left within seven days, "
        "for all servers together."
    )
    return Offer(lengths=possible, until=until, sentence=(left,))


def _why_none(record: DecisionRecord, first: datetime) -> Message:
    """Return why none is offered of the extensions of which the shortest would last until ``first``."""
    if record.runtime_ends is not None and record.runtime_ends < first:
        return _ends(record.runtime_ends)
    return ("It is already extended for as long as is possible now.",)


def _ends(end: datetime) -> Message:
    return ("It reaches its maximum runtime at ", end, " and cannot be extended beyond that.")


def _limit_to_offer(record: DecisionRecord, limits: ExtensionLimits, now: datetime) -> datetime | None:
    """Return when its maximum runtime ends, where it can be extended until then and not beyond."""
    end = record.runtime_ends
    if end is None or not SHORTEST <= end - now < limits.longest:
        return None
    is_longer = record.extended_until is None or record.extended_until < end
    is_of_use = record.verdict.deadline is None or record.verdict.deadline < end or record.verdict.culls
    return end if is_longer and is_of_use else None


def why_not(record: DecisionRecord, now: datetime, length: timedelta = timedelta()) -> Message | None:
    """Return why this server cannot be extended for so long, whatever its user's quota; None: it can."""
    if record.verdict.cause is Cause.EXEMPT:
        return ("It is exempt, so it needs no extension.",)
    if record.verdict.cause in {Cause.PENDING, Cause.NOT_READY}:
        return ("You can extend it once it is ready.",)
    end = record.runtime_ends
    if end is not None and end < now + max(length, SHORTEST):
        return _ends(end)
    if length and record.extended_until is not None and record.extended_until >= now + length:
        return ("It is already extended until ", record.extended_until, ", which is longer.")
    return None


# --- The admin's list ---


def servers_page(servers: Sequence[DecisionRecord], wanted: Filter) -> ServersPage:
    """Return the page that was asked for; one that does not exist is the nearest that does."""
    text = wanted.text.strip().casefold()
    found = [
        record
        for record in servers
        if wanted.cause in {"", record.verdict.cause.value}
        and text in f"{record.user}/{record.server}".casefold()
    ]
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, wanted.page), pages)
    return ServersPage(
        records=tuple(found[(page - 1) * PER_PAGE : page * PER_PAGE]),
        page=page,
        pages=pages,
        found=len(found),
        total=len(servers),
        causes=tuple(sorted(Counter(record.verdict.cause.value for record in servers).items())),
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
            *(report.held_by_guard, report.held_by_grace, report.warned, report.deleted, report.delete_failed, report.lost),
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
        if last.report.held_by_guard:
            said.append(
                f"The last sweep did not stop {counted(last.report.held_by_guard, 'server')}: too many that were in use"
                " the sweep before would have stopped at once. The next sweep stops them."
            )
        if last.report.held_by_grace:
            said.append(
                f"{counted(last.report.held_by_grace, 'server')} not stopped: the hub was away and does not know yet"
                " who was active meanwhile."
            )
    return [*said, *dict.fromkeys(missing_scopes)]


# --- Words ---


def _fate(record: DecisionRecord, *, is_dry_run: bool, is_own: bool) -> tuple[str, str]:
    verdict = record.verdict
    if record.action in _FATES:
        return _FATES[record.action], ""
    if verdict.culls:
        return (
            ("It would be stopped, but this is a dry run.", "")
            if is_dry_run
            else ("Stops at the next sweep.", "")
        )
    if verdict.cause in {Cause.MASS_CULL, Cause.OUTAGE_GRACE, Cause.UNPROBED}:
        return "It is not stopped this time; a later sweep decides again.", ""
    if verdict.deadline is None:
        return _NEVER.get(verdict.cause, "It is not stopped."), ""
    return "Stops at", _condition(record, is_own=is_own)


def _condition(record: DecisionRecord, *, is_own: bool) -> str:
    verdict = record.verdict
    if verdict.deadline == record.runtime_ends or (
        record.runtime_ends is not None and record.runtime_ends <= record.at
    ):
        return "even if in use: it reaches its maximum runtime."
    if record.work is not None and record.work.busy:
        return "unless its kernels produce output before then."
    if record.work is not None and record.work.connections:
        run = "you run something" if is_own else "something is run"
        return f"unless {run} before then; an open tab does not count."
    return f"unless {'you use it' if is_own else 'it is used'} before then."


def _origin(rule: str | None) -> str:
    return "the default limit" if rule is None else f"by the rule {printable(rule)}"


def _source(work: Work | None) -> str:
    if work is None:
        return "the hub"
    kernels, tabs = counted(work.busy, "busy kernel"), counted(work.connections, "open connection")
    return f"the server itself: {kernels}, {tabs}"
