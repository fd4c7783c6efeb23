"""Compares k8s_hub's culler with jupyterhub-idle-culler: the same hub and servers, each with its own defaults.

The hub is a separate process. k8s_hub's first sweep stops nothing, so its figures begin with the second sweep;
idle-culler's begin with its first.
"""

import asyncio
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest

from devkit.bench.culling.cullers import OURS, PEER, Culler, Sweep, sweep_of
from devkit.bench.culling.gateway import gateway
from devkit.bench.culling.idle_hub import IdleHub, Stall, idle_hub

pytestmark = pytest.mark.bench

LONG_AGO, NOW = timedelta(days=2), timedelta()

USERS = 2000
PAGE_SIZES = (25, 50, 100, 200)
LARGE_PAGES = {"api_page_default_limit": USERS, "api_page_max_limit": USERS}
LONGEST_STALL = 50
"""Milliseconds."""

Refuses = Callable[[int], bool]


def row(what: str, peer: object = "", ours: object = "", aim: str = "", *, met: bool | None = None) -> None:
    """Print one line of a table."""
    verdict = {None: "", True: "reached", False: "NOT REACHED"}[met]
    print(f"  {what:<58} {peer!s:>17} {ours!s:>12}   {aim:<10} {verdict}".rstrip(), flush=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One sweep over idle servers."""

    sweep: Sweep
    left: int  # servers
    lost: float  # seconds in which the hub had work, but other programs the processor


async def outcome(culler: Culler, tmp_path, *, servers: int, refuses: Refuses) -> Outcome:
    """Run one sweep of a culler on its own hub with idle servers whose stop takes a second."""
    directory = tmp_path / f"hub {len(list(tmp_path.iterdir()))}"
    async with (
        idle_hub(directory, users=servers, idle=LONG_AGO) as hub,
        gateway(hub.url, refuses=refuses) as gate,
    ):
        sweep = await sweep_of(culler, gate, directory)
        stalls = hub.stalls(since=sweep.begun, until=sweep.begun + sweep.seconds)
        return Outcome(
            sweep=sweep,
            left=await hub.active_users(),
            lost=sum(max(0.0, stall.late - stall.cpu) for stall in stalls),
        )


async def compare_sweeps(tmp_path, *, servers: int, longest: float, refuses: Refuses) -> None:
    """Print the figures of each culler's sweep."""
    peer, ours = [
        await outcome(culler, tmp_path, servers=servers, refuses=refuses) for culler in (PEER, OURS)
    ]
    row("servers left after one sweep", peer.left, ours.left, "0", met=ours.left == 0)
    row(
        "from its first request until the last stop was answered",
        *(f"{each.sweep.seconds:.1f} s" for each in (peer, ours)),
        f"<= {longest:g} s",
        met=ours.sweep.seconds <= longest,
    )
    row(
        "  in which other programs kept the hub waiting for", *(f"{each.lost:.1f} s" for each in (peer, ours))
    )
    row("stops under way at once, at most", *(each.sweep.most_stops_at_once for each in (peer, ours)))
    row(
        "requests, and of them answered with 503",
        *(f"{len(each.sweep.requests)}, {each.sweep.refused}" for each in (peer, ours)),
    )


async def bench_culler_stops_idle_servers(tmp_path):
    print("\n100 idle servers, a stop takes 1 s, concurrency 10")
    row("", PEER.name, OURS.name, "aim")
    await compare_sweeps(tmp_path, servers=100, longest=12.0, refuses=lambda _number: False)


@pytest.mark.parametrize(("first", "what"), [(9, "stops"), (2, "a page of the list, then stops")])
async def bench_culler_while_every_tenth_reply_is_a_503(tmp_path, first, what):
    print(f"\n200 idle servers, a stop takes 1 s, concurrency 10, each tenth reply is a 503: {what}")
    row("", PEER.name, OURS.name, "aim")
    await compare_sweeps(tmp_path, servers=200, longest=26.0, refuses=lambda number: number % 10 == first)


# --- What listing costs the hub ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The effect of one pass over active users on the hub's event loop, in milliseconds."""

    pages: int
    seconds: float
    longest: float  # the hub's longest work without a pause
    usual: float  # the same, for the page in the middle
    late: float  # the longest stall on the clock, including time of other programs
    collecting: float  # of that, the longest that the garbage collector took

    @classmethod
    def of(cls, sweep: Sweep, stalls: list[Stall]) -> "Listing":
        return cls(
            pages=len(sweep.pages),
            seconds=sweep.seconds,
            longest=1000 * max(stall.own for stall in stalls),
            usual=1000 * statistics.median(stall.own for stall in stalls),
            late=1000 * max(stall.late for stall in stalls),
            collecting=1000 * max(stall.collecting for stall in stalls),
        )


async def listing(culler: Culler, hub: IdleHub) -> Listing:
    """Let a culler list the users of a hub."""
    async with gateway(hub.url) as gate:
        sweep = await sweep_of(culler, gate, hub.directory)
    return Listing.of(sweep, hub.stalls(since=sweep.begun, until=sweep.begun + sweep.seconds))


async def compare_listings(hub: IdleHub, rounds: int) -> None:
    """Print the effect of each culler's listing on the hub."""
    await listing(OURS, hub)  # now the hub has read from its database what it is asked for
    taken = [(await listing(PEER, hub), await listing(OURS, hub)) for _ in range(rounds)]
    peers, ours = zip(*taken, strict=True)

    def show(what: str, figure: Callable[[Listing], float], unit: str, **aim: Any) -> None:
        row(what, *(f"{statistics.median(map(figure, each)):.1f} {unit}" for each in (peers, ours)), **aim)

    reached = statistics.median(each.longest for each in ours) <= LONGEST_STALL
    show("longest work without a pause", lambda each: each.longest, "ms", aim="<= 50 ms", met=reached)
    show("longest time that nobody had a turn, on the clock", lambda each: each.late, "ms")
    show("longest garbage collection, which no page size changes", lambda each: each.collecting, "ms")
    row("pages", peers[0].pages, ours[0].pages)
    show("from the first to the last", lambda each: each.seconds, "s")


async def bench_culler_lists_active_users(tmp_path, rounds):
    """On a hub as it is, and on one that gives all users at once to those who do not ask for a page's size."""
    print(f"\nwhat a hub does while its {USERS} active users are listed; the median of {rounds} rounds")
    row("", PEER.name, OURS.name, "aim")
    async with idle_hub(tmp_path / "hub", users=USERS, idle=NOW) as hub:
        await compare_listings(hub, rounds)
        begun = monotonic()
        await asyncio.sleep(10)
        alone = max((stall.own for stall in hub.stalls(since=begun, until=monotonic())), default=0.0)
    row("longest work without a pause, no culler for 10 s", ours=f"{1000 * alone:.1f} ms")

    print("\nthe same, on a hub that puts up to 2,000 users on a page")
    row("", PEER.name, OURS.name, "aim")
    async with idle_hub(tmp_path / "hub with large pages", users=USERS, idle=NOW, **LARGE_PAGES) as hub:
        await compare_listings(hub, rounds)


async def bench_culler_page_sizes(tmp_path, rounds):
    """Print the cost of a page for the hub by its size."""
    print(f"\nthe hub's work for one page, by its size; {USERS} users are active")
    work: dict[int, float] = {}
    async with idle_hub(tmp_path / "hub", users=USERS, idle=NOW, **LARGE_PAGES) as hub:
        await listing(OURS, hub)  # now the hub has read from its database what it is asked for
        for size in PAGE_SIZES:
            each = [await listing(OURS.with_pages_of(size), hub) for _ in range(rounds)]
            work[size] = statistics.median(one.usual for one in each)
            longest = statistics.median(one.longest for one in each)
            row(f"{size} users: usual; longest", f"{work[size]:.1f} ms", f"{longest:.1f} ms")
    first, last = min(work), max(work)
    per_user = (work[last] - work[first]) / (last - first)
    row("a page; and each user on it", f"{work[first] - first * per_user:.1f} ms", f"{per_user:.2f} ms")
