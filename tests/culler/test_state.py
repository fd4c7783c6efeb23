"""The state file: what survives, what is set aside, what is refused."""

import errno
import json
import os
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from k8s_hub.culler.core.extensions import ExtensionLimits, ExtensionRefused
from k8s_hub.culler.core.policy import Notice
from k8s_hub.culler.core.report import Stop
from k8s_hub.culler.state import STOPS, BadStateFile, StateFileInUse, StateStore

NOW = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = ExtensionLimits(longest=8 * HOUR, per_week=3)


def store(path, **how):
    return StateStore(path, LIMITS, lambda: NOW, **how)


def test_everything_survives_a_restart(tmp_path):
    path = tmp_path / "state.json"
    first = store(path)
    assert first.extend("zoë", "lab", 2 * HOUR) == NOW + 2 * HOUR
    first.save_notice("zoë", "", Notice(at=NOW, since=NOW - HOUR))
    first.save_contact(NOW)
    first.close()
    for second in (store(path), store(path, read_only=True)):
        assert second.extended_until("zoë", "lab") == NOW + 2 * HOUR
        assert second.quota("zoë").left == 2
        assert second.notice("zoë", "") == Notice(at=NOW, since=NOW - HOUR)
        assert second.last_contact == NOW
    assert {each.name for each in tmp_path.iterdir()} == {"state.json", ".state.json.lock"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_path_it_remembers_as_long_as_it_lives():
    here = store(None)
    here.extend("alice", "", HOUR)
    assert here.extended_until("alice", "") == NOW + HOUR
    here.release("alice", "")
    assert here.extended_until("alice", "") is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"version": 1}', '{"version": 1, "last_contact": 3, "keeps": {}, "notices": []}',
     '{"version": 1, "last_contact": null, "keeps": {"a": [{"server": ""}]}, "notices": []}',
     '{"version": 1, "last_contact": "2026-07-01T12:00:00", "keeps": {}, "notices": []}',
     "[" * 100_000],
)  # fmt: skip
def test_what_makes_no_sense_is_set_aside_and_told(tmp_path, caplog, content):
    path = tmp_path / "state.json"
    path.write_text(content)
    assert store(path, read_only=True).last_contact is None
    assert path.read_text() == content, "another process changes nothing"
    assert store(path).last_contact is None
    [aside] = tmp_path.glob("state.json.broken-20260701T120000.123456Z")
    assert aside.read_text() == content
    assert str(aside) in caplog.text
    assert json.loads(path.read_text())["version"] == 1


def test_another_process_says_that_there_is_no_file(tmp_path, caplog):
    """Its path may have a typing error; for the culler itself, it is the first start."""
    assert store(tmp_path / "stat", read_only=True).last_contact is None
    assert f"state_file: '{tmp_path}/stat': does not exist, treated as empty" in caplog.text
    assert not [*tmp_path.iterdir()]
    caplog.clear()
    store(tmp_path / "state")
    assert "does not exist" not in caplog.text


def test_another_version_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"version": 2}')
    with pytest.raises(
        BadStateFile, match=r"^state_file: '.*state\.json' has version 2; this culler reads version 1"
    ):
        store(path)
    assert path.read_text() == '{"version": 2}'


def test_a_path_that_cannot_be_written_is_refused_at_start(tmp_path):
    with pytest.raises(
        BadStateFile, match=r"^state_file: '.*/none/state' is in a folder that does not exist"
    ):
        store(tmp_path / "none" / "state")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadStateFile, match=r"^state_file: '.*/file/state' cannot be read: Not a directory"):
        store(tmp_path / "file" / "state")
    with pytest.raises(BadStateFile, match=r"^state_file: '/proc/state' (cannot be written|is in a folder)"):
        store(type(tmp_path)("/proc/state"))


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "here").symlink_to("there")
    (tmp_path / "there").symlink_to("here")
    with pytest.raises(
        BadStateFile, match=r"^state_file: '.*/here' cannot be read: .*(Symlink loop|symbolic links)"
    ):
        store(tmp_path / "here")


def test_a_link_stays_one(tmp_path):
    (tmp_path / "volume").mkdir()
    link = tmp_path / "state.json"
    link.symlink_to(tmp_path / "volume" / "state.json")
    store(link).extend("alice", "", HOUR)
    assert link.is_symlink()
    assert store(link).extended_until("alice", "") == NOW + HOUR


def test_a_wish_that_cannot_be_stored_is_refused_and_what_was_told_is_still_known(
    tmp_path, monkeypatch, caplog
):
    path = tmp_path / "state.json"
    here = store(path)
    here.extend("alice", "", HOUR)
    before = path.read_bytes()

    def full(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExtensionRefused, match="could not save this"):
        here.extend("alice", "", 2 * HOUR)
    with pytest.raises(ExtensionRefused, match="could not save this"):
        here.release("alice", "")
    here.save_notice("alice", "", Notice(at=NOW, since=NOW))
    assert here.extended_until("alice", "") == NOW + HOUR
    assert here.notice("alice", "") is not None
    assert "No space left" in caplog.text
    assert path.read_bytes() == before
    monkeypatch.undo()
    here.extend("alice", "", 2 * HOUR)
    assert store(path, read_only=True).extended_until("alice", "") == NOW + 2 * HOUR


def test_warnings_of_servers_that_are_gone_are_forgotten_and_keeps_are_not(tmp_path):
    here = store(tmp_path / "state.json")
    here.extend("alice", "lab", HOUR)
    for user in ("alice", "bob"):
        here.save_notice(user, "lab", Notice(at=NOW, since=NOW))
    here.forget_all_but({("bob", "lab")})
    again = store(tmp_path / "state.json", read_only=True)
    assert again.notice("alice", "lab") is None
    assert again.notice("bob", "lab") is not None
    assert again.extended_until("alice", "lab") == NOW + HOUR


def test_contact_with_the_hub_is_not_written_at_every_answer(tmp_path):
    path = tmp_path / "state.json"
    here = store(path)
    for seconds in range(31):
        here.save_contact(NOW + timedelta(seconds=seconds))
        on_disk = store(path, read_only=True).last_contact
        assert timedelta(0) <= NOW + timedelta(seconds=seconds) - on_disk < timedelta(seconds=15)


# --- Not a regular file ---


def make_device(path):
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


OTHERS = {
    "a folder": os.mkdir,
    "a pipe": os.mkfifo,
    "a device": make_device,
    "a socket": make_socket,
}


@pytest.mark.parametrize("through_a_link", [False, True], ids=["itself", "link"])
@pytest.mark.parametrize("read_only", [False, True], ids=["culler", "explain"])
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_file_is_refused_and_stays_where_it_is(tmp_path, kind, read_only, through_a_link):
    """As root the culler would put a file in the place of /dev/null, and wait for a pipe for ever."""
    path = tmp_path / "state"
    OTHERS[kind](path)
    before = path.stat()
    given = tmp_path / "link"
    given.symlink_to(path)
    with pytest.raises(BadStateFile, match=rf"^state_file: '.*' is {kind}; it must be a regular file"):
        store(given if through_a_link else path, read_only=read_only)
    assert (path.stat().st_mode, path.stat().st_ino) == (before.st_mode, before.st_ino)
    assert {each.name for each in tmp_path.iterdir()} == {"state", "link"}


# --- One culler per file ---

SECOND = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.state import StateStore, StateFileInUse

try:
    memory = StateStore(Path(sys.argv[1]), ExtensionLimits(), lambda: datetime(2026, 7, 1, tzinfo=UTC))
except StateFileInUse:
    print("in use")
else:
    print("free", flush=True)
    sys.stdin.read()
"""


def test_a_second_culler_is_refused_the_file_and_changes_nothing(tmp_path):
    """It would write what it read at its start over what the first has stored since."""
    path = tmp_path / "state.json"
    first = store(path)
    first.extend("ann", "", HOUR)
    (tmp_path / "link.json").symlink_to(path)
    for other in (path, tmp_path / "link.json"):
        with pytest.raises(
            StateFileInUse, match="is in use by another culler; each culler needs a state file"
        ):
            store(other)
    assert store(path, read_only=True).extended_until("ann", "") == NOW + HOUR, "who only reads may"
    store(tmp_path / "another.json").close()
    first.close()
    assert store(path).extended_until("ann", "") == NOW + HOUR


def test_the_file_is_free_again_when_the_process_of_its_culler_was_killed(tmp_path):
    path = tmp_path / "state.json"
    first = subprocess.Popen(
        [sys.executable, "-c", SECOND, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout.readline() == "free\n"
        with pytest.raises(StateFileInUse):
            store(path)
    finally:
        first.kill()
        first.communicate()
    store(path).extend("ann", "", HOUR)


def test_a_culler_that_cannot_start_leaves_the_file_free(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"version": 2}')
    with pytest.raises(BadStateFile, match="version 2"):
        store(path)
    path.unlink()
    store(path)


def test_a_file_system_without_locks_is_told_and_does(tmp_path, monkeypatch, caplog):
    def none(_file, _how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    store(tmp_path / "state.json").extend("ann", "", HOUR)
    assert "not locked, make sure that no other culler uses it: No locks available" in caplog.text


# --- Clocks ---


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=36_500)])
def test_a_wish_under_a_clock_that_was_ahead_begins_now_and_ends(tmp_path, caplog, ahead):
    """It would hold until that future is over, and use up the user's wishes for as long."""
    path, clock = tmp_path / "state.json", [NOW + ahead]
    here = StateStore(path, LIMITS, lambda: clock[0])
    here.extend("ann", "", 2 * HOUR)
    here.close()
    clock[0] = NOW
    later = StateStore(path, LIMITS, lambda: clock[0])
    assert later.extended_until("ann", "") == NOW + 2 * HOUR
    assert "began in the future" in caplog.text
    clock[0] = NOW + HOUR
    assert later.extended_until("ann", "") == NOW + 2 * HOUR, "not longer with every look"
    clock[0] = NOW + 2 * HOUR
    assert later.extended_until("ann", "") is None
    clock[0] = NOW + timedelta(days=8)
    assert later.quota("ann").left == LIMITS.per_week


def test_a_clock_that_is_put_back_by_a_little_changes_no_wish(tmp_path, caplog):
    clock = [NOW]
    here = StateStore(tmp_path / "state.json", LIMITS, lambda: clock[0])
    here.extend("ann", "", HOUR)
    clock[0] = NOW - timedelta(seconds=30)
    assert here.extended_until("ann", "") == NOW + HOUR
    assert not caplog.records


def test_a_wish_of_the_future_that_ends_before_it_begins_holds_nothing(tmp_path):
    """A file that somebody has edited: it would fail every sweep."""
    path = tmp_path / "state.json"
    wish = {"server": "", "at": "9999-12-31T00:00:00Z", "until": "0001-01-01T00:00:00Z"}
    path.write_text(json.dumps({"version": 1, "last_contact": None, "keeps": {"ann": [wish]}, "notices": []}))
    assert store(path).extended_until("ann", "") is None


# --- Stops ---


def stop(user="ada", server="lab", ago=timedelta(0), **more):
    return Stop(user=user, server=server, at=NOW - ago, reason="was idle for 1 h", rule="gpu", **more)


def test_a_stop_under_a_clock_that_was_ahead_is_not_shown_for_years():
    here = store(None)
    here.stopped(stop(ago=timedelta(days=-365)))
    here.stopped(stop(server="", ago=timedelta(seconds=-30)))
    assert [each.server for each in here.stops] == [""]
    assert here.last_stop("ada", "lab") is None


def test_stops_survive_a_restart_once_the_sweep_is_over(tmp_path):
    path = tmp_path / "state.json"
    first = store(path)
    first.stopped(stop("ada", ago=HOUR))
    first.stopped(stop("bob", "", is_removed=True))
    assert store(path, read_only=True).stops == []
    first.save_stops()
    first.close()
    again = store(path)
    assert again.stops == first.stops == [stop("bob", "", is_removed=True), stop("ada", ago=HOUR)]
    assert again.last_stop("ada", "lab") == stop("ada", ago=HOUR)
    assert again.last_stop("ada", "") is None


def test_what_ran_again_has_no_last_stop_but_stays_on_the_list(tmp_path):
    path = tmp_path / "state.json"
    first = store(path)
    for each in (stop(ago=2 * HOUR), stop(server="other"), stop(ago=HOUR)):
        first.stopped(each)
    first.runs("ada", "lab")
    first.save_stops()
    for here in (first, store(path, read_only=True)):
        assert here.last_stop("ada", "lab") is None
        assert here.last_stop("ada", "other") == stop(server="other")
        assert [each.ran_again for each in here.stops] == [True, False, True]


def test_only_the_newest_stops_of_some_days_are_remembered():
    here = store(None)
    for number in range(STOPS + 5):
        here.stopped(stop(f"user-{number}"))
    assert (len(here.stops), here.stops[0].user, here.stops[-1].user) == (
        STOPS,
        f"user-{STOPS + 4}",
        "user-5",
    )
    old = store(None)
    old.stopped(stop(ago=timedelta(days=7)))
    assert (old.stops, old.last_stop("ada", "lab")) == ([], None)


def test_a_wish_takes_the_stops_along_and_nothing_new_is_no_write(tmp_path):
    path = tmp_path / "state.json"
    here = store(path)
    here.stopped(stop())
    here.extend("ada", "other", HOUR)
    assert store(path, read_only=True).stops == [stop()]
    before = path.stat().st_ino
    here.runs("ada", "never stopped")
    here.save_stops()
    assert path.stat().st_ino == before


def test_who_kept_a_server_survives_a_restart_too(tmp_path):
    path = tmp_path / "state.json"
    first = store(path)
    first.extend("ada", "lab", HOUR, by_admin=True)
    first.extend("ada", "", HOUR)
    first.close()
    assert store(path).quota("ada").left == 2


def test_a_file_of_an_older_culler_is_read(tmp_path):
    path = tmp_path / "state.json"
    kept = {"server": "lab", "at": NOW.isoformat(), "until": (NOW + HOUR).isoformat()}
    path.write_text(json.dumps({"version": 1, "last_contact": None, "keeps": {"ada": [kept]}, "notices": []}))
    here = store(path)
    assert (here.extended_until("ada", "lab"), here.quota("ada").left, here.stops) == (NOW + HOUR, 2, [])


def test_a_server_was_kept_if_it_is_known_and_not_kept_now():
    here = store(None)
    here.extend("ada", "lab", HOUR)
    assert not here.was_extended("ada", "lab")
    here.release("ada", "lab")
    assert here.was_extended("ada", "lab")
    assert not here.was_extended("ada", "Your session has ended")
    assert not here.was_extended("bob", "lab")
