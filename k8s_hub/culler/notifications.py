"""Warnings to users before a stop, through a webhook or a function of the admin.

Guarantees:
- a warning takes WARNING_SECONDS at most, and at most WARNINGS_AT_ONCE run at the same time;
- a failed warning is logged, and counts as not given;
- the log shows only scheme, host and port of the webhook's URL.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

import aiohttp

from k8s_hub.culler.core.decision import Decision
from k8s_hub.culler.core.policy import Cause, foreseen_stop
from k8s_hub.culler.decider import has_parameter
from k8s_hub.text import format_relative, format_time, is_http_url, printable, without_secrets

log = logging.getLogger(__name__)

WARNING_SECONDS = 10.0
"""Time limit of one warning."""

WARNINGS_AT_ONCE = 10

Hook = Callable[..., Awaitable[object] | object]
"""Called with the keys of `warning_payload` as keyword arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningSettings:
    """How the culler warns users: by ``url`` or by ``hook``."""

    url: str = field(default="", repr=False)  # may contain a secret
    hook: Hook | None = None
    keep_url: str | None = None  # the page where users extend servers; None: no page


def warning_payload(decision: Decision, stop_at: datetime, keep_url: str | None) -> dict[str, Any]:
    """Return the content of a warning: the arguments of a hook, the JSON of a webhook.

    Cause and reason are those of the coming stop, not those of the verdict, which still keeps the server.
    """
    server = decision.facts.server
    cause, reason = foreseen_stop(decision.facts, decision.matched.limits, stop_at, decision.at)
    return {
        "user": server.user,
        "server": server.name,
        "reason": reason,
        "stop_at": stop_at,
        "seconds_left": max(0, round((stop_at - decision.at).total_seconds())),
        "keep_url": keep_url,
        "cause": cause.value,
        "rule": decision.matched.name,
        "text": _text(decision, stop_at, keep_url, cause, reason),
    }


def _text(decision: Decision, stop_at: datetime, keep_url: str | None, cause: Cause, reason: str) -> str:
    """Return the sentences for a chat: webhooks of Slack and Mattermost show the key ``text``."""
    server, is_old = decision.facts.server, cause is Cause.OLD
    which = f"server {_quoted(server.name)}" if server.name else "default server"
    time = f"{format_time(stop_at)} ({format_relative(stop_at, decision.at)})"
    unless = "even if in use" if is_old else "unless you use it before then"
    sentences = [f"{_quoted(server.user)}: your {which} stops at {time} {unless}: it {reason}."]
    if keep_url is not None and is_http_url(keep_url) and not is_old:
        sentences.append(f"To extend it: {keep_url}")
    return " ".join([*sentences, "Your files are kept."])


def _quoted(name: str) -> str:
    """Return a name as code, so that no chat reads it as a mention or a link."""
    return "`" + "".join(f"\\x{ord(each):02x}" if each in "`<>&" else each for each in printable(name)) + "`"


class Warnings(AbstractAsyncContextManager["Warnings"]):
    """Sends the warnings; owns the HTTP session of the webhook."""

    def __init__(self, settings: WarningSettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(WARNINGS_AT_ONCE)
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
        )

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def __call__(self, decision: Decision, stop_at: datetime) -> bool:
        """Warn the user; return whether that succeeded. Raise nothing."""
        said = warning_payload(decision, stop_at, self._settings.keep_url)
        async with self._slots:
            try:
                async with asyncio.timeout(WARNING_SECONDS):
                    problem = await self._give(said)
            except TimeoutError:
                problem = f"no answer within {WARNING_SECONDS:g} s"
            except aiohttp.ClientConnectionError as error:  # shows the host; other errors would show the URL
                problem = str(error) or type(error).__name__
            except (aiohttp.ClientError, OSError, ValueError) as error:
                problem = type(error).__name__
        if problem is not None:
            log.error("%s: user not warned: %s: %s", decision.facts.server, self._name, problem)
        return problem is None

    @property
    def _name(self) -> str:
        return f"warn_url {without_secrets(self._settings.url)}" if self._settings.url else "warn_hook"

    async def _give(self, said: dict[str, Any]) -> str | None:
        """Send the warning; return the error, or None."""
        if self._settings.hook is None:
            return await self._post(said)
        if not has_parameter(self._settings.hook, "text"):  # hooks written for 0.1.0 do not expect it
            del said["text"]
        return await _call(self._settings.hook, said)

    async def _post(self, said: dict[str, Any]) -> str | None:
        body = {**said, "stop_at": said["stop_at"].isoformat()}
        async with self._session.post(self._settings.url, json=body, allow_redirects=False) as response:
            return (
                None if response.ok and response.status < 300 else f"answered with status {response.status}"
            )


async def _call(hook: Hook, said: dict[str, Any]) -> str | None:
    try:
        # In a thread: a sync hook that sends mail would block the event loop.
        answer = hook(**said) if iscoroutinefunction(hook) else await _in_a_thread(partial(hook, **said))
        if isawaitable(answer):
            await answer
    except Exception as error:  # the admin's code may raise anything
        log.debug("warn_hook: raised an error", exc_info=True)
        return repr(error)
    return None


async def _in_a_thread(call: Callable[[], object]) -> object:
    """Call it in a daemon thread: a call that never returns must not block the exit."""
    result: Future[object] = Future()
    result.set_running_or_notify_cancel()  # it cannot be cancelled from now on

    def run() -> None:
        try:
            result.set_result(call())
        except Exception as error:  # noqa: BLE001 - as above
            result.set_exception(error)

    threading.Thread(target=run, name="warn_hook", daemon=True).start()
    return await asyncio.wrap_future(result)
