"""The page of messages has every reason, and the messages with words of a hub are texts of the spawner."""

import re

from devkit.messages import PACKAGE, texts
from k8s_hub.diagnosis.diagnosis import Reason
from tests.diagnosis.table import DOCUMENT

PAGE = DOCUMENT.read_text()
BRACES = re.compile(r"{[^}]*}")


def test_each_reason_is_on_the_page():
    assert [reason.value for reason in Reason if f"| `{reason.value}` |" not in PAGE] == []


def test_a_message_with_words_of_a_hub_is_a_text_of_the_spawner():
    section = PAGE.partition("\n## Messages with words of your hub\n")[2]
    messages = re.findall(r"^\| .+ \| (.+) \| `(?!site)\w+` \|$", section, re.MULTILINE)
    assert len(messages) > 5
    literal = [BRACES.split(text.words) for text in texts([PACKAGE])]
    known = [".*".join(map(re.escape, parts)) for parts in literal if len("".join(parts)) > 20]
    assert [one for one in messages if not any(re.fullmatch(text, one) for text in known)] == []
