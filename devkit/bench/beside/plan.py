"""What is compared, with how many users; all that a person can choose."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


class Database(Enum):
    """Where a hub's SQLite database is, and how it writes."""

    MEMORY = auto()
    FILE = auto()  # on a disk, as the chart has it
    WRITE_AHEAD = auto()  # on a disk, with the piece of helm-values/spawner.yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A spawner, or None for a script that creates the same objects without a hub."""

    name: str
    #: The environment that its hub runs in, below the root of the checkout.
    environment: str
    #: module:class
    spawner: str | None
    database: Database = Database.MEMORY
    #: Settings of the hub's configuration by class, beside those of all.
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    #: The file of helm-values whose settings of the hub and of users' servers come on top; "" for none.
    values: str = ""


HUB_ALONE = Subject(name="hub alone", environment=".venv", spawner="devkit.testing.realhub:QuietSpawner")
BARE_SCRIPT = Subject(name="bare script", environment=".venv", spawner=None)
HUB_AND_SCRIPT = Subject(name="hub and script", environment=".venv", spawner=HUB_ALONE.spawner)
"""Both at the same time, neither knowing of the other: the least that hub and cluster cost on one machine."""

PEER = Subject(name="kubespawner", environment=".venv-peer", spawner="kubespawner:KubeSpawner")
OURS = Subject(name="k8s_hub", environment=".venv", spawner="k8s_hub:KubeSpawner")
ON_DISK = (
    replace(PEER, name="kubespawner file", database=Database.FILE),
    replace(OURS, name="k8s_hub file", database=Database.FILE),
    replace(OURS, name="k8s_hub WAL", database=Database.WRITE_AHEAD),
)
"""The same with a database in a file: how long the disk holds up the hub."""

_NO_WAIT = {"tornado_settings": {"slow_spawn_timeout": 0}}
_LIMIT = 64  # the chart's
QUEUED = replace(
    OURS,
    name="k8s_hub queue 64",
    more={"JupyterHub": _NO_WAIT, "KubeSpawner": {"concurrent_starts": _LIMIT}},
)
CLASSES = (
    replace(HUB_ALONE, name="hub alone, class", more={"JupyterHub": _NO_WAIT}),
    replace(PEER, name="kubespawner, no limit", more={"JupyterHub": _NO_WAIT}),
    replace(PEER, name="kubespawner 64", more={"JupyterHub": {**_NO_WAIT, "concurrent_spawn_limit": _LIMIT}}),
    replace(OURS, name="k8s_hub, no limit", more={"JupyterHub": _NO_WAIT}),
    QUEUED,
)
"""Whose hubs a class arrives at."""

USUAL = (HUB_ALONE, BARE_SCRIPT, HUB_AND_SCRIPT, PEER, OURS)
SUBJECTS = (*USUAL, *ON_DISK)
"""In the order of their turns."""

WHEN_LARGE = (HUB_ALONE, PEER, OURS)
"""Whom to measure with more users than the fewest of a run."""

POLLED_AS_OURS = {"QuietSpawner": {"poll_interval": 300}}
"""k8s_hub's interval for servers that it watches: a hub alone with JupyterHub's 30 s would poll ten times as often."""

LARGE = tuple(
    replace(subject, database=Database.FILE, values="large-hub", more=more)
    for subject, more in ((HUB_ALONE, POLLED_AS_OURS), (PEER, {}), (OURS, {}))
)
"""Large hubs, with the settings for them."""

PARTS = ("burst", "class", "slow", "crowd", "large")
USUAL_PARTS = PARTS[:3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run."""

    users: tuple[int, ...]
    at_once: int
    few: int
    quiet_seconds: float
    slow_users: int
    crowd: int
    #: How many users arrive as a class, and within how many seconds.
    class_users: int
    class_seconds: float
    #: Servers of a large hub.
    large_users: int
    #: Milliseconds; 0 means that they are not counted, which costs the hub time.
    slow_callbacks: int
    #: Whether claims get volumes; see `cluster.without_storage`.
    volumes: bool
    #: The folder for databases in a file; None: the one for temporary files.
    disk: Path | None
    subjects: tuple[Subject, ...]
    #: Of a large hub; without KubeSpawner, unless somebody asks for it.
    large_subjects: tuple[Subject, ...]
    parts: tuple[str, ...]
    json: Path | None
    logs: Path | None

    def burst_subjects(self, users: int) -> tuple[Subject, ...]:
        """Return whom to measure with so many users; the lower limits and the databases only with the fewest."""
        return tuple(s for s in self.subjects if users == min(self.users) or s in WHEN_LARGE)

    @property
    def most_pods(self) -> int:
        """The pods of the largest measurement that the scheduler has to find a place for."""
        counts = {"burst": max(self.users) + self.few, "class": self.class_users, "slow": self.slow_users}
        counts["large"] = self.large_users
        return max([self.few, *(count for part, count in counts.items() if part in self.parts)])


def parse(arguments: Sequence[str] | None = None) -> Plan:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m devkit.bench.beside", description=__doc__)
    add = parser.add_argument
    names = [_argument(subject) for subject in SUBJECTS]
    add("--users", type=int, nargs="+", default=[300, 2000], help="users of a burst; a burst for each number")
    add("--at-once", type=int, default=300, help="starts or stops under way at a time in a burst")
    add("--few", type=int, default=30, help="users who start three at a time, before the burst")
    add("--quiet-seconds", type=float, default=30, help="how long the running servers are left alone")
    add("--slow-users", type=int, default=50, help="users whose pods take 3 to 8 seconds")
    add("--class-users", type=int, default=300, help="users who ask for a server in the same seconds")
    add("--class-seconds", type=float, default=10, help="the seconds in which they come")
    add("--crowd", type=int, default=2000, help="pods that run already when the hub starts")
    add("--large-users", type=int, default=10_000, help="servers of one hub with large-hub.yaml")
    add(
        "--subjects",
        nargs="+",
        choices=names,
        help="whom to measure (default: those without a file; with large, hub-alone and k8s_hub)",
    )
    add("--only", nargs="+", choices=PARTS, default=list(USUAL_PARTS), help="what to measure")
    add(
        "--slow-callbacks",
        type=int,
        default=0,
        help="count k8s_hub's callbacks of so many milliseconds; costs time",
    )
    add("--volumes", action="store_true", help="have the cluster provide each claim's volume")
    add("--disk", type=Path, help="folder for the databases in a file (default: the one for temporary files)")
    add("--json", type=Path, help="write all figures to this file, too")
    add("--logs", type=Path, help="keep the logs of hubs and cluster in this folder")
    given = parser.parse_args(arguments)
    chosen, large = (
        given.subjects or [_argument(s) for s in USUAL],
        given.subjects or ["hub-alone", "k8s_hub"],
    )
    return Plan(
        users=tuple(given.users),
        at_once=given.at_once,
        few=given.few,
        quiet_seconds=given.quiet_seconds,
        slow_users=given.slow_users,
        crowd=given.crowd,
        class_users=given.class_users,
        class_seconds=given.class_seconds,
        large_users=given.large_users,
        subjects=tuple(s for s, name in zip(SUBJECTS, names, strict=True) if name in chosen),
        large_subjects=tuple(s for s in LARGE if s.name.replace(" ", "-") in large),
        parts=tuple(given.only),
        slow_callbacks=given.slow_callbacks,
        volumes=given.volumes,
        disk=given.disk,
        json=given.json,
        logs=given.logs,
    )


def _argument(subject: Subject) -> str:
    return subject.name.replace(" ", "-")
