"""The order of starting, stopping and unwinding, with stand-ins that write what happens to them."""

import asyncio
import os
import sys

import pytest

from devkit.demo import leftovers
from devkit.demo.failure import DemoError
from devkit.demo.leftovers import MARKER
from devkit.demo.process import Command
from devkit.demo.stack import Part, Stack

GOOD = """
import signal, sys, time
name, diary = sys.argv[1:]
def write(what):
    with open(diary, "a") as file: file.write(f"{name} {what}\\n")
def stop(*_):
    write("stops"); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
write("starts")
time.sleep(60)
"""
BAD = "print('no room'); raise SystemExit(3)"


class StandIns:
    """Parts that keep a diary."""

    def __init__(self, directory):
        self.directory = directory
        self.diary = directory / "diary"
        self.diary.touch()
        self.marker = directory.name

    def part(self, name, code=GOOD):
        async def is_ready():
            return f"{name} starts" in self.diary.read_text()

        command = Command(
            name=name,
            arguments=(sys.executable, "-c", code, name, str(self.diary)),
            environment={**os.environ, MARKER: self.marker},
            directory=self.directory,
            log=self.directory / f"{name}.log",
        )
        return Part(command=command, is_ready=is_ready)

    def stack(self, *parts):
        return Stack(parts, self.marker)

    def entries(self):
        return self.diary.read_text().splitlines()


@pytest.fixture
def stand_ins(tmp_path):
    return StandIns(tmp_path)


async def test_parts_start_in_order_and_stop_in_reverse(stand_ins):
    stack = stand_ins.stack(stand_ins.part("cluster"), stand_ins.part("proxy"), stand_ins.part("hub"))
    await stack.start()
    await stack.stop()
    assert stand_ins.entries() == [
        *("cluster starts", "proxy starts", "hub starts"),
        *("hub stops", "proxy stops", "cluster stops"),
    ]
    assert stack.left_behind == {}
    assert leftovers.find(stand_ins.marker) == {}


async def test_when_a_later_part_fails_the_earlier_ones_are_stopped(stand_ins):
    stack = stand_ins.stack(stand_ins.part("cluster"), stand_ins.part("hub", BAD))
    with pytest.raises(DemoError, match="the hub ended while starting: no room"):
        await stack.start()
    await stack.stop()
    assert stand_ins.entries() == ["cluster starts", "cluster stops"]


@pytest.mark.parametrize("moment", range(4))
async def test_cancelled_at_any_moment_of_the_start_nothing_is_left(stand_ins, moment):
    stack = stand_ins.stack(stand_ins.part("cluster"), stand_ins.part("proxy"))
    starting = asyncio.create_task(stack.start())
    await asyncio.sleep(moment * 0.04)
    starting.cancel()
    await asyncio.wait([starting])
    await stack.stop()
    assert leftovers.find(stand_ins.marker) == {}


async def test_a_killed_part_starts_again_beside_the_others(stand_ins):
    stack = stand_ins.stack(stand_ins.part("proxy"), stand_ins.part("hub"))
    await stack.start()
    await stack.kill_part("hub")
    stand_ins.diary.write_text("")
    await stack.start_part("hub")
    await stack.stop()
    assert stand_ins.entries() == ["hub starts", "hub stops", "proxy stops"]


async def test_a_part_that_ends_by_itself_is_named(stand_ins):
    dies = GOOD.replace("time.sleep(60)", "time.sleep(0.5); print('no memory'); sys.exit(4)")
    stack = stand_ins.stack(stand_ins.part("proxy"), stand_ins.part("hub", dies))
    await stack.start()
    with pytest.raises(DemoError, match="the hub ended by itself with code 4: no memory"):
        await stack.watch()
    await stack.stop()


async def test_what_a_killed_part_leaves_behind_is_ended_and_remembered(stand_ins, monkeypatch):
    monkeypatch.setattr("devkit.demo.stack.ORPHAN_GRACE", 0.1)
    orphan = "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
    stack = stand_ins.stack(stand_ins.part("hub", orphan + GOOD))
    await stack.start()
    await stack.kill_part("hub")
    await stack.stop()
    assert list(stack.left_behind.values()) == ["sleep 60"]
    assert leftovers.find(stand_ins.marker) == {}
