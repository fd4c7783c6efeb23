"""The URL at which a running pod's server listens, for a start, a restarted hub, and a hub whose pod has moved."""

import asyncio

from k8s_hub.diagnosis.pod_life import is_ready_to_serve
from k8s_hub.kube.core.errors import KubeError
from k8s_hub.objects.keys import key_of
from k8s_hub.objects.raw import Raw
from k8s_hub.spawner.address import Address
from k8s_hub.spawner.cluster import Cluster
from k8s_hub.spawner.database import HubDatabase
from k8s_hub.spawner.failures import wrong_result
from k8s_hub.spawner.overridable import Overridable, is_overridden
from k8s_hub.text import is_http_url


def url_of(spawner: Overridable, pod: Raw) -> str:
    """Return the URL of a running pod's server.

    Raises SpawnFailed if a hook, a subclass or a setting gives something that is not a URL.
    """
    url = spawner._get_pod_url(pod)  # noqa: SLF001 - subclasses of KubeSpawner override it under this name
    if is_http_url(url):
        return url
    if spawner.get_pod_url is not None:
        by = "KubeSpawner.get_pod_url"
    elif is_overridden(spawner, "_get_pod_url"):
        by = f"{type(spawner).__name__}._get_pod_url"
    else:
        by = "KubeSpawner.pod_connect_ip"
    raise wrong_result(by, url, "a URL such as http://10.0.0.1:8888; it cannot be async")


async def whole_pod(spawner: Overridable, cluster: Cluster, pod: Raw) -> Raw:
    """Return the whole pod if an administrator's code makes its URL, else the kept part of it."""
    is_asked_for = spawner.get_pod_url is not None or is_overridden(spawner, "_get_pod_url")
    return await cluster.whole(pod) if is_asked_for else pod


async def known_url(spawner: Overridable, cluster: Cluster, pod: Raw) -> str | None:
    """Return the URL of a pod's server; None if it is unknown.

    A failing hook or template must neither end a poll nor keep the hub from starting. This function logs the
    failure, and the hub keeps the address it has.
    """
    try:
        async with asyncio.timeout(spawner.k8s_api_request_timeout):
            return url_of(spawner, await whole_pod(spawner, cluster, pod))
    except (KubeError, TimeoutError) as error:
        spawner.log.debug("%s: its address is not known: %s", key_of(pod), error)
    except Exception:
        spawner.log.exception("%s: its address is not known", key_of(pod))
    return None


async def sync_address(spawner: Overridable, cluster: Cluster, pod: Raw) -> None:
    """Save the current address of a pod that serves, for the hub: a restarted node gives its pods new addresses.

    The hub updates its routes at its next check.
    """
    if spawner.server is None or not spawner.server.ip or not is_ready_to_serve(pod):
        return
    url = await known_url(spawner, cluster, pod)
    if url is None:
        return
    address, server = Address.of(url), spawner.server
    if address != Address(server.proto, server.ip, server.port):
        spawner.log.info("%s: the server listens at %s now, not at %s", key_of(pod), url, server.host)
        HubDatabase.of(spawner).save_address(server, address)
