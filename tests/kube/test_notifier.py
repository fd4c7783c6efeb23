"""Notifications reach those who are subscribed, and nobody else."""

import asyncio
from itertools import count

from k8s_hub.kube.notifier import Notifier, Turnstile


def test_a_notification_reaches_the_subscribers_of_its_key():
    notifier = Notifier[str]()
    with notifier.subscribe("a") as a, notifier.subscribe("a") as also_a, notifier.subscribe("b") as b:
        notifier.notify(["a", "unknown"])

        assert (a.is_set(), also_a.is_set(), b.is_set()) == (True, True, False)


def test_a_subscriber_may_have_several_keys_or_none():
    notifier = Notifier[str]()
    with notifier.subscribe("a", "b") as both, notifier.subscribe() as none:
        notifier.notify(["b"])
        assert (both.is_set(), none.is_set()) == (True, False)
        assert ["b" in notifier, "c" in notifier] == [True, False]

        notifier.notify_all()
        assert none.is_set()


def test_nothing_is_left_of_a_subscriber():
    notifier = Notifier[str]()
    with notifier.subscribe("a"), notifier.subscribe("a", "b"):
        assert len(notifier) == 2

    assert len(notifier) == 0
    assert notifier._by_key == {}


def test_a_key_named_twice_is_one():
    notifier = Notifier[str]()
    with notifier.subscribe("a", "a") as wakeup:
        notifier.notify(["a"])
        assert wakeup.is_set()
    assert notifier._by_key == {}


async def test_a_turnstile_lets_one_task_through_in_each_iteration_in_order():
    turnstile, iteration, passed = Turnstile(), count(), []

    async def pass_through(name):
        await turnstile.turn()
        passed.append((name, now))

    tasks = [asyncio.create_task(pass_through(name)) for name in "abc"]
    while len(passed) < 3:
        now = next(iteration)
        await asyncio.sleep(0)

    assert [name for name, _ in passed] == ["a", "b", "c"]
    assert len({when for _, when in passed}) == 3
    await asyncio.gather(*tasks)


async def test_a_cancelled_task_costs_the_next_one_no_turn():
    turnstile, passed = Turnstile(), []

    async def pass_through(name):
        await turnstile.turn()
        passed.append(name)

    first, second = (asyncio.create_task(pass_through(name)) for name in "ab")
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first, second])
    third = asyncio.create_task(pass_through("c"))
    await third

    assert passed == ["b", "c"]
