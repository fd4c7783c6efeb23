"""Long work in the hub's loop, in pieces: what arrives at once is not worked off at once."""

import asyncio
from time import perf_counter

BUDGET = 0.005
"""Seconds of work between two turns of the loop: a tenth of the longest callback we allow ourselves (50 ms)."""


class Breather:
    """Counts the time since it last let the loop turn. Real time, as a stall is real in virtual time too."""

    def __init__(self, budget: float = BUDGET) -> None:
        self._budget = budget
        self._since = perf_counter()

    async def breathe(self) -> None:
        """Let the loop turn once if the budget is spent."""
        if perf_counter() - self._since >= self._budget:
            await asyncio.sleep(0)
            self._since = perf_counter()
