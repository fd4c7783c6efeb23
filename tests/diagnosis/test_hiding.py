from base64 import b64encode

import pytest

from k8s_hub.diagnosis.diagnosis import DETAIL_LIMIT, Diagnosis, Reason, Stage
from k8s_hub.diagnosis.telling import hiding

SECRET = "correct horse battery"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQ\n-----END KEY-----\n"


def hidden(text, *secrets):
    failed = Diagnosis.failed(Stage.REQUEST, Reason.INVALID, "It failed.", detail=text)
    return hiding(failed, secrets).detail


def test_a_secret_is_hidden_wherever_it_stands():
    assert hidden(f'value: "{SECRET}", again {SECRET}', SECRET) == 'value: "***", again ***'


def test_the_sentence_is_looked_at_too():
    failed = Diagnosis.failed(Stage.REQUEST, Reason.POLICY, f"Not allowed: {SECRET}.")
    assert hiding(failed, [SECRET]).sentence == "Not allowed: ***."


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
    assert hiding(failed, []) == failed
