"""The judge: from what was written down to violations, one function for each invariant. It trusts neither hub nor spawner.

A fault excuses what happens from its begin until `SETTLE` seconds after its end; what lasts longer is a violation.
A hub that other programs of the machine keep from running is not blamed for being late.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import TypeVar

from devkit.chaos.record import (
    HUB,
    Canary,
    Change,
    Cull,
    End,
    Event,
    Fault,
    HubEnd,
    Leak,
    Operation,
    Request,
    Sample,
    Start,
)

T = TypeVar("T")

SETTLE = 10.0
SEEN_SECONDS = 5.0
"""Within which a change of a pod must have reached the hub, in peace."""
STARVED = 0.25
"""The share of the time in which a hub may wait for a processor and still has to be in time."""
STARVED_SECONDS = 30.0
"""How late a hub may be that waits for a processor."""
SAMPLE_SLACK = 3.0
"""Seconds that a sample of the hub and the observer's clock may differ."""
SLOW, SLOW_TIMES = 20.0, 5.0
"""A start in peace takes at most so many seconds, or so many times the median."""
HTTP_TIMEOUT = 20.0
WINDOW = 10.0
REQUESTS_A_SECOND = 10
REQUESTS_AN_OPERATION = 5
"""What a hub may ask of the API server in a window of time, on top of each other."""
RELEASE = "jhub"
DATABASE_BACK = "database back by a minute"
HUB_FAULTS = frozenset({"hub killed", "hub frozen", "disk full", DATABASE_BACK})

HELD = 15.0
"""Seconds between a create, or a start, and its effect, where a fault holds it."""

COPY_AGE = 90.0
"""Seconds that the database is back at most."""
"""Those in which the hub may not answer: with a full disk, JupyterHub ends what it was about to say with an error."""
WHY = ("Spawn failed", ": ", "Timeout", ".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One breach of an invariant."""

    invariant: str
    at: float
    server: str
    what: str


@dataclass(slots=True, kw_only=True)
class Pod:
    """The life of one pod; infinity for what has not happened."""

    uid: str
    name: str
    server: str
    born: float
    ready: float = float("inf")
    #: From when it is being deleted, has ended, or is gone.
    over: float = float("inf")
    gone: float = float("inf")
    address: str = ""

    def is_alive(self, at: float) -> bool:
        """Return whether it was alive at a time."""
        return self.born <= at < self.over


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time in which hub and cluster disagreed about a server."""

    server: str
    #: "stopped, and its pod runs", for instance.
    how: str
    begin: float
    end: float
    samples: int


@dataclass(frozen=True)
class Facts:
    """The recorded events of a campaign, and what follows from them."""

    events: Sequence[Event]

    def of(self, kind: type[T]) -> list[T]:
        """Return all events of a kind, in their order."""
        return [event for event in self.events if isinstance(event, kind)]

    @cached_property
    def start(self) -> Start:
        return self.of(Start)[0]

    @cached_property
    def end(self) -> float:
        ends = self.of(End)
        return ends[0].at if ends else self.samples[-1].at

    @cached_property
    def faults(self) -> list[Fault]:
        return sorted(self.of(Fault), key=lambda fault: fault.begin)

    @cached_property
    def samples(self) -> list[Sample]:
        return self.of(Sample)

    @cached_property
    def changes(self) -> list[Change]:
        return self.of(Change)

    @cached_property
    def requests(self) -> list[Request]:
        """The requests of our hub."""
        return [request for request in self.of(Request) if request.account == HUB]

    @cached_property
    def operations(self) -> list[Operation]:
        return self.of(Operation)

    @cached_property
    def pods(self) -> dict[str, Pod]:
        """The pods of our hub, by uid."""
        pods: dict[str, Pod] = {}
        for change in self.changes:
            if change.resource == "pods" and change.release == RELEASE and change.server:
                pod = pods.setdefault(
                    change.uid,
                    Pod(uid=change.uid, name=change.name, server=change.server, born=change.at),
                )
                _tell(pod, change)
        return pods

    @cached_property
    def pods_of(self) -> dict[str, list[Pod]]:
        """The pods by server."""
        found: dict[str, list[Pod]] = defaultdict(list)
        for pod in self.pods.values():
            found[pod.server].append(pod)
        return dict(found)

    @cached_property
    def spans(self) -> list[Span]:
        """All disagreements that two samples in a row have seen."""
        return [span for span in _spans(self) if span.samples > 1]

    def is_peace(self, at: float, settle: float = SETTLE) -> bool:
        """Return whether no fault excuses what happens at this time."""
        return not any(fault.begin <= at <= fault.end + settle for fault in self.faults)

    def starved(self, begin: float, end: float) -> float:
        """Return the share of a time in which the hub waited for a processor."""
        shares = [sample.starved for sample in self.samples if begin <= sample.at <= end]
        return sum(shares) / len(shares) if shares else 0.0

    def fault_at(self, begin: float, end: float) -> str:
        """Return the kind of a fault that was on in this time; "" in peace."""
        return next((each.kind for each in self.faults if each.begin <= end and begin <= each.end), "")

    def fault_before(self, at: float) -> str:
        """Return the kind of the last fault that had begun."""
        return next((each.kind for each in reversed(self.faults) if each.begin <= at), "")


def _tell(pod: Pod, change: Change) -> None:
    if change.is_ready:
        pod.ready = min(pod.ready, change.at)
    if not change.is_alive:
        pod.over = min(pod.over, change.at)
    if change.kind == "DELETED":
        pod.gone = min(pod.gone, change.at)
    pod.address = change.address or pod.address


def _spans(facts: Facts) -> Iterator[Span]:
    open_spans: dict[tuple[str, str], Span] = {}
    for sample in facts.samples:
        if sample.servers is None:
            continue
        found = set(disagreements(sample, facts.pods_of))
        for key in [key for key in open_spans if key not in found]:
            yield open_spans.pop(key)
        for server, how in found:
            known = open_spans.get((server, how))
            open_spans[server, how] = Span(
                server=server,
                how=how,
                begin=known.begin if known else sample.at,
                end=sample.at,
                samples=known.samples + 1 if known else 1,
            )
    yield from open_spans.values()


STOPPED_BUT_RUNS = "stopped, and its pod runs"
READY_BUT_GONE = "ready, and it has no pod"
START_UNSEEN = "still starting, and its pod is ready"
STOP_UNSEEN = "still stopping, and its pod is gone"


def disagreements(sample: Sample, pods_of: dict[str, list[Pod]]) -> Iterator[tuple[str, str]]:
    """Return the servers about which the hub and the cluster disagree, and how."""
    at = sample.at
    for server, state in (sample.servers or {}).items():
        pods = pods_of.get(server, [])
        if state == "stopped":
            if any(pod.ready <= at - SAMPLE_SLACK and pod.is_alive(at + 1) for pod in pods):
                yield server, STOPPED_BUT_RUNS
        elif state == "ready":
            if not any(pod.born <= at and pod.over > at - SEEN_SECONDS for pod in pods):
                yield server, READY_BUT_GONE
        elif state == "spawn":
            if any(pod.ready <= at - SEEN_SECONDS and pod.is_alive(at) for pod in pods):
                yield server, START_UNSEEN
        elif state == "stop" and pods and all(pod.gone < at - SEEN_SECONDS for pod in pods):
            yield server, STOP_UNSEEN


# --- The invariants ---


def _in_peace(
    facts: Facts, hows: Iterable[str], invariant: str, is_excused: Callable[[Span, float], bool]
) -> Iterator[Violation]:
    for span in facts.spans:
        at = next(
            (t.at for t in facts.samples if span.begin <= t.at <= span.end and facts.is_peace(t.at)), None
        )
        if span.how in hows and at is not None and not is_excused(span, at):
            what = f"{span.how}, for {span.end - span.begin:.0f} s"
            yield Violation(invariant=invariant, at=at, server=span.server, what=what)


def stopped_while_it_runs(facts: Facts) -> Iterator[Violation]:
    """No server is shown stopped while its pod runs."""

    def is_excused(span: Span, at: float) -> bool:
        return _is_of_later_account(facts, span.server, at)

    yield from _in_peace(facts, {STOPPED_BUT_RUNS}, "shown stopped while its pod runs", is_excused)


def _is_of_later_account(facts: Facts, server: str, at: float) -> bool:
    """Return whether the hub's database is from before its user was deleted and came back: the pod is not that account's."""
    person = server.partition("/")[0]
    backs = [fault.begin for fault in facts.faults if fault.kind == DATABASE_BACK and fault.begin <= at]
    return any(
        operation.verb == "delete"
        and operation.server == f"{person}/"
        and begin - COPY_AGE <= operation.end <= begin
        for operation in facts.operations
        for begin in backs[-1:]
    )


def stale_views(facts: Facts) -> Iterator[Violation]:
    """In peace the hub hears of a change of a pod in seconds."""

    def is_excused(span: Span, at: float) -> bool:
        return span.end - at < STARVED_SECONDS and facts.starved(at - SETTLE, at) >= STARVED

    yield from _in_peace(facts, {READY_BUT_GONE, START_UNSEEN, STOP_UNSEEN}, "stale view", is_excused)


def orphans(facts: Facts) -> Iterator[Violation]:
    """After a minute of peace nothing of ours is without a server."""
    last = next((sample for sample in reversed(facts.samples) if sample.servers is not None), None)
    if last is None or last.servers is None:
        return
    active = {server for server, state in last.servers.items() if state != "stopped"}
    present: dict[str, Change] = {}
    for change in facts.changes:
        present[change.uid] = change
    for change in present.values():
        is_ours = change.release == RELEASE and change.server and change.resource != "persistentvolumeclaims"
        if _is_of_later_account(facts, change.server, last.at):
            continue
        if is_ours and change.kind != "DELETED" and change.server not in active and change.at < last.at - 30:
            phase = f" in phase {change.phase}" if change.phase else ""
            yield Violation(
                invariant="object without a server",
                at=last.at,
                server=change.server,
                what=f"{change.resource}/{change.name}{phase}",
            )


def two_pods(facts: Facts) -> Iterator[Violation]:
    """A server never has two pods."""
    for server, pods in facts.pods_of.items():
        for earlier, later in pairwise(sorted(pods, key=lambda pod: pod.born)):
            if earlier.over > later.born and later.over > later.born:
                what = f"{earlier.name} and {later.name}, for {min(earlier.over, later.over, facts.end) - later.born:.1f} s"
                yield Violation(invariant="two pods of a server", at=later.born, server=server, what=what)


def two_claims(facts: Facts) -> Iterator[Violation]:
    """A server never has two homes."""
    for server, claims in _claims(facts).items():
        for uid in claims[1:]:
            names = {change.uid: change.name for change in facts.changes if change.uid in claims}
            at = next(change.at for change in facts.changes if change.uid == uid)
            what = " and ".join(sorted(names.values()))
            yield Violation(invariant="two claims of a server", at=at, server=server, what=what)


def _claims(facts: Facts) -> dict[str, list[str]]:
    """Return the uids of each server's claims, in the order in which they came."""
    claims: dict[str, list[str]] = defaultdict(list)
    for change in facts.changes:
        is_claim = change.resource == "persistentvolumeclaims" and change.release == RELEASE
        if is_claim and change.server and change.uid not in claims[change.server]:
            claims[change.server].append(change.uid)
    return claims


def lost_claims(facts: Facts) -> Iterator[Violation]:
    """No claim is deleted, and each still has what was written on it."""
    invariant = "claim deleted"
    for change in facts.changes:
        if change.resource == "persistentvolumeclaims" and change.kind == "DELETED":
            yield Violation(invariant=invariant, at=change.at, server=change.server, what=change.name)
    for request in facts.requests:
        if request.resource == "persistentvolumeclaims" and request.verb.startswith("delete"):
            yield Violation(invariant=invariant, at=request.at, server="", what=f"asked for: {request.name}")
    for canary in facts.of(Canary):
        if canary.found != "there":
            what = f"{canary.name}: {canary.found}"
            yield Violation(invariant=invariant, at=facts.end, server=canary.server, what=what)


def foreign_objects(facts: Facts) -> Iterator[Violation]:
    """Objects of another release stay as they are: ours for the other hub, and all others for ours."""
    releases = {(change.resource, change.name): change.release for change in facts.changes}
    for request in facts.of(Request):
        release = releases.get((request.resource, request.name), "")
        own = RELEASE if request.account == HUB else request.account
        if release not in {own, ""} and request.verb in {"delete", "patch", "update", "create"}:
            what = f"{request.verb} {request.resource} {request.name}: {request.code}"
            yield Violation(invariant="foreign object touched", at=request.at, server="", what=what)


def starts_without_end(facts: Facts) -> Iterator[Violation]:
    """Each start ends ready, or with a reason, in time."""
    longest = facts.start.start_timeout + HTTP_TIMEOUT + SETTLE
    for start in facts.operations:
        if start.verb != "start":
            continue
        problem = ""
        if start.outcome == "endless" or start.end - start.begin > longest:
            problem = f"no end after {start.end - start.begin:.0f} s"
        elif start.outcome == "failed" and not _has_reason(start.message):
            problem = f"failed without a reason: {start.message!r}"
        elif start.outcome == "lost" and not (_is_hub_away(facts, start) or _is_removed(facts, start)):
            problem = f"lost: {start.message!r}"
        if problem and not (problem.startswith("no end") and _is_hub_away(facts, start)):
            yield Violation(
                invariant="start without an end or a reason",
                at=start.begin,
                server=start.server,
                what=problem,
            )


def _is_removed(facts: Facts, start: Operation) -> bool:
    """Return whether the hub was removing the server: the last step of that ends a start that has begun meanwhile."""
    return any(
        operation.verb == "remove"
        and operation.server == start.server
        and start.begin - HELD <= operation.begin < start.end
        for operation in facts.operations
    )


def _has_reason(message: str) -> bool:
    for words in WHY:
        message = message.replace(words, "")
    return bool(message.strip())


def _is_hub_away(facts: Facts, operation: Operation) -> bool:
    """Return whether a fault took the hub away during an operation, or it ended by itself, which counts elsewhere."""
    gone = [(each.begin, each.end) for each in facts.faults if each.kind in HUB_FAULTS]
    gone += [(each.at - 2, each.at + 20) for each in facts.of(HubEnd)]
    return any(begin <= operation.end + 1 and operation.begin <= end for begin, end in gone)


def failures_in_peace(facts: Facts) -> Iterator[Violation]:
    """A start that begins and ends in peace succeeds."""
    for start in facts.operations:
        is_peaceful = facts.is_peace(start.begin) and not facts.fault_at(start.begin, start.end)
        if start.verb == "start" and start.outcome == "failed" and is_peaceful:
            what = f"{start.status} {start.message}"
            yield Violation(invariant="start failed in peace", at=start.begin, server=start.server, what=what)


def slow_starts(facts: Facts) -> Iterator[Violation]:
    """A start that begins and ends in peace is quick, by the measure of the run's other starts."""
    peaceful = [
        start
        for start in facts.operations
        if start.verb == "start" and start.outcome == "ready"
        if facts.is_peace(start.begin) and not facts.fault_at(start.begin, start.end)
    ]
    if not peaceful:
        return
    typical = median(start.end - start.begin for start in peaceful)
    for start in peaceful:
        seconds = start.end - start.begin
        if seconds > max(SLOW, SLOW_TIMES * typical) and facts.starved(start.begin, start.end) < STARVED:
            what = f"took {seconds:.0f} s; half of the starts took less than {typical:.1f} s"
            yield Violation(invariant="slow start in peace", at=start.begin, server=start.server, what=what)


def deleted_while_wanted(facts: Facts) -> Iterator[Violation]:
    """The hub deletes a pod only for a person, a culler, or a start that ends or replaces it, in a fault, too."""
    by_name: dict[str, list[Pod]] = defaultdict(list)
    for pod in facts.pods.values():
        by_name[pod.name].append(pod)
    for request in facts.requests:
        if request.resource == "pods" and request.verb == "delete" and request.code < 300:
            for pod in by_name[request.name]:
                if pod.is_alive(request.at) and not _is_to_go(facts, pod, request.at):
                    what = f"{pod.name}, {request.at - pod.born:.0f} s old"
                    yield Violation(
                        invariant="pod deleted without a request", at=request.at, server=pod.server, what=what
                    )


STOPS = frozenset({"stop", "cancel", "remove", "delete"})


def _is_to_go(facts: Facts, pod: Pod, at: float) -> bool:
    """Return whether somebody gave a reason to delete the pod, by this time."""
    if any(pod.name in fault.note and fault.begin <= at <= fault.end + SETTLE for fault in facts.faults):
        return True
    if any(cull.server == pod.server and pod.born - 5 <= cull.at <= at + 30 for cull in facts.of(Cull)):
        return True
    if _is_out_of_reach(facts, pod, at) or _is_unsaved(facts, pod):
        return True
    person = pod.server.partition("/")[0]
    for operation in facts.operations:
        if operation.server != pod.server and (operation.server, operation.verb) != (f"{person}/", "delete"):
            continue
        is_stop = operation.verb in STOPS and operation.end >= pod.born - HELD
        is_later_start = operation.verb == "start" and operation.begin > pod.born
        is_its_end = operation.outcome in {"failed", "cancelled", "endless"} and operation.end >= pod.born
        if operation.begin <= at + 1 and (is_stop or is_later_start or is_its_end):
            return True
    return False


def _is_unsaved(facts: Facts, pod: Pod) -> bool:
    """Return whether the hub had no room to save the pod's start, which failed for it, whatever it told the user."""
    return any(
        fault.kind == "disk full" and fault.begin - HELD <= pod.born <= fault.end for fault in facts.faults
    )


def _is_out_of_reach(facts: Facts, pod: Pod, at: float) -> bool:
    """Return whether the pod serves a URL of an earlier name of its user, and its hub has lost its database.

    JupyterHub gives a renamed user's new servers the URL of the old name until its restart, and expects that of the new name then.
    """
    person = pod.server.partition("/")[0]
    is_lost = any(
        fault.kind == DATABASE_BACK and fault.begin <= at <= fault.end + 3 * SETTLE for fault in facts.faults
    )
    return is_lost and any(
        operation.verb == "rename" and operation.server == f"{person}/" and operation.begin < at
        for operation in facts.operations
    )


def hub_ends(facts: Facts) -> Iterator[Violation]:
    """The hub ends only when it is killed."""
    for end in facts.of(HubEnd):
        yield Violation(invariant="hub ended by itself", at=end.at, server="", what=end.last_words[-300:])


def active_culled(facts: Facts) -> Iterator[Violation]:
    """No server that is in use is culled: its user, or their notebook, has just been there, whatever the hub knows."""
    used = _uses(facts)
    for cull in facts.of(Cull):
        if not any(pod.is_alive(cull.at) for pod in facts.pods_of.get(cull.server, [])):
            continue
        idle = cull.at - max((at for at in used[cull.server] if at < cull.at), default=0.0)
        if idle < facts.start.idle_timeout - SETTLE:
            what = f"used {idle:.0f} s before"
            yield Violation(invariant="active server culled", at=cull.at, server=cull.server, what=what)


def _uses(facts: Facts) -> dict[str, list[float]]:
    """Return when each server was used: a start that succeeded, or a notebook that worked, whether or not the hub heard."""
    used: dict[str, list[float]] = defaultdict(list)
    for operation in facts.operations:
        if operation.verb == "activity":
            used[operation.server].append(operation.begin)
        elif operation.verb == "start" and operation.outcome == "ready":
            used[operation.server].append(operation.end)
    return used


def idle_left(facts: Facts) -> Iterator[Violation]:
    """Two sweeps after its time-out, in peace, no idle server is left."""
    last = next((sample for sample in reversed(facts.samples) if sample.servers), None)
    if last is None or last.servers is None:
        return
    limit = facts.start.idle_timeout + 2 * facts.start.cull_every
    used = _uses(facts)
    for server, state in last.servers.items():
        idle = last.at - max(used[server], default=facts.start.at)
        if state == "ready" and idle > limit + SETTLE:
            what = f"idle for {idle:.0f} s"
            yield Violation(invariant="idle server left", at=last.at, server=server, what=what)


def wrong_routes(facts: Facts) -> Iterator[Violation]:
    """At the end each ready server has a route, and it leads to its pod."""
    last = next((each for each in reversed(facts.samples) if each.servers and each.routes is not None), None)
    if last is None or last.servers is None or last.routes is None:
        return
    for server, state in last.servers.items():
        pods = [pod for pod in facts.pods_of.get(server, []) if pod.is_alive(last.at)]
        if state == "ready" and pods and last.routes.get(server) not in {pod.address for pod in pods}:
            what = f"{last.routes.get(server)} instead of {pods[0].address}"
            yield Violation(invariant="wrong route", at=last.at, server=server, what=what)


def leaks(facts: Facts) -> Iterator[Violation]:
    """No token is in a log or a pod's spec."""
    for leak in facts.of(Leak):
        what = f"{leak.secret} in {leak.place}"
        yield Violation(invariant="token leaked", at=facts.end, server="", what=what)


def too_many_requests(facts: Facts) -> Iterator[Violation]:
    """The hub asks a bounded number of things, also when all fails."""
    asked = Counter(int(request.at // WINDOW) for request in facts.requests)
    under_way = Counter(
        window
        for begin, end in _changes(facts)
        for window in range(int(begin // WINDOW), int(end // WINDOW) + 2)
    )
    for window, count in asked.items():
        allowed = WINDOW * REQUESTS_A_SECOND + REQUESTS_AN_OPERATION * under_way[window]
        if count > allowed:
            what = f"{count} in {WINDOW:.0f} s, {allowed:.0f} are allowed"
            yield Violation(invariant="too many requests", at=window * WINDOW, server="", what=what)


def _changes(facts: Facts) -> Iterator[tuple[float, float]]:
    """Yield when each operation that the hub may need the cluster for began and ended."""
    for operation in facts.operations:
        if operation.verb != "activity":
            yield operation.begin, operation.end
    for cull in facts.of(Cull):
        yield cull.at, cull.at


INVARIANTS: Sequence[Callable[[Facts], Iterator[Violation]]] = (
    stopped_while_it_runs,
    stale_views,
    orphans,
    two_pods,
    two_claims,
    lost_claims,
    foreign_objects,
    starts_without_end,
    failures_in_peace,
    slow_starts,
    deleted_while_wanted,
    hub_ends,
    active_culled,
    idle_left,
    wrong_routes,
    leaks,
    too_many_requests,
)


def judge(facts: Facts) -> list[Violation]:
    """Return all violations."""
    return [violation for invariant in INVARIANTS for violation in invariant(facts)]


def heal_seconds(facts: Facts, number: int) -> float | None:
    """Return how long after a fault's end all was well; None: not before the next fault.

    All is well when hub and cluster agree about every server, and a start that began after the fault has succeeded.
    """
    fault = facts.faults[number]
    until = facts.faults[number + 1].begin if number + 1 < len(facts.faults) else facts.end
    after = [sample for sample in facts.samples if fault.end <= sample.at < until]
    bad = [sample.at for sample in after if sample.servers is None or _is_bad(facts, sample.at, fault.begin)]
    starts = [
        operation.end
        for operation in facts.operations
        if operation.verb == "start" and operation.outcome == "ready" and fault.end <= operation.begin < until
    ]
    if not after or not starts or (bad and bad[-1] == after[-1].at):
        return None
    return max(max(bad, default=fault.end), min(starts)) - fault.end


def _is_bad(facts: Facts, at: float, since: float) -> bool:
    """Return whether a disagreement that began with the fault or later is on."""
    return any(since <= span.begin <= at <= span.end for span in facts.spans)
