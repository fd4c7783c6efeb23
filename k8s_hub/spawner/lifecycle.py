"""The state of one server's life, as far as only its spawner knows it: one value, and the transitions.

The cluster knows which objects exist. Only the spawner knows whether one of its starts is under way, or may have
left objects behind when it ended without an address. docs/lifecycle.md says what each call returns.

| in | what happens | then |
|---|---|---|
| Unknown | poll() sees the pod alive | Running |
| Unknown | poll() waits for the cluster in vain; clear_state() | Idle |
| Idle, Running, Failed | start() | Starting |
| Idle | poll() sees the pod alive | Running |
| Starting | start() returns its URL | Running |
| Starting | start() fails, or is cancelled, before its first create | Idle |
| Starting | start() fails, or is cancelled, after it | Failed |
| Starting | stop() of what an earlier start left behind | Starting, without an attempt id |
| Running, Failed | stop() | Idle |
| Running | clear_state() | Idle |
"""

from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.kube.core.store import Entry
from k8s_hub.objects.raw import Raw

UNFINISHED_START = 300.0
"""Seconds that poll() waits for the cluster's answer about a server if the hub died during its start."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The spawner is new and has not asked the cluster yet; the hub may have died during the server's start."""


@dataclass(frozen=True, slots=True)
class Idle:
    """No run is known, and no start can have left anything; only the cluster knows whether there is a pod."""


@dataclass(frozen=True, slots=True)
class Starting:
    """start() is under way, and needs the views whatever the result of a poll() that began before it."""

    #: The id of the start that may have created something: this one, or a failed one before it.
    attempt_id: str | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """start() has returned a URL, or poll() has seen the pod alive."""

    #: The pod as poll() last saw it alive; None before.
    seen: Entry | None = None
    #: Whether the view of pods shows the pod, and so every change of it.
    is_watched: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """start() has ended without a URL and may have created something, so the hub has to call stop()."""

    attempt_id: str


Life: TypeAlias = Unknown | Idle | Starting | Running | Failed


def may_have_created(life: Life) -> bool:
    """Tell whether a start without a URL may have created something: poll() then returns None, so the hub stops it."""
    return attempt_of(life) is not None


def start_begun(life: Life) -> Starting:
    """start() is called; what an earlier start left behind still exists."""
    return Starting(attempt_of(life))


def create_begun(attempt_id: str) -> Starting:
    """The start is about to create its first object."""
    return Starting(attempt_id)


def start_succeeded() -> Running:
    """start() returns a URL."""
    return Running()


def start_failed(life: Life) -> Life:
    """start() failed or was cancelled."""
    match life:
        case Starting(attempt_id=None):
            return Idle()
        case Starting(attempt_id=str(attempt_id)):
            return Failed(attempt_id)
        case _:
            return life


def stopped(life: Life) -> Life:
    """stop() has removed everything; a start that is still under way may create something again."""
    return Starting() if isinstance(life, Starting) else Idle()


def cleared(life: Life) -> Life:
    """clear_state(): the hub forgets a run, before a start or after a stop."""
    return life if isinstance(life, Starting | Failed) else Idle()


def seen_alive(life: Life, pod: Entry | None) -> Life:
    """poll() has seen the pod alive."""
    return life if isinstance(life, Starting | Failed) else Running(pod, is_watched=pod is not None)


def last_seen_alive(life: Life) -> Raw:
    """Return the pod as poll() last saw it alive; empty before."""
    return life.seen.kept if isinstance(life, Running) and life.seen is not None else {}


def is_watched(life: Life) -> bool:
    """Tell whether the watch reports this server's end."""
    return isinstance(life, Running) and life.is_watched


def unanswered(life: Life) -> Life:
    """poll() got no answer from the cluster; it waits `UNFINISHED_START` only once."""
    return Idle() if isinstance(life, Unknown) else life


def attempt_of(life: Life) -> str | None:
    """Return the id of a start without a URL that may have created something; None if there is none."""
    return life.attempt_id if isinstance(life, Starting | Failed) else None
