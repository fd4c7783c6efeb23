"""What is tried how often: the kinds of cases, and their shares of all examples."""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from devkit.differential import choosing, drawing, unfit
from devkit.differential.comparing import compared
from devkit.differential.drawing import Drawn

EXAMPLES = int(os.environ.get("EXAMPLES", "300"))
ROUND = 10
"""Examples of one run of hypothesis: six of seven that follow would only vary the one before them."""
REGRESSIONS = Path(__file__).parent / "regressions"
"""Cases that once differed, one to a file: each is compared again in every run."""


@dataclass
class Property:
    """One kind of case; the counters tell what its runs met."""

    name: str
    cases: Drawn
    share: float
    examples: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    traits: Counter[str] = field(default_factory=Counter)
    failing: dict[str, Any] | None = None
    """The case that failed last: after a run, the simplest one that was found."""

    def run(self, *, derandomize: bool, examples: int = EXAMPLES, shrink: bool = True) -> None:
        """Try its share of the examples, always the same ones if derandomised."""
        share = max(1, round(examples * self.share))
        for begun in range(0, share, ROUND):
            compare = self._comparing(min(ROUND, share - begun), shrink=shrink)
            (seed(begun)(compare) if derandomize else compare)()

    def _comparing(self, examples: int, *, shrink: bool) -> Callable[[], None]:
        @settings(
            max_examples=examples,
            derandomize=False,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            report_multiple_bugs=False,
        )
        @given(self.cases)
        def compare(case: dict[str, Any]) -> None:
            self.examples += 1
            self.traits.update(case["traits"].keys())
            try:
                self.hits.update(compared(case))
            except BaseException:
                self.failing = case
                raise

        return compare


PROPERTIES = [
    Property("names", drawing.naming_cases, 0.2),
    Property("manifests", drawing.manifest_cases, 0.35),
    Property("profiles", choosing.profile_cases, 0.15),
    Property("choices", choosing.choice_cases, 0.2),
    Property("refusals", unfit.unfit_cases, 0.1),
]
