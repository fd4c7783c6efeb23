"""A spawner that does nothing: what a start then costs is the hub's own."""

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
