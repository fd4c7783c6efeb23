"""Formats figures: what was measured, how often, and the value with its unit."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How long something took, over all times it was done; in the unit of the samples."""

    p50: float
    p95: float
    longest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        cuts = statistics.quantiles(samples, n=20, method="inclusive")
        return cls(p50=cuts[9], p95=cuts[18], longest=max(samples))

    def __str__(self) -> str:
        return f"p50 {self.p50:7.1f} ms   p95 {self.p95:7.1f} ms   longest {self.longest:7.1f} ms"


def show(what: str, figure: object) -> None:
    """Print one line of the report."""
    print(f"  {what:<52} {figure}")


def median_of(rounds: Sequence[float], unit: str) -> str:
    """The median of some rounds, and the rounds, because the machine may have been busy in one of them."""
    each = ", ".join(f"{value:.2f}" for value in rounds)
    return f"{statistics.median(rounds):7.2f} {unit}   ({each})"
