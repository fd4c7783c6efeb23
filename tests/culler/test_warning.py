"""Warnings: what a hook and a webhook get, what fails, and what is not logged."""

import asyncio
import threading
from datetime import timedelta

import pytest
from aiohttp import web

from k8s_hub.culler.judging.decider import Decider
from k8s_hub.culler.judging.facts import Facts
from k8s_hub.culler.ruling.limits import Limits
from k8s_hub.culler.warning import Warnings, WarningSettings
from tests.inmemoryhub import NOW, server, user

STOP_AT = NOW + timedelta(minutes=10)


async def warn(settings) -> bool:
    subject = server("ada", "lab")
    facts = Facts(server=subject, user=user("ada", subject))
    decision = await Decider(limits=Limits(idle=timedelta(hours=1))).decide(facts, NOW)
    async with Warnings(settings) as warnings:
        return await warnings(decision, STOP_AT)


async def test_a_hook_gets_the_words_by_name():
    got = []

    async def hook(**words):
        got.append(words)

    assert await warn(WarningSettings(hook=hook, keep_url="/services/c/"))
    assert got == [
        {
            "user": "ada", "server": "lab", "reason": got[0]["reason"], "stop_at": STOP_AT, "seconds_left": 600,
            "keep_url": "/services/c/", "cause": "idle", "rule": None,
        }
    ]  # fmt: skip


async def test_a_hook_that_is_not_async_holds_up_nobody():
    threads = []
    assert await warn(WarningSettings(hook=lambda **_words: threads.append(threading.current_thread())))
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_hook_that_raises_told_nobody(caplog, is_async):
    async def slow(**_words):
        raise RuntimeError("no mail")

    def quick(**_words):
        raise RuntimeError("no mail")

    assert not await warn(WarningSettings(hook=slow if is_async else quick))
    assert "The user of ada/lab was not warned by warn_hook: RuntimeError('no mail')" in caplog.text


@pytest.mark.looptime
async def test_a_hook_that_never_ends_costs_ten_seconds(caplog, looptime):

    async def hook(**_words):
        await asyncio.Event().wait()

    assert not await warn(WarningSettings(hook=hook))
    assert looptime == pytest.approx(10, abs=0.1)
    assert "more than 10 s" in caplog.text


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_webhook_that_fails_told_nobody_and_its_secrets_are_not_logged(caplog, status):
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.Response(status=status, headers={"Location": "/other"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        port = runner.addresses[0][1]
        settings = WarningSettings(url=f"http://me:hush@127.0.0.1:{port}/hush?key=hush")
        assert not await warn(settings)
    finally:
        await runner.cleanup()
    assert asked == ["/hush"]
    assert f"was not warned by warn_url http://127.0.0.1:{port}: it was answered with {status}" in caplog.text
    assert "hush" not in caplog.text + repr(settings)


async def test_a_webhook_that_is_away(caplog):
    assert not await warn(WarningSettings(url="http://127.0.0.1:9/hush"))
    assert "Connect" in caplog.text
    assert "hush" not in caplog.text
