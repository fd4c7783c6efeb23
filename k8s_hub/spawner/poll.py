"""Whether one server runs: what poll() finds in the view of the cluster, and how the hub hears of an end."""

# ruff: noqa: SLF001 - JupyterHub keeps in these attributes of a spawner whether it listens

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias, cast

from tornado.ioloop import IOLoop

from k8s_hub.diagnosis.pod_life import Ended, judge_pod
from k8s_hub.kube.connection import stall_tolerant_timeout
from k8s_hub.kube.core.errors import NotFound, Unavailable
from k8s_hub.kube.core.resources import PODS
from k8s_hub.kube.core.store import Entry
from k8s_hub.objects.keys import key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner.cluster import Cluster
from k8s_hub.spawner.lifecycle import UNFINISHED_START, Life, Running, Unknown
from k8s_hub.spawner.spec import OwnPod

CONFIRMING = RetryPolicy(deadline=math.inf)
"""The time that a poll may take is the only limit."""

UNFINISHED = "the hub died in the middle of its start, before there was a pod"
REMOVED = "its pod was removed by somebody else"


CHANGE_LATER = 5.0
"""Seconds until a change is reported again that came while the hub did not listen."""


class PollInterval(IntEnum):
    """Seconds between two polls where `poll_interval` is not set."""

    WATCHED = 300
    #: JupyterHub's own default.
    UNWATCHED = 30


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The pod is alive and has not changed since the last poll: each change makes a new entry of the view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodAlive:
    """The server runs, or may still come to run."""

    pod: Raw
    #: None for a pod that the view does not show.
    entry: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEnded:
    """The pod exists, and its server has ended."""

    pod: Raw
    end: Ended


@dataclass(frozen=True, slots=True)
class NoPod:
    """The pod certainly does not exist."""


Found: TypeAlias = Unchanged | PodAlive | PodEnded | NoPod


async def look(
    cluster: Cluster, own: OwnPod, life: Life, address: str | None, *, request_timeout: float
) -> Found:
    """Return the state of a server's pod.

    ``address`` is the host in the hub's row of the server: None without a row, empty if the server was still
    starting. Raises KubeError or TimeoutError if the cluster cannot say.
    """
    if isinstance(life, Running) and life.seen is not None and cluster.pods.view.entry(own.key) is life.seen:
        # The entry is the same, too, if the watch has lost the pod's end. The list that follows then has the hub poll again.
        await cluster.pods.confirm_next()
        return Unchanged()
    seconds = _seconds_to_wait(cluster, life, address, request_timeout)
    if not cluster.pods.is_synced:
        await _view_complete(cluster, seconds)
        await cluster.turnstile.turn()  # the polls of all servers wait for the same page
    async with asyncio.timeout(seconds):
        pod = await _find_pod(cluster, own, must_confirm=address is not None)
    if pod is None:
        return NoPod()
    match judge_pod(pod):
        case Ended() as end:
            return PodEnded(pod=pod, end=end)
        case _:
            return PodAlive(pod=pod, entry=cluster.pods.view.entry(key_of(pod)))


def end_without_pod(life: Life, address: str | None) -> tuple[int, str]:
    """Return the exit code and the cause for a server that never ran, or lost its pod to somebody else.

    The cause is empty if it is already known.
    """
    if address is None:
        return 0, ""
    if _was_being_started(life, address):
        return 1, UNFINISHED
    if address or isinstance(life, Running):
        return 1, REMOVED
    return 1, ""  # the start failed before there was a pod, and logged the reason


async def _view_complete(cluster: Cluster, silence: float) -> None:
    """Return once the view shows all pods; raise TimeoutError after ``silence`` seconds without a page of the list.

    With ten thousand pods the first list takes a restarted hub longer than a single request.
    """
    while not cluster.pods.is_synced:
        try:
            async with stall_tolerant_timeout(silence):
                await cluster.pods.wait_synced(deadline=math.inf)
        except TimeoutError:
            if cluster.pods.staleness() >= silence:
                raise


async def _find_pod(cluster: Cluster, own: OwnPod, *, must_confirm: bool) -> Raw | None:
    pod = own.first_in(cluster.pods.view)
    if pod is not None or not must_confirm:
        return pod
    try:
        found = await retrying(CONFIRMING, lambda: cluster.api.get(PODS, own.key), on=Unavailable)
    except NotFound:
        return None
    return found if own.is_own(found) else None


def _seconds_to_wait(cluster: Cluster, life: Life, address: str | None, request_timeout: float) -> float:
    """Return for how many seconds to wait for the cluster's answer.

    A server with an address did run, and the hub can ask the server itself. A server without one was starting
    when the hub died: giving it up would leave its pod behind.
    """
    if _was_being_started(life, address):
        return UNFINISHED_START
    return 0 if cluster.pods.failure is not None else request_timeout


def _was_being_started(life: Life, address: str | None) -> bool:
    """Tell whether the hub died in the middle of this server's start: the row then has no address."""
    return isinstance(life, Unknown) and address == ""


# --- News for the hub ---


_notification: ContextVar[object | None] = ContextVar("notification", default=None)
"""The call of `EndNotifier.poll_and_notify` that the current task works for; tasks inherit it."""


class EndNotifier:
    """Has the hub poll at once when the server's pod changes, and hear of an end once; the spawner owns it."""

    def __init__(self, spawner: Any) -> None:
        self._spawner = spawner
        self._lock = asyncio.Lock()
        #: Identifies the call that holds the lock; None if none does.
        self._notification: object | None = None
        self._is_change_due = False

    async def poll_and_notify(self, notify: Callable[[], Awaitable[int | None]]) -> int | None:
        """Call ``notify``, JupyterHub's own, one call at a time; return the exit code, None while the server runs.

        The hub stops an ended server in this call. A request for a new start polls, too: it has to wait for that stop,
        which would otherwise end in the middle of the new start. A hook that runs in that stop does not wait for it.
        """
        spawner = self._spawner
        if self._notification is not None and _notification.get() is self._notification:
            return cast("int | None", await spawner.poll())
        async with self._lock:
            if spawner.pending and not spawner._callbacks:
                # The hub does not listen yet, and would never hear of an end that is told now.
                return cast("int | None", await spawner.poll())
            self._notification = object()
            token = _notification.set(self._notification)
            try:
                return await notify()
            finally:
                self._notification = None
                _notification.reset(token)

    def object_changed(self) -> None:
        """Have the hub poll at once if it polls this server: the view of pods shows a change of its pod."""
        spawner = self._spawner
        if not spawner._poll_callback:
            return
        # Without callbacks the hub would not hear of an end, and its own poll stops after the first that it does not hear of.
        if spawner._callbacks and not spawner.pending:
            IOLoop.current().add_callback(spawner.poll_and_notify)
        elif not self._is_change_due:
            self._is_change_due = True
            IOLoop.current().call_later(CHANGE_LATER, self._change_again)

    def _change_again(self) -> None:
        self._is_change_due = False
        self.object_changed()
