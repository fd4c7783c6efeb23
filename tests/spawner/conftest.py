"""The fixtures `hub` and `cluster`."""

from devkit.testing.fixtures import cluster, hub, wall_clock, witness
from devkit.testing.runs import NAMESPACE

__all__ = ["NAMESPACE", "cluster", "hub", "wall_clock", "witness"]
