"""The living processes of this machine, out of /proc; a zombie does not live."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Living:
    """A process, as its stat file tells it."""

    pid: int
    parent: int
    group: int


def living() -> Iterator[Living]:
    """Those that were there while we looked."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            # The name, in brackets, may hold anything.
            state, parent, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if state not in {"Z", "X"}:
                yield Living(pid=int(folder.name), parent=int(parent), group=int(group))


def descendants(pid: int) -> list[int]:
    """Those that a process, or one of its descendants, is the parent of."""
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
    """Its words, or a question mark when it is gone."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
        return words.decode(errors="replace")
    return "?"
