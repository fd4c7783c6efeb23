"""The whole story on the real API server, with the chart's rights: spawn, cull, spawn again, same claim."""

from datetime import timedelta

import pytest

from k8s_hub.clock import utcnow
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.sweep import Sweep, SweepOptions
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings

pytestmark = [pytest.mark.cluster, pytest.mark.hub]

LIMITS = Limits(timeout=timedelta(minutes=10))


async def sweep(hub):
    """One pass of the culler over a hub's servers."""

    settings = HubConnectionSettings(url=hub.api_url, token=hub.token())
    async with HubConnection(settings) as connection:
        return await Sweep(HubApi(connection), SweepOptions(), Decider(limits=LIMITS), utcnow).run()


async def test_two_users_are_served_culled_and_served_again_with_the_same_claims(hub, objects):
    async with hub() as hub:
        for user in ("ada", "bob"):
            await hub.start_server(user)
        for user in ("ada", "bob"):
            await hub.wait_ready(user, seconds=90)
        first_pods, first_claims = objects("pods"), objects("persistentvolumeclaims")
        assert first_pods.keys() == {"jupyter-ada", "jupyter-bob"}
        assert first_claims.keys() == {"claim-ada", "claim-bob"}

        hub.set_activity("ada", utcnow() - timedelta(hours=1))
        report = await sweep(hub)
        await hub.wait_stopped("ada", seconds=90)
        assert report.stopped + report.stopping == 1
        assert objects("pods").keys() == {"jupyter-bob"}
        assert objects("persistentvolumeclaims").keys() == first_claims.keys()

        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=90)

        assert uid(objects("pods")["jupyter-ada"]) != uid(first_pods["jupyter-ada"])
        assert uid(objects("persistentvolumeclaims")["claim-ada"]) == uid(first_claims["claim-ada"])


def uid(obj):
    return obj["metadata"]["uid"]
