"""What no sweep ever does, whatever the users, the clocks and the hub's replies are; by hand-made virtual time."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import looptime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devkit.testing.inmemoryhub import NOW, InMemoryHub, server, user
from k8s_hub.culler.core.decision import Action
from k8s_hub.culler.core.policy import EARLIEST, Work
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.hub.errors import BadReply, HubNotFound, HubUnavailable, Refused

IDLE = timedelta(hours=1)
LIMITS = Limits(timeout=IDLE)

BAD_REPLIES = [
    lambda: HubUnavailable("503", code=503),
    lambda: HubUnavailable("429", code=429, retry_after=7),
    lambda: HubUnavailable("connection reset"),
    lambda: BadReply("no JSON"),
    lambda: Refused("400", code=400),
    lambda: HubNotFound("404", code=404),
]

AGES = st.one_of(
    st.integers(-7200, 6 * 3600).map(lambda seconds: timedelta(seconds=seconds)),
    st.sampled_from([None, IDLE, IDLE - timedelta(seconds=1), IDLE + timedelta(seconds=1), NOW - datetime(1970, 1, 1, tzinfo=UTC)]),
)  # fmt: skip


@st.composite
def servers(draw, owner, name):
    pending = draw(st.sampled_from([None, None, None, "spawn", "stop"]))
    ready = draw(st.sampled_from([True, True, True, False]))
    return server(owner, name, idle=draw(AGES), age=draw(AGES), ready=ready, pending=pending)


@st.composite
def hubs_users(draw):
    names = [f"user{index}" for index in range(draw(st.integers(0, 6)))]
    return tuple(
        user(name, *(draw(servers(name, lab)) for lab in draw(st.sets(st.sampled_from(["", "a", "b"])))))
        for name in names
    )


WORKS = st.one_of(
    st.none(),
    st.builds(
        Work,
        busy=st.integers(0, 2),
        connections=st.integers(0, 2),
        last_execution=st.one_of(st.none(), st.integers(-60, 4 * 3600).map(lambda s: NOW - timedelta(seconds=s))),
    ),
)  # fmt: skip


@dataclass
class Chances:
    """What hypothesis decides on the way, call by call."""

    data: st.DataObject

    def one_in(self, number):
        return self.data.draw(st.integers(1, number)) == 1


class UnruledHub(InMemoryHub):
    """Its replies fail or get lost, and its users come, go and start anew between any two calls."""

    def __init__(self, *users, data, bad_replies):
        super().__init__(*users, stop_seconds=1)
        self.data = data
        self.chances = Chances(data)
        self.bad_replies = bad_replies
        self.broken = []
        self.stopped = Counter()

    def _life_goes_on(self, name):
        known = self.users.get(name)
        if known is None or not known.servers or not self.chances.one_in(4):
            return
        now = self.now()
        change = self.data.draw(
            st.sampled_from(
                [
                    {"last_activity": now},
                    {"pending": "spawn", "ready": False},
                    {"pending": "stop"},
                    {"started": now, "last_activity": now},
                    {"ready": False},
                ]
            )
        )
        first, *others = known.servers
        self.users[name] = replace(known, servers=(replace(first, **change), *others))

    def _maybe_bad(self):
        if self.bad_replies and self.chances.one_in(6):
            make_error = self.data.draw(st.sampled_from(BAD_REPLIES))
            raise make_error()

    async def page(self, **probed):
        self._maybe_bad()
        return await super().page(**probed)

    async def user(self, name):
        self._maybe_bad()
        self._life_goes_on(name)
        return await super().user(name)

    async def stop_server(self, user, name, *, remove):
        self._maybe_bad()
        found = self.users[user].server(name)
        now = self.now()
        if found is None:
            raise HubNotFound("404", code=404)
        self.broken += list(must_not_be_stopped(found, now))
        self.stopped[user, name] += 1
        is_gone = await super().stop_server(user, name, remove=remove)
        self._maybe_bad()  # the reply is lost, but the server is gone
        return is_gone


def must_not_be_stopped(found, now):
    if found.pending is not None:
        yield f"{found} was pending"
    if not found.ready:
        yield f"{found} was not ready"
    since = found.started if found.last_activity is None else found.last_activity
    if since is None or since < EARLIEST or since > now:
        yield f"{found} was active at {since}"
    elif now - since < IDLE:
        yield f"{found} was active {now - since} ago"


class DrawnServers:
    """Single-user servers that say what hypothesis likes."""

    def __init__(self, data, per_sweep):
        self.data = data
        self.per_sweep = per_sweep
        self.said = {}

    async def refresh(self):
        pass

    async def work(self, found):
        self.said[found.user, found.name] = answer = self.data.draw(WORKS)
        return answer


class Holds:
    """A memory in which some users keep their servers."""

    def __init__(self, kept):
        self.kept = kept

    def extended_until(self, user, server):
        return NOW + timedelta(days=1) if (user, server) in self.kept else None

    def notice(self, user, server):
        return None

    def save_notice(self, user, server, notice):
        raise AssertionError

    def forget_all_but(self, keys):
        pass


def in_virtual_time(main):
    """Run a coroutine function in a loop of its own; it gets the clock."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        loop = runner.get_loop()
        return runner.run(main(lambda: NOW + timedelta(seconds=loop.time())))


ENOUGH = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@ENOUGH
@given(hubs_users(), st.data())
def test_nobody_at_work_is_stopped_and_no_bad_reply_costs_a_sweep(users, data):
    """Whatever happens between the list and the stop, before or after each single call."""
    hub = UnruledHub(*users, data=data, bad_replies=True)
    kept = {(each.name, "") for each in users if data.draw(st.integers(0, 5)) == 0}
    probed = DrawnServers(data, data.draw(st.integers(0, 3)))

    async def main(now):
        hub.now = now
        told = Counter()

        def on_decision(decision, action):
            told[decision.facts.server.user, decision.facts.server.name] += 1
            if action is Action.STOPPED and not decision.verdict.culls:
                hub.broken.append(f"{decision.facts.server} was stopped: it {decision.verdict.reason}")

        sweep = Sweep(
            hub,
            SweepOptions(page_size=2, concurrency=3),
            Decider(limits=LIMITS),
            now,
            store=Holds(kept),
            probe=data.draw(st.sampled_from([None, probed])),
            on_decision=on_decision,
        )
        for _ in range(2):
            told.clear()
            try:
                report = await sweep.run()
            except (HubUnavailable, BadReply, Refused, HubNotFound):
                assert not told, "it failed with pages at hand"
                continue
            assert report.servers == sum(told.values())
            assert set(told.values()) <= {1}
            assert report.servers == (
                report.stopped + report.stopping + report.gone + sum(report.kept.values()) + report.failed
            )

    in_virtual_time(main)
    assert hub.broken == []
    assert not kept & set(hub.stopped)


AWAY, SENSELESS = BAD_REPLIES[:3], BAD_REPLIES[3:4]


@ENOUGH
@given(hubs_users(), st.sampled_from([(AWAY, 1), (SENSELESS, 4)]), st.data())
def test_each_idle_server_is_stopped_and_nothing_else(users, replies, data):
    """Every call may fail once. A hub that is away for a moment costs no sweep at all; an answer that makes no
    sense costs its own server this sweep, and a page, a user and a stop have one each.
    """
    kinds, sweeps = replies
    hub = InMemoryHub(*users, stop_seconds=1)
    failed = set()

    def trouble(call):
        if call in failed or data.draw(st.integers(1, 3)) > 1:
            return None
        failed.add(call)
        return data.draw(st.sampled_from(kinds))()

    hub.trouble = trouble
    idle = {each.key for owner in users for each in owner.servers if not list(must_not_be_stopped(each, NOW))}

    async def main(now):
        sweep = Sweep(hub, SweepOptions(page_size=2), Decider(limits=LIMITS), lambda: NOW)
        for _ in range(sweeps):
            with contextlib.suppress(BadReply):  # not one page could be read
                await sweep.run()

    in_virtual_time(main)
    left = {each.key for owner in hub.users.values() for each in owner.servers}
    everything = {each.key for owner in users for each in owner.servers}
    assert left == everything - idle


@ENOUGH
@given(hubs_users(), st.data())
def test_what_a_server_itself_says_is_heard_right_before_its_stop(users, data):
    """A kernel that is busy, or executed something within the limit, is never stopped; without tabs or with."""
    hub = InMemoryHub(*users)
    probed = DrawnServers(data, 100)

    async def main(now):
        sweep = Sweep(hub, SweepOptions(), Decider(limits=LIMITS), lambda: NOW, probe=probed)
        before = {each.key: each for owner in users for each in owner.servers}
        await sweep.run()
        left = {each.key for owner in hub.users.values() for each in owner.servers}
        for key in before.keys() - left:
            said = probed.said[key]  # the last word, which is that of the look right before the stop
            assert said is None or not said.busy
            if said is not None and said.last_execution is not None:
                assert NOW - said.last_execution >= IDLE

    in_virtual_time(main)
