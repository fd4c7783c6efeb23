"""The chart's hub configuration for $CHART_VALUES, adapted to this machine.

The hub's address is $TEST_HUB_URL. $CHART_FOLDER replaces the hub's volume.
"""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import k8s_hub
from devkit.chart.evaluation import Release, evaluate
from devkit.chart.values import extra_files

values = json.loads(Path(os.environ["CHART_VALUES"]).read_text())
folder = os.environ["CHART_FOLDER"]
PLACES = {
    "http://localhost:8081": os.environ["TEST_HUB_URL"],
    "/srv/jupyterhub": folder,
    "/etc/jupyterhub": folder,
}


def here(text):
    for there, place in PLACES.items():
        text = text.replace(there, place)
    return text


for path, content in extra_files(values).items():
    Path(here(path)).write_text(here(content))
config = evaluate(values, Release(namespace=os.environ["CHART_NAMESPACE"]))
for service in config.JupyterHub.services:
    service["command"] = [here(word) for word in service["command"]]
    if "url" in service:
        address = urlsplit(service["url"])
        assert address.hostname == "hub"  # the Service of the hub's pod
        port = os.environ.get("CHART_CULLER_PORT", address.port)
        service["url"] = f"http://127.0.0.1:{port}"
get_config().merge(config)
print("The code comes from", k8s_hub.__file__, flush=True)
