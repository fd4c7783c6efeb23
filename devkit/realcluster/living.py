"""The living processes of this machine from /proc, without zombies."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Living:
    """A process, from its stat file."""

    pid: int
    parent: int
    group: int


def living() -> Iterator[Living]:
    """Return the living processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # The name, in brackets, may hold anything.
            state, parent, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if state not in {"Z", "X"}:
                yield Living(pid=int(folder.name), parent=int(parent), group=int(group))


def descendants(pid: int) -> list[int]:
    """Return the descendants of a process."""
    children: dict[int, list[int]] = {}
    for one in living():
        children.setdefault(one.parent, []).append(one.pid)
    found, unseen = [], [pid]
    while unseen:
        born = children.get(unseen.pop(), [])
        found.extend(born)
        unseen.extend(born)
    return found


def command_line(pid: int) -> str:
    """Return the command line; a question mark if the process is gone."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        return words.decode(errors="replace")
    return "?"
