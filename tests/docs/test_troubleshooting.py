"""Troubleshooting is complete: each reason that a start may fail for has what it means and what to do."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from k8s_hub.diagnosis.diagnosis import Reason
from k8s_hub.diagnosis.pod_life import Ended, end_in_words, judge_pod
from tests.diagnosis.recorded import FOLDER as RECORDED

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def test_each_reason_has_a_row_with_what_it_means_and_what_to_do():
    text = PAGE.read_text().partition("## What each reason means")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert [name for name, *_ in rows] == [reason.value for reason in Reason]
    assert all(len(meaning) > 10 and len(act) > 10 for _, meaning, act in rows)


# --- A running server ended ---

ENDED = PAGE.read_text().partition("\n## A running server ended\n")[2]
ENDS = (
    "completed",
    "ended_with_error",
    "out_of_memory",
    "evicted",
    "node_lost",
    "node_shutdown",
    "preempted",
)
KEY = "jhub/jupyter-ada"


def end_of(name):
    """The line of the hub's log about the end of a recorded pod."""
    pod = json.loads((RECORDED / f"{name}.json").read_text())["pod"]
    end = judge_pod(pod)
    assert isinstance(end, Ended)
    return f"the server has ended: {end_in_words(pod, end)}"


@pytest.mark.parametrize("name", [*ENDS, "terminating"])
def test_each_end_of_a_running_server_has_a_row(name):
    assert f"`{end_of(name).partition(',')[0]}, ...`" in ENDED


def test_the_command_finds_the_lines_of_the_table():
    (pattern,) = re.findall(r'grep -E "(.+)"', ENDED)
    lines = [
        f"[W 2026-07-01 12:00:00.000 JupyterHub run_log:55] {KEY}: {end_of('evicted')}",
        "[I 2026-07-01 12:00:00,000 k8s_hub.culler.actions] ada: stopped: was idle for 2 h (limit 1 h)",
        "[I 2026-07-01 12:00:00.000 JupyterHub log:192] 204 DELETE /hub/api/users/ada/server (ada@10.1.4.21) 9.90ms",
        "[W 2026-07-01 12:00:00.000 JupyterHub base:1386] User ada server stopped, with exit code: 1",
        f"[W 2026-07-01 12:00:00.000 JupyterHub run_log:55] {KEY}--gpu: {end_of('evicted')}",
        "[I 2026-07-01 12:00:00,000 k8s_hub.culler.actions] ada/gpu: stopped: was idle for 2 h (limit 1 h)",
        "[I 2026-07-01 12:00:00.000 JupyterHub log:192] 204 DELETE /hub/api/users/ada/servers/gpu (ada@10.1.4.21) 9.90ms",
    ]
    others = [
        "[I 2026-07-01 12:00:00.000 JupyterHub log:192] 200 GET /hub/api/users/ada (ada@10.1.4.21) 9.90ms",
        "[W 2026-07-01 12:00:00.000 JupyterHub base:1386] User bob server stopped, with exit code: 1",
        f"[W 2026-07-01 12:00:00.000 JupyterHub run_log:55] {KEY}lyn: {end_of('evicted')}",
        "[I 2026-07-01 12:00:00,000 k8s_hub.culler.actions] granada: stopped: was idle for 2 h (limit 1 h)",
    ]
    found = subprocess.run(
        ["grep", "-E", pattern],
        input="\n".join([*lines, *others]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.splitlines() == lines
