"""What the hub makes of a spawn's end, put right where it misleads: its count, its message, a server that it forgot."""

# ruff: noqa: SLF001 - the hub's handlers use these attributes of a spawner, too

import asyncio
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from jupyterhub.utils import AnyTimeoutError
from sqlalchemy.exc import SQLAlchemyError
from tornado.ioloop import IOLoop
from tornado.web import HTTPError
from traitlets.config import Application
from traitlets.utils.bunch import Bunch

from k8s_hub.diagnosis.diagnosis import NOT_STARTED
from k8s_hub.diagnosis.messages import CONTACT
from k8s_hub.spawner.database import HubDatabase
from k8s_hub.spawner.failures import counts, is_counted_by_hub, spawn_url, uncounted, with_message
from k8s_hub.spawner.lifecycle import Running
from k8s_hub.text import format_duration

_DATABASE = f"Your server could not start because the hub could not write to its database. {CONTACT}"

_NO_ROUTE = (
    "The hub stopped your new server because the proxy did not take its address. Try again in a minute."
)

CANCEL_SECONDS = 5.0
"""Seconds after a cancelled or failed start until the hub has stopped the server, or never will."""


class SpawnOutcome:
    """The hub's future of one server's spawn, and what follows from its end; the spawner owns it."""

    def __init__(self, spawner: Any) -> None:
        #: The current spawn, or the last one if it failed.
        self.spawn: asyncio.Future[Any] | None = None
        self._spawner = spawner
        self._hub_settings: MutableMapping[str, Any] | None = None

    def note_handler(self, change: Bunch) -> None:
        """Keep the hub's settings, which have its count: the hub removes the handler before the spawn is done."""
        if change.new is not None:
            self._hub_settings = change.new.settings

    def follow(self, spawn: "asyncio.Future[Any]", *, is_counted: bool) -> None:
        """Judge this spawn once it is done, before the callbacks that are added later.

        ``is_counted``: whether the hub counts a failure of it.
        """
        self.spawn = spawn
        spawn.add_done_callback(partial(self._judge, is_counted))

    def clear(self) -> None:
        """Forget the spawn, or keep a failure in its place if the hub has stopped the new server for want of a route.

        The hub then takes the spawn for a success, and its pages would say "Spawn failed" without a reason.
        """
        ended, self.spawn = self.spawn, None
        if (
            ended is None
            or not ended.done()
            or _has_failed(ended)
            or isinstance(self._spawner._life, Running)
        ):
            return
        with suppress(SQLAlchemyError):
            if self._spawner.server is None:
                self.spawn = self._without_route()

    def _without_route(self) -> "asyncio.Future[Any]":
        failed = asyncio.get_running_loop().create_future()
        failure = with_message(HTTPError(503, _NO_ROUTE), _NO_ROUTE, again=spawn_url(self._spawner))
        failed.set_exception(uncounted(failure))
        failed.exception()  # the loop need not report it
        return failed

    def _judge(self, is_counted: bool, spawn: "asyncio.Future[Any]") -> None:
        spawner = self._spawner
        explain(spawn, timedelta(seconds=spawner.start_timeout), again=partial(spawn_url, spawner))
        settings = self._hub_settings or _settings_of_this_process()
        if settings is not None and is_counted:
            keep_from_count(spawn, settings, type(spawner))
        if isinstance(spawner._life, Running):
            IOLoop.current().add_callback(self._stop_if_removed)
        if _has_failed(spawn):
            self._look_later()

    def _is_in_hub(self) -> bool:
        spawner = self._spawner
        return spawner.user.spawners.get(spawner.name) is spawner

    async def _stop_if_removed(self) -> None:
        """Stop a server that the hub has removed while it started.

        The last step of a removal does not look whether its user has started the server again since it was stopped.
        """
        spawner = self._spawner
        try:
            if self._is_in_hub():
                return
            spawner.log.warning(
                "%s: stopping the server: the hub removed it while it started", spawner._log_name
            )
            spawner.stop_polling()
            await spawner.stop()
        except Exception as error:  # noqa: BLE001 - the search for orphans finds what stays
            spawner.log.warning("%s: the removed server was not stopped: %s", spawner.pod_name, error)

    def _look_later(self) -> None:
        IOLoop.current().call_later(CANCEL_SECONDS, self._stop_if_forgotten)

    async def _stop_if_forgotten(self) -> None:
        """Have the hub stop a server whose start was cancelled or failed, if it has not.

        For a DELETE of a pending server the hub cancels the start and waits for a second. If the start has not ended then,
        as on a hub that gets no processor, it answers 500, never calls stop(), and shows the server as ready. So it does
        if its spawn fails before it calls start(), as with a full database. If it was adding the route of a server that
        runs, it does not listen for the server's end.
        """
        spawner = self._spawner
        is_heard = isinstance(spawner._life, Running) and spawner._callbacks
        try:
            # The database has the server's name, too.
            if not self._is_in_hub():
                return
            if spawner.pending:
                self._look_later()
            elif spawner.ready and not is_heard:
                spawner.log.warning(
                    "%s: stopping the server: its start was cancelled or failed, and the hub kept it",
                    spawner._log_name,
                )
                await spawner.user.stop(spawner.name)
        except Exception as error:  # noqa: BLE001 - logged, and tried again
            self._look_later()
            spawner._stop_pending = False  # as the hub's next try would do; it refuses starts meanwhile
            HubDatabase.of(spawner).roll_back()
            spawner.log.warning("%s: the hub could not stop the server: %s", spawner._log_name, error)


def _has_failed(spawn: "asyncio.Future[Any]") -> bool:
    return spawn.cancelled() or spawn.exception() is not None


def _settings_of_this_process() -> MutableMapping[str, Any] | None:
    """Return the settings of the hub that runs here, None without one: a spawn may fail before it has a handler."""
    app = Application.instance() if Application.initialized() else None
    settings: MutableMapping[str, Any] | None = getattr(
        getattr(app, "tornado_application", None), "settings", None
    )
    return settings


def keep_from_count(
    spawn: "asyncio.Future[Any]", settings: MutableMapping[str, Any], spawner_class: type = object
) -> None:
    """Subtract one from the hub's count of failures if the hub is about to add one that does not count.

    Call this when the spawn is done, right before the hub's own callback, which compares the count with its
    limit. JupyterHub 5 and 6 offer no other way. Version 5 counts every exception; version 6 counts the
    time-out of a server that does not answer.
    """
    error = None if spawn.cancelled() else spawn.exception()
    if error is not None and is_counted_by_hub(error) and not counts(error, spawner_class):
        settings["failure_count"] = settings.get("failure_count", 0) - 1


def explain(spawn: "asyncio.Future[Any]", waited: timedelta, *, again: Callable[[], str]) -> None:
    """Give a time-out, or an error of the hub's database, that ended a spawn a sentence if it has none.

    ``again`` returns the URL at which the user can try again. It may ask the database.
    """
    error = None if spawn.cancelled() else spawn.exception()
    if error is None or hasattr(error, "jupyterhub_message"):
        return
    if isinstance(error, AnyTimeoutError) and not str(error):
        with_message(error, NOT_STARTED.replace("{waited}", format_duration(waited)), again=again())
    elif isinstance(error, SQLAlchemyError):
        with_message(error, _DATABASE)
