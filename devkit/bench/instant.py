"""A spawner that does nothing, to measure the hub's own cost of a start."""

import os

from jupyterhub.spawner import Spawner


class InstantSpawner(Spawner):
    """Every server is the one listener of the benchmark."""

    running = False

    async def start(self):
        self.running = True
        return os.environ["BENCH_LISTENER"]

    async def stop(self, now=False):
        self.running = False

    async def poll(self):
        return None if self.running else 0
