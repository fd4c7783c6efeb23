"""Versions: what runs here and there, and whether this package runs with it."""

import re
from collections.abc import Iterator, Mapping

from k8s_hub.doctor.findings import Finding, Status

CHECK = "versions"
LOWEST = {"Python": (3, 11), "jupyterhub": (5, 5), "kubernetes-asyncio": (36,), "Kubernetes": (1, 32)}
"""The lowest of each that the tests run with; of Kubernetes what the chart asks for."""


def judge(versions: Mapping[str, str | None]) -> Iterator[Finding]:
    """Judge versions by name; None is one that could not be found out."""
    for name, version in versions.items():
        lowest = LOWEST.get(name)
        if version is None:
            yield Finding(
                check=CHECK, subject=name, status=Status.UNKNOWN, message="its version could not be found out"
            )
        elif lowest is not None and _numbers(version) < lowest:
            yield Finding(
                check=CHECK,
                subject=name,
                status=Status.WRONG,
                message=f"{version} is too old",
                advice=f"take {'.'.join(map(str, lowest))} or later",
            )
        else:
            yield Finding(check=CHECK, subject=name, status=Status.FINE, message=version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))
