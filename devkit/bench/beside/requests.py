"""How often the API server was asked what by whom: its own counters, before and after."""

import re
from collections import Counter
from collections.abc import Mapping

from devkit.realcluster.controlplane import ControlPlane

SAMPLE = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
KINDS = {"pods", "persistentvolumeclaims", "events", "secrets", "services"}


def hub_requests(metrics: str) -> Counter[str]:
    """Return the requests of hubs so far, by verb: those about a namespace's own objects.

    Controllers, scheduler and nodes list and watch the whole cluster, and write to subresources; what else they do in
    a quiet namespace is nothing.
    """
    counted: Counter[str] = Counter()
    for labels, value in SAMPLE.findall(metrics):
        what = dict(LABEL.findall(labels))
        if what["resource"] in KINDS and what["scope"] != "cluster" and not what["subresource"]:
            counted[what["verb"]] += int(float(value))
    return counted


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
