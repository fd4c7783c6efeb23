"""The content of the pages as values, without clock and HTML."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from k8s_hub.culler.core import needs
from k8s_hub.culler.core.decision import HELD, Action, DecisionRecord
from k8s_hub.culler.core.extensions import ExtensionLimits, Quota, can_extend, used_up
from k8s_hub.culler.core.policy import Cause, Work
from k8s_hub.culler.core.report import Stop, SweepRecord
from k8s_hub.culler.core.rules import MatchedRule
from k8s_hub.text import Message, counted, format_duration, printable

PER_PAGE = 100

SWEEPS = 20
"""The list of sweeps has at most this many rows."""

STOPS = 100
"""The list of stops has at most this many rows."""

OFFERED = (timedelta(hours=1), timedelta(hours=4))
"""The page offers these extensions, besides the longest that is allowed."""

SHORTEST = timedelta(minutes=1)
"""The page offers an extension until the maximum runtime if it lasts at least this long."""

DRY_RUN = "Dry run: no servers are stopped."

_FATES = {
    Action.STOPPED: "The culler stopped it.",
    Action.STOPPING: "The culler is stopping it.",
    Action.GONE: "It has stopped.",
    Action.FAILED: "The culler could not stop it. The next sweep tries again.",
}

_PENDING = {
    "spawn": "It is starting.",
    "stop": "It is stopping.",
}

_NEVER = {
    Cause.EXEMPT: "Does not stop automatically: it is exempt.",
    Cause.NOT_READY: "Does not stop automatically until it is ready.",
    Cause.UNKNOWN: "Does not stop automatically: its last activity is not known.",
    Cause.BUSY: "Does not stop automatically while its kernels are busy.",
    Cause.SPARED: "Does not stop for now. Each sweep decides again.",
}


_HIDDEN = {needs.GROUPS: "{} groups", needs.STATE: "{} choice of a profile"}
"""What a scope shows, of "your" or another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One server on a page: the record of its decision, and the texts for it."""

    record: DecisionRecord
    state: str
    reason: str  # completes the sentence "it ..."
    fate: str  # what happens to it; with a condition, the page puts the deadline between the two
    condition: str  # empty: the page shows no deadline
    idle: str | None  # None: not known
    limit: str | None  # with its origin; None: the server is exempt
    source: str  # the reporter of its activity

    @property
    def key(self) -> str:
        """The full name, such as alice or alice/lab."""
        return name_of(self.record.user, self.record.server)

    @property
    def title(self) -> str:
        """The name as its user knows it."""
        return title_of(self.record.server)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """How long a user may extend a server now; ``sentence``: the extensions left, or why there are none."""

    lengths: tuple[timedelta, ...] = ()
    until: datetime | None = None  # the end of its maximum runtime, if the longest extension would exceed it
    sentence: Message = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The filter of the admin's page."""

    text: str = ""  # part of the name of a user or server; case does not matter
    cause: str = ""  # a state; empty: every state
    page: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServersPage:
    """One page of the servers that match a filter."""

    records: tuple[DecisionRecord, ...]
    page: int
    pages: int
    found: int
    total: int
    causes: tuple[tuple[str, int], ...]  # states of all servers


def name_of(user: str, server: str) -> str:
    """Return a server's full name, such as alice or alice/lab."""
    return printable(f"{user}/{server}" if server else user)


def title_of(server: str) -> str:
    """Return a server's name as its user knows it."""
    return printable(server) or "Default server"


def title_of_page(user: str | None) -> str:
    """Return the heading of another user's page; None: the hub has not confirmed the name."""
    return "Servers of a user" if user is None else f"Servers of {printable(user)}"


def row(record: DecisionRecord, *, is_dry_run: bool = False, is_own: bool = True) -> Row:
    """Return what the pages show about a server; is_own: to its own user."""
    fate, condition = _fate(record, is_dry_run=is_dry_run, is_own=is_own)
    is_exempt = record.verdict.cause is Cause.EXEMPT
    rule = record.matched.name
    origin = "the default limit" if rule is None else f"by the rule {printable(rule)}"
    limit = f"{format_duration(record.matched.limits.timeout)}, {origin}"
    return Row(
        record=record,
        state=state_of(record),
        reason=f"{record.verdict.reason}, and the culler sent a warning"
        if _is_idle(record)
        else record.verdict.reason,
        fate=fate,
        condition=condition,
        idle=None if record.idle is None else format_duration(record.idle),
        limit=None if is_exempt else limit,
        source=_source(record.work),
    )


def state_of(record: DecisionRecord) -> str:
    """Return the state of a server: the cause of its verdict, but warned while it only waits for its stop."""
    return (Cause.WARNED if _is_idle(record) else record.verdict.cause).value


def _is_idle(record: DecisionRecord) -> bool:
    """Return whether the server was idle since the warning, and its limit is not over yet."""
    return record.is_warned and record.verdict.cause in {Cause.IN_USE, Cause.BUSY}


# --- Extensions ---


def offer(
    record: DecisionRecord, quota: Quota, limits: ExtensionLimits, now: datetime, *, by_admin: bool = False
) -> Offer:
    """Return how long the reader may extend this server now; by_admin: without quota."""
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
        "An admin's extension does not count as one of the user's."
        if by_admin
        else f"You have {quota.left} of {counted(limits.per_week, 'extension')} left within seven days, "
        "for all your servers together."
    )
    return Offer(lengths=possible, until=until, sentence=(left,))


def _why_none(record: DecisionRecord, first: datetime) -> Message:
    """Return why the page offers no extension; the shortest would last until ``first``."""
    if record.runtime_ends is not None and record.runtime_ends < first:
        return _ends(record.runtime_ends)
    return ("It is already extended for as long as possible.",)


def _ends(end: datetime) -> Message:
    return ("It reaches its maximum runtime at ", end, ". You cannot extend it beyond that.")


def _limit_to_offer(record: DecisionRecord, limits: ExtensionLimits, now: datetime) -> datetime | None:
    """Return when its maximum runtime ends, if an extension until then is possible and useful."""
    end = record.runtime_ends
    if end is None or not SHORTEST <= end - now < limits.longest:
        return None
    is_longer = record.extended_until is None or record.extended_until < end
    is_of_use = record.verdict.deadline is None or record.verdict.deadline < end or record.verdict.culls
    return end if is_longer and is_of_use else None


def why_not(record: DecisionRecord, now: datetime, length: timedelta = timedelta()) -> Message | None:
    """Return why this server cannot be extended by ``length``, apart from the user's quota; None: it can."""
    if record.verdict.cause is Cause.EXEMPT:
        why = "it does not stop automatically" if record.matched.limits.may_be_exempt else "it is exempt"
        return (f"It needs no extension: {why}.",)
    if record.verdict.cause in {Cause.PENDING, Cause.NOT_READY}:
        return ("You can extend it once it is ready.",)
    end = record.runtime_ends
    if end is not None and end < now + max(length, SHORTEST):
        return _ends(end)
    if length and record.extended_until is not None and record.extended_until >= now + length:
        return ("It is already extended until ", record.extended_until, ". Choose a longer extension.")
    return None


# --- The admin's list ---


def servers_page(servers: Sequence[DecisionRecord], wanted: Filter) -> ServersPage:
    """Return the requested page of servers, or the nearest page that exists."""
    text = wanted.text.strip().casefold()
    found = [
        record
        for record in servers
        if wanted.cause in {"", state_of(record)} and text in f"{record.user}/{record.server}".casefold()
    ]
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(max(1, wanted.page), pages)
    return ServersPage(
        records=tuple(found[(page - 1) * PER_PAGE : page * PER_PAGE]),
        page=page,
        pages=pages,
        found=len(found),
        total=len(servers),
        causes=tuple(sorted(Counter(map(state_of, servers)).items())),
    )


def stops_of(stops: Sequence[Stop], user: str, running: Collection[str]) -> list[Stop]:
    """Return the last stop of each of a user's servers that has not run since; ``stops``: the newest first."""
    last: dict[str, Stop] = {}
    for stop in stops:
        if stop.user == user:
            last.setdefault(stop.server, stop)
    return [stop for stop in last.values() if not stop.ran_again and stop.server not in running]


def stops_with(stops: Sequence[Stop], text: str) -> list[Stop]:
    """Return the newest stops of servers whose full names contain the text."""
    part = text.strip().casefold()
    return [stop for stop in stops if part in f"{stop.user}/{stop.server}".casefold()][:STOPS]


def sweeps(records: Sequence[SweepRecord]) -> list[SweepRecord]:
    """Return the sweeps that did something or failed, the newest first."""
    return list(islice((record for record in reversed(records) if not _is_empty(record)), SWEEPS))


def _is_empty(record: SweepRecord) -> bool:
    """Return whether a sweep did nothing of interest to an admin."""
    report = record.report
    return report is not None and not any(
        (
            *(report.stopped, report.stopping, report.gone, report.would_stop, report.failed, report.hidden),
            *(report.held_by_brake, report.held_by_grace, report.warned, report.deleted, report.delete_failed, report.lost),
        )
    )  # fmt: skip


def banners(
    records: Sequence[SweepRecord], missing_scopes: Sequence[str], *, is_dry_run: bool = False
) -> tuple[str, ...]:
    """Return the warnings for admins; missing_scopes: a message for each scope."""
    said = []
    if is_dry_run:
        said.append(DRY_RUN)
    last = records[-1] if records else None
    if last is None:
        said.append("The first sweep has not finished yet.")
    elif last.error is not None:
        said.append(printable(f"The last sweep failed: {last.error}"))
    elif last.report is not None:
        if last.report.held_by_brake:
            said.append(
                f"The last sweep held back the stop of {counted(last.report.held_by_brake, 'server')}: the sweep before"
                " saw them in use. The next sweep stops them. Check the clocks and limits."
            )
        if last.report.held_by_grace:
            said.append(
                f"The last sweep held back the stop of {counted(last.report.held_by_grace, 'server')}: after its outage,"
                " the hub does not know yet which users were active."
            )
    return (*said, *dict.fromkeys(missing_scopes))


# --- Texts ---


def _fate(record: DecisionRecord, *, is_dry_run: bool, is_own: bool) -> tuple[str, str]:
    verdict = record.verdict
    if record.action in _FATES:
        return _FATES[record.action], ""
    if verdict.culls:
        would = "Would stop at the next sweep, but this is a dry run."
        return would if is_dry_run else "Stops at the next sweep.", ""
    if verdict.cause is Cause.PENDING:
        return _PENDING.get(record.pending or "", "It is changing."), ""
    if verdict.cause in HELD:
        return _held(record, is_own=is_own)
    if verdict.deadline is None:
        return _never(record, is_own=is_own), ""
    return "Stops at", _condition(record, is_own=is_own)


def _held(record: DecisionRecord, *, is_own: bool) -> tuple[str, str]:
    """Return what happens to a server that is due and held back."""
    deadline = record.verdict.deadline
    if deadline is None or deadline <= record.at:
        return "Held back. A later sweep decides again.", ""
    return "Held back. Stops at", _condition(record, is_own=is_own)


def _never(record: DecisionRecord, *, is_own: bool) -> str:
    if record.verdict.cause is Cause.EXEMPT and record.matched.limits.may_be_exempt:
        return _unless_seen(record.matched, is_own=is_own)
    return _NEVER.get(record.verdict.cause, "Does not stop automatically.")


def _unless_seen(matched: MatchedRule, *, is_own: bool) -> str:
    """Return that a server stays because the token cannot see whether a rule exempts it; to admins, what to do."""
    scopes = dict.fromkeys(doubt.scope for doubt in matched.doubts if doubt.exempts)
    whose = "your" if is_own else "its user's"
    hidden = " and ".join(_HIDDEN[scope].format(whose) for scope in scopes)
    said = f"Does not stop automatically: the culler is not allowed to see {hidden}, which a rule needs."
    cure = f" Add {' and '.join(scopes)} to the scopes of the culler's role (load_roles)."
    return said if is_own else said + cure


def _condition(record: DecisionRecord, *, is_own: bool) -> str:
    held = (
        "" if record.held_until is None else " The culler stops no server earlier, because the hub was away."
    )
    return _unless(record, is_own=is_own) + held


def _unless(record: DecisionRecord, *, is_own: bool) -> str:
    verdict = record.verdict
    if verdict.deadline == record.runtime_ends or (
        record.runtime_ends is not None and record.runtime_ends <= record.at
    ):
        return "even if in use: it reaches its maximum runtime."
    if record.work is not None and record.work.busy:
        return "unless its kernels produce output before then."
    if record.work is not None and record.work.connections:
        run = "you run something" if is_own else "somebody runs something"
        return f"unless {run} before then. An open tab does not count."
    return f"unless {'you use it' if is_own else 'somebody uses it'} before then."


def _source(work: Work | None) -> str:
    if work is None:
        return "the hub"
    kernels, tabs = counted(work.busy, "busy kernel"), counted(work.connections, "open connection")
    return f"the server itself: {kernels}, {tabs}"
