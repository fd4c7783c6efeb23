"""The jupyterhub_config.py of a hub under faults, for k8s_hub and KubeSpawner alike."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

sys.path.append(
    str(Path(__file__).parents[2])
)  # behind an installed k8s_hub, of which KubeSpawner's hub has none

from devkit.bench.beside.inside import as_model, be_in_a_pod

LARGEST = 2**30
"""More pages than a campaign's database has."""

settings = json.loads(Path(os.environ["CHAOS_SETTINGS"]).read_text())
c = get_config()
for section, values in settings["traits"].items():
    c[section].update(values)
c.KubeSpawner.init_containers = [as_model(each) for each in c.KubeSpawner.init_containers]
be_in_a_pod(Path(settings["account"]), settings["environment"])


def fast_and_safe_enough(connection: Any, _record: object) -> None:
    """Set WAL, as for a hub with SQLite in a file: a killed process loses no commit. Power failures are not tested."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")


def fit_the_disk(connection: Any) -> None:
    """Add no page to the database while the campaign says that the disk is full."""
    limit = 1 if Path(settings["full_disk"]).exists() else LARGEST
    if connection.info.get("limit", LARGEST) != limit:
        connection.info["limit"] = limit
        connection.exec_driver_sql(f"PRAGMA max_page_count={limit}").close()


event.listen(Engine, "connect", fast_and_safe_enough)
event.listen(Engine, "begin", fit_the_disk)
