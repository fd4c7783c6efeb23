"""What the real cluster adds to kwok: a pod's end is confirmed for that pod only."""

import pytest

from devkit.realcluster.api import RefusedError, wait_for

pytestmark = pytest.mark.cluster


def test_kwok_may_end_a_dying_pod_and_no_other(control_plane, fresh_namespace):
    """It names no uid, so its second word about an old pod would meet the new one of the same name."""
    pods = f"/api/v1/namespaces/{fresh_namespace}/pods"
    spec = {"containers": [{"name": "notebook", "image": "example.test/notebook:1"}]}
    control_plane.admin.create(pods, {"metadata": {"name": "one"}, "spec": spec})
    wait_for(lambda: control_plane.admin.get(f"{pods}/one")["status"]["phase"] == "Running", "the pod runs")
    kwok = control_plane.api(control_plane.layout.credentials.kwok_token)

    def is_refused():
        try:
            kwok.delete(f"{pods}/one", {"gracePeriodSeconds": 0, "dryRun": ["All"]})
        except RefusedError as refused:
            return "deletionTimestamp" in str(refused)
        return False

    wait_for(is_refused, "the policy holds")
    control_plane.admin.delete(f"{pods}/one", {"gracePeriodSeconds": 30})
    wait_for(lambda: not control_plane.admin.get(pods)["items"], "kwok has ended the pod")
