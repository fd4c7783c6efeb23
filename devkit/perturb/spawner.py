"""The spawner of the hubs under test: KubeSpawner that looks for orphans every second, and hooks by which users want things.

`python -m devkit.perturb.spawner VERB ...` runs a command of k8s-hub with the same patience.
"""

import logging
import sys
from datetime import timedelta

from devkit.perturb.scenarios import ORPHAN_GRACE
from k8s_hub import KubeSpawner
from k8s_hub.cli.main import main
from k8s_hub.orphans import plan, reconciler

# For this process: only a hub, or a command, under test imports this module.
plan.GRACE = timedelta(seconds=ORPHAN_GRACE)
reconciler.INTERVAL = reconciler.SECOND_LOOK = 1.0

# Into the hub's log, for the campaign: JupyterHub shows other packages' warnings only.
logging.getLogger(reconciler.__name__).setLevel(logging.INFO)
logging.getLogger(reconciler.__name__).addHandler(logging.StreamHandler())

NO_MACHINE = {"no": "such-machine"}


def adapt(spawner):
    """Apply what the user asks for."""
    options = spawner.user_options or {}
    if options.get("no_machine"):
        spawner.node_selector = NO_MACHINE
    if options.get("large"):
        spawner.storage_capacity = "2Gi"
        spawner.extra_claims = {
            name: {**extra, "capacity": "2Gi"} for name, extra in spawner.extra_claims.items()
        }


def address(spawner, pod):
    """Return the pod's own address: no DNS here knows its Service."""
    return f"http://{pod['status']['podIP']}:{spawner.port}"


class PerturbedSpawner(KubeSpawner):
    """KubeSpawner with these hooks."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pre_spawn_hook = adapt
        if self.services_enabled:
            self.get_pod_url = address


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
