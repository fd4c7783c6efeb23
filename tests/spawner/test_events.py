"""Events of a start on the progress page: `raw_event`, formatters, and decorated messages."""

import asyncio
import json
import re

import pytest
from traitlets import TraitError
from traitlets.config import Config

from devkit.testing.bare import bare_spawner
from devkit.testing.runs import Run, takes
from k8s_hub.spawner.events import (
    BasicEventFormatter,
    EventFormatter,
    RuleEventFormatter,
    decorate_html_message,
    decorate_plain_message,
    shown,
)
from k8s_hub.spawner.progress import PodEvent
from tests.diagnosis.samples import event
from tests.spawner.test_progress import SCHEDULING, STARTING

PULLING = event(
    "Pulling",
    'Pulling image "example.org/lab:1"',
    involvedObject={"kind": "Pod", "name": "jupyter-ada", "fieldPath": "spec.containers{notebook}"},
    reportingComponent="kubelet",
    type="Normal",
)
FAILED = event(
    "FailedScheduling", "0/3 nodes are available", reportingComponent="default-scheduler", type="Warning"
)
ANY = {"match": {"reportingComponent": ".*"}, "template": "any"}


def named(component, template):
    return {"match": {"reportingComponent": component}, "template": template}


class TestRules:
    def test_fill_templates_with_what_they_have_matched(self):
        rule = {
            "match": {
                "reportingComponent": "kubelet",
                "fieldPath": r"spec\.containers\{(?P<container>[^}]+)\}",
                "reason": re.compile("(?P<action>Pull)"),
                "message": r'.*"(?P<image>[^"]+):(?P<tag>[^"]+)"(?P<more>more)?',
                "type": "Normal",
            },
            "template": "{action} {image} at {tag} for {container}{more}",
        }
        assert (
            RuleEventFormatter(rules=[rule]).format_event(PULLING) == "Pull example.org/lab at 1 for notebook"
        )

    def test_may_be_functions(self):
        rule = {"match": {"message": "(?P<words>.*)"}, "template": lambda words: words.upper()}
        assert RuleEventFormatter(rules=[rule]).format_event(FAILED) == "0/3 NODES ARE AVAILABLE"

    def test_find_who_says_it_in_old_events_too(self):
        old = event("Pulling", "x", source={"component": "kubelet"})
        assert RuleEventFormatter(rules=[named("kubelet", "told")]).format_event(old) == "told"

    def test_go_in_their_order_and_the_first_that_matches_is_right(self):
        many = [named(f"nobody-{number}", "no") for number in range(12)]
        ordered = RuleEventFormatter(
            rules=[*many, named("kubelet", "first"), ANY], extra_rules=[named("kube", "late")]
        )
        assert ordered.format_event(PULLING) == "first"
        assert ordered.format_event(FAILED) == "any"

    def test_of_a_dict_go_in_the_order_of_its_keys_and_extra_ones_stand_in_their_place(self):
        formatter = RuleEventFormatter(
            rules={"b": ANY, "a": named("kubelet", "ours"), "c": named("kubelet", "never")},
            extra_rules={"a": named("kubelet", "theirs")},
        )
        assert [formatter.format_event(each) for each in (PULLING, FAILED)] == ["theirs", "any"]

    def test_may_be_changed_later(self):
        formatter = RuleEventFormatter(rules=[named("kubelet", "before")])
        assert formatter.format_event(PULLING) == "before"
        formatter.rules = [named("kubelet", "after")]
        assert formatter.format_event(PULLING) == "after"

    def test_that_match_nothing_leave_the_message(self):
        assert RuleEventFormatter(rules=[]).format_event(FAILED) == "0/3 nodes are available"

    @pytest.mark.parametrize("template", ["{nothing}", lambda: 1 / 0], ids=["text", "function"])
    def test_whose_template_fails_leave_the_message_and_are_told_once(self, template, caplog):
        fails = {"match": {"reason": "Pulling"}, "template": template}
        for place in ("first", "second"):
            formatter = RuleEventFormatter(rules={f"{place} {template}": fails})
            for _ in range(2):
                assert formatter.format_event(PULLING) == 'Pulling image "example.org/lab:1"'
        assert [message.partition(": raised")[0] for message in caplog.messages] == [
            f"event rule RuleEventFormatter.rules['first {template}']",
            f"event rule RuleEventFormatter.rules['second {template}']",
        ]

    @pytest.mark.parametrize(
        "rule,words",
        [
            ("kubelet", "a rule is a dict with the keys 'match' and 'template'"),
            ({"match": {}}, "a rule is a dict"),
            ({"match": {}, "template": "x"}, "a dict of expressions"),
            ({"match": "kubelet", "template": "x"}, "a dict of expressions"),
            ({"match": {"mesage": "x"}, "template": "x"}, "did you mean 'message'?"),
            ({"match": {"zone": "x"}, "template": "x"}, "there are reportingComponent"),
            ({"match": {"message": 7}, "template": "x"}, "7 is neither a text nor a compiled"),
            ({"match": {"message": "("}, "template": "x"}, "'(' is no regular expression"),
            ({"match": {"message": "x"}, "template": 7}, "7 is neither a text nor a function"),
        ],
    )
    def test_that_are_none_are_refused_with_their_place(self, rule, words):
        with pytest.raises(TraitError, match=re.escape(words)) as refusal:
            RuleEventFormatter(config=Config({"RuleEventFormatter": {"extra_rules": {"mine": rule}}}))
        assert "RuleEventFormatter.extra_rules['mine']" in str(refusal.value)

    @pytest.mark.parametrize(
        "told,words",
        [
            (PULLING, 'Downloading the image "example.org/lab:1" for the container "notebook".'),
            (FAILED, "No machine can take your server now."),
            (
                event("FailedScheduling", "Failed to schedule pod", reportingComponent="karpenter"),
                "The cluster cannot add a machine for your server now.",
            ),
            (
                event(
                    "TriggeredScaleUp", "pod triggered scale-up", source={"component": "cluster-autoscaler"}
                ),
                "The cluster is adding a machine for your server, which usually takes a few minutes.",
            ),
            (
                event("OutOfcpu", "Node didn't have enough"),
                "The machine does not have enough cpu left for your server.",
            ),
            (event("NodeAffinity", "Predicate"), "The machine is not of the kind that your server asks for."),
            (event("Scheduled", "Successfully assigned"), "Found a machine for your server."),
            (event("Anything", "else"), "else"),
        ],
    )
    def test_of_ours_word_the_events_of_most_clusters(self, told, words):
        assert RuleEventFormatter().format_event(told) == words


def test_the_basic_formatter_leaves_the_words_as_they_are():
    assert BasicEventFormatter().format_event(FAILED) == "0/3 nodes are available"


def test_a_message_is_decorated_with_its_time_and_type_and_stays_text():
    assert decorate_plain_message("<b>no</b>", FAILED) == "2026-07-01T12:00:01Z [Warning] <b>no</b>"
    html = decorate_html_message("<b>no</b>", FAILED)
    assert 'datetime="2026-07-01T12:00:01Z"' in html
    assert "text-bg-warning" in html
    assert html.endswith(" &lt;b&gt;no&lt;/b&gt;")


# --- What a start yields ---


async def items_of(run):
    """Start, and return what a tab that was open from the beginning has got."""
    tab = asyncio.create_task(items_until_it_ends(run))
    await asyncio.sleep(0)
    await run.spawner.start()
    return await tab


def reasons(items):
    return [item["raw_event"]["reason"] for item in items if "raw_event" in item]


async def test_an_event_is_shown_with_one_message_and_the_latest_with_the_next():
    async def news():
        for told in (SCHEDULING, PodEvent(event=PULLING), PodEvent(event=FAILED), STARTING, SCHEDULING):
            yield told

    items = [item async for item in shown(bare_spawner(), news())]
    assert [item.get("raw_event") for item in items] == [None, FAILED, None]


@pytest.mark.looptime
@pytest.mark.hub
class TestAStart:
    async def test_tells_the_event_behind_each_sentence(self, cluster):
        takes(cluster, schedule=5, pull=5, start=5)
        items = await items_of(Run())

        json.dumps(items)
        assert all({"progress", "message"} <= item.keys() for item in items)
        assert [item["message"] for item in items][:2] == [
            "The hub is preparing your server.",
            "Looking for a machine for your server.",
        ]
        told = {item["message"]: item.get("raw_event", {}).get("reason") for item in items}
        assert told["The hub is preparing your server."] is None
        assert told["Found a machine; setting up your server."] == "Scheduled"

    async def test_gives_a_formatter_every_event_of_the_pod(self, cluster):
        takes(cluster, schedule=5, pull=5, start=5)
        items = await items_of(Run(event_formatter_class=BasicEventFormatter))

        assert reasons(items)[:2] == ["Scheduled", "Pulled"]
        assert [item["message"] for item in items] == [item["raw_event"]["message"] for item in items]
        assert [item["progress"] for item in items[:2]] == [20, 80]

    async def test_takes_rules_of_the_formatter_for_a_formatter(self, cluster):
        rules = {"00-scheduled": {"match": {"reason": "Scheduled"}, "template": "Welcome to the machine."}}
        run = Run(config=Config({"RuleEventFormatter": {"extra_rules": rules, "rules": {}}}))

        assert (await items_of(run))[0]["message"] == "Welcome to the machine."

    async def test_without_events_has_our_sentences_whatever_the_formatter(self, cluster):
        run = Run(event_formatter_class=BasicEventFormatter, events_enabled=False)

        assert (await items_of(run))[-1][
            "message"
        ] == "Your server is running. Waiting for its first response."

    async def test_survives_a_formatter_that_raises(self, cluster, caplog):
        class Broken(EventFormatter):
            def format_event(self, event):
                raise LookupError("no words")

        items = await items_of(Run(event_formatter_class=Broken))
        assert [item["message"] for item in items] == [item["raw_event"]["message"] for item in items]
        assert caplog.text.count("no words") >= 1
        (told,) = (message for message in caplog.messages if message.startswith("event formatter"))
        assert f"{__name__}.{Broken.__qualname__}.format_event: raised" in told

    @pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
    async def test_is_decorated_where_there_is_an_event(self, cluster, is_async):
        def decorate(spawner, event, message):
            words = {"message": f"{event['reason']}: {message}", "html_message": f"<b>{message}</b>"}
            return asyncio.sleep(0, words) if is_async else words

        takes(cluster, schedule=5, pull=5)
        items = await items_of(Run(decorate_progress_message=decorate))
        assert items[0] == {"progress": 5, "message": "The hub is preparing your server."}
        (found,) = (item for item in items if item["message"].startswith("Scheduled: "))
        assert found["message"] == "Scheduled: Found a machine; setting up your server."
        assert found["html_message"] == "<b>Found a machine; setting up your server.</b>"
        assert found["raw_event"]["reason"] == "Scheduled"

    @pytest.mark.parametrize("answer", [None, "text", 1 / 3], ids=str)
    async def test_survives_a_hook_that_decorates_nothing(self, cluster, caplog, answer):
        def decorate(spawner, event, message):
            return answer

        items = await items_of(Run(decorate_progress_message=decorate))
        assert items[-1]["message"] == "Your server is running. Waiting for its first response."

    async def test_that_fails_has_told_the_events_until_then(self, cluster):
        run = Run(node_selector={"a": "b"}, start_timeout=30, event_formatter_class=BasicEventFormatter)
        tab = asyncio.create_task(items_until_it_ends(run))
        await asyncio.sleep(0)
        with pytest.raises(Exception, match="of the kind that your server asks for"):
            await run.spawner.start()
        assert reasons(await tab) == ["FailedScheduling"]


async def items_until_it_ends(run):
    run.has_row()
    run.spawner.clear_state()
    return [item async for item in run.spawner.progress()]


def test_no_formatter_is_made_unless_one_is_asked_for():
    assert bare_spawner().event_formatter is None
    chosen = bare_spawner(event_formatter_class="k8s_hub.spawner.events.BasicEventFormatter")
    assert isinstance(chosen.event_formatter, BasicEventFormatter)
    with pytest.raises(TraitError, match="event_formatter_class"):
        bare_spawner(event_formatter_class=dict)


@pytest.mark.parametrize("section", ["RuleEventFormatter", "KubeSpawner"])
def test_rules_in_the_configuration_ask_for_their_formatter(section):
    rules = {"extra_rules": {"mine": ANY}}
    config = {section: rules} if section == "RuleEventFormatter" else {section: {"RuleEventFormatter": rules}}
    spawner = bare_spawner(config=Config(config))
    assert isinstance(spawner.event_formatter, RuleEventFormatter)
    assert spawner.event_formatter.extra_rules == {"mine": ANY}
