"""Hubs that the files in helm-values/ configure spawn, cull and give the files back, beside a mini cluster."""

import sqlite3

import pytest

from k8s_hub.minicluster.cluster import MiniCluster
from k8s_hub.minicluster.resources import CLAIMS, PODS
from tests.chart.hubs import chart_hub, tell_story

pytestmark = pytest.mark.hub

NAMESPACE = "default"
KINDS = {"pods": PODS, "persistentvolumeclaims": CLAIMS}
SETS = [
    ("spawner", "culler"),
    ("spawner", "culler", "culler-page", "restricted", "large-hub"),
]


@pytest.mark.parametrize("names", SETS, ids="+".join)
async def test_a_server_is_started_culled_and_started_again(names, tmp_path):
    async with MiniCluster(directory=tmp_path / "cluster", runtime="listener") as cluster:
        cluster.write_kubeconfig(tmp_path / "kubeconfig")

        async def objects(plural):
            found = cluster.database.all(KINDS[plural], NAMESPACE)
            return {obj["metadata"]["name"]: obj for obj in found}

        async with chart_hub(
            tmp_path / "hub", *names, kubeconfig=tmp_path / "kubeconfig", namespace=NAMESPACE
        ) as hub:
            pod = await tell_story(hub, objects)
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
    assert mode == ("wal" if "large-hub" in names else "delete")
