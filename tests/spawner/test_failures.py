import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from jupyterhub.utils import format_exception
from prometheus_client import REGISTRY
from tornado.web import HTTPError

from devkit.testing.bare import bare_spawner
from k8s_hub import KubeSpawner
from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.manifests.casing import ManifestError
from k8s_hub.spawner.failures import (
    HookFailed,
    SpawnException,
    SpawnFailed,
    administrators_code,
    counts,
    failure_of,
    hub_error,
    spawn_url,
    uncounted,
)
from k8s_hub.spawner.spawn_outcome import keep_from_count

NOT_FOUND = Diagnosis.failed(
    Stage.PULLING, Reason.IMAGE_NOT_FOUND, "The image <b>x</b> does not exist.", detail="manifest unknown"
)
AWAY = Diagnosis.failed(Stage.REQUEST, Reason.CLUSTER_UNAVAILABLE, "The cluster does not answer.")


def test_the_page_shows_the_sentence_and_never_its_markup():
    text, html = format_exception(hub_error(NOT_FOUND))

    assert text == "The image <b>x</b> does not exist."
    assert html == "<p>The image &lt;b&gt;x&lt;/b&gt; does not exist.</p>"


def test_the_page_offers_to_try_again():
    _, html = format_exception(hub_error(NOT_FOUND, again='/hub/spawn/a"b'))

    assert html == (
        "<p>The image &lt;b&gt;x&lt;/b&gt; does not exist.</p>"
        '<p><a href="/hub/spawn/a&quot;b">Try again</a></p>'
    )


@pytest.mark.parametrize(
    ("user", "server", "url"),
    [("ada", "", "/hub/spawn/ada"), ("ada", "gpu 1/2?", "/hub/spawn/ada/gpu%201%2F2%3F")],
    ids=["default server", "named server"],
)
def test_a_server_is_tried_again_at_the_hubs_page_for_it(user, server, url):
    assert spawn_url(bare_spawner(user, server)) == url


def test_the_page_of_a_hub_below_a_prefix_is_found():
    spawner = bare_spawner()
    spawner.hub = SimpleNamespace(base_url="/jupyter/hub/")
    assert spawn_url(spawner) == "/jupyter/hub/spawn/ada"


def test_whatever_ends_a_start_can_be_tried_again():
    spawner = bare_spawner(servername="gpu")
    errors = (
        SpawnFailed(NOT_FOUND),
        ManifestError("is empty", "volumes"),
        RecursionError(),
        HookFailed("x"),
        KeyError(),
    )
    for error in errors:
        assert '<a href="/hub/spawn/ada/gpu">' in format_exception(failure_of(error, spawner, ()))[1]


def test_the_log_has_the_reason_and_the_detail():
    logged = str(hub_error(NOT_FOUND))

    assert "[image_not_found] manifest unknown" in logged


def test_neither_has_a_secret_in_it():
    quoted = Diagnosis.failed(
        Stage.REQUEST, Reason.INVALID, "No hunter2-and-more.", detail="hunter2-and-more"
    )
    error = hub_error(quoted, {"hunter2-and-more"})

    assert format_exception(error)[0] == "No ***."
    assert "hunter2" not in str(error)


@pytest.mark.hub
@pytest.mark.parametrize(("diagnosis", "status"), [(NOT_FOUND, 400), (AWAY, 503)])
def test_the_status_says_whether_to_try_again_and_none_counts(diagnosis, status):
    error = hub_error(diagnosis)

    assert error.status_code == status
    assert error.reason == str(diagnosis.reason)
    assert isinstance(error, SpawnException or HTTPError)
    assert not counts(error)


def test_each_reason_begins_at_zero_and_not_with_its_first_failure():
    """Prometheus' increase() does not count the first value of a series."""
    names = {reason.value for reason in Reason}
    code = (
        "import json; from k8s_hub.spawner.failures import FAILURES\n"
        "samples = [one for family in FAILURES.collect() for one in family.samples if one.name.endswith('_total')]\n"
        "print(json.dumps({one.labels['reason']: one.value for one in samples}))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == dict.fromkeys(names, 0)


def test_failures_are_counted_by_reason():
    def counted():
        return REGISTRY.get_sample_value("k8s_hub_spawn_failures_total", {"reason": "image_not_found"}) or 0

    before = counted()
    hub_error(NOT_FOUND)

    assert counted() == before + 1


# --- What the hub counts ---


@pytest.mark.hub
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HTTPError(400), 2),
        (HTTPError(403), 2),
        (uncounted(HTTPError(503)), 2),
        (uncounted(RuntimeError()), 2),
        (hub_error(NOT_FOUND), 2),
        (hub_error(AWAY), 2),
        (TimeoutError(), 2),
        (None, 0),
        (HTTPError(500), 3),
        (HTTPError(503), 3),
        (RuntimeError(), 3),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_the_hub_s_count_after_a_spawn_that_ends_with(error, expected):
    """The count is what it was before, in the moment in which the hub compares it with its limit, too."""
    settings = {"failure_count": 2}
    spawn = asyncio.get_running_loop().create_future()
    spawn.add_done_callback(lambda spawn: keep_from_count(spawn, settings))
    spawn.add_done_callback(lambda spawn: settings.update(failure_count=count_of_this_hub(spawn, settings)))
    if error is None:
        spawn.set_result(None)
    else:
        spawn.set_exception(error)
    await asyncio.sleep(0)

    assert settings == {"failure_count": expected}


def count_of_this_hub(spawn, settings):
    """What JupyterHub 5 or 6 makes of its count."""
    error = spawn.exception()
    if error is None:
        return 0
    is_refusal = isinstance(error, HTTPError) and error.status_code < 500
    is_free = SpawnException is not None and (isinstance(error, SpawnException) or is_refusal)
    return settings["failure_count"] + (not is_free)


async def test_the_first_failure_of_all_leaves_no_count():
    settings = {}
    spawn = asyncio.get_running_loop().create_future()
    spawn.set_exception(TimeoutError())
    keep_from_count(spawn, settings)

    assert settings == {"failure_count": -1}


async def test_a_spawn_that_is_cancelled_is_none():
    settings = {}
    spawn = asyncio.get_running_loop().create_future()
    spawn.cancel()
    keep_from_count(spawn, settings)

    assert settings == {}


# --- Whose failure it is ---


class Course(KubeSpawner):
    """A class of an administrator's, in a module of theirs."""

    def get_args(self):
        raise RuntimeError("no licence left")


def caught(call):
    """What a call raises, with its traceback."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is what the tests are about
        return error
    raise AssertionError


def with_hook(name, hook):
    with administrators_code(name):
        hook()


def divide():
    return 1 / 0


CONFIGURATION_FILE = {}
exec("def hook():\n    return {}['no such key']", CONFIGURATION_FILE)

THEIRS = {
    "a function": (KubeSpawner, lambda: with_hook("KubeSpawner.modify_pod_hook", divide)),
    "a built-in function": (KubeSpawner, lambda: with_hook("KubeSpawner.uid", lambda: int("x"))),
    "another number of arguments": (KubeSpawner, lambda: with_hook("KubeSpawner.uid", lambda: divide(7))),
    "an exit": (KubeSpawner, lambda: with_hook("KubeSpawner.pre_spawn_hook", sys.exit)),
    "a subclass": (Course, lambda: bare_spawner(spawner_class=Course).get_args()),
    "the configuration file": (KubeSpawner, CONFIGURATION_FILE["hook"]),
}


@pytest.mark.parametrize(("spawner_class", "call"), THEIRS.values(), ids=THEIRS)
def test_what_an_administrator_s_code_raises_does_not_count(spawner_class, call, caplog):
    failure = failure_of(caught(call), bare_spawner(spawner_class=spawner_class), ())

    assert not counts(failure)
    assert failure.reason == "hook"
    sentence = format_exception(failure)[0]
    assert sentence.endswith("Give your administrator this reference.")
    (logged,) = caplog.messages
    reference = sentence.partition("(reference ")[2].partition(")")[0]
    assert len(reference) == 8
    assert f"reference {reference}: Traceback" in logged


async def test_a_cancellation_of_a_hook_s_own_is_its_failure_and_that_of_the_start_none():
    async def start(hook):
        with administrators_code("KubeSpawner.pre_spawn_hook"):
            await hook

    abandoned = asyncio.get_running_loop().create_future()
    abandoned.cancel()
    with pytest.raises(HookFailed):
        await start(abandoned)

    starting = asyncio.create_task(start(asyncio.Event().wait()))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()


def test_the_log_names_the_function_and_has_its_traceback(caplog):
    failure_of(caught(THEIRS["a function"][1]), bare_spawner(), ())
    failure_of(caught(THEIRS["a subclass"][1]), bare_spawner(spawner_class=Course), ())

    of_hook, of_method = caplog.messages
    assert of_hook.startswith("ada: KubeSpawner.modify_pod_hook failed, reference ")
    assert of_hook.endswith("ZeroDivisionError: division by zero")
    assert of_method.startswith("ada: Course.get_args failed, reference ")
    assert of_method.endswith("RuntimeError: no licence left")


def test_the_traceback_has_no_secret(caplog):
    def quote():
        raise RuntimeError("cannot log in with hunter2-and-more")

    failure_of(caught(lambda: with_hook("KubeSpawner.uid", quote)), bare_spawner(), {"hunter2-and-more"})

    assert "cannot log in with ***" in caplog.text
    assert "hunter2" not in caplog.text


def test_what_our_own_code_raises_counts_and_has_a_reference_too(caplog):
    failure = failure_of(caught(lambda: SpawnFailed("no diagnosis")), bare_spawner(), ())

    assert failure.status_code == 500
    assert counts(failure)
    assert "because of an error in the hub (reference " in format_exception(failure)[0]
    assert "ada: the start failed, reference " in caplog.text


@pytest.mark.hub
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (HTTPError(403, "no licence left"), "no licence left"),
        (HTTPError(403, "no %s left", "licence"), "no licence left"),
        (HTTPError(503), ""),
    ],
)
def test_what_a_hook_says_to_the_user_is_told_as_it_is_and_does_not_count(error, message):
    failure = failure_of(caught(lambda: with_hook("KubeSpawner.uid", raising(error))), bare_spawner(), ())

    assert isinstance(failure, SpawnException or HTTPError)
    assert (failure.status_code, failure.get_message() or "") == (error.status_code, message)
    assert not counts(failure)


@pytest.mark.hub
def test_the_attributes_that_the_hub_reads_of_a_hooks_error_stay():
    error = HTTPError(429, reason="licences")
    given = {
        "jupyterhub_message": "There is no licence left.",
        "jupyterhub_html_message": "<p>There is no licence left.</p>",
        "headers": {"Retry-After": "60"},
    }
    vars(error).update(given)
    failure = failure_of(caught(lambda: with_hook("KubeSpawner.uid", raising(error))), bare_spawner(), ())

    assert given.items() <= vars(failure).items()
    assert failure.reason == "licences"
    assert failure_of(failure, bare_spawner(), ()) is failure


def test_an_exception_with_a_message_for_the_page_is_told_as_it_is_and_does_not_count():
    error = RuntimeError("no licence")
    error.jupyterhub_message = "There is no licence left."
    failure = failure_of(caught(lambda: with_hook("KubeSpawner.uid", raising(error))), bare_spawner(), ())

    assert format_exception(failure)[0] == "There is no licence left."
    assert not counts(failure)


def raising(error):
    def raise_it():
        raise error

    return raise_it


@pytest.mark.parametrize(
    "error", [SpawnFailed(NOT_FOUND), ManifestError("is empty", "volumes"), HookFailed("a")]
)
def test_what_has_a_reason_already_passes_through_a_hook(error):
    assert caught(lambda: with_hook("KubeSpawner.uid", raising(error))) is error


def test_a_setting_that_is_not_valid_is_named():
    failure = failure_of(ManifestError("is empty", "volumes"), bare_spawner(), ())

    assert format_exception(failure)[0] == (
        'Your server could not start because a setting of this hub is not valid: "volumes". '
        "Contact your administrator."
    )
    assert "[invalid] volumes is empty" in str(failure)
    assert not counts(failure)


def test_what_is_nested_too_deeply_is_bad_input():
    failure = failure_of(RecursionError(), bare_spawner(), ())

    assert failure.reason == "invalid"
    assert not counts(failure)
