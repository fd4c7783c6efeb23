"""What the pages show, from values."""

from dataclasses import replace
from datetime import timedelta

import pytest

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core import views
from k8s_hub.culler.core.decision import Action
from k8s_hub.culler.core.extensions import ExtensionLimits, Quota
from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.page_settings import PageSettings
from k8s_hub.culler.core.policy import Cause, Facts, Notice, Work, facts_of
from k8s_hub.culler.core.report import Report, Stop, SweepRecord
from k8s_hub.culler.core.rules import Limits, Rules
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.outages import Outages
from k8s_hub.culler.web.app import _login
from k8s_hub.text import message_text

HOUR = timedelta(hours=1)
LIMITS = Limits(timeout=HOUR)
KEEPING = ExtensionLimits(longest=8 * HOUR, per_week=5)
SOME = Quota(left=3)
NONE = Quota(left=0, again=NOW + HOUR)


async def decided(limits=LIMITS, *, work=None, **how):
    one = server("alice", **how)
    return await Decider(limits=limits).decide(facts_of(one, user("alice", one), work=work), NOW)


def ending(record, at):
    """Return the record of a server that reaches its maximum runtime then."""
    limits = replace(record.matched.limits, max_age=at - record.started)
    return replace(record, matched=replace(record.matched, limits=limits))


async def seen(limits=LIMITS, *, action=Action.KEPT, **how):
    return (await decided(limits, **how)).record(action)


@pytest.mark.parametrize(
    ("how", "fate", "condition"),
    [
        ({"idle": timedelta(minutes=5)}, "Stops at", "unless you use it before then."),
        ({"idle": 2 * HOUR}, "Stops at the next sweep.", ""),
        ({"idle": 2 * HOUR, "action": Action.STOPPED}, "The culler stopped it.", ""),
        ({"pending": "spawn"}, "It is starting.", ""),
        ({"pending": "stop"}, "It is stopping.", ""),
        ({"pending": "rename"}, "It is changing.", ""),
        ({"limits": replace(LIMITS, exempt=True)}, "Does not stop automatically: it is exempt.", ""),
        (
            {"limits": replace(LIMITS, max_age=5 * HOUR), "idle": timedelta(0)},
            "Stops at",
            "unless you use it before then.",
        ),
        (
            {"limits": replace(LIMITS, max_age=3 * HOUR + timedelta(minutes=1)), "idle": timedelta(0)},
            "Stops at",
            "even if in use: it reaches its maximum runtime.",
        ),
        (
            {"idle": timedelta(0), "work": Work(busy=0, connections=1, last_execution=NOW)},
            "Stops at",
            "unless you run something before then. An open tab does not count.",
        ),
        (
            {"idle": 2 * HOUR, "work": Work(busy=1, connections=0, last_execution=NOW)},
            "Does not stop automatically while its kernels are busy.",
            "",
        ),
    ],
)
async def test_the_fate_in_words(how, fate, condition):
    row = views.row(await seen(**how))
    assert (row.fate, row.condition) == (fate, condition)


STAFF = {"name": "staff", "match": {"group": "staff"}, "exempt": True}
GPU = {"name": "gpu", "match": {"profile": "gpu"}, "timeout": "2h"}


@pytest.mark.parametrize(
    ("rules", "groups", "is_own", "fate"),
    [
        (
            [STAFF, GPU],
            None,
            True,
            "Does not stop automatically: the culler is not allowed to see your groups, which a rule needs.",
        ),
        (
            [STAFF],
            None,
            False,
            "Does not stop automatically: the culler is not allowed to see its user's groups, which a rule needs. Add read:users:groups to the scopes of the culler's role (load_roles).",
        ),
        ([STAFF], ("staff",), True, "Does not stop automatically: it is exempt."),
        ([STAFF, {"exempt": True}], None, True, "Does not stop automatically: it is exempt."),
    ],
)
async def test_a_server_that_may_be_exempt_is_not_called_exempt(rules, groups, is_own, fate):
    """Without the scope read:users:groups, everybody read that a rule exempts them."""
    one = server("alice", idle=2 * HOUR)
    owner = replace(user("alice", one), groups=groups)
    decision = await Decider(limits=LIMITS, rules=Rules.parse(rules)).decide(facts_of(one, owner), NOW)
    row = views.row(decision.record(Action.KEPT), is_own=is_own)
    assert (row.fate, row.condition, row.state) == (fate, "", "exempt")
    assert decision.verdict.reason == (
        "is exempt by a rule"
        if fate.endswith("exempt.")
        else "may be exempt by a rule that the culler cannot check"
    )
    why = "it is exempt." if fate.endswith("exempt.") else "it does not stop automatically."
    assert message_text(views.why_not(row.record, NOW)) == f"It needs no extension: {why}"


SOON = NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("idle", "deadline", "fate", "condition"),
    [
        (2 * HOUR, SOON, "Held back. Stops at", "unless you use it before then."),
        (
            HOUR - timedelta(minutes=1),
            SOON,
            "Stops at",
            "unless you use it before then. The culler stops no server earlier, because the hub was away.",
        ),
        (timedelta(0), NOW + HOUR, "Stops at", "unless you use it before then."),
    ],
)
async def test_after_an_outage_the_page_counts_to_the_time_of_the_stop(idle, deadline, fate, condition):
    outages = Outages(timedelta(minutes=5))
    for at in (NOW - HOUR, NOW):
        outages.answered(at)
    record = outages.held_back(await decided(idle=idle), NOW).record(Action.KEPT)
    row = views.row(record)
    assert (record.verdict.deadline, row.fate, row.condition) == (deadline, fate, condition)


async def test_what_the_brake_holds_stops_at_the_next_sweep():
    held = (await decided(idle=2 * HOUR)).held_back(Cause.BRAKE, "the brake holds it", SOON)
    row = views.row(held.record(Action.KEPT), is_own=False)
    assert (row.fate, row.condition) == ("Held back. Stops at", "unless somebody uses it before then.")
    unknown = views.row((await decided(idle=2 * HOUR)).held_back(Cause.UNPROBED, "").record(Action.KEPT))
    assert (unknown.fate, unknown.condition) == ("Held back. A later sweep decides again.", "")


WARNING = timedelta(minutes=20)


@pytest.mark.parametrize(
    ("idle", "warned", "state", "reason"),
    [
        (50, None, "in use", "was active 50 min ago"),
        (50, 5, "warned", "was active 50 min ago, and the culler sent a warning"),
        (50, 60, "in use", "was active 50 min ago"),  # used after the warning
        (65, 5, "warned", "was idle for 1 h 5 min, but the culler sent a warning only 5 min ago"),
        (65, 25, "idle", "was idle for 1 h 5 min"),
    ],
)
async def test_a_server_that_is_idle_and_was_warned_of_is_not_in_use(idle, warned, state, reason):
    minute = timedelta(minutes=1)
    one = server("alice", idle=idle * minute)
    notice = None
    if warned is not None:
        since = one.last_activity if warned < idle else one.last_activity - HOUR
        notice = Notice(at=NOW - warned * minute, since=since)
    facts = Facts(server=one, user=user("alice", one), notice=notice)
    record = (await Decider(limits=LIMITS, notice=WARNING).decide(facts, NOW)).record(Action.KEPT)
    row = views.row(record)
    assert (row.state, row.reason) == (state, reason)
    listing = views.servers_page([record], views.Filter(cause=state))
    assert (listing.records, listing.causes) == ((record,), ((state, 1),))


async def test_what_is_busy_and_was_warned_of_is_warned_and_what_is_extended_is_extended():
    busy = Work(busy=1, connections=0, last_execution=NOW - 50 * timedelta(minutes=1))
    one = server("alice", idle=2 * HOUR)
    facts = Facts(
        server=one, user=user("alice", one), work=busy, notice=Notice(at=NOW, since=busy.last_execution)
    )
    limits = replace(LIMITS, busy_limit=HOUR)
    row = views.row((await Decider(limits=limits, notice=WARNING).decide(facts, NOW)).record(Action.KEPT))
    assert row.state == "warned"
    extended = replace(facts, extended_until=NOW + HOUR)
    row = views.row((await Decider(limits=limits, notice=WARNING).decide(extended, NOW)).record(Action.KEPT))
    assert row.state == "extended"


async def test_an_admin_reads_about_a_user_s_server_not_about_their_own():
    tabs = Work(busy=0, connections=1, last_execution=NOW)
    for work, condition in (
        (None, "unless somebody uses it before then."),
        (tabs, "unless somebody runs something before then. An open tab does not count."),
    ):
        row = views.row(await seen(idle=timedelta(0), work=work), is_own=False)
        assert row.condition == condition


async def test_an_exempt_server_has_no_limits():
    limits = replace(LIMITS, max_age=5 * HOUR)
    row = views.row(await seen(limits))
    assert (row.limit, row.record.runtime_ends) == ("1 h, the default limit", NOW + 2 * HOUR)
    for exempt in ({"exempt": True}, {"default_servers": False}):
        row = views.row(await seen(replace(limits, **exempt)))
        assert (row.record.verdict.cause, row.limit) == (Cause.EXEMPT, None)


async def test_what_is_offered():
    one = await seen(idle=timedelta(0))
    offer = views.offer(one, SOME, KEEPING, NOW)
    assert offer.lengths == (HOUR, 4 * HOUR, 8 * HOUR)
    assert message_text(offer.sentence).startswith("You have 3 of 5 extensions left")
    short = ExtensionLimits(longest=HOUR, per_week=5)
    assert views.offer(one, SOME, short, NOW).lengths == (HOUR,)
    assert views.offer(replace(one, extended_until=NOW + 4 * HOUR), SOME, KEEPING, NOW).lengths == (8 * HOUR,)


@pytest.mark.parametrize(
    ("left", "lengths", "is_offered"),
    [
        (9 * HOUR, (HOUR, 4 * HOUR, 8 * HOUR), False),
        (8 * HOUR, (HOUR, 4 * HOUR, 8 * HOUR), False),
        (5 * HOUR, (HOUR, 4 * HOUR), True),
        (2 * HOUR, (HOUR,), True),
        (timedelta(minutes=61), (HOUR,), True),
    ],
)
async def test_an_extension_ends_at_the_maximum_runtime_at_the_latest(left, lengths, is_offered):
    one = ending(await seen(idle=timedelta(0)), NOW + left)
    offer = views.offer(one, SOME, KEEPING, NOW)
    assert offer.lengths == lengths
    assert offer.until == (NOW + left if is_offered else None)


async def test_a_server_that_is_idle_can_be_extended_for_the_minutes_that_are_left():
    """... but one that stops then anyway, or is extended until then, gets no button that does nothing."""
    end = NOW + timedelta(minutes=20)
    deadline = ending(await seen(idle=timedelta(minutes=50)), end)
    offer = views.offer(deadline, SOME, KEEPING, NOW)
    assert (offer.lengths, offer.until) == ((), end)
    assert message_text(offer.sentence).startswith("You have 3 of 5")
    in_use = replace(deadline, verdict=replace(deadline.verdict, deadline=end))
    for nothing_to_gain in (in_use, replace(deadline, extended_until=end)):
        offer = views.offer(nothing_to_gain, SOME, KEEPING, NOW)
        assert (offer.lengths, offer.until) == ((), None)
        assert message_text(offer.sentence) == (
            "It reaches its maximum runtime at 2026-07-01 12:20 UTC. You cannot extend it beyond that."
        )


async def test_what_is_offered_to_an_admin():
    one = await seen(idle=timedelta(0))
    for quota, limits in ((NONE, KEEPING), (SOME, replace(KEEPING, per_week=0))):
        offer = views.offer(one, quota, limits, NOW, by_admin=True)
        assert offer.lengths == (HOUR, 4 * HOUR, 8 * HOUR)
        assert message_text(offer.sentence) == "An admin's extension does not count as one of the user's."
    assert views.offer(one, SOME, replace(KEEPING, longest=timedelta(0)), NOW, by_admin=True) == views.Offer()


@pytest.mark.parametrize(
    ("how", "change", "quota", "sentence"),
    [
        ({"limits": replace(LIMITS, exempt=True)}, {}, SOME, "It needs no extension: it is exempt."),
        ({"pending": "spawn"}, {}, SOME, "You can extend it once it is ready."),
        (
            {},
            {},
            NONE,
            "You have used all 5 extensions of these seven days. You can extend again from 2026-07-01 13:00 UTC.",
        ),
        (
            {},
            {"extended_until": NOW + 8 * HOUR},
            SOME,
            "It is already extended for as long as possible.",
        ),
        (
            {"limits": replace(LIMITS, max_age=3 * HOUR + timedelta(seconds=30))},
            {},
            SOME,
            "It reaches its maximum runtime at 2026-07-01 12:00 UTC.",
        ),
    ],
)
async def test_why_nothing_is_offered(how, change, quota, sentence):
    offer = views.offer(replace(await seen(**how), **change), quota, KEEPING, NOW)
    assert offer.lengths == ()
    assert message_text(offer.sentence).startswith(sentence)


async def test_a_list_is_filtered_and_paged():
    one = await seen()
    servers = [replace(one, user=f"user-{number:03}") for number in range(250)]
    first, last = (views.servers_page(servers, views.Filter(page=page)) for page in (-1, 99))
    assert (first.page, first.pages, len(first.records), first.found) == (1, 3, 100, 250)
    assert (last.page, len(last.records), last.records[-1].user) == (3, 50, "user-249")
    assert views.servers_page(servers, views.Filter(text=" USER-24")).found == 10
    assert views.servers_page(servers, views.Filter(cause="in use")).records == ()
    assert first.causes == (("idle", 250),)


def test_banners():
    def ended(error=None, **counts):
        report = None if error else Report(**counts)
        return SweepRecord(kind="sweep", begun=NOW, seconds=1.0, report=report, error=error)

    assert views.banners([], ()) == ("The first sweep has not finished yet.",)
    assert views.banners([ended()], ()) == ()
    assert views.banners([ended("no answer"), ended()], ()) == ()
    [failed] = views.banners([ended(), ended("no answer")], ())
    assert failed == "The last sweep failed: no answer"
    lacking = ("The API token lacks the scope read:users:groups: rules that match groups never match",) * 2
    said = views.banners([ended(held_by_brake=12, held_by_grace=1)], lacking, is_dry_run=True)
    assert said[0] == "Dry run: no servers are stopped."
    assert said[1].startswith("The last sweep held back the stop of 12 servers: ")
    assert said[2].startswith(
        "The last sweep held back the stop of 1 server: after its outage, the hub does not know"
    )
    assert said[3:] == lacking[:1], "as it is, and once"


def swept(number, *, kind="sweep", error=None, **counts):
    report = None if error else Report(**counts)
    return SweepRecord(kind=kind, begun=NOW + number * HOUR, seconds=1.0, report=report, error=error)


def test_only_sweeps_that_did_something_have_a_row():
    records = [
        swept(0, kind="look"),
        swept(1),
        swept(2, stopped=1),
        *(swept(number, servers=number, kept={"in use": number}) for number in range(3, 17)),
        swept(17, error="away"),
        swept(18, servers=3),
    ]
    failed, stopping = views.sweeps(records)
    assert (failed.begun, failed.error, failed.outcome) == (NOW + 17 * HOUR, "away", "")
    assert (stopping.begun, stopping.error, stopping.took) == (NOW + 2 * HOUR, None, "1.0 s")
    assert stopping.outcome == "0 servers of 0 users, 1 stopped, 0 kept, 0 failed"
    last = records[-1]
    assert (last.begun, last.outcome) == (
        NOW + 18 * HOUR,
        "3 servers of 0 users, 0 stopped, 0 kept, 0 failed",
    )


def test_a_sweep_that_takes_long_has_its_minutes():
    [row] = views.sweeps([replace(swept(0, stopped=1), seconds=150.4)])
    assert row.took == "2 min 30 s"


@pytest.mark.parametrize(
    "count",
    ["stopped", "stopping", "gone", "would_stop", "failed", "hidden", "held_by_brake", "held_by_grace", "warned", "deleted",
     "delete_failed", "lost"],
)  # fmt: skip
def test_a_sweep_in_which_anything_happened_has_a_row_of_its_own(count):
    [row] = views.sweeps([swept(0), swept(1, **{count: 1}), swept(2)])
    assert row.begun == NOW + HOUR


def test_only_so_many_rows_of_sweeps_are_shown():
    assert len(views.sweeps([swept(number, stopped=1) for number in range(50)])) == views.SWEEPS


def stopped(user="ada", server="", ago=timedelta(0), **more):
    return Stop(user=user, server=server, at=NOW - ago, reason="was idle for 1 h", rule=None, **more)


def test_of_each_server_the_last_stop_is_shown_unless_it_ran_since():
    lab, old = stopped(server="lab"), stopped(server="lab", ago=HOUR)
    again, running = stopped(server="again", ran_again=True), stopped(server="running")
    stops = [lab, stopped("bob"), again, stopped(server="again", ago=HOUR, ran_again=True), running, old]
    assert views.stops_of(stops, "ada", {"running"}) == [lab]


def test_stops_are_filtered_by_name_and_not_endless():
    stops = [stopped("ada", "Lab"), stopped("bob")]
    assert views.stops_with(stops, " LAB") == stops[:1]
    assert len(views.stops_with([stopped()] * (views.STOPS + 1), "")) == views.STOPS


ENVIRONMENT = {"JUPYTERHUB_SERVICE_NAME": "culler", "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:10101"}


def settings(**changes):
    return PageSettings.of(ENVIRONMENT | changes, api_url="http://hub/api", token="secret")


def test_settings_from_the_environment():
    here = settings()
    assert (here.ip, here.port, here.prefix, here.client_id) == (
        "127.0.0.1",
        10101,
        "/services/culler/",
        "service-culler",
    )
    assert here.access_scopes == {"access:services!service=culler"}
    assert "secret" not in repr(here)
    assert settings(JUPYTERHUB_SERVICE_URL="http://hub:10101").ip == ""
    assert settings(JUPYTERHUB_SERVICE_URL="http://[::1]:10101").ip == "::1"
    assert settings(JUPYTERHUB_BASE_URL="/jhub").hub_prefix == "/jhub/hub/"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("JUPYTERHUB_SERVICE_NAME", ""),
        ("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1"),
        ("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:99999"),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", "[]"),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", "access:services"),
    ],
)
def test_settings_that_make_no_sense(key, value):
    with pytest.raises(BadOption, match=key) as refused:
        settings(**{key: value})
    assert value in str(refused.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "/services/culler/oauth_callback"),
        (
            {"JUPYTERHUB_HOST": "https://hub.example.org"},
            "https://hub.example.org/services/culler/oauth_callback",
        ),
        (
            {
                "JUPYTERHUB_HOST": "https://hub.example.org",
                "JUPYTERHUB_OAUTH_CALLBACK_URL": "/services/culler/oauth_callback",
            },
            "/services/culler/oauth_callback",
        ),
    ],
)
def test_the_login_returns_to_the_address_that_the_hub_expects(given, expected):
    assert _login(settings(**given)).oauth_redirect_uri == expected


def test_a_password_in_an_address_is_not_shown():
    with pytest.raises(BadOption) as refused:
        settings(JUPYTERHUB_SERVICE_URL="http://me:s3cret@localhost")
    assert "not 'localhost'" in str(refused.value)
