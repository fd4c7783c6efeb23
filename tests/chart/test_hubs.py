"""Hubs that the files in helm-values/ configure spawn, cull and give the files back, beside a mini cluster."""

import json
import sqlite3

import pytest

from devkit.chart.hubs import NAMESPACE, chart_hub, mini_cluster, tell_story
from devkit.testing.eventually import eventually

pytestmark = [pytest.mark.hub, pytest.mark.slow]

SETS = [
    ("spawner", "culler"),
    ("spawner", "culler", "culler-page", "restricted", "large-hub"),
]


@pytest.mark.parametrize("names", SETS, ids="+".join)
async def test_a_server_is_started_culled_and_started_again(names, tmp_path):
    def explain_knows_the_stop():
        return [stop["user"] for stop in json.loads((tmp_path / "hub/culler.json").read_text())["stops"]] == [
            "ada"
        ]

    async with mini_cluster(tmp_path) as (kubeconfig, objects):
        async with chart_hub(tmp_path / "hub", *names, kubeconfig=kubeconfig, namespace=NAMESPACE) as hub:
            pod = await tell_story(hub, objects)
            await eventually(explain_knows_the_stop)
            if "culler-page" in names:
                status, location = await hub.page()
                assert (status, "/hub/api/oauth2/authorize" in location) == (302, True)
            log = "\n".join(hub.hub.lines())
        assert "Traceback" not in log
        assert "not recognized" not in log
    initial = [container["name"] for container in pod["spec"].get("initContainers", ())]
    assert initial == ([] if "restricted" in names else ["block-cloud-metadata"])
    with sqlite3.connect(tmp_path / "hub/hub.sqlite") as database:
        ((mode,),) = database.execute("PRAGMA journal_mode")
    database.close()
    assert mode == "wal"
