"""The order of rules, and what becomes of one that raises."""

import pytest

from k8s_hub.diagnosis import Diagnosis, Observation, Reason, Refusal, Stage
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import STARTED, claim, creating, event, seen, unscheduled

QUOTA = Refusal.of(
    {"code": 403, "message": 'pods "x" is forbidden: exceeded quota: q, requested: pods=1'}, "Pod", "x"
)


def refused():
    return Observation(pod=None, claim=None, events=(), now=STARTED, started=STARTED, refusal=QUOTA)


def says(sentence):
    return lambda seen: Diagnosis.waiting(Stage.SCHEDULING, sentence, reason=Reason.SITE)


def silent(seen):
    return None


class Raised:
    """What was told of rules that raised."""

    def __init__(self):
        self.told = []

    def __call__(self, rule, error):
        self.told.append((rule.__name__, str(error)))


@pytest.mark.parametrize("observed", [seen(creating()), refused()], ids=["pod", "refusal"])
def test_the_rules_of_a_site_go_before_ours_in_their_order(observed):
    rules = (silent, says("In the queue of the site."), says("Later."))
    assert diagnose(observed, rules).sentence == "In the queue of the site."
    assert diagnose(observed, (silent,)) == diagnose(observed)


def test_a_rule_of_a_site_is_asked_once_however_many_claims_there_are():
    asked = []
    several = Observation(
        pod=None, claim=claim("Bound"), other_claims=[claim("Bound")], events=(), now=STARTED, started=STARTED
    )
    diagnose(several, (asked.append,))
    assert asked == [several]


def test_a_rule_of_a_site_that_raises_is_passed_over():
    def broken(seen):
        raise LookupError("no such queue")

    raised = Raised()
    diagnosis = diagnose(seen(creating()), (broken, says("In the queue of the site.")), on_error=raised)
    assert diagnosis.sentence == "In the queue of the site."
    assert raised.told == [("broken", "no such queue")]
    assert diagnose(seen(creating()), (broken,), on_error=raised) == diagnose(seen(creating()))


def text(seen):
    return "In the queue."


async def coroutine(seen):
    return says("In the queue.")(seen)


def wrong_type(seen):
    return Diagnosis.waiting(Stage.SCHEDULING, None)


@pytest.mark.parametrize("rule", [text, coroutine, wrong_type])
def test_what_is_no_diagnosis_is_passed_over(rule):
    raised = Raised()
    assert diagnose(seen(creating()), (rule,), on_error=raised) == diagnose(seen(creating()))
    assert [name for name, _ in raised.told] == [rule.__name__]


def test_what_a_rule_of_a_site_says_is_bounded_and_redacted_like_ours():
    told = diagnose(
        seen(creating()),
        (lambda seen: Diagnosis(stage=Stage.STARTING, sentence="x\n" * 900, detail="token=abcdefgh"),),
    )
    assert len(told.sentence) == 300
    assert told.detail == "token=***"


def test_a_rule_of_ours_that_raises_ends_nothing():
    raised = Raised()
    odd = unscheduled("0/1 nodes are available: 1 Insufficient cpu.")
    odd["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "lots"}}
    no = event("NotTriggerScaleUp", "pod didn't trigger scale-up")
    diagnosis = diagnose(seen(odd, None, no), on_error=raised)
    assert diagnosis.sentence == "Looking for a machine for your server."
    assert [name for name, _ in raised.told] == ["no_node_will_come", "unschedulable"]
