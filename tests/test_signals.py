import asyncio
import os
import signal

import pytest

from k8s_hub.signals import run_until_told


def test_an_act_that_ends_by_itself_is_a_success():
    assert run_until_told(asyncio.sleep(0)) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_unwinds_the_act_and_more_signals_do_not_disturb_it(number, code):
    events = []

    async def act():
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(60)
        finally:
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.05)
            events.append("cleaned up")

    assert run_until_told(act()) == code
    assert events == ["cleaned up"]


def test_an_act_that_fails_says_why():
    async def act():
        raise ValueError("why")

    with pytest.raises(ValueError, match="why"):
        run_until_told(act())
