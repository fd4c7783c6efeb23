"""Rules: who they are for, what they set, in which order, and how they are refused."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.claims.saved_state import AppliedOptions
from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.rules import MATCH_KEYS, Doubt, Limits, MatchedRule, Rules, sections

DEFAULTS = Limits(
    timeout=timedelta(hours=1), max_age=timedelta(days=7), busy_limit=timedelta(days=1), named_servers=False
)
MINUTE = timedelta(minutes=1)


def matches(condition, subject, owner):
    """Return whether one rule with this condition surely holds for a server."""
    rules = Rules.parse([{"match": condition, "timeout": 60}])
    return rules.for_server(subject, owner, DEFAULTS, NOW).name is not None


def chosen(name="", **user_options):
    """A server for which this was asked, of a spawner that saves nothing of it."""
    return replace(server("ann", name), raw={"name": name, "user_options": user_options, "state": {}})


def applied(profile=None, probed=None, **options):
    """A server whose spawner applied this, whatever was asked for."""
    saved = AppliedOptions(profile=profile, options=options).dump()
    return replace(server("ann"), raw={"user_options": probed or {}, "state": {"applied_options": saved}})


def hidden(**user_options):
    """A server whose state the token may not see."""
    return replace(server("ann"), raw={"user_options": user_options})


def person(**known):
    return replace(user("ann"), **known)


# --- Who is meant ---


@pytest.mark.parametrize(
    ("condition", "subject", "is_meant"),
    [
        ({}, chosen(), True),
        (None, chosen(), True),
        ({"profile": "gpu"}, chosen(profile="gpu"), True),
        ({"profile": "gpu"}, chosen(profile="gpu-large"), False),
        ({"profile": "gpu*"}, chosen(profile="gpu-large"), True),
        ({"profile": "GPU"}, chosen(profile="gpu"), False),
        ({"profile": ["cpu", "g?u"]}, chosen(profile="gpu"), True),
        ({"profile": "[cg]pu"}, chosen(profile="gpu"), True),
        ({"profile": "[!c]pu"}, chosen(profile="cpu"), False),
        ({"profile": "a|b"}, chosen(profile="a"), False),
        ({"profile": "g.u"}, chosen(profile="gpu"), False),
        ({"profile": "*"}, chosen(), False),
        ({"profile": "*"}, chosen(profile=["gpu"]), False),
        ({"profile": "*"}, replace(server("ann"), raw={"user_options": "gpu", "state": {}}), False),
        ({"profile": "*"}, replace(server("ann"), raw={"user_options": None, "state": None}), False),
        ({"profile": "*"}, replace(server("ann"), raw={"state": {"applied_options": "gpu"}}), False),
        ({"profile": "*"}, replace(server("ann"), raw={"state": {"applied_options": {"options": 7}}}), False),
        ({"options": {"image": "pytorch"}}, chosen(profile="gpu", image="pytorch"), True),
        ({"options": {"image": "pytorch"}}, chosen(profile="gpu"), False),
        ({"options": {"image": ["r", "py*"]}}, chosen(image="pytorch"), True),
        ({"options": {"image": "*", "gpus": "2"}}, chosen(image="pytorch"), False),
        ({"options": {"image": "*", "gpus": "2"}}, chosen(image="pytorch", gpus=2), True),
        ({"options": {"gpu": "true"}}, chosen(gpu=True), True),
        ({"options": {"gpu": "True"}}, chosen(gpu=True), True),
        ({"options": {"gpu": "1"}}, chosen(gpu=True), False),
        ({"options": {"hours": "1.5"}}, chosen(hours=1.5), True),
        ({"options": {"image": "*"}}, chosen(image=None), False),
        # What was written in place of a choice is under a key of its own.
        (
            {"options": {"image": "quay.io/*"}},
            chosen(**{"image": "unlisted-choice", "image--unlisted-choice": "quay.io/a:1"}),
            True,
        ),
        ({"options": {"image": "unlisted-choice"}}, chosen(image="unlisted-choice"), True),
        # Clients send it alone, or beside a choice: the spawner takes the text.
        ({"options": {"image": "quay.io/*"}}, chosen(**{"image--unlisted-choice": "quay.io/a:1"}), True),
        (
            {"options": {"image": "quay.io/*"}},
            chosen(**{"image": "minimal", "image--unlisted-choice": "quay.io/a:1"}),
            True,
        ),
        (
            {"options": {"image": "minimal"}},
            chosen(**{"image": "minimal", "image--unlisted-choice": "quay.io/a:1"}),
            False,
        ),
        (
            {"options": {"image": "minimal"}},
            chosen(**{"image": "minimal", "image--unlisted-choice": ""}),
            True,
        ),
        # What the spawner applied counts, and nothing else does.
        ({"profile": "gpu"}, applied("gpu"), True),
        ({"profile": "gpu"}, applied("small", probed={"profile": "gpu"}), False),
        ({"profile": "*"}, applied(None, probed={"profile": "gpu"}), False),
        ({"options": {"image": "*:beta"}}, applied("gpu", image="lab:beta"), True),
        (
            {"options": {"image": "*:beta"}},
            applied("gpu", image="lab:4", probed={"image": "lab:beta"}),
            False,
        ),
        ({"options": {"thesis": "yes"}}, applied("small", probed={"thesis": "yes"}), False),
        ({"options": {"gpus": "1"}}, applied("gpu", gpus=1), True),
        ({"options": {"fast": "True"}}, applied("gpu", fast=True), True),
        ({"options": {"fast": "true"}}, applied("gpu", fast=True), True),
        ({"profile": "gpu", "options": {"image": "a"}}, applied("gpu", image="b"), False),
        ({"server": ""}, chosen(), True),
        ({"server": ""}, chosen("big"), False),
        ({"server": "?*"}, chosen(), False),
        ({"server": "?*"}, chosen("big"), True),
        ({"server": ["", "big"]}, chosen("big"), True),
    ],
)
def test_conditions_about_the_server(condition, subject, is_meant):
    assert matches(condition, subject, user("ann", subject)) is is_meant


@pytest.mark.parametrize(
    ("condition", "owner", "is_meant"),
    [
        ({"user": "ann"}, person(name="ann"), True),
        ({"user": "ann"}, person(name="anna"), False),
        ({"user": "*@example.org"}, person(name="ann@example.org"), True),
        ({"user": "x*y"}, person(name="x\ny"), True),
        ({"group": "staff"}, person(groups=("all", "staff")), True),
        ({"group": "staff"}, person(groups=("staff2",)), False),
        ({"group": "*"}, person(groups=()), False),
        # The token may not see groups: that it holds is not sure.
        ({"group": "*"}, person(groups=None), False),
        ({"admin": True}, person(admin=True), True),
        ({"admin": True}, person(admin=False), False),
        ({"admin": False}, person(admin=False), True),
        ({"admin": False, "user": "a*", "group": ["x", "y"]}, person(admin=False, groups=("y",)), True),
        ({"admin": False, "user": "b*", "group": ["x", "y"]}, person(admin=False, groups=("y",)), False),
    ],
)
def test_conditions_about_the_user(condition, owner, is_meant):
    assert matches(condition, server("ann"), owner) is is_meant


# --- What is set ---


def test_the_first_rule_that_matches_decides_and_leaves_the_rest_to_the_defaults():
    rules = Rules.parse(
        [
            {"name": "gpu", "match": {"profile": "gpu"}, "timeout": "30m"},
            {"match": {"user": "ann"}, "max_age": "never", "busy_limit": 0},
            {"timeout": "2h", "max_age": "1d", "busy_limit": "2h"},
        ]
    )
    ann, bob = user("ann"), user("bob")
    assert rules.for_server(chosen(profile="gpu"), ann, DEFAULTS, NOW) == MatchedRule(
        limits=replace(DEFAULTS, timeout=30 * MINUTE), name="gpu"
    )
    assert rules.for_server(chosen(profile="cpu"), ann, DEFAULTS, NOW) == MatchedRule(
        limits=replace(DEFAULTS, max_age=None, busy_limit=None), name="rules[1]"
    )
    assert rules.for_server(chosen(), bob, DEFAULTS, NOW) == MatchedRule(
        limits=replace(DEFAULTS, timeout=120 * MINUTE, max_age=timedelta(days=1), busy_limit=120 * MINUTE),
        name="rules[2]",
    )


def test_without_a_rule_that_matches_the_defaults_hold():
    assert Rules().for_server(chosen(), user("ann"), DEFAULTS, NOW) == MatchedRule(limits=DEFAULTS)
    rules = Rules.parse([{"match": {"user": "bob"}, "exempt": True}])
    assert rules.for_server(chosen(), user("ann"), DEFAULTS, NOW) == MatchedRule(limits=DEFAULTS)


def test_one_of_an_exempt_group_can_be_treated_like_everybody():
    rules = Rules.parse(
        [
            {"match": {"user": "robot"}, "exempt": False},
            {"match": {"group": "staff"}, "exempt": True},
        ]
    )
    staff = person(groups=("staff",))
    assert rules.for_server(chosen(), staff, DEFAULTS, NOW).limits.exempt
    assert not rules.for_server(chosen(), replace(staff, name="robot"), DEFAULTS, NOW).limits.exempt


def test_a_rule_holds_within_its_schedule_and_says_until_when():
    rules = Rules.parse(
        [
            {"name": "nights", "timeout": "15m", "schedule": {"hours": "22:00-06:00"}},
            {"name": "days", "timeout": "8h"},
        ]
    )

    def matched(hour, minute=0):
        return rules.for_server(
            chosen(), user("ann"), DEFAULTS, datetime(2026, 7, 1, hour, minute, tzinfo=UTC)
        )

    assert (matched(21, 59).name, matched(21, 59).until) == ("days", datetime(2026, 7, 1, 22, tzinfo=UTC))
    assert (matched(22).name, matched(22).until) == ("nights", datetime(2026, 7, 2, 6, tzinfo=UTC))
    assert matched(22).limits.timeout == 15 * MINUTE


def test_schedules_of_rules_for_others_or_behind_the_one_that_holds_change_nothing():
    nights = {"hours": "22:00-06:00"}
    rules = Rules.parse(
        [
            {"match": {"user": "bob"}, "timeout": 60, "schedule": nights},
            {"match": {"user": "ann"}, "timeout": 60},
            {"timeout": 90, "schedule": nights},
        ]
    )
    assert rules.for_server(chosen(), user("ann"), DEFAULTS, NOW).until is None
    assert rules.for_server(chosen(), user("cem"), DEFAULTS, NOW).until == NOW.replace(hour=22)


# --- Users without a server ---


@pytest.mark.parametrize("condition", [{"profile": "*"}, {"options": {"image": "*"}}, {"server": "*"}])
def test_rules_that_speak_of_servers_do_not_count_for_users(condition):
    rules = Rules.parse([{"match": {"user": "ann", **condition}, "exempt": True}, {"timeout": 60}])
    assert rules.for_user(user("ann"), DEFAULTS, NOW) == MatchedRule(
        limits=replace(DEFAULTS, timeout=MINUTE), name="rules[1]"
    )


@pytest.mark.parametrize("condition", [{"user": "ann"}, {"group": "staff"}, {"admin": False}, {}])
def test_rules_that_speak_of_users_count_for_users(condition):
    rules = Rules.parse([{"name": "kept", "match": condition, "exempt": True}])
    matched = rules.for_user(person(groups=("staff",)), DEFAULTS, NOW)
    assert (matched.name, matched.limits.exempt) == ("kept", True)


# --- Scopes ---


@pytest.mark.parametrize(
    ("match", "scopes"),
    [
        ({"user": "d", "server": "e", "admin": True}, ()),
        ({"group": "a"}, ("read:users:groups",)),
        ({"profile": "a"}, ("admin:server_state",)),
        ({"options": {"b": "c"}}, ("admin:server_state",)),
        ({"group": "a", "profile": "a"}, ("read:users:groups", "admin:server_state")),
    ],
)
def test_groups_and_choices_need_a_scope(match, scopes):
    again = {"match": {**match, "user": "x"}, "timeout": 60}
    assert Rules.parse([{"match": match, "timeout": 60}, again]).scopes == scopes


# --- What is hidden ---

UNKNOWN_GROUPS, UNKNOWN_STATE = "read:users:groups", "admin:server_state"


def matched(rules, subject=None, owner=None):
    return Rules.parse(rules).for_server(subject or chosen(), owner or person(groups=None), DEFAULTS, NOW)


def test_a_rule_that_may_exempt_does_where_groups_are_hidden():
    """Instructors were stopped because a scope was missing."""
    found = matched([{"name": "instructors", "match": {"group": "instructors"}, "exempt": True}])
    assert found == MatchedRule(
        limits=replace(DEFAULTS, exempt=True, may_be_exempt=True),
        doubts=(Doubt(rule="instructors", scope=UNKNOWN_GROUPS, exempts=True),),
    )


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"timeout": "1m"}, {}),  # shorter than the default of an hour
        ({"timeout": "2h"}, {"timeout": 120 * MINUTE}),
        ({"max_age": "1h"}, {}),
        ({"max_age": "never"}, {"max_age": None}),
        ({"busy_limit": "1m"}, {}),
        ({"busy_limit": "never"}, {"busy_limit": None}),
        ({"timeout": "2h", "max_age": "1m"}, {"timeout": 120 * MINUTE}),
    ],
)
def test_the_longer_limit_counts_where_a_rule_may_hold(limits, expected):
    found = matched([{"match": {"group": "a"}, **limits}])
    assert found.limits == replace(DEFAULTS, **expected)
    assert found.name is None


def test_a_rule_that_holds_for_sure_is_named_and_a_longer_one_before_it_counts():
    rules = [
        {"name": "staff", "match": {"group": "staff"}, "timeout": "5h"},
        {"name": "ann", "match": {"user": "ann"}, "timeout": "1h", "max_age": "9h"},
        {"name": "all", "timeout": "99h"},
    ]
    found = matched(rules)
    assert (found.name, [doubt.rule for doubt in found.doubts]) == ("ann", ["staff"])
    assert (found.limits.timeout, found.limits.max_age) == (300 * MINUTE, DEFAULTS.max_age)
    assert matched(rules, owner=person(groups=("staff",))).name == "staff"
    known = matched(rules, owner=person(groups=()))
    assert (known.name, known.limits.timeout, known.doubts) == ("ann", 60 * MINUTE, ())


def test_a_rule_that_cannot_hold_is_in_no_doubt():
    rules = [
        {"match": {"group": "a", "user": "bob"}, "exempt": True},
        {"match": {"group": "a", "server": "x"}, "exempt": True},
        {"match": {"group": "a"}, "exempt": True, "schedule": {"hours": "22:00-06:00"}},
        {"match": {"group": "a", "profile": "gpu"}, "exempt": True},
    ]
    found = matched(rules, applied("small"))
    assert (found.limits, found.doubts) == (DEFAULTS, ())
    assert found.until == NOW.replace(hour=22)


def test_what_was_asked_for_counts_where_the_state_is_hidden():
    rules = [{"name": "trial", "match": {"options": {"image": "*:beta"}}, "timeout": "1m"}]
    assert matched(rules, hidden(image="lab:beta")) == MatchedRule(
        limits=replace(DEFAULTS, timeout=MINUTE), name="trial"
    )


@pytest.mark.parametrize(
    "subject", [hidden(), hidden(profile="small"), hidden(profile="small", image="lab:4")]
)
def test_that_a_rule_does_not_hold_is_not_known_where_the_state_is_hidden(subject):
    """A default that nobody chose is not asked for, and who evades a limit asks for something else."""
    spared = [{"name": "gpu", "match": {"profile": "gpu"}, "exempt": True}]
    assert matched(spared, subject).limits.exempt
    assert matched(spared, subject).doubts == (Doubt(rule="gpu", scope=UNKNOWN_STATE, exempts=True),)
    strict = [{"name": "gpu", "match": {"profile": "gpu"}, "timeout": "1m"}]
    assert matched(strict, subject).limits == DEFAULTS


def test_each_scope_that_is_missing_is_named():
    rules = [{"name": "both", "match": {"group": "a", "profile": "gpu"}, "exempt": True}]
    assert {doubt.scope for doubt in matched(rules, hidden()).doubts} == {UNKNOWN_GROUPS, UNKNOWN_STATE}
    assert [doubt.scope for doubt in matched(rules, applied("gpu")).doubts] == [UNKNOWN_GROUPS]
    assert [doubt.scope for doubt in matched(rules, hidden(), person(groups=("a",))).doubts] == [
        UNKNOWN_STATE
    ]


# --- Rules for users ---


def known_keys(names):
    """Return the keys as errors list them."""
    return ", ".join(sorted(names))


def test_a_file_has_rules_for_servers_and_for_users():
    of_servers = [{"match": {"server": "a"}, "timeout": "15m"}]
    of_users = [{"match": {"group": "a"}, "timeout": "15d", "max_age": "never"}]
    assert sections({"rules": of_servers, "users": of_users}, "f") == (of_servers, of_users)
    assert sections({"users": of_users}, "f") == ((), of_users)
    assert sections(of_servers, "f") == (of_servers, ())
    (rule,) = Rules.parse_users(of_users).rules
    assert (rule.name, rule.limits) == ("users[0]", {"timeout": timedelta(days=15), "max_age": None})
    assert Rules.parse({"rules": of_servers, "users": "whatever"}) == Rules.parse(of_servers)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("x", "users: must be a list of rules, not 'x'"),
        ([{"match": {"server": "a"}, "timeout": 5}], "users[0].match.server: is unknown; did you mean user?"),
        (
            [{"match": {"profile": "a"}, "timeout": 5}],
            f"users[0].match.profile: is unknown; known keys are {known_keys(name for name, key in MATCH_KEYS.items() if key.is_for_users)}",
        ),
        (
            [{"busy_limit": 5}],
            "users[0].busy_limit: is unknown; known keys are exempt, match, max_age, name, timeout",
        ),
        (
            [{"timeout": 5, "schedule": {"hours": "22:00-06:00"}}],
            "users[0].schedule: is unknown; known keys are exempt, match, max_age, name, timeout",
        ),
        (
            [{"timeout": 0}],
            "users[0].timeout: 0 is not a limit; to keep these users, set exempt: true",
        ),
        ([{"match": {"user": "a"}}], "users[0]: sets no limit; set one of timeout, max_age, exempt"),
    ],
)
def test_refusals_of_rules_for_users(written, sentence):
    with pytest.raises(BadOption) as refused:
        Rules.parse_users(written)
    assert str(refused.value) == sentence


# --- Reading ---


def test_a_file_may_hold_the_list_or_a_mapping_with_it():
    rules = [{"match": {"user": "ann"}, "timeout": "15m"}]
    assert Rules.parse({"rules": rules}) == Rules.parse(rules)
    assert Rules.parse(rules, "culling.yaml: rules") == Rules.parse(rules)
    assert Rules.parse([]) == Rules()


def test_refusals_name_the_file():
    with pytest.raises(BadOption, match=r"^culling\.yaml: rules\[0\]\.timeuot: is unknown"):
        Rules.parse([{"timeuot": 5}], "culling.yaml: rules")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        (None, "rules: must be a list of rules, not None"),
        ("x", "rules: must be a list of rules, not 'x'"),
        ({}, "rules: must be a list of rules, not {}"),
        ({"rules": None}, "rules: must be a list of rules, not None"),
        ({"rule": []}, "rules.rule: is unknown; did you mean rules?"),
        ([5], "rules[0]: must be a mapping, not 5"),
        ([{}], "rules[0]: sets no limit; set one of timeout, max_age, busy_limit, exempt"),
        (
            [{"match": {"user": "ann"}}],
            "rules[0]: sets no limit; set one of timeout, max_age, busy_limit, exempt",
        ),
        ([{"timeot": 5}], "rules[0].timeot: is unknown; did you mean timeout?"),
        (
            [{"timeout": 5, "match": {"user": "a"}}, {"exempt": True, "match": {"usr": "b"}}],
            "rules[1].match.usr: is unknown; did you mean user?",
        ),
        (
            [{"timeout": 5, "match": {"image": "b"}}],
            f"rules[0].match.image: is unknown; known keys are {known_keys(MATCH_KEYS)}",
        ),
        ([{"timeout": 5, "match": "ann"}], "rules[0].match: must be a mapping, not 'ann'"),
        (
            [{"timeout": 5, "match": {"user": 1234}}],
            "rules[0].match.user: must be text, not 1234; put it in quotes",
        ),
        (
            [{"timeout": 5, "match": {"user": ["a", True]}}],
            "rules[0].match.user[1]: must be text, not True; put it in quotes",
        ),
        (
            [{"timeout": 5, "match": {"group": []}}],
            "rules[0].match.group: is an empty list; remove the key instead",
        ),
        (
            [{"timeout": 5, "match": {"user": ""}}],
            'rules[0].match.user: is empty, which matches nothing; "*" matches everything',
        ),
        (
            [{"timeout": 5, "match": {"admin": "yes"}}],
            "rules[0].match.admin: must be true or false, not 'yes'",
        ),
        (
            [{"timeout": 5, "match": {"options": []}}],
            "rules[0].match.options: must be a mapping of options to their values, not []",
        ),
        (
            [{"timeout": 5, "match": {"options": {"gpus": 2}}}],
            "rules[0].match.options.gpus: must be text, not 2; put it in quotes",
        ),
        (
            [{"timeout": 5, "match": {"options": {2: "a"}}}],
            "rules[0].match.options.2: must be text, not 2; put it in quotes",
        ),
        (
            [{"timeout": 0}],
            "rules[0].timeout: 0 is not a limit; to keep these servers, set exempt: true",
        ),
        (
            [{"max_age": "1.5h"}],
            "rules[0].max_age: '1.5h' is not a duration such as 900 (seconds), 15m or 1d 12h",
        ),
        ([{"busy_limit": -1}], "rules[0].busy_limit: -1 is not between one second and 31 years"),
        ([{"exempt": "true"}], "rules[0].exempt: must be true or false, not 'true'"),
        ([{"exempt": True, "timeout": 5}], "rules[0].exempt: true cannot be combined with timeout"),
        (
            [{"exempt": True, "max_age": 0, "busy_limit": 0}],
            "rules[0].exempt: true cannot be combined with max_age, busy_limit",
        ),
        ([{"timeout": 5, "name": " "}], "rules[0].name: is empty"),
        (
            [{"timeout": 5, "name": "a", "match": {"user": "a"}}, {"timeout": 5, "name": "a"}],
            "rules[1].name: 'a' is already the name of rules[0]",
        ),
        (
            [{"timeout": 5}, {"timeout": 6, "match": {"user": "a"}}],
            "rules[1]: never applies, because rules[0] matches everything; put that rule last",
        ),
        (
            [{"timeout": 5, "schedule": [{"hours": "22:00-06:00", "day": "mon"}]}],
            "rules[0].schedule[0].day: is unknown; known keys are dates, hours, time_zone, weekdays",
        ),
    ],
)
def test_refusals_begin_with_the_path(written, sentence):
    with pytest.raises(BadOption) as refused:
        Rules.parse(written)
    assert str(refused.value) == sentence


def test_what_is_shown_of_a_value_is_short_and_can_be_printed():
    with pytest.raises(BadOption) as refused:
        Rules.parse([{"timeout": "\ud800" * 10_000}])
    assert len(str(refused.value)) < 500
    assert str(refused.value).encode()


def test_a_value_that_holds_itself_is_refused():
    """An anchor in YAML can say so."""
    endless = []
    endless.append(endless)
    with pytest.raises(BadOption, match=r"^rules\[0\]: must be a mapping"):
        Rules.parse(endless)


KEYS = st.sampled_from(
    [
        "name",
        "match",
        "schedule",
        "timeout",
        "max_age",
        "busy_limit",
        "exempt",
        "profile",
        "options",
        "group",
        "user",
        "server",
        "admin",
        "time_zone",
        "weekdays",
        "hours",
        "rules",
        "x",
        "",
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["15m", "*", "[z-a]", "[!", "mon-fri", "22:00-06:00", "Europe/Berlin", "never"]),
)
JUNK = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(KEYS, LEAVES), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.one_of(JUNK, st.lists(st.dictionaries(KEYS, JUNK, max_size=4), max_size=3)), st.text(max_size=5))
def test_junk_is_refused_or_can_be_asked(junk, name):
    with suppress(BadOption):
        rules = Rules.parse(junk)
        owner = replace(user(name), groups=(name,))
        for state in (
            {},
            {"state": {}},
            {"state": {"applied_options": {"profile": name, "options": {"x": name}}}},
        ):
            subject = replace(server(name), raw={"user_options": {"profile": name, "x": name}, **state})
            assert isinstance(rules.for_server(subject, owner, DEFAULTS, NOW), MatchedRule)
        assert isinstance(rules.for_user(owner, DEFAULTS, NOW), MatchedRule)


@given(st.text("ab*?[!]-\\", max_size=8), st.text("ab*?[!]-\\", max_size=8))
def test_a_glob_without_wildcards_means_itself(glob, word):
    rules = Rules.parse([{"match": {"server": glob}, "timeout": 60}])
    found = rules.for_server(server("ann", word), user("ann"), DEFAULTS, NOW).name is not None
    if not set(glob) & set("*?["):
        assert found == (glob == word)
    if glob == "*":
        assert found
