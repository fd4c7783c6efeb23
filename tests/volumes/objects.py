"""Claims as the spawners make them, and users as the hub shows them."""

from k8s_hub.hub.users import user_of
from tests.claims.objects import claim as bare_claim

CREATED = "2026-01-01T00:00:00Z"
ACTIVE = "2026-06-01T12:00:00Z"


def claim(name, user=None, server="", *, requested="10Gi", capacity="10Gi", storage_class="fast", **more):
    made = bare_claim(name, user, server, **more)
    labels = {**made["metadata"]["labels"], "component": "singleuser-storage"}
    return {
        **made,
        "metadata": {**made["metadata"], "labels": labels},
        "spec": {"storageClassName": storage_class, "resources": {"requests": {"storage": requested}}},
        "status": {**made["status"], "capacity": {"storage": capacity}},
    }


def server(claim=None, *, pod=None, namespace="jhub", last_activity=ACTIVE, has_run=True, **more):
    """Return a server as the hub describes it to a token that sees its state."""
    state = {"pod_name": pod or "some-pod", "namespace": namespace, **more} if has_run else {}
    if claim is not None:
        state["pvc_name"] = claim
    return {"ready": False, "last_activity": last_activity, "state": state}


def user(name, **servers):
    """Return a user with these servers; ``default`` is the one without a name."""
    named = {("" if key == "default" else key): value for key, value in servers.items()}
    return user_of({"name": name, "servers": named})
