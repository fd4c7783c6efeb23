"""The fixtures `hub` and `cluster`, and a spawner whose spawns fail."""

import sqlite3

from sqlalchemy.exc import OperationalError

from devkit.testing.fixtures import cluster, hub, wall_clock, witness
from devkit.testing.runs import NAMESPACE
from k8s_hub import KubeSpawner

__all__ = ["NAMESPACE", "FailsBeforeStart", "cluster", "hub", "wall_clock", "witness"]


class FailsBeforeStart(KubeSpawner):
    """As with a full database: the hub's spawn fails between the server's row and start(), while `is_broken`."""

    is_broken = False

    async def _get_oauth_client_allowed_scopes(self):
        if FailsBeforeStart.is_broken:
            raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
        return await super()._get_oauth_client_allowed_scopes()
