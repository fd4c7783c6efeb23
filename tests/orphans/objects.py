"""Objects as spawners make them, and hubs that know some of their servers."""

from datetime import UTC, datetime, timedelta

from k8s_hub.kube.core.resources import PODS
from k8s_hub.naming.ownership import ATTEMPT_ANNOTATION, SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import Key
from k8s_hub.objects.timestamps import format_seconds
from k8s_hub.orphans.plan import Facts, HubServers, find_orphans

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR_AGO = NOW - timedelta(hours=1)
RELEASE = {"app.kubernetes.io/instance": "jhub", "release": "jhub"}


def obj(name="jupyter-ada", user="ada", server="", *, uid=None, created=HOUR_AGO, labels=None, **more):
    annotations = {ATTEMPT_ANNOTATION: "a1", **more.pop("annotations", {})}
    if user is not None:
        annotations |= {USERNAME_ANNOTATION: user, SERVERNAME_ANNOTATION: server}
    metadata = {
        "name": name,
        "namespace": "jhub",
        "uid": uid or f"uid-{name}",
        "resourceVersion": "1",
        "labels": {"component": "singleuser-server", **(RELEASE if labels is None else labels)},
        "annotations": annotations,
        "creationTimestamp": format_seconds(created),
    }
    phase = more.pop("phase", "Running")
    return {"metadata": {**metadata, **more}, "status": {"phase": phase}}


def owned(name, by, user="ada", **more):
    return obj(name, user, ownerReferences=[{"kind": "Pod", "name": "jupyter-ada", "uid": by}], **more)


def hub(*active, users=("ada", "bob"), stopped=(), by_pod_uid=None, active_pods=()):
    """Return a hub with these servers, each as "user" or "user/server"."""
    running = frozenset(map(key, active))
    return HubServers(
        users=frozenset(users) | {user for user, _ in running},
        servers=running | frozenset(map(key, stopped)),
        active=running,
        by_pod_uid={uid: key(server) for uid, server in (by_pod_uid or {}).items()},
        active_pods=frozenset(Key("jhub", name) for name in active_pods),
    )


def key(server):
    user, _, name = server.partition("/")
    return user, name


def facts(hub, *, labels=None, pods=(), now=NOW):
    return Facts(hub=hub, release_labels=RELEASE if labels is None else labels, pod_uids=set(pods), now=now)


def orphans(facts, *objects, resource=PODS):
    """Return the orphans among the objects, by name."""
    found = find_orphans([(resource, each) for each in objects], facts).orphans
    return {orphan.key.name: orphan for orphan in found}
