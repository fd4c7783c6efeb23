"""Config file of the hub that cullers are measured on: servers that do nothing, and a probe of the event loop.

Read by JupyterHub in its own process; `devkit.bench.culling.idle_hub` starts it and gives the rest on the command line.
"""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from time import monotonic, thread_time

from jupyterhub.app import JupyterHub
from sqlalchemy import event
from sqlalchemy.engine import Engine

sys.path.insert(0, str(Path(__file__).parents[3]))

from devkit.bench.culling.idle_hub import IdleSpawner
from devkit.testing.memoryproxy import MemoryProxy

PROBE_SECONDS = 0.001
WORTH_TELLING = 0.005
"""Seconds that the loop was late; what is shorter is not written down."""

# The disk of a shared machine takes from 1 to 300 ms to be sure of each commit, during which the hub stands still.
event.listen(Engine, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=OFF"))

JupyterHub.memory_routes = {}
c = get_config()  # noqa: F821 - JupyterHub's
c.JupyterHub.spawner_class = IdleSpawner
c.JupyterHub.proxy_class = MemoryProxy
c.JupyterHub.services = [{"name": "culler", "api_token": os.environ["CULLER_TOKEN"]}]
c.JupyterHub.load_roles = [
    {
        "name": "culler",
        "services": ["culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]


class Collections:
    """Processor time that the garbage collector has taken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._begun = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = thread_time()
        else:
            self.seconds += thread_time() - self._begun


async def probe() -> None:
    """Record stalls of the event loop: on the clock, and the loop's own processor time."""
    collections = Collections()
    with Path("stalls.jsonl").open("a", buffering=1, encoding="utf-8") as stalls:  # noqa: ASYNC230 - it is local
        while True:
            due, cpu, collecting = monotonic() + PROBE_SECONDS, thread_time(), collections.seconds
            await asyncio.sleep(PROBE_SECONDS)
            late = monotonic() - due
            if late >= WORTH_TELLING:
                stall = {
                    "until": due + late,
                    "late": late,
                    "cpu": thread_time() - cpu,
                    "collecting": collections.seconds - collecting,
                }
                stalls.write(json.dumps(stall) + "\n")


loop_probe = asyncio.get_running_loop().create_task(probe())
