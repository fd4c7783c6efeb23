"""What one start has told its user so far, for every browser tab that listens."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.progress import advance


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """Nothing new was told, but time has passed."""

    #: Since the start began.
    seconds: float
    latest: Diagnosis


class Progress:
    """The diagnoses of one start in order; whoever comes late hears all of them.

    Owned by the spawner, which makes a new one for each start.
    """

    def __init__(self) -> None:
        self._told: list[Diagnosis] = []
        self._news = asyncio.Event()
        #: When the first was told, by the loop's clock.
        self._begun = 0.0
        self.has_ended = False
        """True once the start is over, whichever way."""

    @property
    def latest(self) -> Diagnosis | None:
        """What was told last."""
        return self._told[-1] if self._told else None

    def tell(self, diagnosis: Diagnosis) -> Diagnosis | None:
        """Tell a diagnosis and return it as told; None if it says nothing new."""
        news = advance(self.latest, diagnosis)
        if news is not None:
            if not self._told:
                self._begun = _now()
            self._told.append(news)
            self._wake()
        return news

    def end(self) -> None:
        """Let all listeners finish."""
        self.has_ended = True
        self._wake()

    async def listen(
        self, *, remind_after: float = 0, remind_every: float = 1
    ) -> AsyncIterator[Diagnosis | Waited]:
        """Yield everything told until the start ends.

        With ``remind_after`` seconds, also how long the start has taken when it has taken longer, and again every
        so many seconds.
        """
        heard, reminded = 0, 0.0
        while True:
            while heard < len(self._told):
                yield self._told[heard]
                heard += 1
            if self.has_ended:
                return
            due = max(self._begun + remind_after, reminded + remind_every) if remind_after and heard else None
            if not await self._hear_until(due):
                reminded = _now()
                yield Waited(seconds=reminded - self._begun, latest=self._told[-1])

    async def _hear_until(self, moment: float | None) -> bool:
        """Return True once there is news; False if there was none until this moment."""
        try:
            async with asyncio.timeout_at(moment):
                return await self._news.wait()
        except TimeoutError:
            return False

    def _wake(self) -> None:
        # Whoever waits holds the old event; the new one is for what comes next.
        self._news.set()
        self._news = asyncio.Event()


def _now() -> float:
    return asyncio.get_running_loop().time()
