"""One sweep against a hub in memory, in virtual time."""

import asyncio
import logging
import random
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest

from devkit.testing.inmemoryhub import NOW, InMemoryHub, one_in, server, user
from k8s_hub.culler.core.decision import Action
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.policy import Facts, Notice, Work
from k8s_hub.culler.core.probing import Candidate, candidate, choose
from k8s_hub.culler.core.rules import Limits, Rules
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.outages import Outages
from k8s_hub.culler.state import StateStore
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.hub.errors import BadReply, HubForbidden, HubNotFound, HubUnavailable, Refused
from k8s_hub.objects import timestamps

LIMITS = Limits(timeout=timedelta(hours=1))
BUSY = timedelta(minutes=1)


def sweep_of(hub, hook=None, *, limits=LIMITS, **options):
    return Sweep(hub, SweepOptions(**options), Decider(limits=limits, hook=hook), lambda: NOW)


def idle_users(number):
    return [user(f"user{index}", server(f"user{index}")) for index in range(number)]


@pytest.mark.looptime
@pytest.mark.parametrize(("concurrency", "seconds"), [(10, 10.9), (1, 100), (0, 1)])
async def test_servers_are_stopped_so_many_at_once(looptime, concurrency, seconds):
    """100 servers that take a second each take 10 seconds by tens, which begin apart; 0 is no limit."""
    hub = InMemoryHub(*idle_users(100), stop_seconds=1)
    report = await sweep_of(hub, concurrency=concurrency).run()
    assert report.stopped == 100
    assert hub.peak_in_flight == (concurrency or 100)
    assert looptime == pytest.approx(seconds, abs=0.1)
    assert report.seconds == pytest.approx(seconds, abs=0.1)


@pytest.mark.looptime
async def test_servers_of_one_user_count_one_by_one():
    """The bound is over servers, not users."""
    hub = InMemoryHub(user("a", *(server("a", f"s{index}") for index in range(30))), stop_seconds=1)
    await sweep_of(hub, concurrency=10).run()
    assert hub.peak_in_flight == 10


@pytest.mark.looptime
@pytest.mark.parametrize("seed", range(10))
async def test_a_hub_that_fails_one_call_in_ten_loses_nothing_and_little_time(seed, looptime):
    """200 servers that take a second each take 20 seconds by tens; one that fails keeps its place for a moment."""
    random.seed(seed)  # the length of the moments
    hub = InMemoryHub(*idle_users(200), stop_seconds=1, trouble=one_in(10, seed=seed))
    report = await sweep_of(hub).run()
    assert (report.stopped, report.failed, report.lost) == (200, 0, 0)
    assert looptime <= 23


async def test_all_pages_are_read_before_the_first_stop():
    """Stopping makes the list shrink under the pages."""
    hub = InMemoryHub(*idle_users(20))
    report = await sweep_of(hub, page_size=3).run()
    assert report.stopped == 20
    kinds = [call.split()[0] for call in hub.calls]
    assert kinds.index("stop") > len(kinds) - 1 - kinds[::-1].index("page")


@pytest.mark.looptime
async def test_a_lost_page_costs_its_own_users_only(caplog):
    hub = InMemoryHub(
        *idle_users(9), trouble=lambda call: HubUnavailable("500", code=500) if call == "page 3" else None
    )
    report = await sweep_of(hub, page_size=3).run()
    assert (report.stopped, report.lost) == (6, 1)
    assert "users 4 to 6: not read: 500" in caplog.text


@pytest.mark.looptime
async def test_the_first_page_can_be_lost_too():
    hub = InMemoryHub(*idle_users(9), trouble=lambda call: BadReply("no JSON") if call == "page 0" else None)
    report = await sweep_of(hub, page_size=3).run()
    assert (report.stopped, report.lost) == (6, 1)


@pytest.mark.looptime
async def test_a_hub_that_is_away_fails_the_sweep(looptime):
    """It is asked for three pages, a minute each, and not for all the pages there could be."""
    hub = InMemoryHub(*idle_users(9), trouble=lambda call: HubUnavailable("no connection"))
    with pytest.raises(HubUnavailable, match="no connection"):
        await sweep_of(hub, page_size=1).run()
    assert looptime <= 3 * 60


@pytest.mark.looptime
async def test_a_hub_that_does_not_answer_is_told_before_it_is_given_up(caplog):
    caplog.set_level(logging.INFO)
    hub = InMemoryHub(trouble=lambda call: HubUnavailable("no connection"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sweep_of(hub).run(), timeout=1)
    assert caplog.messages[0].startswith("hub: retrying in ")


async def test_a_token_that_cannot_see_when_users_were_active_is_told(caplog):
    """The hub leaves it out without a word, and no user would ever be deleted."""
    hub = InMemoryHub(replace(user("a", server("a"), idle=None), created=None))
    report = await sweep_of(hub, cull_users=True).run()
    assert (report.stopped, report.deleted) == (1, 0)
    assert "read:users:activity" in caplog.text


async def test_a_token_that_may_not_list_is_told_at_once():
    hub = InMemoryHub(*idle_users(9), trouble=lambda call: HubForbidden("lacks the scope list:users"))
    with pytest.raises(HubForbidden, match="list:users"):
        await sweep_of(hub).run()
    assert hub.calls == ["page 0"]


async def test_a_token_that_sees_no_servers_is_told():
    """The hub leaves servers out without a word, and nothing would ever be stopped."""
    hub = InMemoryHub(user("a", hidden=True), user("b", hidden=True))
    with pytest.raises(HubForbidden, match="read:servers"):
        await sweep_of(hub).run()


async def test_some_hidden_servers_are_counted():
    """A token may be limited to a group."""
    report = await sweep_of(InMemoryHub(user("a", hidden=True), *idle_users(2))).run()
    assert (report.hidden, report.stopped) == (1, 2)


class ComesBack(InMemoryHub):
    """Its users come back to work, or start anew, after they were listed."""

    async def user(self, name):
        known = await super().user(name)
        return replace(known, servers=tuple(replace(server, **self.change) for server in known.servers))


@pytest.mark.parametrize(
    "change",
    [{"last_activity": NOW}, {"pending": "stop"}, {"pending": "spawn", "ready": False}, {"ready": False}],
    ids=str,
)
async def test_a_server_is_looked_at_again_before_it_is_stopped(change):
    hub = ComesBack(*idle_users(1))
    hub.change = change
    report = await sweep_of(hub).run()
    assert (report.stopped, sum(report.kept.values())) == (0, 1)
    assert not any(call.startswith("stop") for call in hub.calls)


class LosesReplies(InMemoryHub):
    """It stops the server, but the answer never arrives; meanwhile its user starts it again."""

    async def stop_server(self, user, name, *, remove):
        await super().stop_server(user, name, remove=remove)
        if len(self.calls) < 4:
            self.users[user] = replace(self.users[user], servers=(server(user, idle=BUSY),))
            raise HubUnavailable("no answer in time")
        return True


@pytest.mark.looptime
async def test_a_server_is_looked_at_again_before_each_retry():
    """A reply that was lost must not cost the user the server started since."""
    hub = LosesReplies(*idle_users(1))
    report = await sweep_of(hub).run()
    assert hub.calls == ["page 0", "user user0", "stop user0/", "user user0"]
    assert (report.stopped, report.kept) == (0, {"in use": 1})


async def test_a_server_that_vanished_is_gone():
    class Vanished(InMemoryHub):
        async def user(self, name):
            return replace(await super().user(name), servers=())

    report = await sweep_of(Vanished(*idle_users(1))).run()
    assert (report.gone, report.stopped, report.failed) == (1, 0, 0)


def refusing(what):
    """A hub whose token may see everything, and whose scope for this does not include it: it answers 404, not 403."""
    message = f"DELETE returned 404: No access to resources or resources not found ({what})"
    return lambda call: HubNotFound(message, code=404) if call.startswith(what) else None


async def test_a_404_to_a_stop_of_a_server_that_the_hub_shows_is_a_missing_right(caplog):
    """The server runs on, and nobody would ever know."""
    told = []
    hub = InMemoryHub(*idle_users(3), trouble=refusing("stop"))
    sweep = replace(
        sweep_of(hub, cull_users=True),
        on_decision=lambda decision, action: told.append((decision.subject, action)),
    )
    report = await sweep.run()
    assert (report.gone, report.stopped, report.failed, report.deleted) == (0, 0, 3, 0)
    assert told == [(f"user{number}", Action.FAILED) for number in range(3)]
    assert caplog.text.count("lacks the scope delete:servers for user") == 1
    assert "servers: 3 failed" in caplog.text


async def test_a_404_to_a_stop_of_a_server_that_has_just_gone_is_none():
    class JustGone(InMemoryHub):
        async def stop_server(self, user, name, *, remove):
            await super().stop_server(user, name, remove=remove)
            raise HubNotFound("404", code=404)

    report = await sweep_of(JustGone(*idle_users(2))).run()
    assert (report.gone, report.failed) == (2, 0)


async def test_a_404_to_the_deletion_of_a_user_whom_the_hub_shows_is_a_missing_right(caplog):
    told = []
    hub = InMemoryHub(user("a"), user("b"), trouble=refusing("delete a"))
    sweep = replace(
        sweep_of(hub, cull_users=True),
        on_user_decision=lambda decision, action: told.append((decision.subject, action)),
    )
    report = await sweep.run()
    assert (report.deleted, report.delete_failed) == (1, 1)
    assert sorted(told) == [("user a", Action.FAILED), ("user b", Action.DELETED)]
    assert "lacks the scope delete:users for user a" in caplog.text


async def test_a_404_to_the_deletion_of_a_user_who_has_just_gone_is_none():
    class JustGone(InMemoryHub):
        async def delete_user(self, name):
            await super().delete_user(name)
            raise HubNotFound("404", code=404)

    report = await sweep_of(JustGone(user("a")), cull_users=True).run()
    assert (report.deleted, report.delete_failed) == (0, 0)


async def test_a_user_who_vanished_is_gone_with_their_servers():
    def trouble(call):
        return HubNotFound("404", code=404) if call.split()[0] == "user" else None

    hub = InMemoryHub(*idle_users(1), user("away"), trouble=trouble)
    report = await sweep_of(hub, cull_users=True).run()
    assert (report.gone, report.deleted, report.failed, report.delete_failed) == (1, 0, 0, 0)


async def test_pending_and_unready_servers_are_never_touched():
    hub = InMemoryHub(
        user("a", server("a", pending="spawn", ready=False)),
        user("b", server("b", pending="stop")),
        user("c", server("c", ready=False)),
    )
    report = await sweep_of(hub).run()
    assert report.kept == {"pending": 2, "not ready": 1}
    assert hub.calls == ["page 0"]


async def test_one_bad_server_costs_only_itself(caplog):
    hub = InMemoryHub(
        *idle_users(3), trouble=lambda call: Refused("400: rename") if call == "stop user1/" else None
    )
    report = await sweep_of(hub).run()
    assert (report.stopped, report.failed) == (2, 1)
    assert "server user1: failed: 400: rename" in caplog.text


async def test_a_missing_scope_is_told_once(caplog):
    def trouble(call):
        return HubForbidden("lacks the scope delete:servers") if call.startswith("stop") else None

    report = await sweep_of(InMemoryHub(*idle_users(50), trouble=trouble)).run()
    assert report.failed == 50
    assert caplog.text.count("delete:servers") == 1


async def test_a_hook_that_raises_costs_only_its_server(caplog):
    """The traceback of the admin's own code is in the log."""

    async def hook(inactive, inactive_limit, server, user):
        return user["name"] != "user1" or server["profile_name"]

    report = await sweep_of(InMemoryHub(*idle_users(3)), hook).run()
    assert (report.stopped, report.failed) == (2, 1)
    assert "KeyError: 'profile_name'" in caplog.text


async def test_a_hook_that_always_raises_shows_one_traceback(caplog):
    """Thousands of the same would hide everything else."""

    async def hook(inactive, inactive_limit, server, user):
        raise KeyError(user["name"])

    assert (await sweep_of(InMemoryHub(*idle_users(3)), hook).run()).failed == 3
    assert caplog.text.count("Traceback") == 1
    assert all(f"server user{number}: failed: KeyError('user{number}')" in caplog.text for number in range(3))


async def test_named_servers_are_removed_on_order_only():
    for options, expected in (
        ({}, ["stop a/", "stop a/lab"]),
        ({"remove_named_servers": True}, ["stop a/", "stop a/lab and remove"]),
    ):
        hub = InMemoryHub(user("a", server("a"), server("a", "lab")))
        await sweep_of(hub, **options).run()
        assert [call for call in hub.calls if call.startswith("stop")] == expected


async def test_users_are_left_alone_without_order():
    hub = InMemoryHub(*idle_users(2))
    assert (await sweep_of(hub).run()).deleted == 0
    assert len(hub.users) == 2


async def test_users_go_when_their_last_server_is_gone():
    hub = InMemoryHub(
        user("idle", server("idle")),
        user("away"),
        user("active", idle=BUSY),
        user("half", server("half"), server("half", "lab", idle=BUSY)),
        user("hidden", hidden=True),
    )
    report = await sweep_of(hub, cull_users=True).run()
    assert report.deleted == 2
    assert set(hub.users) == {"active", "half", "hidden"}


async def test_a_user_who_stopped_their_server_meanwhile_stays():
    """They were there a moment ago, whatever the list said."""

    class StoppedByHand(InMemoryHub):
        async def user(self, name):
            return replace(await super().user(name), servers=())

    hub = StoppedByHand(user("a", server("a")))
    report = await sweep_of(hub, cull_users=True).run()
    assert (report.gone, report.deleted) == (1, 0)
    assert set(hub.users) == {"a"}


async def test_a_user_whose_server_still_stops_stays():
    """202: the hub would answer 400, and the volume may be in use."""
    hub = InMemoryHub(user("a", server("a")), stops_slowly=True)
    report = await sweep_of(hub, cull_users=True).run()
    assert (report.stopping, report.deleted) == (1, 0)
    assert hub.calls == ["page 0", "user a", "stop a/"]


async def test_a_user_is_looked_at_again_before_deletion():
    class Returns(InMemoryHub):
        async def user(self, name):
            return replace(await super().user(name), last_activity=NOW)

    hub = Returns(user("a"))
    assert (await sweep_of(hub, cull_users=True).run()).deleted == 0
    assert set(hub.users) == {"a"}


async def test_a_user_who_starts_a_server_meanwhile_stays():
    class Starts(InMemoryHub):
        async def user(self, name):
            return replace(await super().user(name), servers=(server(name, idle=BUSY),))

    hub = Starts(user("a"))
    assert (await sweep_of(hub, cull_users=True).run()).deleted == 0
    assert set(hub.users) == {"a"}


async def test_admins_are_spared_on_order():
    hub = InMemoryHub(user("root", admin=True), user("a"))
    limits = replace(LIMITS, admins=False)
    assert (await sweep_of(hub, limits=limits, cull_users=True).run()).deleted == 1
    assert set(hub.users) == {"root"}


@pytest.mark.looptime
async def test_a_cancelled_sweep_leaves_no_task():
    hub = InMemoryHub(*idle_users(5), stop_seconds=1000)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(sweep_of(hub).run(), timeout=10)
    assert (hub.peak_in_flight, hub.in_flight) == (5, 0)


async def test_what_is_stopped_is_told_with_its_reason(caplog):
    caplog.set_level(logging.INFO)
    await sweep_of(InMemoryHub(user("a", server("a", "lab")))).run()
    assert caplog.messages == ["a/lab: stopped: was idle for 2 h (limit 1 h)"]


async def test_what_a_rule_ended_is_told_with_the_rule_and_its_limit(caplog):
    """Otherwise an admin cannot tell from the log why a server with a default limit of a day stopped after 2 h."""
    caplog.set_level(logging.INFO)
    day = replace(LIMITS, timeout=timedelta(days=1))
    of_servers = Rules.parse([{"match": {"server": "gpu*"}, "timeout": "90m"}])
    of_users = Rules.parse_users([{"name": "guests", "match": {"user": "a"}, "timeout": "1h"}], "user_rules")
    decider = Decider(limits=day, rules=of_servers, user_rules=of_users)
    hub = InMemoryHub(user("a", server("a", "gpu-1")), user("b", server("b")))
    await replace(sweep_of(hub, cull_users=True), decider=decider).run()
    assert caplog.messages == [
        "a/gpu-1: stopped: was idle for 2 h (limit 1 h 30 min, rules[0])",
        "user a: deleted: was idle for 2 h (limit 1 h, rule 'guests')",
    ]


async def test_a_look_stops_and_deletes_nothing_and_says_what_it_would_stop(caplog):
    caplog.set_level("INFO")
    hub = InMemoryHub(*idle_users(2))
    report = await sweep_of(hub, cull_users=True).dry_run()
    assert report.stopped == report.deleted == 0
    assert not [call for call in hub.calls if "DELETE" in call or "stop" in call or "delete" in call]
    assert len(hub.users) == 2
    assert caplog.text.count("would be stopped") == 2


@pytest.mark.looptime
async def test_a_hub_that_says_when_to_ask_again_is_obeyed(looptime):
    answers = iter([HubUnavailable("429: too many", code=429, retry_after=7), None])
    hub = InMemoryHub(*idle_users(1), trouble=lambda call: next(answers) if call.startswith("stop") else None)
    assert (await sweep_of(hub).run()).stopped == 1
    assert looptime == pytest.approx(7, abs=0.1)


@pytest.mark.looptime
async def test_stops_are_spread_on_request(looptime):
    """They begin evenly; a place is held only by who is at it."""
    hub = InMemoryHub(*idle_users(10), stop_seconds=1)
    report = await sweep_of(hub, concurrency=2, spread=timedelta(seconds=480)).run()
    assert (report.stopped, hub.peak_in_flight) == (10, 1)
    assert looptime == pytest.approx(9 * 48 + 1, abs=0.1)
    assert report.stop_seconds == pytest.approx([1] * 10)


# --- Who is told ---


async def test_each_fate_is_told_once():
    hub = ComesBack(
        *idle_users(2),
        user("busy", server("busy", idle=BUSY)),
        trouble=lambda call: Refused("400") if call == "stop user1/" else None,
    )
    hub.change = {}
    told = []
    sweep = replace(
        sweep_of(hub), on_decision=lambda decision, action: told.append((str(decision.facts.server), action))
    )
    await sweep.run()
    assert sorted(told) == [("busy", Action.KEPT), ("user0", Action.STOPPED), ("user1", Action.FAILED)]
    told.clear()
    await sweep.dry_run()
    assert sorted(told) == [("busy", Action.KEPT), ("user1", Action.WOULD_STOP)]


async def test_a_listener_that_fails_costs_no_server(caplog):
    """A full disk under the decision log, for instance; it is said once in a sweep."""

    def on_decision(decision, action):
        raise OSError("No space left on device")

    report = await replace(sweep_of(InMemoryHub(*idle_users(3))), on_decision=on_decision).run()
    assert (report.stopped, report.failed) == (3, 0)
    assert caplog.text.count("Traceback") == 1


# --- Users who would be deleted ---


def told_of(sweep):
    told = []

    def on_decision(decision, action):
        told.append((decision.subject, action))

    return replace(sweep, on_user_decision=on_decision), told


@pytest.mark.parametrize("kind", ["look", "dry run"])
async def test_who_would_be_deleted_is_told_before_anybody_is(kind, caplog):
    """It is the one act that cannot be taken back."""
    caplog.set_level(logging.INFO)
    hub = InMemoryHub(
        user("idle", server("idle")),
        user("away"),
        user("active", idle=BUSY),
        user("half", server("half"), server("half", "lab", idle=BUSY)),
        user("hidden", hidden=True),
    )
    sweep, told = told_of(sweep_of(hub, cull_users=True, dry_run=kind == "dry run"))
    report = await (sweep.dry_run() if kind == "look" else sweep.run())
    assert told == [("user idle", Action.WOULD_DELETE), ("user away", Action.WOULD_DELETE)]
    assert (report.would_delete, report.deleted) == (2, 0)
    assert "2 users would be deleted" in str(report)
    assert "user away: would be deleted: was idle for 2 h (limit 1 h)" in caplog.messages
    assert len(hub.users) == 5


async def test_what_became_of_a_user_whose_time_was_up_is_told():
    class Returns(InMemoryHub):
        async def user(self, name):
            found = await super().user(name)
            return replace(found, last_activity=NOW) if name == "back" else found

    sweep, told = told_of(
        sweep_of(Returns(user("away"), user("back"), user("active", idle=BUSY)), cull_users=True)
    )
    assert (await sweep.run()).deleted == 1
    assert sorted(told) == [("user away", Action.DELETED), ("user back", Action.KEPT)]


async def test_nobody_would_be_deleted_where_that_is_not_ordered_or_the_hub_was_away():
    sweep, told = told_of(sweep_of(InMemoryHub(user("away")), dry_run=True))
    assert (await sweep.run()).would_delete == 0
    outages = Outages(timedelta(minutes=5))
    outages.answered(NOW - timedelta(hours=1))
    sweep, told = told_of(sweep_of(InMemoryHub(user("away")), dry_run=True, cull_users=True))
    assert (await replace(sweep, outages=outages).run()).would_delete == 0
    assert told == []


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_user_who_cannot_be_judged_fails_alone(dry_run, caplog):
    class Mistaken(Rules):
        def for_user(self, user, defaults, now):
            if user.name == "a":
                raise RecursionError
            return super().for_user(user, defaults, now)

    sweep = sweep_of(InMemoryHub(user("a"), user("b")), cull_users=True, dry_run=dry_run)
    report = await replace(sweep, decider=Decider(limits=LIMITS, user_rules=Mistaken())).run()
    assert (report.deleted, report.would_delete, report.delete_failed) == (not dry_run, dry_run, 1)
    assert "user a: failed: RecursionError()" in caplog.text


async def test_a_listener_that_fails_costs_no_user(caplog):
    def on_decision(decision, action):
        raise OSError("No space left on device")

    hub = InMemoryHub(user("a"), user("b"))
    report = await replace(sweep_of(hub, cull_users=True), on_user_decision=on_decision).run()
    assert (report.deleted, report.delete_failed) == (2, 0)
    assert caplog.text.count("Traceback") == 1


# --- The second source ---


class Working:
    """Servers that say what they run."""

    def __init__(self, per_sweep=100, **works):
        self.per_sweep = per_sweep
        self.works = works
        self.probed = []

    async def refresh(self):
        self.probed.append("refresh")

    async def work(self, server):
        self.probed.append(server.user)
        return self.works.get(server.user)


def work(*, busy=0, connections=0, ago=timedelta(hours=2)):
    return Work(busy=busy, connections=connections, last_execution=NOW - ago)


async def test_servers_say_themselves_what_they_run():
    hub = InMemoryHub(
        user("idle", server("idle")),
        user("silent", server("silent")),
        user("busy", server("busy")),
        user("tab", server("tab", idle=BUSY)),
        user("fresh", server("fresh", idle=BUSY, age=BUSY)),
        user("starts", server("starts", pending="spawn", ready=False)),
    )
    servers = Working(idle=work(), busy=work(busy=1), tab=work(connections=1), fresh=work(), starts=work())
    report = await replace(sweep_of(hub), probe=servers).run()
    assert servers.probed[0] == "refresh"
    assert sorted(servers.probed[1:5]) == ["busy", "idle", "silent", "tab"]
    assert sorted(servers.probed[5:]) == ["idle", "silent", "tab"]  # again, right before their stops
    assert (report.stopped, report.probed, report.answered) == (3, 4, 3)
    assert report.kept == {"busy": 1, "in use": 1, "pending": 1}


async def test_a_mistake_about_one_server_s_answer_costs_the_others_nothing(caplog):
    class Mistaken(Working):
        async def work(self, server):
            if server.user == "user0":
                raise RecursionError
            return await super().work(server)

    sweep = replace(sweep_of(InMemoryHub(*idle_users(3))), probe=Mistaken(user2=work(busy=1)))
    report = await sweep.run()
    assert (report.stopped, report.failed, report.kept) == (1, 1, {"busy": 1})
    assert "server user0: failed: RecursionError()" in caplog.text


async def test_a_server_that_cannot_be_judged_when_others_are_chosen_fails_alone(caplog):
    """It is not stopped unasked, even if its rules can be evaluated afterwards."""

    class MistakenOnce(Rules):
        mistakes: ClassVar = [RecursionError()]

        def for_server(self, server, user, defaults, now):
            if user.name == "user0" and self.mistakes:
                raise self.mistakes.pop()
            return super().for_server(server, user, defaults, now)

    hub = InMemoryHub(*idle_users(3))
    sweep = replace(sweep_of(hub), decider=Decider(limits=LIMITS, rules=MistakenOnce()), probe=Working())
    report = await sweep.run()
    assert (report.stopped, report.failed) == (2, 1)
    assert hub.users["user0"].servers
    assert "server user0: failed: RecursionError()" in caplog.text


async def test_who_looks_idle_and_found_no_place_waits():
    hub = InMemoryHub(*idle_users(3), user("tab", server("tab", idle=BUSY)))
    sweep = replace(sweep_of(hub), probe=Working(per_sweep=2))
    assert (await sweep.run()).kept == {"not yet asked": 1, "in use": 1}
    report = await sweep.run()
    assert (report.stopped, report.probed) == (1, 2)


class Unaskable(Working):
    """Nobody knows what the culler's token may do, and so not how servers are asked."""

    def __init__(self, *troubles, **works):
        super().__init__(**works)
        self.troubles = list(troubles)

    async def refresh(self):
        await super().refresh()
        if self.troubles:
            raise self.troubles.pop(0)


async def test_while_nobody_knows_how_to_ask_a_server_that_looks_idle_is_not_stopped_unheard(caplog):
    hub = InMemoryHub(*idle_users(2), user("busy", server("busy")), user("tab", server("tab", idle=BUSY)))
    servers = Unaskable(HubForbidden("not valid for this hub"), busy=work(busy=1))
    sweep = replace(sweep_of(hub), probe=servers)
    report = await sweep.run()
    assert (report.stopped, report.kept) == (0, {"not yet asked": 3, "in use": 1})
    assert servers.probed == ["refresh"]
    assert "no idle-looking server stops in this sweep: not valid for this hub" in caplog.text
    report = await sweep.run()
    assert (report.stopped, report.kept) == (2, {"busy": 1, "in use": 1})


@pytest.mark.looptime
async def test_a_hub_that_is_away_for_a_moment_is_asked_again_how_to_ask():
    hub = InMemoryHub(user("busy", server("busy")))
    servers = Unaskable(HubUnavailable("503"), HubUnavailable("503"), busy=work(busy=1))
    assert (await replace(sweep_of(hub), probe=servers).run()).kept == {"busy": 1}
    assert servers.probed[:3] == ["refresh"] * 3


async def test_an_age_that_has_come_needs_nobody_s_answer():
    limits = replace(LIMITS, max_age=timedelta(hours=2))
    hub = InMemoryHub(*idle_users(1))
    servers = Unaskable(HubForbidden("not valid"))
    assert (await replace(sweep_of(hub, limits=limits), probe=servers).run()).stopped == 1


async def test_half_an_answer_leaves_the_hub_s_word_beside_it():
    """A tab that polls looks active to the hub; what of it is true, the server did not tell in full."""
    hub = InMemoryHub(user("a", server("a", idle=BUSY)), user("b", server("b", idle=BUSY)))
    half = replace(work(connections=1), is_partial=True)
    report = await replace(sweep_of(hub), probe=Working(a=half, b=work(connections=1))).run()
    assert (report.stopped, report.kept) == (1, {"in use": 1})
    assert set(hub.users["a"].servers) != set()


async def test_work_of_a_server_that_started_anew_meanwhile_counts_nothing():
    hub = ComesBack(*idle_users(1))
    hub.change = {"started": NOW - BUSY, "last_activity": None}
    report = await replace(sweep_of(hub), probe=Working(user0=work(connections=1))).run()
    assert report.kept == {"in use": 1}


def test_a_server_that_its_user_keeps_is_asked_too():
    """When the wish ends, its own word counts at once; until then the page foresees it."""
    facts = Facts(server=server("tab", idle=BUSY), user=user("tab"), extended_until=NOW + BUSY)
    assert candidate(facts, LIMITS, NOW, None) == Candidate(
        server=facts.server, looks_idle=False, probed_at=None
    )


def test_those_that_look_idle_come_first_and_then_those_not_asked_for_longest():
    def known(name, *, idle, probed):
        probed_at = None if probed is None else NOW - timedelta(minutes=probed)
        return Candidate(server=server(name), looks_idle=idle, probed_at=probed_at)

    choice = choose(
        [
            known("a", idle=False, probed=5),
            known("b", idle=False, probed=None),
            known("c", idle=False, probed=10),
            known("d", idle=True, probed=1),
            known("e", idle=True, probed=2),
        ],
        4,
    )
    assert [each.user for each in choice.probed] == ["e", "d", "b", "c"]
    assert not choice.waiting
    assert {each.user for each in choose([known("d", idle=True, probed=1)], 0).waiting} == {"d"}


# --- Warnings and memory ---


class Warns:
    def __init__(self, *answers):
        self.answers = iter(answers)
        self.told = []

    async def __call__(self, decision, stop_at):
        self.told.append((decision.facts.server.user, stop_at))
        return next(self.answers)


class Warned:
    """A sweep every five minutes, with a warning ten minutes ahead."""

    def __init__(self, hub, *answers):
        self.clock = NOW
        self.warn = Warns(*answers)
        self.store = StateStore(
            None, ExtensionLimits(longest=timedelta(hours=1), per_week=1), lambda: self.clock
        )
        self.sweep = Sweep(
            hub,
            SweepOptions(),
            Decider(limits=LIMITS, notice=timedelta(minutes=10)),
            lambda: self.clock,
            store=self.store,
            warn=self.warn,
        )

    async def sweeps(self, number):
        reports = []
        for _ in range(number):
            reports.append(await self.sweep.run())
            self.clock += timedelta(minutes=5)
        return reports


async def test_a_user_is_warned_once_and_the_server_stopped_when_its_time_is_up():
    """Idle for 45 minutes at noon; the warning comes at 12:05, the stop at 12:15."""
    warned = Warned(InMemoryHub(user("a", server("a", idle=timedelta(minutes=45)))), True)
    reports = await warned.sweeps(4)
    assert warned.warn.told == [("a", NOW + timedelta(minutes=15))]
    assert [(each.warned, each.stopped) for each in reports] == [(0, 0), (1, 0), (0, 0), (0, 1)]


async def test_nobody_is_stopped_unwarned_even_if_the_time_is_up_long_since(caplog):
    caplog.set_level("INFO")
    warned = Warned(InMemoryHub(user("a", server("a"))), True)
    reports = await warned.sweeps(3)
    stop_at = timestamps.format_seconds(NOW + timedelta(minutes=10))
    (line,) = [each for each in caplog.messages if "warned: " in each]
    assert line.startswith(f"a: user warned: stops at {stop_at}: was idle for ")
    assert warned.warn.told == [("a", NOW + timedelta(minutes=10))]
    assert [(each.warned, each.stopped) for each in reports] == [(1, 0), (0, 0), (0, 1)]


async def test_a_webhook_that_is_away_is_tried_three_times(caplog):
    warned = Warned(InMemoryHub(user("a", server("a"))), False, False, False)
    reports = await warned.sweeps(4)
    assert len(warned.warn.told) == 3
    assert [each.stopped for each in reports] == [0, 0, 0, 1]
    assert caplog.text.count("a: user not warned: too many failed attempts") == 1


async def test_a_look_warns_nobody():
    warned = Warned(InMemoryHub(user("a", server("a"))))
    assert (await warned.sweep.dry_run()).warned == 0
    assert warned.warn.told == []


@pytest.mark.looptime
async def test_warnings_about_servers_that_are_gone_are_forgotten_if_nothing_of_the_list_was_lost():
    lost = []
    hub = InMemoryHub(
        *(user(f"u{number}", server(f"u{number}", idle=BUSY)) for number in range(3)),
        trouble=lambda call: BadReply("no JSON") if call in lost else None,
    )
    warned = Warned(hub)
    warned.sweep = replace(warned.sweep, options=SweepOptions(page_size=1))
    notice = Notice(at=NOW, since=NOW)
    await warned.sweeps(1)
    for name in ("u0", "u1"):
        warned.store.save_notice(name, "", notice)
    hub.users["u0"] = user("u0")
    lost.append("page 1")
    await warned.sweeps(3)
    assert warned.store.notice("u0", "") == notice
    lost.clear()
    await warned.sweeps(2)
    assert (warned.store.notice("u0", ""), warned.store.notice("u1", "")) == (None, notice)


async def test_warnings_are_forgotten_even_if_the_token_never_sees_the_servers_of_some_users():
    hub = InMemoryHub(
        user("hidden", hidden=True), *(user(name, server(name, idle=BUSY)) for name in ("gone", "here"))
    )
    warned = Warned(hub)
    await warned.sweeps(1)
    notice = Notice(at=NOW, since=NOW)
    for name in ("gone", "here"):
        warned.store.save_notice(name, "", notice)
    hub.users["gone"] = user("gone")
    await warned.sweeps(2)
    assert (warned.store.notice("gone", ""), warned.store.notice("here", "")) == (None, notice)


async def test_nobody_is_warned_of_a_stop_before_the_server_was_asked_what_it_runs():
    servers = Working(per_sweep=0, busy=work(busy=1))
    warned = Warned(InMemoryHub(user("busy", server("busy"))), True)
    warned.sweep = replace(warned.sweep, probe=servers)
    reports = await warned.sweeps(2)
    servers.per_sweep = 1
    reports += await warned.sweeps(1)
    assert warned.warn.told == []
    assert [each.kept for each in reports] == [{"not yet asked": 1}, {"not yet asked": 1}, {"busy": 1}]
