"""The decision log: a line of JSON for each decision, in whatever file has the name now."""

import json
import os
from datetime import timedelta

import pytest

from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.core.decision import Action, Decision
from k8s_hub.culler.core.policy import Facts, Work
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.event_bus import DecisionLog

ODD = "a\n\"b\" 'ü' \ud800"


async def decision(name: str, **more) -> Decision:
    subject = server(name)
    facts = Facts(server=subject, user=user(name, subject), **more)
    return await Decider(limits=Limits(timeout=timedelta(hours=1))).decide(facts, NOW)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


def users_in(path) -> list[str]:
    return [json.loads(line)["user"] for line in path.read_text().splitlines()]


async def test_each_decision_is_a_line_and_a_rotated_file_is_followed_by_another(tmp_path):
    path = tmp_path / "log"
    written = DecisionLog(str(path))
    written(await decision(ODD), Action.KEPT)
    written(await decision("b"), Action.STOPPED)
    path.rename(tmp_path / "old")
    written(await decision("c"), Action.KEPT)
    written.close()
    assert users_in(tmp_path / "old") == [ODD, "b"]
    assert users_in(path) == ["c"]


def test_its_file_is_made_for_its_owner_only_and_one_that_is_there_keeps_its_mode(tmp_path):
    made, there = tmp_path / "made", tmp_path / "there"
    there.touch(mode=0o640)
    before = os.umask(0o022)
    try:
        for path in (made, there):
            DecisionLog(str(path)).close()
    finally:
        os.umask(before)
    assert (made.stat().st_mode & 0o777, there.stat().st_mode & 0o777) == (0o600, 0o640)


async def test_a_pipe_is_written_if_somebody_reads_it_and_never_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OSError, match="No such device"):
        DecisionLog(str(path))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        written = DecisionLog(str(path))
        written(await decision("a"), Action.KEPT)
        written.close()
        assert json.loads(os.read(reader, 10_000))["user"] == "a"
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    "odd", [10**5000, {1, 2}, object(), nested(100_000)], ids=["huge", "set", "object", "deep"]
)
async def test_a_value_that_json_cannot_hold_costs_neither_its_line_nor_the_next(tmp_path, caplog, odd):
    path = tmp_path / "log"
    written = DecisionLog(str(path))
    written(await decision("a", work=Work(busy=0, connections=odd, last_execution=NOW)), Action.KEPT)
    written(await decision("b", work=Work(busy=0, connections=odd, last_execution=NOW)), Action.KEPT)
    written(await decision("c", work=Work(busy=0, connections=3, last_execution=NOW)), Action.KEPT)
    written.close()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(record["user"], record["connections"]) for record in records] == [
        ("a", None),
        ("b", None),
        ("c", 3),
    ]
    assert records[0].keys() == records[2].keys()
    assert caplog.text.count("a value that JSON cannot express was left out") == 1


async def test_a_full_disk_is_told_once(caplog):
    written = DecisionLog("/dev/full")
    written(await decision("a"), Action.KEPT)
    written(await decision("b"), Action.KEPT)
    assert caplog.text.count("decision_log '/dev/full': cannot be written: [Errno 28] No space left") == 1
    written.close()


async def test_a_folder_that_vanishes_costs_the_lines_until_it_is_back(tmp_path, caplog):
    path, aside = tmp_path / "logs" / "log", tmp_path / "aside"
    path.parent.mkdir()
    written = DecisionLog(str(path))
    written(await decision("a"), Action.KEPT)
    path.parent.rename(aside)
    written(await decision("b"), Action.KEPT)
    written(await decision("c"), Action.KEPT)
    path.parent.mkdir()
    for name in "def":  # each in the same open file: one left open for each line would be a warning
        written(await decision(name), Action.KEPT)
    written.close()
    assert (users_in(aside / "log"), users_in(path)) == (["a"], ["d", "e", "f"])
    assert caplog.text.count("cannot be written") == 1


async def test_standard_output(capsys):
    written = DecisionLog("-")
    written(await decision("a"), Action.WOULD_STOP)
    written.close()
    assert json.loads(capsys.readouterr().out)["action"] == "would stop"


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(OSError, match="Is a directory"):
        DecisionLog(str(tmp_path))
