"""The file that tells a client where the cluster is and how to get in."""

import json
from pathlib import Path

from devkit.minicluster.disk import write_atomically

_NAME = "mini"


def write_kubeconfig(path: Path, url: str, token: str) -> None:
    """Write the file, readable by its owner alone from the first moment."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _NAME, "cluster": {"server": url}}],
        "users": [{"name": _NAME, "user": {"token": token}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME, "namespace": "default"}}],
        "current-context": _NAME,
    }
    # JSON is YAML.
    write_atomically(path, json.dumps(content, indent=2).encode() + b"\n")
