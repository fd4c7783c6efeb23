"""JupyterHub on Kubernetes: a pod and a volume for every user; idle pods go, volumes stay.

Run it with ``jupyterhub -f jupyterhub_config.py``, in a pod of the cluster or with a KUBECONFIG.
``make demo`` runs this very file. It adds what belongs to a demo only: ports, a database, a login
without passwords, profiles, and the culler's page (devkit/demo/showcase.py).
"""

import os
import sys

c = get_config()

# --- Servers: one pod per user ---

c.JupyterHub.spawner_class = "k8s_hub.KubeSpawner"
c.KubeSpawner.image = "quay.io/jupyterhub/k8s-singleuser-sample:4.4.0"  # any image with jupyterhub-singleuser
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
c.KubeSpawner.default_url = "/lab"
c.KubeSpawner.start_timeout = 300  # seconds; a new node and a large image take minutes
c.JupyterHub.allow_named_servers = True

# --- Files: one volume per server, mounted as the user's home ---

c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_capacity = "10Gi"
c.KubeSpawner.volumes = {"home": {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}}
c.KubeSpawner.volume_mounts = {"home": {"name": "home", "mountPath": "/home/jovyan"}}
c.KubeSpawner.fs_gid = 100  # the image's group may write to the volume

# --- Database, for SQLite on a local disk: a commit, and with it the whole hub, does not wait for the disk ---

write_ahead = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
c.JupyterHub.db_kwargs = {
    "pool_events": [(lambda database, _: database.executescript(write_ahead), "connect")]
}

# --- Restarts: users stay connected while the hub is away ---

c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
# A server that was starting waits for the hub; a hub that waits for it in turn keeps everybody waiting.
c.JupyterHub.init_spawners_timeout = 1  # seconds; the checks then go on in the background

# --- Network: the address of this machine or pod at which users' pods reach the hub ---

c.JupyterHub.hub_ip = os.environ.get("K8S_HUB_ADDRESS", "127.0.0.1")

# --- Idle servers: stopped after this many seconds without activity; volumes are never touched ---

idle_seconds = int(os.environ.get("K8S_HUB_IDLE_SECONDS", "3600"))

c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [
            *(sys.executable, "-m", "k8s_hub.culler"),
            f"--timeout={idle_seconds}",
            f"--cull-every={max(1, idle_seconds // 10)}",
        ],
    },
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": ["list:users", "read:servers", "delete:servers"],
    },
]

# --- Users: who may log in is yours to say. JupyterHub's documentation lists the authenticators; for instance
# authenticator_class "github" with allowed_organizations, or "generic-oauth" for your own identity provider.
