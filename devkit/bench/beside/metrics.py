"""What the API server's own metrics show of hubs."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from devkit.realcluster.controlplane import ControlPlane

SAMPLE = re.compile(r"^apiserver_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
STARTED = re.compile(r"^process_start_time_seconds (\S+)$", re.MULTILINE)
KINDS = {"pods", "persistentvolumeclaims", "events", "secrets", "services"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at a running API server."""

    #: When its process started; tells a restarted one.
    started: float
    #: How many watches of lasting objects hubs have open. One of events may close at any time.
    watches: int

    @classmethod
    def of(cls, metrics: str) -> Self:
        found = STARTED.search(metrics)
        open_now = _of_hubs(metrics, "longrunning_requests")
        return cls(
            started=float(found[1]) if found else 0.0,
            watches=sum(
                count for verb, resource, count in open_now if verb == "WATCH" and resource != "events"
            ),
        )


def hub_requests(metrics: str) -> Counter[str]:
    """Return the requests of hubs so far, by verb."""
    counted: Counter[str] = Counter()
    for verb, _, count in _of_hubs(metrics, "request_total"):
        counted[verb] += count
    return counted


def _of_hubs(metrics: str, name: str) -> Iterator[tuple[str, str, int]]:
    """Yield verb, resource and value of the samples about a namespace's own objects.

    Controllers, scheduler and nodes list and watch the whole cluster, and write to subresources; what else they do in
    a quiet namespace is nothing.
    """
    for sample, labels, value in SAMPLE.findall(metrics):
        what = dict(LABEL.findall(labels)) if sample == name else {}
        if what.get("resource") in KINDS and what["scope"] != "cluster" and not what["subresource"]:
            yield what["verb"], what["resource"], int(float(value))


def read_requests(plane: ControlPlane) -> Counter[str]:
    """Ask the API server."""
    return hub_requests(plane.admin._send("GET", "/metrics", None, "text/plain").decode())


def since(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Return what was asked in between, by verb."""
    return {
        verb: count - before.get(verb, 0)
        for verb, count in sorted(now.items())
        if count > before.get(verb, 0)
    }
