"""What of a diagnosis the user is told."""

import ast
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest

import k8s_hub
from k8s_hub.diagnosis.diagnosis import DETAIL_LIMIT, Diagnosis, Reason, Stage, advance, at_deadline, redacted
from k8s_hub.diagnosis.obstacles import cluster_busy, cluster_silent, cluster_unavailable
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import creating, event, seen, unscheduled

PACKAGE = Path(k8s_hub.__file__).parent
PULLING = Diagnosis.waiting(Stage.PULLING, "Downloading.", detail="layer 1")


def test_the_first_answer_is_said():
    assert advance(None, PULLING) == PULLING


def test_the_same_sentence_is_not_said_again():
    assert advance(PULLING, Diagnosis.waiting(Stage.PULLING, "Downloading.", detail="layer 2")) is None


def test_a_rule_for_version_0_1_0_may_say_how_long_it_lasts():
    assert (
        Diagnosis.waiting(Stage.PULLING, "Downloading.", detail="layer 1", lasting=timedelta(minutes=1))
        == PULLING
    )


def test_the_bar_never_goes_back():
    back = Diagnosis.waiting(Stage.SCHEDULING, "Looking again.")
    told = advance(PULLING, back)
    assert told is not None
    assert (told.percent, told.stage, told.sentence) == (50, Stage.SCHEDULING, "Looking again.")


def test_the_bar_of_a_start_without_trouble_grows_with_each_stage():
    percents = [stage.percent for stage in Stage]
    assert percents == sorted(set(percents))
    assert max(percents) < 100


class TestAtTheDeadline:
    def test_the_user_reads_what_was_waited_for(self):
        full = unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
        full["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "2"}}
        failed = at_deadline(diagnose(seen(full, second=300)), timedelta(minutes=5))
        assert failed.sentence == (
            "No machine with 2 GPUs became available within 5 min. Choose a smaller server, or try again later."
        )
        assert (failed.fatal, failed.reason) == (True, Reason.UNSCHEDULABLE)

    def test_a_start_without_trouble_was_too_slow(self):
        slow = event("Pulling", 'Pulling image "example.org/lab:1"')
        failed = at_deadline(diagnose(seen(creating(), None, slow, second=298)), timedelta(seconds=298))
        assert failed.sentence == (
            'The machine did not finish downloading the image "example.org/lab:1" within 4 min 58 s. '
            "Try again; if it keeps happening, contact your administrator."
        )
        assert failed.reason is Reason.DEADLINE

    def test_what_was_fatal_before_stays_what_it_was(self):
        lost = cluster_unavailable("connection refused")
        assert at_deadline(lost, timedelta(minutes=5)) is lost

    @pytest.mark.parametrize(
        "diagnosis,reason",
        [(cluster_silent("x"), Reason.CLUSTER_UNAVAILABLE), (cluster_busy("x"), Reason.CLUSTER_BUSY)],
    )
    def test_a_cluster_that_stayed_away_is_the_reason(self, diagnosis, reason):
        assert at_deadline(diagnosis, timedelta(minutes=5)).reason is reason

    def test_the_sentence_stays_bounded(self):
        long = Diagnosis.waiting(Stage.PULLING, "x", expired="x" * 400)
        assert len(at_deadline(long, timedelta(minutes=5)).sentence) <= 300

    def test_a_rule_of_a_site_need_not_say_what_it_came_to(self):
        assert at_deadline(PULLING, timedelta(seconds=150)).sentence == (
            "Your server did not start within 2 min 30 s. Try again; if it keeps happening, contact your administrator."
        )


def waiting_diagnoses():
    """Every call in the package that makes one, by its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="Diagnosis"), attr="waiting")):
                    yield pytest.param(node, id=f"{path.stem}:{node.lineno}")


@pytest.mark.parametrize("call", list(waiting_diagnoses()))
def test_whatever_a_start_waits_for_has_words_of_its_own_for_the_deadline(call):
    assert "expired" in {keyword.arg for keyword in call.keywords}


SECRET = "correct horse battery"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQ\n-----END KEY-----\n"


def hidden(text, *secrets):
    failed = Diagnosis.failed(Stage.REQUEST, Reason.INVALID, "It failed.", detail=text)
    return redacted(failed, secrets).detail


def test_a_secret_is_hidden_wherever_it_stands():
    assert hidden(f'value: "{SECRET}", again {SECRET}', SECRET) == 'value: "***", again ***'


def test_the_sentence_is_looked_at_too():
    failed = Diagnosis.failed(Stage.REQUEST, Reason.POLICY, f"Not allowed: {SECRET}.")
    assert redacted(failed, [SECRET]).sentence == "Not allowed: ***."


@pytest.mark.parametrize(
    "quoted",
    [KEY, repr(KEY), KEY.replace("\n", "\\n"), b64encode(KEY.encode()).decode(), "kiG9w0BAQ"],
)
def test_a_secret_of_several_lines_is_hidden_however_it_is_quoted(quoted):
    text = hidden(f"bad: {quoted} there", KEY)
    assert "kiG9w0BAQ" not in text
    assert "MIIEvQIB" not in text
    assert b64encode(KEY.encode()).decode()[:20] not in text
    assert text.startswith("bad: ")


def test_an_escaped_secret_is_hidden():
    assert hidden(r'value: "say \"friend\" twice"', 'say "friend" twice') == 'value: "***"'


@pytest.mark.parametrize("room", range(1, len(SECRET) + 3))
def test_a_secret_that_was_cut_off_is_hidden(room):
    text = hidden("." * (DETAIL_LIMIT - room) + SECRET + "." * 50, SECRET)
    assert SECRET[:8] not in text


def test_a_secret_within_another_one_does_not_keep_the_other_from_being_hidden():
    assert hidden("it is 12345678abcdefgh", "12345678", "12345678abcdefgh") == "it is ***"


@pytest.mark.parametrize("short", ["", "yes", "1234567", "\n\n"])
def test_a_short_value_is_no_secret(short):
    assert hidden("yes, 1234567", short) == "yes, 1234567"


def test_without_secrets_nothing_changes():
    failed = Diagnosis.failed(Stage.REQUEST, Reason.INVALID, "It failed.", detail="So it is.")
    assert redacted(failed, []) == failed
