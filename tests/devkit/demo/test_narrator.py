"""What the terminal says while users come and go: each thing once, in one line."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from devkit.demo.narrator import Happening, Kind, Narrator, Repeats, StopLog, sentence, warning_sentence
from k8s_hub.hub.users import user_of

BEGAN = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
IDLE_AFTER = timedelta(seconds=20)


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def text_of(seconds):
    return None if seconds is None else at(seconds).isoformat()


def user(name="ada", *, active=None, chosen="small", applied="small", claim="claim-ada", **servers):
    """A user as the hub describes one; each server is True for ready, False for pending, or when it was active."""
    described = {
        key.removeprefix("default"): {
            "ready": server is not False,
            "pending": "spawn" if server is False else None,
            "started": text_of(0),
            "last_activity": text_of(server if server not in {True, False} else None),
            "user_options": {"profile": chosen} if chosen else {},
            "state": {
                "applied_options": applied and {"profile": applied, "options": {}},
                "pvc_name": claim,
            },
        }
        for key, server in servers.items()
    }
    return user_of({"name": name, "last_activity": text_of(active), "servers": described})


class Told:
    """A narrator and the sentences that it makes."""

    def __init__(self):
        self._narrator = Narrator(began=BEGAN, idle_after=IDLE_AFTER)

    def look(self, seconds, *users, culled=None, cancelled=()):
        happenings = self._narrator.look(users, culled or {}, at(seconds), cancelled=cancelled)
        return [sentence(each) for each in happenings]


@pytest.fixture
def told():
    return Told()


def test_a_day_of_a_user(told):
    assert told.look(0, user()) == []
    assert told.look(1, user(active=1)) == ["ada logged in."]
    assert told.look(2, user(active=1, default=False)) == ['ada\'s server is starting (profile "small").']
    assert told.look(3, user(active=1, default=False)) == []
    assert told.look(5, user(active=1, default=5.5)) == ["ada's server is ready after 3 s."]
    assert told.look(6, user(active=1, default=5.5)) == []
    assert told.look(26, user(active=1, default=5.5)) == ["ada's server is idle: no activity for 20 s."]
    assert told.look(60, user(active=1, default=5.5)) == []
    culled = {("ada", ""): "was idle for 1 min"}
    assert told.look(66, user(active=1), culled=culled) == [
        "The culler stopped ada's server: it was idle for 1 min. The files are kept."
    ]
    assert told.look(70, user(active=70, default=False)) == ['ada\'s server is starting (profile "small").']
    assert told.look(72, user(active=70, default=71)) == [
        "ada's server is back: ready after 2 s, with the same volume and files."
    ]


def test_a_profile_that_the_start_did_not_apply_is_not_told(told):
    assert told.look(1, user(applied=None, default=False)) == []
    assert told.look(2, user(applied=None, default=False)) == ["ada's server is starting."]


def test_a_start_is_told_with_its_profile_once_that_is_saved(told):
    assert told.look(1, user(applied=None, default=False)) == []
    assert told.look(1.3, user(default=False)) == ['ada\'s server is starting (profile "small").']
    assert told.look(2, user(default=False)) == []


def test_a_start_without_a_choice_is_told_at_once(told):
    assert told.look(1, user(chosen=None, applied=None, default=False)) == ["ada's server is starting."]


def test_of_a_server_without_a_volume_nothing_is_kept_and_nothing_comes_back(told):
    without = {"claim": None, "chosen": None, "applied": None}
    told.look(1, user(default=True, **without))
    told.look(2, user())
    assert told.look(5, user()) == ["ada's server stopped."]
    told.look(6, user(default=False, **without))
    assert told.look(8, user(default=True, **without)) == ["ada's server is ready after 2 s."]
    assert told.look(9, user(), culled={("ada", ""): "was idle for 1 min"}) == [
        "The culler stopped ada's server: it was idle for 1 min."
    ]


def test_a_user_of_an_earlier_run_has_not_logged_in(told):
    assert told.look(1, user(active=-100)) == []
    assert told.look(2, user(active=2)) == ["ada logged in."]


def test_a_server_that_ends_before_it_is_ready_has_failed():
    narrator = Narrator(began=BEGAN, idle_after=IDLE_AFTER)
    list(narrator.look([user(default=False)], {}, at(1)))
    (failed,) = narrator.look([user()], {}, at(2))
    assert failed == Happening(kind=Kind.FAILED, user="ada")
    assert sentence(failed) == "ada's server stopped before it was ready."


def test_a_cancelled_start_is_not_told_as_ready_or_failed(told):
    """The hub calls the server ready before it stops it."""
    assert told.look(1, user(chosen=None, applied=None, default=False)) == ["ada's server is starting."]
    assert told.look(2, user(default=False), cancelled=[("ada", "")]) == [
        "ada's server does not start: somebody cancelled the start."
    ]
    assert told.look(3, user(default=3)) == []
    assert told.look(4, user()) == []
    assert told.look(9, user(chosen=None, applied=None, default=False)) == ["ada's server is starting."]
    assert told.look(12, user(default=12)) == ["ada's server is ready after 3 s."]


def test_a_start_that_is_ready_in_the_same_look_as_it_was_cancelled_is_cancelled(told):
    told.look(1, user(chosen=None, applied=None, default=False, gpu=False))
    assert told.look(2, user(default=2, gpu=2), cancelled=[("ada", "")]) == [
        "ada's server does not start: somebody cancelled the start.",
        'ada\'s server "gpu" is ready after 1 s.',
    ]


def test_a_failure_is_told_as_the_user_reads_it():
    failed = Happening(kind=Kind.FAILED, user="ada", server="gpu", detail="The image does not exist.")
    assert sentence(failed) == 'ada\'s server "gpu" did not start. The image does not exist.'


def test_who_stopped_a_server_is_awaited_for_a_moment(told):
    told.look(1, user(default=True))
    assert told.look(2, user()) == []
    assert told.look(3, user(), culled={("ada", ""): "was idle for 1 min"}) == [
        "The culler stopped ada's server: it was idle for 1 min. The files are kept."
    ]
    assert told.look(9, user()) == []


def test_a_server_that_the_culler_did_not_stop(told):
    told.look(1, user(default=True))
    assert told.look(2, user()) == []
    assert told.look(5, user()) == ["ada's server stopped. The files are kept."]


def test_a_server_that_is_used_again_may_be_idle_again(told):
    told.look(0, user(default=0))
    assert len(told.look(20, user(default=0))) == 1
    assert told.look(21, user(default=21)) == []
    assert told.look(41, user(default=21)) == ["ada's server is idle: no activity for 20 s."]


def test_servers_of_one_user_are_told_apart(told):
    assert told.look(0, user(default=True, project=False)) == [
        "ada's server is ready after 0 s.",
        'ada\'s server "project" is starting (profile "small").',
    ]


def test_a_name_is_one_line(told):
    (line,) = told.look(1, user("a\nb", active=1))
    assert line == "a\\nb logged in."


def test_a_warning_has_the_time_of_the_reader():
    stop_at = at(60)
    warning = {"user": "ada", "server": "", "stop_at": stop_at.isoformat()}
    expected = f"{stop_at.astimezone():%H:%M:%S}"
    assert (
        warning_sentence(warning)
        == f"The culler warned ada: the server stops at {expected} unless ada uses it."
    )


# --- The culler's decision log ---


def record(action, user="ada", server=""):
    return (
        json.dumps({"user": user, "server": server, "action": action, "reason": "was idle for 1 min"}) + "\n"
    )


def test_stops_are_read_once_and_other_decisions_are_not(tmp_path):
    path = tmp_path / "log"
    log = StopLog(path)
    assert log.new() == {}
    path.write_text(record("kept") + record("stopped"))
    assert log.new() == {("ada", ""): "was idle for 1 min"}
    assert log.new() == {}


def test_a_line_that_is_still_written_is_read_later(tmp_path):
    path = tmp_path / "log"
    log = StopLog(path)
    whole = record("stopping", server="gpu")
    path.write_text(whole[:20])
    assert log.new() == {}
    path.write_text(whole)
    assert log.new() == {("ada", "gpu"): "was idle for 1 min"}


START = "ada's server did not start. "


def left(repeats, lines, now, starting=()):
    return [*repeats.at_once(lines, now), *repeats.left(now, starting)]


def test_a_failed_start_is_told_once():
    repeats = Repeats()
    other = "The hub's log warns: something else"
    assert left(repeats, [START + "The image does not exist.", other], at(0)) == [other]
    assert repeats.take(("ada", "")) == START + "The image does not exist."
    assert repeats.take(("ada", "")) is None
    assert left(repeats, [], at(60)) == []
    # The next one the other way round: from the progress page first.
    repeats.told("It took too long.")
    assert left(repeats, [START + "It took too long."], at(70)) == []
    assert left(repeats, [], at(75)) == []


def test_a_failed_start_that_nobody_saw_is_told_from_the_log_as_its_user_reads_it():
    repeats = Repeats()
    assert left(repeats, [START + "boo"], at(0)) == []
    repeats.told("")
    repeats.told("of another start")
    assert left(repeats, [], at(0.5)) == []
    assert left(repeats, [], at(1)) == [START + "boo"]
    assert left(repeats, [], at(4)) == []


def test_the_reason_of_a_server_that_the_hub_still_stops_is_told_when_it_vanishes():
    repeats = Repeats()
    assert left(repeats, [START + "boo"], at(0), {("ada", "")}) == []
    assert left(repeats, [], at(9), {("ada", ""), ("bob", "")}) == []
    assert repeats.take(("ada", "gpu")) is None
    assert repeats.take(("ada", "")) == START + "boo"


def test_an_error_of_a_start_without_a_reason_for_its_user_stays_as_it_is():
    repeats = Repeats()
    line = "The hub's log has an error: Unhandled error starting ada's server: boo"
    assert left(repeats, [line], at(0)) == []
    assert left(repeats, [], at(1)) == [line]
