"""Adopts the servers that the hub's database has lost: their pods run, and the database is older than the pods.

This happens when a hub starts with a backup, or with a copy of its database, as after the loss of a disk. The hub calls
a server whose start it does not know of "stopped", and refuses the token of its pod. JupyterHub has a way to take such a
server back: a start() that comes back with another `api_token` than the hub gave it.
"""

# ruff: noqa: SLF001 - the hub's handlers set these attributes of a spawner, too

import asyncio
import base64
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from jupyterhub.metrics import RUNNING_SERVERS
from jupyterhub.utils import AnyTimeoutError, url_escape_path, url_path_join
from tornado.web import HTTPError

from k8s_hub.claims.saved_state import LAST_START
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.pod_life import Alive, judge_pod
from k8s_hub.hub.users import ServerKey
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.core.errors import Conflict, KubeError, NotFound, Unavailable, is_unanswered
from k8s_hub.kube.core.resources import PODS, SECRETS
from k8s_hub.kube.informer import Informer
from k8s_hub.naming.ownership import attempt_id_of, user_id_of
from k8s_hub.objects.keys import Key, created_at, key_of, uid_of
from k8s_hub.objects.raw import Raw
from k8s_hub.orphans.plan import Facts, HubServers, find_lost
from k8s_hub.orphans.reconciler import pods_in
from k8s_hub.retries import RetryPolicy, retrying
from k8s_hub.spawner.database import (
    HubDatabase,
    count_as_active,
    names_by_id,
    starts_of_removed_servers,
    user_with,
)

logger = logging.getLogger(__name__)

AT_ONCE = 10
"""Servers that are adopted at the same time: each commits to the hub's database a dozen times."""

CHECK_PAUSE = 0.5
"""Seconds between two looks at a server that a starting hub checks."""

_ADOPTING = "adopting"
"""The last start in the saved state during an adoption: no pod has this id."""

_STOPPED = "the hub knows of its start, and has stopped the server since"
_TOKEN, _CLIENT, _PREFIX = "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_CLIENT_ID", "JUPYTERHUB_SERVICE_PREFIX"
_ONE_TURN = RetryPolicy(deadline=30.0)
"""For the requests of one turn. Then the next pod has its turn: the API server may be unable to read a single object."""

PAUSE = 30.0
"""Seconds from a turn without an answer of the API server to the pod's next turn."""


T = TypeVar("T")


class _NoAnswerError(Exception):
    """The API server did not answer in this turn of a pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostServer:
    """A pod that can be adopted."""

    pod: Raw = field(repr=False)
    #: The hub gave it to the start that made the pod.
    token: str = field(repr=False)
    attempt_id: str


@dataclass(slots=True, kw_only=True)
class Adoption:
    """The one adoption of a hub, soon after its start: later the hub itself loses nothing."""

    api: KubeApi
    #: Returns the informers of all namespaces that the hub watches.
    pods: Callable[[], Awaitable[Sequence[Informer]]]
    #: JupyterHub's object of all its users.
    users: Any
    proxy: Any
    #: Returns what the hub knows now.
    hub: Callable[[], HubServers]
    #: Empty outside a Helm release.
    release_labels: Mapping[str, str]
    #: The uids of the lost pods whose adoption has no result yet; None: the pods are still to be found.
    _undecided: set[str] | None = None
    _is_noted: bool = False
    _is_wait_logged: bool = False

    def may_adopt(self, uid: str) -> bool:
        """Tell whether the pod with this uid may still be adopted; also True of all pods until the lost ones are found."""
        return self._undecided is None or uid in self._undecided

    async def run(self) -> None:
        """Adopt what can be adopted. Never raises."""
        try:
            lost = await self._found()
            self._undecided = {uid_of(pod) for pod, _ in lost}
            gate = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(self._adopt(pod, server, gate) for pod, server in lost))
        except KubeError as error:
            logger.warning("adoption: lost servers cannot be found: %s", error)
        except Exception:
            logger.exception("adoption: it failed because of a bug; lost servers stay stopped")
        finally:
            self._undecided = set()

    async def _found(self) -> list[tuple[Raw, ServerKey]]:
        """Find the lost servers, again and again while the hub's database cannot be read. Raises KubeError."""
        level = logging.ERROR
        while True:
            try:
                return await self._find()
            except KubeError:
                raise
            except Exception as error:
                logger.log(level, "adoption: the search for lost servers failed, retrying", exc_info=error)
                level = logging.DEBUG
            await asyncio.sleep(PAUSE)

    async def _find(self) -> list[tuple[Raw, ServerKey]]:
        pods: list[Raw] = []
        for informer in await self.pods():
            await informer.wait_synced(deadline=math.inf)
            pods += [pod async for pod in pods_in(informer)]
        facts = Facts(
            hub=self.hub(),
            release_labels=self.release_labels,
            pod_uids=frozenset(map(uid_of, pods)),
            now=utcnow(),
        )
        return find_lost(pods, facts, names_by_id(self.users))

    async def _adopt(self, pod: Raw, server: ServerKey, gate: asyncio.Semaphore) -> None:
        while not await self._has_result(pod, server, gate):  # noqa: ASYNC110 - nothing tells when it answers
            await asyncio.sleep(PAUSE)
        if self._undecided is not None:
            self._undecided.discard(uid_of(pod))

    async def _has_result(self, pod: Raw, server: ServerKey, gate: asyncio.Semaphore) -> bool:
        """Give the pod a turn; return False if the API server did not answer, so that it needs another turn."""
        bug = None
        async with gate:
            try:
                user = user_with(self.users, user_id_of(pod))  # under any name
                why_not = "its user was deleted" if user is None else await self._try(pod, user, server[1])
            except _NoAnswerError as error:
                level = logging.DEBUG if self._is_wait_logged else logging.WARNING
                logger.log(level, "Pod %s: its adoption waits for the API server: %s", key_of(pod), error)
                self._is_wait_logged = True
                return False
            except (HTTPError, *AnyTimeoutError, KubeError) as error:
                why_not = str(error) or repr(error)
            except Exception as error:  # noqa: BLE001 - logged below; the others are adopted all the same
                why_not, bug = repr(error), error
        if why_not is not None:
            logger.warning(
                "Pod %s: it runs without a server, and was not adopted: %s",
                key_of(pod),
                why_not,
                exc_info=bug,
            )
        return True

    async def _try(self, seen: Raw, user: Any, servername: str) -> str | None:
        """Return None if the hub has the server again, or the pod is gone, else why it was not adopted."""
        await _until_checked(user, servername)
        try:
            pod = await _answer_to(lambda: self.api.get(PODS, key_of(seen)))
            token = await _answer_to(lambda: _token_of(self.api, pod))
        except NotFound:  # the pod, or the Secret with its token, which goes with it
            return None
        # Nothing awaits from here until the spawn is pending.
        attempt_id = attempt_id_of(pod)
        if uid_of(pod) != uid_of(seen) or not isinstance(judge_pod(pod), Alive):
            return None
        if token is None or attempt_id is None:
            return "it has no token of a hub, or no id of a start"
        if attempt_id in starts_of_removed_servers(user):
            return _STOPPED  # before the hub makes a row for a server that its user has removed
        lost, spawner = LostServer(pod=pod, token=token, attempt_id=attempt_id), _spawner_of(user, servername)
        if spawner.pending or (spawner.active and HubDatabase.of(spawner).has_token(token)):
            return None
        return await self._take_back(spawner, lost)

    def _note_old_database(self) -> None:
        """Keep cullers from stopping what is in use: the hub's record of activity is old, too."""
        if not self._is_noted:
            self._is_noted = True
            logger.warning("adoption: the hub's database is older than its servers: all count as active now")
            count_as_active(self.users, utcnow())

    async def _take_back(self, spawner: Any, lost: LostServer) -> str | None:
        """Adopt the pod, or return why not; delete it if the server's URL has changed with its user's name."""
        user = spawner.user
        if user.name in user.authenticator.blocked_users:
            return "its user is blocked"
        if lost.attempt_id in spawner._remembered.starts:
            return _STOPPED
        expected = url_path_join(user.base_url, url_escape_path(spawner.name), "/")
        told = {name: entry.get("value") for name, entry in _environment(lost.pod).items()}
        match told.get(_PREFIX), told.get(_CLIENT):
            case prefix, client if (prefix, client) == (expected, spawner.oauth_client_id):
                self._note_old_database()
                await self._spawn(_without_earlier_run(spawner), lost)
            case str(prefix), _ if _is_of_another_name(prefix, expected, user) and not spawner.active:
                self._note_old_database()
                key, uid = key_of(lost.pod), uid_of(lost.pod)
                with suppress(NotFound, Conflict):  # another one has its name
                    await _answer_to(lambda: self.api.delete(PODS, key, uid=uid))
                logger.warning(
                    "Pod %s: deleted, because its user cannot reach it: it serves %s, and the hub expects %s",
                    key,
                    prefix,
                    expected,
                )
            case _:
                return f"its {_PREFIX} or {_CLIENT} is not the one that the hub expects"
        return None

    async def _spawn(self, spawner: Any, lost: LostServer) -> None:
        """Have the hub start the server, as its handlers do, but for its limits: the pod has its resources already."""
        spawner._lost = lost
        spawner._spawn_pending = True
        # A DELETE cancels it, and a page waits for it.
        spawner._spawn_future = spawn = asyncio.create_task(self._spawn_and_route(spawner, lost))
        try:
            await asyncio.wait([spawn])
        finally:
            spawn.cancel()
            spawner._lost = spawner._spawn_future = None
            spawner._spawn_pending = spawner._proxy_pending = False
        if spawn.cancelled():
            return
        if spawn.exception() is not None:
            # Hooks may have changed it: JupyterHub, too, replaces a spawner whose start has failed.
            spawner.user.spawners.pop(spawner.name, None)
        spawn.result()

    async def _spawn_and_route(self, spawner: Any, lost: LostServer) -> None:
        user, name = spawner.user, spawner.name
        # If the hub dies meanwhile, the next one finds a running server of another start, and adopts the pod.
        HubDatabase.of(spawner).save_state({**spawner.get_state(), LAST_START: _ADOPTING})
        await user.spawn(name)
        # The hub has the server now, whatever happens next.
        try:
            HubDatabase.of(spawner).complete_adoption(
                started=created_at(lost.pod) or utcnow(),
                oauth_scopes=await spawner._get_oauth_client_allowed_scopes(),
            )
        except Exception:
            logger.exception(
                "Pod %s: the hub does not know the age and the OAuth scopes of its server", key_of(lost.pod)
            )
        spawner._proxy_pending = True
        spawner.add_poll_callback(partial(self._stopped, spawner))
        RUNNING_SERVERS.inc()
        logger.warning(
            "Pod %s: adopted as the server %s, because the hub's database has lost its start",
            key_of(lost.pod),
            spawner._log_name,
        )
        try:
            await self.proxy.add_user(user, name)
        except Exception:
            logger.exception("%s: no route until the hub's next check of its routes", spawner._log_name)

    async def _stopped(self, spawner: Any) -> None:
        """Have the hub forget a server that has ended."""
        logger.warning("%s: the server has ended", spawner._log_name)
        await self.proxy.delete_user(spawner.user, spawner.name)
        await spawner.user.stop(spawner.name)


async def _answer_to(call: Callable[[], Awaitable[T]]) -> T:
    """Return ``call()``, tried again for one turn. Raises a `KubeError` that is final, else `_NoAnswerError`."""
    try:
        return await retrying(_ONE_TURN, call, on=Unavailable)
    except KubeError as error:
        if is_unanswered(error):
            raise _NoAnswerError(str(error)) from error
        raise


def _spawner_of(user: Any, servername: str) -> Any:
    if hasattr(user, "get_or_create_spawner"):  # JupyterHub 6
        return user.get_or_create_spawner(servername, "", replace_failed=True)
    return user.get_spawner(servername, replace_failed=True)


async def _until_checked(user: Any, servername: str) -> None:
    """Return once a starting hub has checked the server, if its database says that it runs."""
    spawner = user.spawners.get(servername)
    while spawner is not None and spawner.pending == "check":  # noqa: ASYNC110 - the hub has no event for it
        await asyncio.sleep(CHECK_PAUSE)


def _without_earlier_run(spawner: Any) -> Any:
    """Return a spawner of the server without the run that the hub believes in: that pod is gone, and this is its successor's."""
    if not spawner.active:
        return spawner
    user, name = spawner.user, spawner.name
    spawner.stop_polling()
    HubDatabase.of(spawner).forget_run(spawner)
    user.spawners.pop(name)
    return _spawner_of(user, name)


def _is_of_another_name(prefix: str, expected: str, user: Any) -> bool:
    """Tell whether a server's URL is that of the same server of a user with another name, and of the same hub."""
    users = user.base_url.rstrip("/").rpartition("/")[0] + "/"
    name, _, rest = prefix.removeprefix(users).partition("/")
    return (
        prefix != expected
        and prefix == f"{users}{name}/{rest}"
        and rest == expected.removeprefix(user.base_url)
    )


def _environment(pod: Raw) -> Mapping[str, Raw]:
    """Return the variables of the container that has the hub's token."""
    for container in pod["spec"]["containers"]:
        variables = {str(entry.get("name")): entry for entry in container.get("env") or ()}
        if _TOKEN in variables:
            return variables
    return {}


async def _token_of(api: KubeApi, pod: Raw) -> str | None:
    """Return the hub's token in the pod's environment, or in the Secret that it names; None if it has none."""
    match _environment(pod).get(_TOKEN):
        case {"value": str(token)}:
            return token
        case {"valueFrom": {"secretKeyRef": {"name": str(name), "key": str(key)}}}:
            secret = await api.get(SECRETS, Key(key_of(pod).namespace, name))
            encoded = (secret.get("data") or {}).get(key)
            return None if encoded is None else base64.b64decode(encoded).decode()
    return None
