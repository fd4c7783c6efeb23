"""What the terminal repeats of the hub's log: errors, warnings about settings, and how services end."""

import logging
import traceback

import jupyterhub
import pytest
from jupyterhub.app import JupyterHub
from tornado.web import HTTPError
from traitlets.config import Config

from devkit.demo import hub_log
from devkit.demo.hub_log import HUB, CullerLog, HubLog, RepeatingHandler


@pytest.fixture
def logger(monkeypatch):
    """The hub's logger, without the handlers that it has now."""
    logger = logging.getLogger(HUB)
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", False)
    yield logger
    for handler in logger.handlers:
        if isinstance(handler, RepeatingHandler):
            handler.close()


@pytest.fixture
def repeated(tmp_path, logger):
    """A function that returns the lines that the terminal repeats since the last call."""
    path = tmp_path / "repeated.log"
    hub_log.repeat(Config(), path)
    return HubLog(tmp_path / "hub.log", path).new


def warn_as(package, message):
    """Log a warning from a file of this package."""
    code = compile(f"log.warning({message!r})", f"{package.__path__[0]}/handlers/base.py", "exec")
    exec(code, {"log": logging.getLogger(HUB)})


def fail(logger, error):
    """Log a failed start as the hub does."""
    try:
        raise error  # noqa: TRY301 - the handler looks for the exception that is being handled
    except Exception:  # noqa: BLE001 - as above
        logger.error("Not starting ada's server: %s", error)  # noqa: TRY400 - as above
    logger.error("Error starting server ada: %s", error)
    logger.error("Failed to spawn single-user server with form", exc_info=error)


def test_a_warning_is_told_once_whoever_logs_it(logger, repeated):
    logger.warning("Config option `%s` not recognized.  Did you mean?", "memory_limits")
    logger.warning("Config option `memory_limits` not recognized.  Did you mean?")
    assert repeated() == ["The hub's log warns: Config option `memory_limits` not recognized. Did you mean?"]
    assert repeated() == []


def test_what_the_hub_itself_warns_of_is_routine(logger, repeated):
    warn_as(jupyterhub, "Adding missing route for /user/ada/")
    logger.info("User logged in: ada")
    assert repeated() == []


@pytest.mark.parametrize("kind", [HTTPError, ValueError])
def test_a_failed_start_is_told_once_and_the_next_one_again(logger, repeated, kind):
    for _ in range(2):
        error = kind(403, "not you")
        fail(logger, error)
        assert repeated() == [f"The hub's log has an error: Not starting ada's server: {error}"]


@pytest.mark.parametrize(
    ("begins", "subject"),
    [
        ("Not starting ada's server ", "ada's server"),
        ("Not starting ada's server gpu", 'ada\'s server "gpu"'),
        ("Error starting ada's server", "ada's server"),  # JupyterHub 5
    ],
)
def test_a_failed_start_is_told_once_as_its_user_reads_it(logger, repeated, begins, subject):
    error = HTTPError(400, "Your course has ended. [hook] of the log")
    error.jupyterhub_message = "Your course\nhas ended."
    try:
        raise error
    except HTTPError:
        logger.error("%s: %s", begins, error)  # noqa: TRY400 - as the hub does
        logger.error("Error starting server ada: %s", error)  # noqa: TRY400 - as above
    logger.error("Failed to spawn single-user server with form", exc_info=error)
    assert repeated() == [f"{subject} did not start. Your course has ended."]


def test_of_a_traceback_the_exception_is_told(logger, repeated):
    logger.error("hook failed: Traceback (most recent call last):\n  File x\nValueError: boo")
    logger.error("Uncaught exception", exc_info=KeyError("x"))
    assert repeated() == [
        "The hub's log has an error: hook failed: ValueError: boo",
        "The hub's log has an error: Uncaught exception: KeyError: 'x'",
    ]


def test_a_message_is_one_line(logger, repeated):
    logger.error("two\nlines and \x1b[31m")
    assert repeated() == ["The hub's log has an error: two lines and \\x1b[31m"]


def test_failed_requests_are_not_told(logger, repeated, monkeypatch):
    access = logging.getLogger("tornado.access")
    monkeypatch.setattr(access, "parent", logger)
    monkeypatch.setattr(access, "filters", [])
    hub_log.quiet()
    access.error("500 GET /hub/home (ada@127.0.0.1) 1.00ms")
    assert repeated() == []


def test_the_hub_takes_the_handler_from_its_configuration(tmp_path, logger):
    c = Config()
    hub_log.repeat(c, tmp_path / "repeated.log")
    (handler,) = [each for each in logger.handlers if isinstance(each, RepeatingHandler)]
    assert JupyterHub(config=c).extra_log_handlers == [handler]


def test_the_demos_own_requests_are_not_logged_unless_they_fail(caplog, monkeypatch):
    access = logging.getLogger("tornado.access")
    monkeypatch.setattr(access, "filters", [])
    hub_log.quiet()
    caplog.set_level(logging.INFO, access.name)
    access.info("200 GET /hub/api/users (demo-tools@127.0.0.1) 1.00ms")
    access.info("200 GET /hub/api/users (ada@127.0.0.1) 1.00ms")
    access.warning("403 GET /hub/api/users (demo-tools@127.0.0.1) 1.00ms")
    assert [message[:3] + message[23:28] for message in caplog.messages] == ["200(ada@", "403(demo"]


# --- Services ---

EXIT = "[E 2026-11-30 10:03:41.311 JupyterHub service:504] Service culler exited with status 1\n"


@pytest.fixture
def log(tmp_path):
    """The hub's log, and a function that reads it."""
    path = tmp_path / "hub.log"
    return path, HubLog(path, tmp_path / "repeated.log").new


@pytest.mark.parametrize(
    "head", ["W 2026-11-30 10:03:12 k8s_hub.culler.wiring", "W 261130 10:03:12 __init__:203"]
)
def test_a_service_warns_once(log, head):
    path, new = log
    assert new() == []
    line = f"[{head}] The API token lacks the scope read:users\n"
    path.write_text(line + line)
    assert new() == ["The hub's log warns: The API token lacks the scope read:users"]
    path.write_text(line + line + line + line.replace("[W", "[E").replace("scope", "scopes"))
    assert new() == ["The hub's log has an error: The API token lacks the scopes read:users"]


def test_the_hubs_own_lines_are_left_to_the_handler(log):
    path, new = log
    path.write_text("[W 2026-11-30 07:21:20.072 JupyterHub log:192] 404 GET /hub/x\n" + EXIT)
    assert new() == []


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("bin/python: No module named culler\n", "bin/python: No module named culler"),
        (
            'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nKeyError: 1\n',
            "KeyError: 1",
        ),
    ],
)
def test_the_last_words_of_a_service_are_told_once_it_has_ended(log, printed, said):
    path, new = log
    path.write_text(printed)
    assert new() == []
    path.write_text(printed + EXIT + printed + EXIT)
    assert new() == [f"The hub's log says: {said}"]


def test_what_a_running_service_prints_is_its_own_affair(log):
    path, new = log
    path.write_text("GET / 200\n" * 9 + "[I 2026-11-30 07:21:20.072 JupyterHub app:1] is now running\n")
    assert new() == []


def test_an_error_in_an_administrators_file_has_its_place(logger, repeated, tmp_path):
    hooks = tmp_path / "hooks.py"
    hooks.write_text("import json\n\n\ndef hook():\n    return json.loads('{')\n")
    space = {}
    exec(compile(hooks.read_text(), str(hooks), "exec"), space)
    for _ in range(2):
        try:
            space["hook"]()
        except ValueError as error:
            failure = error
    text = "".join(traceback.format_exception(failure))
    logger.error("ada: hook failed, reference 1: %s", text)
    logger.error("Uncaught exception", exc_info=failure)
    said = repeated()
    assert [line.endswith(f" in {hooks}, line 5") for line in said] == [True, True], said


# --- What a culler logs ---

OURS = "[I 2026-11-30 10:03:12 k8s_hub.culler.actions] "
PEERS = "[I 261130 10:03:12 __init__:256] "


@pytest.mark.parametrize(
    ("line", "stop"),
    [
        (
            f"{OURS}ada: stopped: was idle for 1 min (limit 1 min)",
            {("ada", ""): "was idle for 1 min (limit 1 min)"},
        ),
        (f"{OURS}ada/gpu: stopped: reached 8 h", {("ada", "gpu"): "reached 8 h"}),
        (f"{OURS}ada: kept: no longer due when the culler looked again: is in use", {}),
        (f"{PEERS}Culling server ada (inactive for 00:01:05)", {("ada", ""): "was inactive for 00:01:05"}),
        (
            f"{PEERS}Culling server ada/gpu (age: 08:00:00, inactive for 00:01:05)",
            {("ada", "gpu"): "was inactive for 00:01:05"},
        ),
        (f"{PEERS}ada: stopped: by another service", {}),
        ("ada: stopped: was idle for 1 min", {}),
    ],
)
def test_whom_a_culler_stops_is_in_its_log(tmp_path, line, stop):
    path = tmp_path / "hub.log"
    log = CullerLog(path)
    assert log.new() == {}
    path.write_text(line + "\n")
    assert (log.new(), log.warnings()) == (stop, [])
    assert log.new() == {}


def test_whom_a_culler_warns_is_in_its_log(tmp_path):
    path = tmp_path / "hub.log"
    log = CullerLog(path)
    sweep = OURS.replace("actions", "sweep")
    path.write_text(f"{sweep}ada/gpu: user warned: stops at 2026-11-30T10:04:00Z: was idle for 40 s\n")
    assert log.new() == {}
    assert log.warnings() == [{"user": "ada", "server": "gpu", "stop_at": "2026-11-30T10:04:00Z"}]
    assert log.warnings() == []


def test_cancelled_starts_are_known_once_and_not_repeated(tmp_path):
    path = tmp_path / "hub.log"
    head = "2026-07-01 12:00:00.000 JupyterHub users:925] Interrupting spawner"
    path.write_text(
        f"[W {head} max, pending spawn\n[W {head} ada:gpu, pending spawn\n"
        "[I 2026-07-01 12:00:01.000 JupyterHub base:1132] Server max is ready\n"
    )
    log = HubLog(path, tmp_path / "repeated.log")
    assert log.new() == []
    assert log.cancelled() == {("max", ""), ("ada", "gpu")}
    assert log.cancelled() == set()
