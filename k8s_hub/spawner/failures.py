"""How a failed start reaches JupyterHub: what the user reads, what the log says, whether the hub counts it.

The hub exits after `consecutive_failure_limit` failures in a row, so that the cluster restarts it. A failure
counts only if a restart can help: an unexpected exception of this package. A user's choice, an administrator's
configuration or code, and an unreachable or busy cluster never count.
"""

import asyncio
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from html import escape
from inspect import iscoroutine
from secrets import token_hex
from typing import Any, TypeVar, cast

from jupyterhub.utils import AnyTimeoutError, url_escape_path, url_path_join
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError
from tornado.web import HTTPError

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage, redacted_text
from k8s_hub.diagnosis.messages import CONTACT
from k8s_hub.naming.templates import SettingError

try:
    from jupyterhub.spawner import SpawnException
except ImportError:  # JupyterHub 5 has no such class and counts every failure
    SpawnException = None

FAILURES = Counter(
    "k8s_hub_spawn_failures_total",
    "Starts that failed, by the diagnosed reason; not those that a hook ended with a message of its own.",
    ["reason"],
)
# Each series begins at 0: increase() of Prometheus does not count the first value of a series.
for _reason in Reason:
    FAILURES.labels(str(_reason))

E = TypeVar("E", bound=BaseException)

_OURS = frozenset({"k8s_hub", "jupyterhub", "traitlets"})
"""The packages that define a spawner's class before an administrator adds to it."""


class SpawnFailed(Exception):
    """A start failed for a known reason; the diagnosis has a sentence for the user and a detail for the log."""

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
    """Raise an exception of an administrator's function as HookFailed, with the function's name.

    Passes on exceptions with their own message: a SpawnFailed, a SettingError, and one made for the user. Also
    passes on the cancellation of the start. ``exit()`` in a function must not end the hub. The cancellation of a
    task of the function must not cancel the start: the hub would take the server for a running one.
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
    """Tell whether an exception cancels the current task itself, and not a task that it waited for."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def failure_of(error: Exception, spawner: Any, secrets: Collection[str]) -> Exception:
    """Return the exception that tells JupyterHub what ended a start: what the error says if it speaks to the user.

    No message and no log may repeat ``secrets``. Logs an unexpected exception with its traceback, under a
    reference that the user reads. Such an exception is the administrator's, and does not count, in three cases:

    - its traceback leads through a function that the configuration names (see `administrators_code`);
    - its traceback leads through the configuration file;
    - its traceback leads through a module with a class of the spawner that is neither ours nor JupyterHub's.

    Otherwise it is ours and counts.
    """
    if hasattr(error, _COUNTS):
        return error  # a subclass called start(), which judged it
    match error:
        case SpawnFailed(diagnosis=diagnosis):
            return hub_error(diagnosis, secrets, again=spawn_url(spawner))
        case SettingError():
            return hub_error(_invalid_setting(error), secrets, again=spawn_url(spawner))
        case RecursionError() if not _administrators_frame(error, type(spawner)):
            return hub_error(_TOO_DEEP, again=spawn_url(spawner))
    if _speaks_to_the_user(error):
        return uncounted(_with_heading(error))
    return _unforeseen(error, spawner, secrets)


def hub_error(diagnosis: Diagnosis, secrets: Collection[str] = (), *, again: str = "") -> HTTPError:
    """Return the exception that tells this JupyterHub what happened, without the secrets; it does not count.

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
    """Return the error with the message that pages show, whatever its class; ``again`` is that of `hub_error`."""
    shown: Any = error
    shown.jupyterhub_message = sentence
    link = f'<p><a href="{escape(again)}">Try again</a></p>' if again else ""
    shown.jupyterhub_html_message = f"<p>{escape(sentence)}</p>{link}"
    return cast("E", shown)


def spawn_url(spawner: Any) -> str:
    """Return the path of the hub's page that starts this server, or shows its form; empty without a hub."""
    if spawner.hub is None or spawner.user is None:
        return ""
    path = url_path_join(
        spawner.hub.base_url, "spawn", spawner.user.escaped_name, url_escape_path(spawner.name)
    )
    return str(path)


# --- What counts ---


_COUNTS = "k8s_hub_counts"
"""The attribute of a judged exception that says whether it counts."""


def uncounted(error: E) -> E:
    """Mark an exception: a spawn that ends with it does not bring the hub closer to its exit."""
    setattr(error, _COUNTS, False)
    return error


def counts(error: BaseException, spawner_class: type = object) -> bool:
    """Tell whether a restart of the hub may help after this error ended a spawn.

    It does not help after a time-out or a refusal with a message for the user. Nor does it help if the hub
    itself called an administrator's code that failed, or if its database failed: a hub whose disk is full does not come up
    again, and those that run keep their servers reachable.
    """
    judged = getattr(error, _COUNTS, None)
    if judged is not None:
        return bool(judged)
    is_refusal = isinstance(error, HTTPError) and error.status_code < 500
    is_timeout = isinstance(error, AnyTimeoutError)
    is_of_database = isinstance(error, SQLAlchemyError)
    return not (is_refusal or is_timeout or is_of_database or _administrators_frame(error, spawner_class))


def is_counted_by_hub(error: BaseException) -> bool:
    """Tell whether this JupyterHub adds one to its count for a spawn that ended with this error."""
    if SpawnException is None:
        return True
    return not (
        isinstance(error, SpawnException) or (isinstance(error, HTTPError) and error.status_code < 500)
    )


# --- Unexpected exceptions ---


def _speaks_to_the_user(error: BaseException) -> bool:
    """Tell whether an exception was made for JupyterHub's pages: nothing else in a start raises this kind."""
    return isinstance(error, HTTPError) or hasattr(error, "jupyterhub_message")


def _with_heading(error: Exception) -> Exception:
    """Return an HTTPError of an administrator as a SpawnException with the same status, message and attributes.

    JupyterHub 6 sets the reason of every other HTTPError to "error", and shows "403 : error" as the page's heading.
    """
    if SpawnException is None or not isinstance(error, HTTPError) or isinstance(error, SpawnException):
        return error
    refusal = SpawnException(
        error.get_message() or "",
        reason=error.reason or str(Reason.HOOK),
        log_message=error.get_message() or getattr(error, "jupyterhub_message", ""),
        status_code=error.status_code,
    )
    for name in ("jupyterhub_message", "jupyterhub_html_message", "headers"):
        if hasattr(error, name):
            setattr(refusal, name, getattr(error, name))
    return cast("Exception", refusal)


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
    """Return the name of the innermost function of an administrator in the traceback; empty if there is none."""
    modules = {each.__module__ for each in spawner_class.__mro__}
    # The configuration file has no module name, so Python finds "builtins", which is also the module of `object`.
    theirs = {module for module in modules if module.partition(".")[0] not in _OURS}
    frames = (frame for each in _with_causes(error) for frame, _ in traceback.walk_tb(each.__traceback__))
    names = [
        frame.f_code.co_qualname for frame in frames if frame.f_globals.get("__name__", "builtins") in theirs
    ]
    return names[-1] if names else ""


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes: Python may turn a StopIteration into a RuntimeError on the way."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        cause = cause.__cause__


# --- Sentences ---


def wrong_result(name: str, returned: Any, expected: str) -> SpawnFailed:
    """Return the failure of a start whose hook, or overridden method, returned something else than expected."""
    if iscoroutine(returned):
        returned.close()
    what = "None" if returned is None else f"a {type(returned).__name__}"
    return SpawnFailed(
        Diagnosis.failed(
            Stage.REQUEST,
            Reason.INVALID,
            f"Your server could not start because a setting of this hub is not valid. {CONTACT}",
            detail=f"{name} returned {what}, and not {expected}",
        )
    )


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
