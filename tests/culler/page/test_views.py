"""What the pages show, from values."""

from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_hub.culler.judging.decider import Decider
from k8s_hub.culler.judging.decision import Action
from k8s_hub.culler.judging.facts import Work, facts_of
from k8s_hub.culler.keeping import Allowance, KeepLimits
from k8s_hub.culler.page import views
from k8s_hub.culler.page.board import Seen
from k8s_hub.culler.page.settings import BadPageSettings, PageSettings
from k8s_hub.culler.ruling.limits import Limits
from k8s_hub.culler.sweeping.report import PassRecord, Report
from tests.inmemoryhub import NOW, server, user

HOUR = timedelta(hours=1)
LIMITS = Limits(idle=HOUR)
KEEPING = KeepLimits(longest=8 * HOUR, per_week=5)
SOME = Allowance(left=3, longest=8 * HOUR)
NONE = Allowance(left=0, longest=8 * HOUR, again=NOW + HOUR)


async def decided(limits=LIMITS, *, work=None, **how):
    one = server("alice", **how)
    return await Decider(limits=limits).decide(facts_of(one, user("alice", one), work=work), NOW)


async def seen(limits=LIMITS, *, action=Action.KEPT, **how):
    return Seen.of(await decided(limits, **how), action)


async def test_a_row_says_what_the_decision_does():
    for how in ({}, {"idle": timedelta(minutes=5)}, {"pending": "stop"}, {"idle": None, "age": None}):
        decision = await decided(**how)
        row, record = views.row_of(decision), decision.record(Action.KEPT)
        assert (row.verdict, row.cause, row.reason, row.rule) == tuple(
            record[key] for key in ("verdict", "cause", "reason", "rule")
        )
        assert row.due == decision.verdict.due


@pytest.mark.parametrize(
    ("how", "fate", "condition"),
    [
        ({"idle": timedelta(minutes=5)}, "It is stopped from", "on, unless it is used until then."),
        ({"idle": 2 * HOUR}, "It is stopped at the next sweep.", ""),
        ({"idle": 2 * HOUR, "action": Action.STOPPED}, "It was stopped.", ""),
        ({"pending": "spawn"}, "It is not stopped while this lasts.", ""),
        ({"limits": replace(LIMITS, exempt=True)}, "It is never stopped.", ""),
        (
            {"limits": replace(LIMITS, age=5 * HOUR), "idle": timedelta(0)},
            "It is stopped from",
            "on, unless it is used until then.",
        ),
        (
            {"limits": replace(LIMITS, age=3 * HOUR + timedelta(minutes=1)), "idle": timedelta(0)},
            "It is stopped from",
            "on, used or not: its greatest age comes then.",
        ),
        (
            {"idle": timedelta(0), "work": Work(busy=0, connections=1, last_execution=NOW)},
            "It is stopped from",
            "on, unless something is executed until then; an open tab does not count.",
        ),
        (
            {"idle": 2 * HOUR, "work": Work(busy=1, connections=0, last_execution=NOW)},
            "It is not stopped while its kernels are busy.",
            "",
        ),
    ],
)
async def test_the_fate_in_words(how, fate, condition):
    row = views.row(await seen(**how))
    assert (row.fate, row.condition) == (fate, condition)


async def test_what_is_offered():
    one = await seen(idle=timedelta(0))
    offer = views.offer(one, SOME, KEEPING, NOW)
    assert offer.stretches == (HOUR, 4 * HOUR, 8 * HOUR)
    assert offer.sentence.startswith("3 of 5 times left")
    short = KeepLimits(longest=HOUR, per_week=5)
    assert views.offer(one, SOME, short, NOW).stretches == (HOUR,)
    assert views.offer(replace(one, kept_until=NOW + 4 * HOUR), SOME, KEEPING, NOW).stretches == (8 * HOUR,)
    assert views.offer(replace(one, age_ends=NOW + 5 * HOUR), SOME, KEEPING, NOW).stretches == (
        HOUR,
        4 * HOUR,
    )


@pytest.mark.parametrize(
    ("how", "change", "allowance", "sentence"),
    [
        ({"limits": replace(LIMITS, exempt=True)}, {}, SOME, "It is never stopped, so"),
        ({"pending": "spawn"}, {}, SOME, "It can be kept once it is ready."),
        (
            {},
            {},
            NONE,
            "The 5 times within seven days are used up; the next is free on 2026-07-01 13:00 UTC.",
        ),
        ({}, {"kept_until": NOW + 8 * HOUR}, SOME, "It is kept for as long as is possible now."),
        (
            {},
            {"age_ends": NOW + timedelta(minutes=30)},
            SOME,
            "It is stopped on 2026-07-01 12:30 UTC because",
        ),
    ],
)
async def test_why_nothing_is_offered(how, change, allowance, sentence):
    offer = views.offer(replace(await seen(**how), **change), allowance, KEEPING, NOW)
    assert offer.stretches == ()
    assert offer.sentence.startswith(sentence)


async def test_a_list_is_filtered_and_paged():
    one = await seen()
    servers = [replace(one, user=f"user-{number:03}") for number in range(250)]
    first, last = (views.listing(servers, views.Filter(page=page)) for page in (-1, 99))
    assert (first.page, first.pages, len(first.seen), first.found) == (1, 3, 100, 250)
    assert (last.page, len(last.seen), last.seen[-1].user) == (3, 50, "user-249")
    assert views.listing(servers, views.Filter(text=" USER-24")).found == 10
    assert views.listing(servers, views.Filter(cause="in use")).seen == ()
    assert first.causes == (("idle", 250),)


def test_banners():
    def ended(error=None, **counts):
        report = None if error else Report(**counts)
        return PassRecord(kind="sweep", begun=NOW, seconds=1.0, report=report, error=error)

    assert views.banners([], ()) == ("No sweep has ended yet.",)
    assert views.banners([ended()], ()) == ()
    assert views.banners([ended("no answer"), ended()], ()) == ()
    [failed] = views.banners([ended(), ended("no answer")], ())
    assert failed == "The last sweep failed: no answer"
    said = views.banners([ended(braked=12, quiet=3)], ("read:users:groups",), is_dry_run=True)
    for part in ("Dry run", "held back 12", "3 servers", "read:users:groups"):
        assert part in str(said)
    assert len(said) == 4


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
    with pytest.raises(BadPageSettings, match=key) as refused:
        settings(**{key: value})
    assert value in str(refused.value)
