"""Warnings: what a hook and a webhook get, what fails, and what is not logged."""

import asyncio
import threading
from datetime import timedelta

import pytest
from aiohttp import web

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core.policy import Facts, Work
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.notifications import Warnings, WarningSettings, warning_payload

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
STOP_AT = NOW + 10 * MINUTE


LIMITS = Limits(timeout=HOUR)


async def decided(
    name="lab", *, who="ada", limits=LIMITS, notice=None, idle=HOUR - 10 * MINUTE, hook=None, **more
):
    subject = server(who, name, idle=idle)
    facts = Facts(server=subject, user=user(who, subject), **more)
    return await Decider(limits=limits, notice=notice, hook=hook).decide(facts, NOW)


async def warn(settings) -> bool:
    decision = await decided()
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


@pytest.mark.parametrize(
    ("how", "cause", "reason"),
    [
        ({}, "idle", "was idle for 50 min"),
        ({"idle": 2 * HOUR, "notice": 10 * MINUTE}, "idle", "was idle for 2 h"),
        (
            {"idle": 2 * HOUR, "extended_until": STOP_AT},
            "idle",
            "was idle for 2 h, and its extension ends",
        ),
        (
            {"limits": Limits(timeout=HOUR, max_age=3 * HOUR + 10 * MINUTE)},
            "too old",
            "reaches its maximum runtime of 3 h 10 min",
        ),
        (
            {"work": Work(busy=0, connections=2, last_execution=NOW - 50 * MINUTE), "idle": MINUTE},
            "idle",
            "has open tabs, but executed nothing for 50 min",
        ),
        (
            {
                "work": Work(busy=1, connections=0, last_execution=NOW - 50 * MINUTE),
                "limits": Limits(timeout=MINUTE, busy_limit=HOUR),
            },
            "idle",
            "runs a busy kernel, without output for 50 min",
        ),
        ({"hook": lambda **_: True, "notice": 10 * MINUTE}, "idle", "was idle for 50 min"),
    ],
)
async def test_cause_and_reason_are_those_of_the_stop_to_come(how, cause, reason):
    decision = await decided(**how)
    assert not decision.verdict.culls
    said = warning_payload(decision, STOP_AT, None)
    assert (said["cause"], said["reason"]) == (cause, reason)


async def test_the_text_reads_well_in_a_chat():
    url = "https://hub.example.org/services/c/"
    assert warning_payload(await decided(), STOP_AT, url)["text"] == (
        "`ada`: your server `lab` stops at 2026-07-01 12:10 UTC (in 10 min) unless you use it before then: "
        "it was idle for 50 min. To extend it: https://hub.example.org/services/c/ Your files are kept."
    )
    old = await decided("", limits=Limits(timeout=HOUR, max_age=3 * HOUR + 10 * MINUTE))
    assert warning_payload(old, STOP_AT, url)["text"] == (
        "`ada`: your default server stops at 2026-07-01 12:10 UTC (in 10 min) even if in use: "
        "it reaches its maximum runtime of 3 h 10 min. Your files are kept."
    )
    assert "extend" not in warning_payload(await decided(), STOP_AT, "/services/c/")["text"], (
        "no link for a chat"
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (
            "<!channel> & <https://evil.example|here>",
            r"\x3c!channel\x3e \x26 \x3chttps://evil.example|here\x3e",
        ),
        ("`@all`", r"\x60@all\x60"),
        ("a\n> b\u202e", r"a\n\x3e b\u202e"),
        ("zoë_o'neill@example.org", "zoë_o'neill@example.org"),
    ],
)
async def test_a_name_calls_nobody_in_a_chat(name, shown):
    for decision in (await decided(name), await decided("lab", who=name)):
        text = warning_payload(decision, STOP_AT, None)["text"]
        assert f"`{shown}`" in text
        assert text.count("`") == 4


async def test_a_hook_that_names_it_gets_the_text_and_one_of_0_1_0_works_as_before():
    got = []

    def named(user, text, **_others):
        got.append((user, text[:5]))

    def as_before(user, server, reason, stop_at, seconds_left, keep_url, cause, rule):
        got.append((user, server))

    assert await warn(WarningSettings(hook=named))
    assert await warn(WarningSettings(hook=as_before))
    assert got == [("ada", "`ada`"), ("ada", "lab")]


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
    assert "ada/lab: user not warned: warn_hook: RuntimeError('no mail')" in caplog.text


@pytest.mark.looptime
async def test_a_hook_that_never_ends_costs_ten_seconds(caplog, looptime):

    async def hook(**_words):
        await asyncio.Event().wait()

    assert not await warn(WarningSettings(hook=hook))
    assert looptime == pytest.approx(10, abs=0.1)
    assert "no answer within 10 s" in caplog.text


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_webhook_that_fails_told_nobody_and_its_secrets_are_not_logged(caplog, status):
    probed = []

    async def answer(request):
        probed.append(request.path)
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
    assert probed == ["/hush"]
    assert f"user not warned: warn_url http://127.0.0.1:{port}: answered with status {status}" in caplog.text
    assert "hush" not in caplog.text + repr(settings)


async def test_a_webhook_that_is_away(caplog):
    assert not await warn(WarningSettings(url="http://127.0.0.1:9/hush"))
    assert "Connect" in caplog.text
    assert "hush" not in caplog.text
