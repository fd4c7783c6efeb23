"""The saved state has the options that a start applied from the profiles, and the culler's rules use them."""

import json
from datetime import timedelta

import pytest

from devkit.testing.bare import bare_spawner
from devkit.testing.runs import restart_process
from k8s_hub.claims.saved_state import APPLIED_OPTIONS, SavedState
from k8s_hub.clock import utcnow
from k8s_hub.culler.core.rules import Limits, Rules
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.hub.users import user_of
from k8s_hub.profiles.selection import LONGEST_TOGETHER, LONGEST_VALUE
from k8s_hub.spawner.failures import SpawnFailed
from tests.spawner.test_saved_state import kubespawner_7
from tests.spawner.test_user_choices import chosen

__all__ = ["kubespawner_7"]

FREE = {"enabled": True, "kubespawner_override": {"environment": {"X": "{value}"}}}
PROFILES = [
    {"display_name": "Small"},
    {
        "display_name": "Pick",
        "slug": "pick",
        "profile_options": {
            "image": {"choices": {"stable": {}, "other": {}}, "unlisted_choice": FREE},
            "only": {"unlisted_choice": FREE},
            "gpus": {"choices": {0: {"default": True}, 1: {}}},
            "fast": {"choices": {False: {}, True: {}}},
        },
    },
]
DEFAULTS = {"image": "stable", "gpus": 0, "fast": False}


def applied(spawner):
    """What is saved, as the database holds it."""
    state = json.loads(json.dumps(spawner.get_state()))
    return state.get(APPLIED_OPTIONS)


CHOICES = {
    "a default that nobody chose": ({}, "small", {}),
    "a form": (
        {"profile": "pick", "image": "unlisted-choice", "image--unlisted-choice": "evil:beta"},
        "pick",
        {"image": "evil:beta"},
    ),
    "a text beside a choice": (
        {"profile": "pick", "image": "other", "image--unlisted-choice": "evil:beta"},
        "pick",
        {"image": "evil:beta"},
    ),
    "a text alone": (
        {"profile": "pick", "image--unlisted-choice": "evil:beta"},
        "pick",
        {"image": "evil:beta"},
    ),
    "a number": ({"profile": "pick", "gpus": 1}, "pick", {"gpus": 1}),
    "a number as a text": ({"profile": "pick", "gpus": "1"}, "pick", {"gpus": 1}),
    "a truth": ({"profile": "pick", "fast": True}, "pick", {"fast": True}),
    "a truth as a text": ({"profile": "pick", "fast": "True"}, "pick", {"fast": True}),
    "a key that no profile has": ({"profile": "pick", "thesis": "yes"}, "pick", {}),
}


@pytest.mark.parametrize(("user_options", "profile", "options"), CHOICES.values(), ids=CHOICES)
async def test_what_was_applied_is_saved_whatever_was_asked_for(user_options, profile, options):
    user_options = user_options and {"only--unlisted-choice": "x", **user_options}
    spawner = await chosen(user_options, profile_list=PROFILES)
    defaults = {"only": "x", **DEFAULTS} if profile == "pick" else {}
    assert applied(spawner) == {"profile": profile, "options": {**defaults, **options}}


@pytest.mark.parametrize("profile_list", [[], None, {}])
async def test_without_profiles_nothing_is_saved(profile_list):
    """What user_options mean is then the administrator's code's matter."""
    spawner = bare_spawner(**({} if profile_list is None else {"profile_list": profile_list}))
    spawner.user_options = {"profile": "gpu"}
    await spawner.load_user_options()
    assert applied(spawner) is None


async def test_a_function_that_has_no_profile_for_a_user_is_saved_as_none():
    """Else that user could grant themselves the limits of any profile."""
    spawner = await chosen({"profile": "pick"}, profile_list=lambda _spawner: [])
    assert applied(spawner) == {"profile": None, "options": {}}


def test_a_profile_that_a_hook_loads_is_the_one_that_was_applied():
    spawner = bare_spawner(profile_list=PROFILES)
    spawner.user_options = {"profile": "pick"}
    spawner._load_profile("small", spawner._get_initialized_profile_list(PROFILES))
    assert applied(spawner) == {"profile": "small", "options": {}}


async def test_it_is_forgotten_with_the_server():
    spawner = await chosen({}, profile_list=PROFILES)
    spawner.clear_state()
    assert applied(spawner) is None


async def test_a_later_hub_knows_it_and_kubespawner_leaves_it_alone(kubespawner_7):
    state = (await chosen({}, profile_list=PROFILES)).get_state()
    later = bare_spawner(profile_list=[])
    later.load_state(state)
    assert later.get_state()[APPLIED_OPTIONS] == state[APPLIED_OPTIONS]

    theirs, without = kubespawner_7("ada", ""), kubespawner_7("ada", "")
    theirs.load_state(state)
    without.load_state({key: value for key, value in state.items() if key != APPLIED_OPTIONS})
    assert theirs.get_state() == without.get_state()


@pytest.mark.parametrize("junk", [None, 7, "gpu", [], {"profile": ["gpu"], "options": 7}])
def test_junk_in_a_state_does_no_harm(junk):
    state = SavedState.load({"pod_name": "jupyter-ada", APPLIED_OPTIONS: junk})
    assert json.dumps(state.dump())


@pytest.mark.parametrize("letter", ["x", "ü", "\N{GRINNING FACE}"])
async def test_it_is_bounded(letter):
    """Databases end a text at 64 kB, and the hub with it."""
    options = {f"o{number}": {"unlisted_choice": FREE} for number in range(8)}
    profile_list = [{"display_name": "Free", "profile_options": options}]

    def typed(length):
        return {f"{name}--unlisted-choice": letter * length for name in options}

    each = LONGEST_TOGETHER // len(options)
    spawner = await chosen(typed(each), profile_list=profile_list)
    assert set(applied(spawner)["options"].values()) == {letter * each}
    with pytest.raises(SpawnFailed, match=f"more than {LONGEST_TOGETHER} characters together"):
        await chosen(typed(each + 1), profile_list=profile_list)


async def test_the_longest_value_is_saved_whole():
    """What was cut off would be what a rule looks for."""
    value = "x" * (LONGEST_VALUE - 5) + ":beta"
    spawner = await chosen(
        {"profile": "pick", "only--unlisted-choice": "y", "image--unlisted-choice": value},
        profile_list=PROFILES,
    )
    assert applied(spawner)["options"]["image"] == value


# --- In a hub, as the culler sees it ---

RULES = Rules.parse(
    [
        {"name": "beta", "match": {"options": {"image": "*:beta"}}, "timeout": "20m"},
        {"name": "gpu", "match": {"options": {"gpus": "1"}}, "timeout": "22m"},
        {"name": "long", "match": {"options": {"thesis": "yes"}}, "timeout": "30d"},
        {"name": "small", "match": {"profile": "small"}, "timeout": "24m"},
    ]
)


async def rule_of(hub, *scopes):
    settings = HubConnectionSettings(url=hub.api_url, token=hub.token(scopes=["read:servers", *scopes]))
    async with HubConnection(settings) as connection:
        user = await HubApi(connection).user("ada")
    return RULES.for_server(user.server(""), user, Limits(timeout=timedelta(hours=1)), utcnow())


@pytest.mark.looptime
@pytest.mark.hub
@pytest.mark.parametrize(
    ("user_options", "rule"),
    [
        ({}, "small"),
        ({"profile": "small", "thesis": "yes"}, "small"),
        ({"profile": "pick", "only--unlisted-choice": "x", "thesis": "yes"}, None),
        ({"profile": "pick", "only--unlisted-choice": "x", "image--unlisted-choice": "evil:beta"}, "beta"),
        ({"profile": "pick", "only--unlisted-choice": "x", "gpus": 1}, "gpu"),
    ],
)
async def test_nobody_evades_a_limit_nor_grants_themselves_one(hub, user_options, rule):
    async with hub(profile_list=PROFILES) as hub:
        await hub.start_server("ada", options=user_options)
        await hub.wait_ready("ada")
        found = await rule_of(hub, "admin:server_state")
        assert (found.name, found.doubts) == (rule, ())
        hidden = await rule_of(hub)
        assert {doubt.scope for doubt in hidden.doubts} <= {"admin:server_state"}
        assert hidden.limits.timeout >= timedelta(minutes=20)


@pytest.mark.looptime
@pytest.mark.hub
async def test_the_hub_may_restart_while_the_server_runs(hub):
    async with hub(profile_list=PROFILES) as hub:
        await hub.start_server("ada", options={"profile": "small", "thesis": "yes"})
        await hub.wait_ready("ada")
        await hub.kill()
        await restart_process()
        await hub.boot()
        await hub.wait_ready("ada")
        assert (await rule_of(hub, "admin:server_state")).name == "small"


def test_servers_of_other_spawners_are_judged_by_what_was_asked_for():
    for state in ({}, {"pod_name": "jupyter-ada", "kubespawner_version": "7.1.0"}):
        server = {"name": "", "ready": True, "user_options": {"thesis": "yes"}, "state": state}
        user = user_of({"name": "ada", "groups": [], "servers": {"": server}})
        found = RULES.for_server(user.servers[0], user, Limits(timeout=timedelta(hours=1)), utcnow())
        assert found.name == "long"
