"""The CPU time and memory of a process, from the kernel."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Megabytes."""

    resident: float
    #: Shared pages counted by their share.
    proportional: float
    #: Pages of its own.
    private: float


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / TICKS_A_SECOND


def memory(pid: int) -> Memory:
    """Return what it holds now."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return Memory(
        resident=kilobytes["Rss"] / 1000,
        proportional=kilobytes["Pss"] / 1000,
        private=(kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) / 1000,
    )


def highest_resident(pid: int) -> float:
    """Return the most megabytes that it has held at any time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000
