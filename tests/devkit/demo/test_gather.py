import asyncio

import pytest

from devkit.demo.failure import DemoError
from devkit.demo.gather import gather


async def test_gather_raises_the_first_failure_and_cancels_the_others():
    ended = []

    async def patient():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("patient")

    async def failing():
        raise DemoError("no")

    with pytest.raises(DemoError, match="no"):
        await gather(patient(), failing())
    assert ended == ["patient"]
