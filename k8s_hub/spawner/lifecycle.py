"""Where one server is in its life, as far as its spawner alone can know: one value, and the steps from one to the next.

What the cluster has is asked of the cluster. Only the spawner knows whether a start of its own is under way, and whether
one that ended without an address may have left something behind. What each call answers is docs/lifecycle.md.

| in | what happens | then |
|---|---|---|
| Unknown | poll() sees the pod alive | Running |
| Unknown | poll() waits for the cluster in vain; clear_state() | Idle |
| Idle, Running, Failed | start() | Starting |
| Idle | poll() sees the pod alive | Running |
| Starting | start() returns its URL | Running |
| Starting | start() fails, or is cancelled, before its first create | Idle |
| Starting | start() fails, or is cancelled, after it | Failed |
| Starting | stop() of what an earlier start has left | Starting, without an attempt id |
| Running, Failed | stop() | Idle |
| Running | clear_state() | Idle |
"""

from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.kube.core.store import Entry

UNFINISHED_START = 300.0
"""Seconds that poll() waits for the cluster's word about a server whose start the hub did not survive."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Of a new spawner: the hub may have died in the middle of its server's start, and the cluster was not asked yet."""


@dataclass(frozen=True, slots=True)
class Idle:
    """No run is known, and no start can have left anything; whether there is a pod all the same, the cluster says."""


@dataclass(frozen=True, slots=True)
class Starting:
    """start() is under way, and needs the views whatever a poll() that began before it finds."""

    #: The id of the start that may have created something: of this one, or of a failed one before it.
    attempt_id: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """start() has returned a URL, or poll() has seen the pod alive."""

    #: The pod as poll() last saw it alive; None before.
    seen: Entry | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """start() has ended without a URL and may have created something, so that the hub has to call stop()."""

    attempt_id: str


Life: TypeAlias = Unknown | Idle | Starting | Running | Failed


def may_have_created(life: Life) -> bool:
    """Tell whether a start may have created something of which no URL is known: poll() says None, so that stop() comes."""
    return _attempt_of(life) is not None


def start_begun(life: Life) -> Starting:
    """start() is called; what a start before it has left is still there."""
    return Starting(_attempt_of(life))


def create_begun(attempt_id: str) -> Starting:
    """The start is about to create its first object."""
    return Starting(attempt_id)


def start_succeeded() -> Running:
    """start() returns a URL."""
    return Running()


def start_failed(life: Life) -> Life:
    """start() has failed, or was cancelled."""
    match life:
        case Starting(attempt_id=None):
            return Idle()
        case Starting(attempt_id=str(attempt_id)):
            return Failed(attempt_id)
        case _:
            return life


def stopped(life: Life) -> Life:
    """stop() saw to it that nothing is left; a start that goes on meanwhile may create something again."""
    return Starting() if isinstance(life, Starting) else Idle()


def cleared(life: Life) -> Life:
    """The hub forgets what it knew of a run, before a start or after a stop: clear_state()."""
    return life if isinstance(life, Starting | Failed) else Idle()


def seen_alive(life: Life, pod: Entry | None) -> Life:
    """poll() has seen the pod alive."""
    return life if isinstance(life, Starting | Failed) else Running(pod)


def unanswered(life: Life) -> Life:
    """poll() has waited for the cluster's word in vain, which it does for long only once."""
    return Idle() if isinstance(life, Unknown) else life


def _attempt_of(life: Life) -> str | None:
    return life.attempt_id if isinstance(life, Starting | Failed) else None
