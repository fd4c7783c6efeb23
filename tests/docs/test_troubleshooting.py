"""Troubleshooting is complete: each reason that a start may fail for has what it means and what to do."""

import re
from pathlib import Path

from k8s_hub.diagnosis.diagnosis import Reason

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def test_each_reason_has_a_row_with_what_it_means_and_what_to_do():
    text = PAGE.read_text().partition("## What each reason means")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert [name for name, *_ in rows] == [reason.value for reason in Reason]
    assert all(len(meaning) > 10 and len(act) > 10 for _, meaning, act in rows)
