import asyncio

from devkit.bench.beside.load import rush


async def test_so_many_act_at_a_time_and_the_next_as_soon_as_one_is_done():
    running, most, acted = 0, 0, []

    async def act(user):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        acted.append(user)
        return user != "user-3"

    users = [f"user-{number}" for number in range(7)]
    made = await rush(users, act, at_once=3)
    assert (most, sorted(acted)) == (3, users)
    assert (len(made.latencies), len(made.ends), made.failures) == (7, 6, 1)
    assert list(made.ends) == sorted(made.ends)
    assert made.ends[-1] <= made.wall


async def test_failures_at_the_same_time_are_all_counted():
    everybody = asyncio.Barrier(3)

    async def act(_user):
        await everybody.wait()
        return False

    assert (await rush(["user-1", "user-2", "user-3"], act, at_once=3)).failures == 3


async def test_nobody_takes_no_time():
    async def act(_user):
        raise AssertionError

    assert (await rush([], act, at_once=3)).latencies == ()
