"""`KubeSpawner.diagnosis_rules`: a site's rules for its cluster take precedence over ours for all clusters."""

import pytest
from tornado.web import HTTPError
from traitlets import TraitError
from traitlets.config import Config

from devkit.minicluster.faults import refuse
from devkit.minicluster.statuses import status_body
from devkit.testing.bare import bare_spawner
from devkit.testing.runs import Run, pods, sentence_of, sentences, struck
from k8s_hub.diagnosis import Diagnosis, Reason, Stage

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

NOWHERE = {"node_selector": {"accelerator": "gpu"}, "start_timeout": 60}
WEBHOOK = refuse(
    status_body(403, "Forbidden", 'admission webhook "gate.example.org" denied the request: E1017', {})
)


def in_the_queue(seen):
    if seen.unschedulable is None:
        return None
    return Diagnosis.waiting(
        Stage.SCHEDULING,
        "Your server is number 3 in the queue.",
        reason=Reason.SITE,
        detail=f"queue of {seen.pod['metadata']['name']}",
        expired="Your server was still in the queue after {waited}. Try again at night.",
    )


def never_there(seen):
    if seen.unschedulable is None:
        return None
    return Diagnosis.failed(Stage.SCHEDULING, Reason.SITE, "The GPUs are away until Monday.")


def gate(seen):
    if seen.refusal is None or "E1017" not in seen.refusal.message:
        return None
    return seen.refusal.failed(
        Reason.POLICY, "your image was not scanned. Ask for it at https://example.org/scan"
    )


def broken(seen):
    raise LookupError("no such queue")


async def rejection(run):
    with pytest.raises(HTTPError) as failed:
        await run.start()
    return failed.value


async def test_a_rule_says_what_a_start_waits_for_and_at_the_deadline_what_it_came_to(cluster, caplog):
    caplog.set_level("INFO")
    run = Run(diagnosis_rules=[in_the_queue], **NOWHERE)
    failed = await rejection(run)

    assert "Your server is number 3 in the queue." in await sentences(run)
    assert sentence_of(failed) == "Your server was still in the queue after 1 min. Try again at night."
    assert failed.reason == "site"
    assert "queue of jupyter-ada" in caplog.text


async def test_a_rule_ends_a_start_that_cannot_succeed(cluster, looptime):
    failed = await rejection(Run(diagnosis_rules=[never_there], **NOWHERE))

    assert sentence_of(failed) == "The GPUs are away until Monday."
    assert looptime < 5


async def test_a_rule_explains_what_a_webhook_of_the_site_refuses(cluster):
    with struck(cluster, WEBHOOK, "create", "pods"):
        failed = await rejection(Run(diagnosis_rules=[gate]))

    assert sentence_of(failed) == "Your image was not scanned. Ask for it at https://example.org/scan"
    assert failed.reason == "policy"
    assert pods(cluster) == []


async def test_a_rule_that_raises_is_logged_once_and_the_others_go_on(cluster, caplog):
    for user in ("ada", "bob"):
        failed = await rejection(Run(user, diagnosis_rules=[broken, in_the_queue], **NOWHERE))
        assert failed.reason == "site"
    await Run("eve", diagnosis_rules=[broken]).start()

    told = [record for record in caplog.records if "diagnosis rule" in record.getMessage()]
    assert len(told) == 1
    assert f"{__name__}.broken" in told[0].getMessage()
    assert "no such queue" in caplog.text
    assert told[0].exc_info


async def test_rules_may_be_a_profiles(cluster):
    run = Run(**NOWHERE)
    run.spawner.profile_list = [
        {"display_name": "GPU", "default": True, "kubespawner_override": {"diagnosis_rules": [in_the_queue]}}
    ]
    assert (await rejection(run)).reason == "site"


async def in_vain(seen):
    return None


@pytest.mark.parametrize("rules", [[in_vain], ["a name"], in_the_queue], ids=["async", "text", "no list"])
def test_what_is_no_list_of_rules_is_refused(rules):
    with pytest.raises(TraitError, match="diagnosis_rules"):
        bare_spawner(config=Config({"KubeSpawner": {"diagnosis_rules": rules}}))
