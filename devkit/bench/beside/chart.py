"""What the Zero to JupyterHub chart configures a hub and KubeSpawner with by default."""

import json
from typing import Any

from devkit.bench.beside.plan import ROOT

CHART = json.loads((ROOT / "tests/data/golden/chart_default_config.json").read_text())


def chart_traits() -> dict[str, dict[str, Any]]:
    """Return the traits by class, but for the chart's own scheduler and culler, which are not here."""
    spawner = {name: value for name, value in CHART["KubeSpawner"].items() if name != "scheduler_name"}
    spawner["init_containers"] = [model["value"] for model in spawner["init_containers"]]
    hub = {"last_activity_interval": CHART["JupyterHub"]["last_activity_interval"]}
    return {"JupyterHub": hub, "Spawner": CHART["Spawner"], "KubeSpawner": spawner}
