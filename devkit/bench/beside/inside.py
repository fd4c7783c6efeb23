"""The configuration of every compared hub, and the probe in its event loop.

It runs in the hub's process, also where this package is not installed: it imports JupyterHub and no spawner.
"""

import asyncio
import importlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, perf_counter, thread_time
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.utils import maybe_future

from devkit.slow_callbacks import watch_if_asked
from devkit.testing.memoryproxy import MemoryProxy

SETTINGS = "K8S_HUB_BENCH"
"""The environment variable that names the file of settings."""

STALLS, SERVERS = b"stalls", b"servers"
"""What the probe is asked for."""

TICK = 0.01
"""Seconds between two looks at the clock."""

PATIENCE = 3600
"""Seconds: the hub answers a POST or DELETE once the server is ready or stopped, so that clients need not poll."""


def configure(c: Any) -> None:
    """Fill the configuration: what the chart sets, and what a comparison needs."""
    watch_if_asked()
    settings = json.loads(Path(os.environ[SETTINGS]).read_text())
    probe = Probe()
    for section, values in settings["traits"].items():
        c[section].update(values)
    c.KubeSpawner.init_containers = [as_model(each) for each in c.KubeSpawner.init_containers]
    c.JupyterHub.update(
        {
            "spawner_class": noted(_imported(settings["spawner"]), probe.returned),
            "proxy_class": MemoryProxy,
            "authenticator_class": "dummy",
            "hub_bind_url": settings["url"],
            "bind_url": "http://127.0.0.1:1",  # never bound: there is no proxy
            "db_url": settings["database"],
            "cookie_secret": bytes(32),
            "cleanup_servers": False,
            "concurrent_spawn_limit": 0,  # the driver has its own
            "services": [{"name": "driver", "api_token": settings["token"]}],
            "load_roles": [
                {"name": "driver", "services": ["driver"], "scopes": ["admin:users", "admin:servers"]}
            ],
            "tornado_settings": {"slow_spawn_timeout": PATIENCE, "slow_stop_timeout": PATIENCE},
        }
    )
    c.Authenticator.allow_all = True
    c.Spawner.consecutive_failure_limit = 0  # failures are counted by the driver
    c.KubeSpawner.namespace = settings["namespace"]
    c.KubeSpawner.port = settings["port"]
    c.QuietSpawner.listener_url = f"http://127.0.0.1:{settings['port']}"
    for more in settings["more"]:
        for section, values in more.items():
            c[section].update(values)
    for piece in settings["pieces"]:
        exec(compile(piece, "hub.extraConfig", "exec"), {"c": c, "get_config": lambda: c})
    JupyterHub.memory_routes = {}
    be_in_a_pod(Path(settings["account"]), settings["environment"])
    asyncio.get_running_loop().create_task(probe.run(settings["probe"]), name="probe")


def _imported(path: str) -> type:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def as_model(container: Mapping[str, Any]) -> Any:
    """Return the container as the object that the chart puts into the configuration."""
    from kubernetes_asyncio import client

    security = container["securityContext"]
    return client.V1Container(
        name=container["name"],
        image=container["image"],
        command=container["command"],
        security_context=client.V1SecurityContext(
            privileged=security["privileged"],
            run_as_user=security["runAsUser"],
            capabilities=client.V1Capabilities(add=security["capabilities"]["add"]),
        ),
        resources=client.V1ResourceRequirements(),
    )


def be_in_a_pod(folder: Path, environment: Mapping[str, str]) -> None:
    """Have the spawners find the cluster as they do in a pod: by environment and the folder of mounted files.

    With a kubeconfig KubeSpawner reads it anew, in a thread and a loop of its own, for each spawner it makes.
    """
    from kubernetes_asyncio.config import incluster_config

    os.environ.update(environment)
    incluster_config.SERVICE_TOKEN_FILENAME = str(folder / "token")
    incluster_config.SERVICE_CERT_FILENAME = str(folder / "ca.crt")
    try:
        from k8s_hub.kube.configuration import find_access
        from k8s_hub.kube.library import set_default
    except ImportError:
        return
    for function in (find_access, set_default):
        function.__kwdefaults__["service_account"] = folder


def noted(spawner_class: type, returned: dict[str, float]) -> type:
    """Return the class with a start() that notes when it returned."""

    class Noted(spawner_class):
        async def start(self):
            url = await maybe_future(super().start())
            returned[self.user.name] = monotonic()
            return url

    return Noted


def count_servers() -> dict[str, int]:
    """Return how many servers are ready, and how many start, stop or wait for the hub's check after its own start."""
    users = JupyterHub.instance().users.values()
    states = Counter(
        "pending" if spawner.pending else "ready" if spawner.ready else "stopped"
        for user in users
        for spawner in user.spawners.values()
    )
    return {"ready": states["ready"], "pending": states["pending"]}


class Probe:
    """Records stalls of the event loop, and reports and resets them when it is asked for them.

    It is asked after a measurement, not during one. It also counts servers.
    """

    def __init__(self) -> None:
        #: When each user's start() returned, on the clock that all processes share.
        self.returned: dict[str, float] = {}
        self._forget()

    def _forget(self) -> None:
        self._longest = self._longest_cpu = 0.0
        self.returned.clear()

    async def run(self, path: str) -> None:
        """Serve at a Unix socket, and look at the clock for ever."""
        async with await asyncio.start_unix_server(self._tell, path):
            while True:
                begin, cpu = perf_counter(), thread_time()
                await asyncio.sleep(TICK)
                self._longest = max(self._longest, perf_counter() - begin - TICK)
                self._longest_cpu = max(self._longest_cpu, thread_time() - cpu)

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read() == SERVERS:
            writer.write(json.dumps(count_servers()).encode())
        else:
            seen = {"longest": self._longest, "longest_cpu": self._longest_cpu, "returned": self.returned}
            writer.write(json.dumps(seen).encode())
            self._forget()
        writer.close()
        await writer.wait_closed()
