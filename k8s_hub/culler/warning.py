"""Warnings before a stop: one webhook or one function of the admin's, for whoever uses the server.

Promises:
- a warning takes WARNING_SECONDS at most, and no more than WARNINGS_AT_ONCE are under way;
- what goes wrong is told in the log, and the answer is that the user was not told;
- of a webhook's URL only scheme, host and port are ever shown.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from types import TracebackType
from typing import Any, Self

import aiohttp

from k8s_hub.culler.judging.decision import Decision
from k8s_hub.culler.urls import without_secrets

log = logging.getLogger(__name__)

WARNING_SECONDS = 10.0
"""For one warning, all in all."""

WARNINGS_AT_ONCE = 10

Hook = Callable[..., Awaitable[object] | object]
"""Called with the words of `words_of`, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningSettings:
    """How users are warned: one of ``url`` and ``hook``."""

    url: str = field(default="", repr=False)  # it may hold a secret
    hook: Hook | None = None
    keep_url: str | None = None  # of the page at which a server can be kept; None: there is none


def words_of(decision: Decision, stop_at: datetime, keep_url: str | None) -> dict[str, Any]:
    """Return what a warning says; a hook gets it as it is, a webhook as JSON."""
    server, verdict = decision.facts.server, decision.verdict
    return {
        "user": server.user,
        "server": server.name,
        "reason": verdict.reason,
        "stop_at": stop_at,
        "seconds_left": max(0, round((stop_at - decision.at).total_seconds())),
        "keep_url": keep_url,
        "cause": verdict.cause.value,
        "rule": decision.ruling.rule,
    }


class Warnings:
    """Gives the warnings; owns the HTTP session of the webhook."""

    def __init__(self, settings: WarningSettings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(WARNINGS_AT_ONCE)
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def __call__(self, decision: Decision, stop_at: datetime) -> bool:
        """Return whether the user was told; raise nothing."""
        words = words_of(decision, stop_at, self._settings.keep_url)
        async with self._places:
            try:
                async with asyncio.timeout(WARNING_SECONDS):
                    problem = await self._give(words)
            except TimeoutError:
                problem = f"it took more than {WARNING_SECONDS:g} s"
            except aiohttp.ClientConnectionError as error:  # these speak of the host, the others of the URL
                problem = str(error) or type(error).__name__
            except (aiohttp.ClientError, OSError, ValueError) as error:
                problem = type(error).__name__
        if problem is not None:
            log.error("The user of %s was not warned by %s: %s", decision.facts.server, self._name, problem)
        return problem is None

    @property
    def _name(self) -> str:
        return f"warn_url {without_secrets(self._settings.url)}" if self._settings.url else "warn_hook"

    async def _give(self, words: dict[str, Any]) -> str | None:
        """Return what went wrong."""
        return (
            await self._post(words)
            if self._settings.hook is None
            else await _call(self._settings.hook, words)
        )

    async def _post(self, words: dict[str, Any]) -> str | None:
        body = {**words, "stop_at": words["stop_at"].isoformat()}
        async with self._session.post(self._settings.url, json=body, allow_redirects=False) as response:
            return (
                None if response.ok and response.status < 300 else f"it was answered with {response.status}"
            )


async def _call(hook: Hook, words: dict[str, Any]) -> str | None:
    try:
        # A hook that is not async may send mail, which takes its time: everything else would wait for it.
        answer = hook(**words) if iscoroutinefunction(hook) else await _in_a_thread(partial(hook, **words))
        if isawaitable(answer):
            await answer
    except Exception as error:  # it is the admin's code
        log.debug("warn_hook", exc_info=True)
        return repr(error)
    return None


async def _in_a_thread(call: Callable[[], object]) -> object:
    """Call it in a thread that nobody waits for at the end, because it may never end."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[object] = loop.create_future()

    def tell(answer: object, error: BaseException | None) -> None:
        if result.done():  # its time was up
            return
        if error is None:
            result.set_result(answer)
        else:
            result.set_exception(error)

    def run() -> None:
        answer, problem = None, None
        try:
            answer = call()
        except Exception as error:  # noqa: BLE001 - it is the admin's code
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, answer, problem)

    threading.Thread(target=run, name="warn_hook", daemon=True).start()
    return await result
