import os
import signal
import threading

import pytest

from devkit.realcluster.api import wait_for
from devkit.realcluster.process import Process, ProcessFailedError


def process(tmp_path, script, **changes):
    facts = {"name": "child", "log": tmp_path / "log", "is_ready": lambda: True}
    return Process(command=["sh", "-c", script], **facts | changes)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_never_gets_ready_is_ended_and_its_log_shown(tmp_path):
    def is_ready():
        return not wait_for(lambda: "hello" in child.tail(), "a line in the log")

    child = process(tmp_path, "echo hello; exec sleep 600", is_ready=is_ready, start_seconds=0.2)
    with pytest.raises(ProcessFailedError, match=r"(?s)child was not ready within 0.2 s.*hello"):
        child.start()
    assert child.pid is None


def test_a_process_that_ends_early_is_not_waited_for(tmp_path):
    child = process(tmp_path, "echo bad flag; exit 3", is_ready=lambda: False, start_seconds=600)
    with pytest.raises(ProcessFailedError, match=r"(?s)child ended with code 3.*bad flag"):
        child.start()


@pytest.mark.slow
def test_stopping_takes_the_group_along(tmp_path):
    told = tmp_path / "grandchild"
    child = process(
        tmp_path, f"sleep 600 & echo $! >{told}; wait", is_ready=lambda: told.exists() and told.read_text()
    )
    child.start()
    child.stop()
    wait_for(lambda: not is_alive(int(told.read_text())), "the end of the grandchild")
    child.stop()  # again, to no effect


def test_a_process_deaf_to_its_signal_is_killed_and_said_so(tmp_path):
    told = tmp_path / "deaf"
    child = process(
        tmp_path,
        f"trap '' TERM; touch {told}; while :; do sleep 1; done",
        is_ready=told.exists,
        stop_seconds=0.1,
    )
    child.start()
    pid = child.pid
    with pytest.raises(ProcessFailedError, match=r"child did not end within 0.1 s"):
        child.stop()
    assert not is_alive(pid)


def test_a_paused_process_can_be_stopped(tmp_path):
    child = process(tmp_path, "exec sleep 600", stop_signal=signal.SIGTERM)
    child.start()
    child.pause()
    child.stop()
    assert child.pid is None


def test_a_stopped_process_starts_again_with_the_same_log(tmp_path):
    child = process(
        tmp_path, "echo started; exec sleep 600", is_ready=lambda: (tmp_path / "log").stat().st_size > 0
    )
    for _ in range(2):
        child.start()
        child.stop()
    wait_for(lambda: "started" in child.tail(), "a line in the log")


def test_a_process_outlives_the_thread_that_asked_for_it(tmp_path):
    """The kernel's death signal is bound to a thread: children must not be born in one that ends."""
    child = process(tmp_path, "exec sleep 600")
    starter = threading.Thread(target=child.start)
    starter.start()
    starter.join()
    with pytest.raises(TimeoutError):
        wait_for(lambda: not child.is_alive, "its death", seconds=0.2)
    child.stop()
