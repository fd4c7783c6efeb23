"""The tasks that a hub has once: the adoption of lost servers and the search for orphans; what the hub knows of all servers."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from k8s_hub.kube.core.errors import ConfigurationError
from k8s_hub.kube.core.resources import PODS, SECRETS, SERVICES, Resource
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects.keys import Key
from k8s_hub.orphans.plan import HubServers
from k8s_hub.orphans.reconciler import OrphanOptions, Reconciler
from k8s_hub.spawner.adoption import Adoption
from k8s_hub.spawner.cluster import Cluster, connection_settings
from k8s_hub.spawner.database import all_servers
from k8s_hub.spawner.lifecycle import Failed, Starting
from k8s_hub.spawner.spec import identity_of

logger = logging.getLogger(__name__)

USERS_AT_ONCE = 500
"""Users that are looked at before other tasks of the hub have their turn."""

if TYPE_CHECKING:
    from k8s_hub.hub.users import ServerKey


@dataclass
class _HubTasks:
    """Whether the tasks of a hub were started; in the settings of its application."""

    beginning: asyncio.Task[None] | None = None
    is_started: bool = False


def _tasks_of(spawner: Any) -> _HubTasks | None:
    """Return the tasks of the spawner's hub; None: there is no hub, only a spawner."""
    settings = getattr(spawner.user, "settings", {})
    tasks: _HubTasks = settings.setdefault("k8s_hub_tasks", _HubTasks())
    return tasks if "users" in settings else None


def start_hub_tasks_soon(spawner: Any) -> None:
    """Start the hub's tasks with the first spawner that it makes: where no server runs, none may ever be started or polled.

    With namespaces of users, the tasks wait for the first that a server uses.
    """
    tasks = _tasks_of(spawner)
    if tasks is None or tasks.is_started or spawner.enable_user_namespaces:
        return
    if tasks.beginning is not None and not tasks.beginning.done():
        return
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # the hub makes its spawners within its loop
        return
    tasks.beginning = loop.create_task(_begin(spawner), name="hub tasks begin")


async def _begin(spawner: Any) -> None:
    # Without a cluster, the first start says so.
    try:
        with suppress(ConfigurationError):
            await spawner._connect()  # noqa: SLF001 - it calls start_hub_tasks
    except Exception as error:  # noqa: BLE001 - a task of its own: nothing else would tell
        _log_failure(error)


def _log_failure(error: Exception) -> None:
    logger.error(
        "orphans: the search failed to begin, the next start, stop or poll tries again", exc_info=error
    )


async def start_hub_tasks(spawner: Any, cluster: Cluster) -> None:
    """Start this hub's adoption of lost servers and its search for orphans, unless they were started.

    Raises nothing, because a start or stop does not need them: if they cannot begin, the next call tries again.
    """
    tasks = _tasks_of(spawner)
    if tasks is None or tasks.is_started:
        return
    tasks.is_started = True
    try:
        await _start_tasks(spawner, cluster)
    except BaseException as error:
        tasks.is_started = False
        if not isinstance(error, Exception):
            raise
        _log_failure(error)


async def _start_tasks(spawner: Any, cluster: Cluster) -> None:
    settings = spawner.user.settings
    pool, connection = InformerPool.for_current_loop(), connection_settings(spawner)
    pods = partial(pool.informers_of, connection, PODS)
    hub = partial(hub_servers, settings["users"])
    release_labels = dict(identity_of(spawner).release_labels)
    adoption = None
    if not spawner.enable_user_namespaces:  # where users may create pods themselves
        adoption = Adoption(
            api=cluster.api,
            pods=pods,
            users=settings["users"],
            proxy=settings["proxy"],
            hub=hub,
            release_labels=release_labels,
        )
    reconciler = Reconciler(
        api=cluster.api,
        pods=pods,
        owned=[(resource, spawner.namespace) for resource in _owned_resources(spawner)],
        hub=hub,
        running=partial(running_pods, settings["users"]),
        options=OrphanOptions(
            release_labels=release_labels,
            removes_all=spawner.orphans == "remove",
            removes_ended=spawner.delete_stopped_pods,
        ),
        may_adopt=_is_not_adopted if adoption is None else adoption.may_adopt,
    )
    # Nothing above has begun anything, and so may fail.
    if adoption is not None:
        await pool.run(connection, adoption.run(), name="adoption")
    await pool.run(connection, reconciler.run(), name="orphans")


def _is_not_adopted(_uid: str) -> bool:
    return False


def _owned_resources(spawner: Any) -> Iterator[Resource]:
    """Yield what pods own. A list for each user's own namespace would be too much: their pods' owner references do."""
    if spawner.enable_user_namespaces:
        return
    if spawner.internal_ssl or spawner.api_token_in_secret or spawner.secret_environment:
        yield SECRETS
    if spawner.internal_ssl or spawner.services_enabled:
        yield SERVICES


async def running_pods(users: Any) -> frozenset[Key]:
    """Return the pods of the servers that the hub has in memory as running, starting or stopping.

    users: JupyterHub's object of all its users. Other tasks of the hub have their turn after each `USERS_AT_ONCE`.
    """
    pods: set[Key] = set()
    for number, user in enumerate(tuple(users.values()), start=1):
        active = [spawner for spawner in user.spawners.values() if spawner.active]
        # Spawners of another class have none of these.
        pods |= {Key(getattr(each, "namespace", ""), getattr(each, "pod_name", "")) for each in active}
        if number % USERS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return frozenset(pods)


def hub_servers(users: Any) -> HubServers:
    """Return the hub's users and servers from its database, and from its spawners what is under way.

    users: JupyterHub's object of all its users.
    """
    known: set[ServerKey] = set()
    active: set[ServerKey] = set()
    by_pod_uid: dict[str, ServerKey] = {}
    active_pods: set[Key] = set()
    last_starts: dict[ServerKey, str | None] = {}
    rows = all_servers(users)
    for row in rows:
        if row.servername is not None:
            server = (row.username, row.servername)
            known.add(server)
            by_pod_uid[row.state.pod_uid or ""] = server
            if row.is_active:
                active.add(server)
                active_pods.add(Key(row.state.namespace or "", row.state.pod_name or ""))
                last_starts[server] = row.state.last_start
    # From the rows: each `user.name` would be a query of its own, because a commit has JupyterHub read all objects anew.
    names = {row.user_number: row.username for row in rows}
    in_memory = [
        ((names.get(number) or user.name, servername), spawner)
        for number, user in users.items()
        for servername, spawner in user.spawners.items()
    ]
    for server, spawner in in_memory:
        if _is_under_way(spawner):
            active.add(server)
        if server in active:
            # A start saves its state only when it returns. Spawners of another class have none of these.
            active_pods.add(Key(getattr(spawner, "namespace", ""), getattr(spawner, "pod_name", "")))
            by_pod_uid[getattr(spawner, "pod_id", "")] = server
            last_starts[server] = getattr(getattr(spawner, "_remembered", None), "last_start", None)
    return HubServers(
        users=frozenset(row.username for row in rows),
        servers=frozenset(known | active),
        active=frozenset(active),
        by_pod_uid={uid: server for uid, server in by_pod_uid.items() if uid},
        active_pods=frozenset(key for key in active_pods if key.name),
        last_starts={server: start for server, start in last_starts.items() if start},
    )


def _is_under_way(spawner: Any) -> bool:
    """True while a start or stop is pending, or after a start until its stop has removed what it created."""
    return bool(spawner.pending) or isinstance(getattr(spawner, "_life", None), Starting | Failed)
