"""The demo's whole story on real containers: kernels, files, a killed hub, the culler, and the same files after."""

import pytest

from devkit.realcluster.audit import requests_of

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

# All that three users, a named server, a culler and a hub that is killed twice need of the cluster. (A single object
# is asked for only after an answer that was lost, or that contradicts the watch.)
NEEDED = {
    "pods": {"list", "watch", "create", "delete"},
    "persistentvolumeclaims": {"list", "watch", "create"},
    "events": {"list", "watch"},
}


async def test_the_whole_story_holds_in_containers(container_cluster, demo_settings, tell_story):
    """... and the hub asks for nothing that the chart's Role refuses, nor for what it does not need."""
    settings = demo_settings()
    await tell_story(settings)
    log = container_cluster.plane.layout.log("audit")
    asked = list(requests_of(log, account="hub", namespace=settings.namespace))
    assert [one for one in asked if one.code in {401, 403}] == []
    assert {one.namespace for one in asked} == {settings.namespace}
    used = {
        name: {one.verb for one in asked if one.resource == name} for name in {one.resource for one in asked}
    }
    assert {name: verbs - {"get"} for name, verbs in used.items()} == NEEDED
