"""What a single-user server says of its kernels and terminals, read from the answers of its REST API.

It is read part by part: a kernel that is busy counts although another one makes no sense, and although the terminals
were not told.

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
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8s_hub.culler.judging.facts import Work
from k8s_hub.objects import timestamps
from k8s_hub.text import quoted

BUSY = "busy"

MOST_CONNECTIONS = 1_000_000
"""To one kernel. A server is its user's program: it may tell any number."""

MOST_ITEMS = 10_000
"""Kernels or terminals that are read; each takes the culler's loop a microsecond or two."""


@dataclass(slots=True)
class Answer:
    """What a server says, as far as it can be read."""

    busy: int = 0
    connections: int = 0
    last_execution: datetime | None = None
    problem: str | None = None  # the first part that could not be read: which field has which value

    @property
    def work(self) -> Work | None:
        """What the server runs; None where it said nothing that can be read."""
        if self.problem is not None and not self.busy and self.last_execution is None:
            return None
        return Work(
            busy=self.busy,
            connections=self.connections,
            last_execution=self.last_execution,
            is_partial=self.problem is not None,
        )

    def add_kernels(self, raw: Any) -> None:
        """Read the decoded answer of ``/api/kernels``."""
        for kernel in self._objects(raw, "kernels"):
            self._add_state(kernel.get("execution_state"))
            self._add_connections(kernel.get("connections"))
            self._add_moment(kernel.get("last_activity"), "a kernel")

    def add_terminals(self, raw: Any) -> None:
        """Read the decoded answer of ``/api/terminals``; None: the server has no terminals."""
        for terminal in self._objects([] if raw is None else raw, "terminals"):
            self._add_moment(terminal.get("last_activity"), "a terminal")

    def miss(self, part: str, value: Any, rule: str) -> None:
        """Note that a part could not be read; the first is told."""
        if self.problem is None:
            self.problem = f"{part} {quoted(value)}, not {rule}"

    def _objects(self, raw: Any, what: str) -> list[Mapping[str, Any]]:
        if not isinstance(raw, list):
            self.miss(f"{what} are", raw, "a list of objects")
            return []
        objects = [item for item in raw[:MOST_ITEMS] if isinstance(item, Mapping)]
        if len(objects) < len(raw):
            self.miss(f"{what} are", raw, f"a list of at most {MOST_ITEMS} objects")
        return objects

    def _add_state(self, state: Any) -> None:
        if isinstance(state, str):
            self.busy += state == BUSY
        elif state is not None:  # None: the kernel was not asked for its state yet
            self.miss("a kernel's execution_state is", state, "a word")

    def _add_connections(self, number: Any) -> None:
        if type(number) is int and 0 <= number <= MOST_CONNECTIONS:
            self.connections += number
        else:
            self.miss("a kernel's connections are", number, f"a number up to {MOST_CONNECTIONS}")

    def _add_moment(self, text: Any, whose: str) -> None:
        try:
            moment = timestamps.parse(text)
        except (TypeError, ValueError):
            self.miss(f"{whose}'s last_activity is", text, "a time with an offset")
        else:
            if self.last_execution is None or moment > self.last_execution:
                self.last_execution = moment
