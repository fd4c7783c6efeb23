"""Looks for orphans in the hub's process, because only the hub knows which starts and stops are under way.

It reports each orphan once and counts them. It removes pods that have ended and, if the administrator wants it, the others.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from prometheus_client import Gauge

from k8s_hub.clock import utcnow
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Conflict, Forbidden, KubeError, NotFound, is_unanswered
from k8s_hub.kube.core.resources import PODS, Resource
from k8s_hub.kube.informer import Informer
from k8s_hub.manifests.metadata import USERNAME_LABEL
from k8s_hub.objects.keys import Key, is_terminating, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.orphans.plan import (
    NO_SERVERS,
    Facts,
    HubServers,
    Orphan,
    doubt_about_the_whole,
    find_orphans,
    judge,
    may_be_orphan,
)
from k8s_hub.retries import Rng

logger = logging.getLogger(__name__)

ORPHANS = Gauge(
    "k8s_hub_orphans",
    "Pods, Secrets and Services of this hub without a server that runs, starts or stops.",
    ["kind"],
)

_REPLACED = "another object has its name now"

INTERVAL = 60.0
JITTER = 0.2
"""Seconds between two looks, and the random share of them that is added."""

SECOND_LOOK = 60.0
"""Seconds after which an orphan that is still there counts as one."""

MOST_REMOVALS = 20
"""Removals in one look: each reads the hub's servers again, which takes a hub with 10,000 users some 50 ms."""

AWAY = 3
"""Removals in a row without an answer, after which a look ends: the API server is away, and not unable to delete one object."""

LOUD = 3
"""Looks without an answer to the removal of one object, after which the log has it."""

PODS_AT_ONCE = 200
"""Pods that are decoded before other tasks of the hub have their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanOptions:
    """What the administrator wants."""

    #: Empty outside a Helm release.
    release_labels: dict[str, str]
    #: False: report only.
    removes_all: bool
    #: Whether pods that have ended are removed; otherwise they are kept for inspection and never count.
    removes_ended: bool


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """Owns what was seen and logged of orphans. `run` is its only task."""

    api: KubeApi
    #: Returns the informers of all namespaces that the hub watches.
    pods: Callable[[], Awaitable[Sequence[Informer]]]
    #: What else spawners create, and where; a part that the hub may not list is dropped.
    owned: list[tuple[Resource, str]]
    #: Returns what the hub knows now. It reads all servers: 0.2 s with ten thousand.
    hub: Callable[[], HubServers]
    #: Returns the pods of servers that certainly run, start or stop: they are no orphans.
    running: Callable[[], Awaitable[Collection[Key]]]
    options: OrphanOptions
    #: Tells whether the hub may still adopt the pod with this uid.
    may_adopt: Callable[[str], bool] = lambda _uid: False
    rng: Rng = random.random
    #: The loop time of the first look that found an orphan, by uid.
    _first_seen: dict[str, float] = field(default_factory=dict)
    #: The uids of orphans that were logged because they stay. They may go later: a pod that has ended does.
    _reported: set[str] = field(default_factory=set)
    #: The uids of those whose deletion was refused.
    _refused: set[str] = field(default_factory=set)
    #: How many looks got no answer to the removal of an orphan, by uid.
    _unanswered: Counter[str] = field(default_factory=Counter)
    _doubt: str | None = None
    _is_crash_logged: bool = False

    async def run(self) -> None:
        """Look again and again. Never raises."""
        while True:
            await asyncio.sleep(INTERVAL * (1 + JITTER * self.rng()))
            try:
                await self._look()
            except KubeError as error:
                logger.debug("orphans: the cluster did not answer, looking again later: %s", error)
            except Exception as error:
                level = logging.DEBUG if self._is_crash_logged else logging.ERROR
                logger.log(level, "orphans: a look failed because of a bug, going on", exc_info=error)
                self._is_crash_logged = True

    async def _look(self) -> None:
        running = await self.running()
        pods, pod_uids, is_complete = await self._pods_in_fresh_views(running)
        owned: list[tuple[Resource, Raw]] = []
        if is_complete:  # without all pods, what they own would look like orphans
            owned, is_complete = await self._owned_objects()
        objects = [*((PODS, pod) for pod in pods), *owned]
        facts = Facts(
            hub=NO_SERVERS,
            release_labels=self.options.release_labels,
            pod_uids=pod_uids,
            now=utcnow(),
            adoptable=self._adoptable(pod_uids),
        )
        if any(may_be_orphan(resource, obj, facts) for resource, obj in objects):
            facts = replace(facts, hub=self.hub())
        found = find_orphans(objects, facts)
        if is_complete:
            self._forget_all_but({orphan.uid for orphan in found.orphans})
        orphans = self._confirmed([orphan for orphan in found.orphans if self._counts(orphan)])
        for kind in {PODS.kind, *(resource.kind for resource, _ in self.owned)}:
            ORPHANS.labels(kind=kind).set(sum(orphan.resource.kind == kind for orphan in orphans))
        candidates = [orphan for orphan in orphans if self._is_to_go(orphan)]
        self._log(orphan for orphan in orphans if not self._is_to_go(orphan))
        if self._is_safe(candidates, found.total + len(pod_uids) - len(pods), facts.hub):
            await self._remove(candidates, facts)

    # --- What there is ---

    def _adoptable(self, uids: Iterable[str]) -> frozenset[str]:
        return frozenset(uid for uid in uids if self.may_adopt(uid))

    async def _pods_in_fresh_views(self, running: Collection[Key]) -> tuple[list[Raw], frozenset[str], bool]:
        """Return the pods that are not ``running``, the uids of all, and whether all views are fresh."""
        pods: list[Raw] = []
        uids: set[str] = set()
        is_complete = True
        for informer in await self.pods():
            if not (informer.is_synced and informer.is_watching):
                is_complete = False
                continue
            entries = (informer.view.entry(key) for key in informer.view)
            uids.update(entry.uid for entry in entries if entry is not None)
            pods += [pod async for pod in pods_in(informer, besides=running)]
        return pods, frozenset(uids), is_complete

    async def _owned_objects(self) -> tuple[list[tuple[Resource, Raw]], bool]:
        """Return what pods own, and whether the API server has answered each list."""
        objects: list[tuple[Resource, Raw]] = []
        is_complete = True
        for resource, namespace in tuple(self.owned):
            try:
                pages = self.api.list_pages(resource, namespace, label_selector=USERNAME_LABEL)
                # Never more than the metadata: a Secret's data is not needed.
                objects += [
                    (resource, {"metadata": obj["metadata"]}) async for page in pages for obj in page.items
                ]
            except KubeError as error:
                if isinstance(error, Forbidden) and not is_unanswered(error):
                    logger.warning("orphans: %s in %s are not checked: %s", resource, namespace, error)
                    self.owned.remove((resource, namespace))
                    continue
                is_complete = False
                logger.debug("orphans: %s in %s cannot be listed now: %s", resource, namespace, error)
        return objects, is_complete

    def _forget_all_but(self, uids: Collection[str]) -> None:
        self._reported.intersection_update(uids)
        self._refused.intersection_update(uids)
        for uid in self._unanswered.keys() - uids:
            del self._unanswered[uid]

    def _confirmed(self, orphans: Sequence[Orphan]) -> list[Orphan]:
        """Return those that an earlier look found, too."""
        now = asyncio.get_running_loop().time()
        self._first_seen = {orphan.uid: self._first_seen.get(orphan.uid, now) for orphan in orphans}
        return [orphan for orphan in orphans if now - self._first_seen[orphan.uid] >= SECOND_LOOK]

    # --- What is done about it ---

    def _counts(self, orphan: Orphan) -> bool:
        return self.options.removes_ended or not orphan.has_ended

    def _is_to_go(self, orphan: Orphan) -> bool:
        return orphan.doubt is None and (orphan.has_ended or self.options.removes_all)

    def _log(self, orphans: Iterable[Orphan]) -> None:
        for orphan in orphans:
            if orphan.uid not in self._reported:
                self._reported.add(orphan.uid)
                logger.warning("%s: it has no server: %s. %s", orphan, orphan.cause, _advice(orphan))

    def _is_safe(self, candidates: Sequence[Orphan], total: int, hub: HubServers) -> bool:
        """Return whether to remove them; log a doubt when it begins."""
        doubt = doubt_about_the_whole(candidates, total, hub) if candidates else None
        if doubt is not None and self._doubt is None:
            logger.error(
                "orphans: nothing is removed: %s. Check its database, then see `k8s-hub orphans list`", doubt
            )
        self._doubt = doubt
        return doubt is None

    async def _remove(self, candidates: Sequence[Orphan], facts: Facts) -> None:
        async def facts_now() -> Facts:
            # Never awaits: nothing can happen between what the hub knows and the request.
            return replace(facts, hub=self.hub(), now=utcnow(), adoptable=self._adoptable(facts.pod_uids))

        not_refused = [orphan for orphan in candidates if orphan.uid not in self._refused]
        not_refused.sort(key=lambda orphan: self._unanswered[orphan.uid])
        in_a_row = 0
        for orphan in not_refused[:MOST_REMOVALS]:
            try:
                kept_because = await remove(self.api, orphan, facts_now)
            except KubeError as error:
                if not is_unanswered(error):
                    self._refused.add(orphan.uid)
                    logger.warning("%s: it has no server, and was not deleted: %s", orphan, error)
                    continue
                self._note_unanswered(orphan, error)
                in_a_row += 1
                if in_a_row == AWAY:
                    raise
                continue
            in_a_row = 0
            if kept_because is None:
                logger.info("%s: deleted because it had no server: %s", orphan, orphan.cause)
            else:
                logger.debug("%s: kept because %s", orphan, kept_because)

    def _note_unanswered(self, orphan: Orphan, error: KubeError) -> None:
        self._unanswered[orphan.uid] += 1
        level = logging.WARNING if self._unanswered[orphan.uid] == LOUD else logging.DEBUG
        logger.log(level, "%s: it has no server, and its deletion fails, retrying: %s", orphan, error)


async def pods_in(informer: Informer, *, besides: Collection[Key] = ()) -> AsyncIterator[Raw]:
    """Yield the pods of a view, without those of ``besides``; other tasks have their turn after each `PODS_AT_ONCE`."""
    for number, key in enumerate(informer.view, start=1):
        pod = None if key in besides else informer.view.get(key)
        if pod is not None:
            yield pod
        if number % PODS_AT_ONCE == 0:
            await asyncio.sleep(0)


async def remove(api: KubeApi, orphan: Orphan, read_facts: Callable[[], Awaitable[Facts]]) -> str | None:
    """Delete one orphan by its uid, judged again right before by what hub and cluster say now.

    Returns None once the API server accepted the deletion, else why the object was kept. Raises KubeError.
    A pod gets its own grace period.
    """
    try:
        obj = await api.get(orphan.resource, orphan.key)
        if uid_of(obj) != orphan.uid:
            return _REPLACED
        if is_terminating(obj):
            return "it is already being deleted"
        again = judge(orphan.resource, obj, await read_facts())
        if again is None:
            return "its server runs, starts or stops now"
        if again.doubt is None:
            await api.delete(orphan.resource, orphan.key, uid=orphan.uid)
    except NotFound:
        return "it is already gone"
    except Conflict:
        return _REPLACED
    return again.doubt


def _advice(orphan: Orphan) -> str:
    if orphan.doubt is not None:
        return f"It is kept because {orphan.doubt}. If it is this hub's, delete it"
    return "Delete it, or set KubeSpawner.orphans to 'remove'"
