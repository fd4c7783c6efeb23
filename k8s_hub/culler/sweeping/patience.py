"""How long the culler goes on to ask a hub that is away, busy or slow, and how it tells what failed for good."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from k8s_hub.hub.errors import Forbidden, HubError, Unavailable
from k8s_hub.retries import RetryPolicy, retrying

log = logging.getLogger(__name__)

T = TypeVar("T")

ASKING = RetryPolicy(initial=0.2, ceiling=10.0, deadline=60.0, jitter=0.5)
"""A hub restarts in less than the deadline.

Short at first: a server keeps its place while it waits, so that a hub that is away is not asked for all of them.
"""


async def patiently(call: Callable[[], Awaitable[T]], *, wait_level: int = logging.DEBUG) -> T:
    """Await ``call()`` until the hub is available; raise Unavailable when ASKING's time is up."""

    def tell(error: Unavailable, delay: float) -> None:
        log.log(wait_level, "%s; again in %.1f s", error, delay)

    return await retrying(ASKING, call, on=Unavailable, on_wait=tell)


def tell_failures(kind: str, failures: Mapping[str, Exception]) -> int:
    """Log what went wrong, by name of the server or user, without repeating itself; return how many there are."""
    forbidden = [error for error in failures.values() if isinstance(error, Forbidden)]
    if forbidden:  # It is about the token: the same sentence for every server would hide the others.
        log.error("Failed on %d %ss: %s", len(forbidden), kind, forbidden[0])
    shown: set[type[Exception]] = set()
    for name, error in failures.items():
        match error:
            case Forbidden():
                pass
            case HubError():
                log.error("Failed on %s %s: %s", kind, name, error)
            case _:
                # No answer of the hub, but a mistake in the arbiter hook or here: one traceback tells it.
                is_known = type(error) in shown
                log.error("Failed on %s %s: %r", kind, name, error, exc_info=None if is_known else error)
                shown.add(type(error))
    return len(failures)
