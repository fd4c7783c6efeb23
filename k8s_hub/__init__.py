"""k8s_hub: a JupyterHub spawner and idle culler for Kubernetes.

Public names are imported on first use, so that the culler does not load the spawner.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from k8s_hub._version import __version__

if TYPE_CHECKING:
    from k8s_hub.culler.application import IdleCuller
    from k8s_hub.spawner.kubespawner import KubeSpawner

__all__ = ["IdleCuller", "KubeSpawner", "__version__"]

_HOMES = {
    "IdleCuller": "k8s_hub.culler.application",
    "KubeSpawner": "k8s_hub.spawner.kubespawner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
