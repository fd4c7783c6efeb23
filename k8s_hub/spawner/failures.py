"""How a failed start reaches JupyterHub: what the user reads, what the log says, whether the hub counts it.

The hub ends itself after `consecutive_failure_limit` failures in a row, so that it is started anew. A failure counts
only where that can help: for an exception of this package that nobody foresaw. What a user chose, what an
administrator configured or wrote, and a cluster that is away or busy never count.
"""

import asyncio
import traceback
from collections.abc import Collection, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import timedelta
from html import escape
from secrets import token_hex
from typing import Any, TypeVar, cast

from jupyterhub.utils import AnyTimeoutError, url_escape_path, url_path_join
from prometheus_client import Counter
from tornado.web import HTTPError

from k8s_hub.diagnosis.diagnosis import NOT_STARTED, Diagnosis, Reason, Stage, redacted_text
from k8s_hub.diagnosis.messages import CONTACT
from k8s_hub.naming.templates import SettingError
from k8s_hub.text import format_duration

try:
    from jupyterhub.spawner import SpawnException
except ImportError:  # JupyterHub 5 has no such class and counts every failure
    SpawnException = None

FAILURES = Counter("k8s_hub_spawn_failures_total", "Starts that failed, by the diagnosed reason.", ["reason"])

E = TypeVar("E", bound=BaseException)

_OURS = frozenset({"k8s_hub", "jupyterhub", "traitlets"})
"""The packages that a spawner's class is made of before an administrator adds to it."""


class SpawnFailed(Exception):
    """A start ended with a reason; the diagnosis has a sentence for the user and a detail for the log."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.sentence)
        self.diagnosis = diagnosis


class HookFailed(Exception):
    """An administrator's function raised an exception, which is the cause of this one."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} failed")
        self.name = name


@contextmanager
def administrators_code(name: str) -> Iterator[None]:
    """Raise what an administrator's function raises as HookFailed, with its name.

    What has a message of its own passes: a SpawnFailed, a SettingError, and what the function says to the user; so
    does the cancellation of the start. ``exit()`` in a function is no end of the hub, and the cancellation of a task
    of its own none of the start: the hub would take that for a server that runs.
    """
    try:
        yield
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if _is_cancelled(error):
            raise
        if isinstance(error, SpawnFailed | SettingError | HookFailed) or _speaks_to_the_user(error):
            raise
        raise HookFailed(name) from error


def _is_cancelled(error: BaseException) -> bool:
    """Tell whether an exception is the cancellation of the task that meets it, and not of one that it waited for."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def failure_of(error: Exception, spawner: Any, secrets: Collection[str]) -> Exception:
    """Return the exception that tells JupyterHub what has ended a start: the error itself where it speaks to the user.

    ``secrets`` are what no message and no log may repeat. An exception that nobody foresaw is logged with its
    traceback, under a reference that the user reads. It is the administrator's, and does not count, where its
    traceback leads through a function that the configuration names (see `administrators_code`), through the
    configuration file, or through a module with a class of the spawner that is neither ours nor JupyterHub's.
    Else it is ours and counts.
    """
    if hasattr(error, _COUNTS):
        return error  # of a start that a subclass calls
    match error:
        case SpawnFailed(diagnosis=diagnosis):
            return hub_error(diagnosis, secrets, again=spawn_url(spawner))
        case SettingError():
            return hub_error(_invalid_setting(error), secrets, again=spawn_url(spawner))
        case RecursionError() if not _administrators_frame(error, type(spawner)):
            return hub_error(_TOO_DEEP, again=spawn_url(spawner))
    if _speaks_to_the_user(error):
        return uncounted(error)
    return _unforeseen(error, spawner, secrets)


def hub_error(diagnosis: Diagnosis, secrets: Collection[str] = (), *, again: str = "") -> HTTPError:
    """Return the exception that tells this JupyterHub what happened, with none of the secrets; it does not count.

    ``again``: the URL at which the user can try again.
    """
    reason = str(diagnosis.reason or "unknown")
    FAILURES.labels(reason).inc()
    sentence = redacted_text(diagnosis.sentence, secrets)
    detail = f"{sentence} [{reason}] {redacted_text(diagnosis.detail, secrets)}".rstrip()
    status = 503 if diagnosis.reason is Reason.CLUSTER_UNAVAILABLE else 400
    if SpawnException is None:
        error = HTTPError(status, detail, reason=reason)
    else:
        error = SpawnException(sentence, reason=reason, log_message=detail, status_code=status)
    return uncounted(with_message(error, sentence, again=again))


def with_message(error: E, sentence: str, *, again: str = "") -> E:
    """Return the error with what pages show, whatever its class; ``again`` as of `hub_error`."""
    shown: Any = error
    shown.jupyterhub_message = sentence
    link = f'<p><a href="{escape(again)}">Try again</a></p>' if again else ""
    shown.jupyterhub_html_message = f"<p>{escape(sentence)}</p>{link}"
    return cast("E", shown)


def spawn_url(spawner: Any) -> str:
    """Return the path of the hub's page that starts this server, or has its form; empty without a hub."""
    if spawner.hub is None or spawner.user is None:
        return ""
    path = url_path_join(
        spawner.hub.base_url, "spawn", spawner.user.escaped_name, url_escape_path(spawner.name)
    )
    return str(path)


# --- What the hub counts ---


_COUNTS = "k8s_hub_counts"
"""The mark of an exception that was judged: whether it counts."""


def uncounted(error: E) -> E:
    """Mark an exception: a spawn that ends with it does not bring the hub nearer to its end."""
    setattr(error, _COUNTS, False)
    return error


def keep_from_count(
    spawn: "asyncio.Future[Any]", settings: MutableMapping[str, Any], spawner_class: type = object
) -> None:
    """Take one from the hub's count of failures, where it is about to add one that does not count.

    To be called when the spawn is done, right before the hub's own callback, which compares the count with its
    limit. Neither of JupyterHub 5 and 6 can be told by other means: version 5 counts every exception, and version 6
    the time-out of a server that does not answer.
    """
    error = None if spawn.cancelled() else spawn.exception()
    if error is not None and _is_counted_by_hub(error) and not counts(error, spawner_class):
        settings["failure_count"] = settings.get("failure_count", 0) - 1


def explain_timeout(spawn: "asyncio.Future[Any]", waited: timedelta, *, again: str) -> None:
    """Give the time-out that ended a spawn a sentence, where it has none: the hub's own, if a start overran it."""
    error = None if spawn.cancelled() else spawn.exception()
    if isinstance(error, AnyTimeoutError) and not (str(error) or hasattr(error, "jupyterhub_message")):
        with_message(error, NOT_STARTED.replace("{waited}", format_duration(waited)), again=again)


def counts(error: BaseException, spawner_class: type = object) -> bool:
    """Tell whether starting the hub anew may help against what has ended a spawn.

    It does not help against a time-out, what is refused with a message for the user, or an administrator's code
    that was called by the hub itself.
    """
    judged = getattr(error, _COUNTS, None)
    if judged is not None:
        return bool(judged)
    is_refusal = isinstance(error, HTTPError) and error.status_code < 500
    is_timeout = isinstance(error, AnyTimeoutError)
    return not (is_refusal or is_timeout or _administrators_frame(error, spawner_class))


def _is_counted_by_hub(error: BaseException) -> bool:
    if SpawnException is None:
        return True
    return not (
        isinstance(error, SpawnException) or (isinstance(error, HTTPError) and error.status_code < 500)
    )


# --- What nobody foresaw ---


def _speaks_to_the_user(error: BaseException) -> bool:
    """Tell whether an exception was made for JupyterHub's pages: nothing else in a start raises such."""
    return isinstance(error, HTTPError) or hasattr(error, "jupyterhub_message")


def _unforeseen(error: Exception, spawner: Any, secrets: Collection[str]) -> HTTPError:
    reference = token_hex(4)
    name = error.name if isinstance(error, HookFailed) else _administrators_frame(error, type(spawner))
    cause = error.__cause__ if isinstance(error, HookFailed) and error.__cause__ is not None else error
    spawner.log.error(
        "%s: %s failed, reference %s: %s",
        spawner._log_name,  # noqa: SLF001 - as the hub's own log names it
        name or "the start",
        reference,
        redacted_text("".join(traceback.format_exception(cause)).rstrip(), secrets),
    )
    if name:
        return hub_error(_hook_failed(reference), again=spawn_url(spawner))
    FAILURES.labels(str(Reason.BUG)).inc()
    sentence = (
        f"Your server could not start because of an error in the hub (reference {reference}). "
        "Try again; if it keeps happening, give your administrator this reference."
    )
    failure = with_message(
        HTTPError(500, sentence, reason=str(Reason.BUG)), sentence, again=spawn_url(spawner)
    )
    setattr(failure, _COUNTS, True)
    return failure


def _administrators_frame(error: BaseException, spawner_class: type) -> str:
    """Return the name of the innermost function of an administrator in a traceback; empty if there is none."""
    modules = {each.__module__ for each in spawner_class.__mro__}
    # The configuration file has no module name, so that Python finds that of its builtins: that of `object`, too.
    theirs = {module for module in modules if module.partition(".")[0] not in _OURS}
    frames = (frame for each in _with_causes(error) for frame, _ in traceback.walk_tb(each.__traceback__))
    names = [
        frame.f_code.co_qualname for frame in frames if frame.f_globals.get("__name__", "builtins") in theirs
    ]
    return names[-1] if names else ""


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from: of a StopIteration, Python makes a RuntimeError on the way."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__


# --- Sentences ---


def _invalid_setting(error: SettingError) -> Diagnosis:
    where = f': "{error.place}"' if error.place else ""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.INVALID,
        f"Your server could not start because a setting of this hub is not valid{where}. {CONTACT}",
        detail=str(error),
    )


def _hook_failed(reference: str) -> Diagnosis:
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.HOOK,
        f"Your server could not start because a function of this hub failed (reference {reference}). "
        "Give your administrator this reference.",
    )


_TOO_DEEP = Diagnosis.failed(
    Stage.REQUEST,
    Reason.INVALID,
    f"Your server could not start because its options or settings are nested too deeply. {CONTACT}",
)
