"""What a single-user server says of its kernels and terminals, read from the answers of its REST API.

What jupyter_server means by the fields, as its source has it:

- A kernel's ``execution_state`` is "busy" while it executes something that a user or a program asked for. It is
  "starting" until the kernel's first word is heard, which for a kernel that nobody connects to may be never; "dead",
  "restarting" and the rest name a kernel that executes nothing. So only "busy" is busy. What starts is not lost:
  its ``last_activity`` is the time of its start.
- A kernel's ``last_activity`` is its start, or the newest message that belongs to an execution, a completion or a
  widget: while it is busy, every message. What a tab asks for when it is opened or reconnects does not count, nor
  does the tab's polling. A busy kernel that prints nothing has the time when it began.
- ``connections`` are the websockets to the kernel, which are open tabs.
- A terminal's ``last_activity`` is the newest output or input. It has no count of its tabs.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from k8s_hub.culler.judging.facts import Work
from k8s_hub.objects import timestamps

BUSY = "busy"
LONGEST_QUOTE = 60
"""In characters: an error quotes what a user's server said, which may be anything."""


class BadWork(Exception):  # noqa: N818 - it says what it is
    """An answer that makes no sense; the message says which field has which value."""


def work_of(kernels: Any, terminals: Any) -> Work:
    """Read the decoded answers of ``/api/kernels`` and ``/api/terminals``; None: the server has no terminals.

    Raise BadWork.
    """
    of_kernels = _objects(kernels, "kernels")
    of_terminals = _objects([] if terminals is None else terminals, "terminals")
    moments = [_moment(kernel, "a kernel") for kernel in of_kernels]
    moments += [_moment(terminal, "a terminal") for terminal in of_terminals]
    return Work(
        busy=sum(_is_busy(kernel) for kernel in of_kernels),
        connections=sum(_connections(kernel) for kernel in of_kernels),
        last_execution=max(moments, default=None),
    )


def _objects(raw: Any, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(item, Mapping) for item in raw):
        raise BadWork(f"{what} are {_quote(raw)}, not a list of objects")
    return raw


def _is_busy(kernel: Mapping[str, Any]) -> bool:
    state = kernel.get("execution_state")
    if state is not None and not isinstance(state, str):  # None: the kernel was not asked for its state yet
        raise BadWork(f"a kernel's execution_state is {_quote(state)}, not a word")
    return state == BUSY


def _connections(kernel: Mapping[str, Any]) -> int:
    number = kernel.get("connections")
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise BadWork(f"a kernel's connections are {_quote(number)}, not a number")
    return number


def _moment(raw: Mapping[str, Any], whose: str) -> datetime:
    text = raw.get("last_activity")
    try:
        return timestamps.parse(text)  # type: ignore[arg-type] # what is no text is a TypeError
    except (TypeError, ValueError):
        raise BadWork(f"{whose}'s last_activity is {_quote(text)}, not a time with an offset") from None


def _quote(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:  # what is just deep enough to be decoded
        return "nested too deeply"
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."
