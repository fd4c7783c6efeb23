"""What one start has told its user so far, for every browser tab that listens."""

import asyncio
from collections.abc import AsyncIterator

from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.progress import advance


class Progress:
    """The diagnoses of one start in order; whoever comes late hears all of them.

    Owned by the spawner, which makes a new one for each start.
    """

    def __init__(self) -> None:
        self._told: list[Diagnosis] = []
        self._news = asyncio.Event()
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
            self._told.append(news)
            self._wake()
        return news

    def end(self) -> None:
        """Let all listeners finish."""
        self.has_ended = True
        self._wake()

    async def listen(self) -> AsyncIterator[Diagnosis]:
        """Yield everything told until the start ends."""
        heard = 0
        while True:
            while heard < len(self._told):
                yield self._told[heard]
                heard += 1
            if self.has_ended:
                return
            await self._news.wait()

    def _wake(self) -> None:
        # Whoever waits holds the old event; the new one is for what comes next.
        self._news.set()
        self._news = asyncio.Event()
