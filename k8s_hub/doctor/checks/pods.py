"""Pods: those that block a server's start, and leftovers of servers that no longer run."""

from collections.abc import Collection, Iterator, Sequence

from k8s_hub.doctor.checks.findings import Finding, fine, noted, wrong
from k8s_hub.doctor.checks.homes import ExpectedPod
from k8s_hub.hub.users import Server, User
from k8s_hub.naming.ownership import (
    SERVERNAME_ANNOTATION,
    USERNAME_ANNOTATION,
    ServerIdentity,
    is_ours,
    matches_release,
)
from k8s_hub.objects.keys import annotations_of, is_terminating, key_of, labels_of, uid_of
from k8s_hub.objects.raw import Raw

CHECK = "pods"
COMPONENT = "singleuser-server"


def check_pods(
    pods: Sequence[Raw], servers: Sequence[ExpectedPod], users: Sequence[User]
) -> Iterator[Finding]:
    """Check the pods of a namespace against the pods that the hub's servers have, or would have."""
    by_name = {key_of(pod).name: pod for pod in pods}
    foreign = [
        (server.identity, by_name[server.name])
        for server in servers
        if server.name in by_name and not _is_its_own(by_name[server.name], server)
    ]
    for identity, pod in foreign:
        yield _in_the_way(identity, pod)
    running = {server.key for user in users for server in user.servers or () if is_active(server)}
    uids = {server.uid for server in servers if _owner_of(server) in running}
    left = [
        pod
        for pod in pods
        if uid_of(pod) not in uids and _is_left_over(pod, running) and _is_of_this_hub(pod, servers)
    ]
    for pod in left:
        yield noted(
            CHECK,
            key_of(pod).name,
            f"leftover pod of {_owner(pod) or 'no user'}: the hub knows no running server for it",
            advice=f"unless another hub owns it: kubectl delete pod {key_of(pod).name}",
        )
    if not foreign and not left:
        yield fine(CHECK, "servers' pods", "no conflicts, no leftovers")


def _is_its_own(pod: Raw, server: ExpectedPod) -> bool:
    """Recognise a server's pod by its annotations, or by its uid if the user was renamed since."""
    return is_ours(pod, server.identity) or (bool(server.uid) and uid_of(pod) == server.uid)


def _owner_of(server: ExpectedPod) -> tuple[str, str]:
    return server.identity.username, server.identity.servername


def _in_the_way(identity: ServerIdentity, pod: Raw) -> Finding:
    owner = f"belongs to {_owner(pod)}" if _owner(pod) else "has no owner"
    return wrong(
        CHECK,
        key_of(pod).name,
        f"server {identity} needs this pod name, but the pod {owner}: the server cannot start",
        advice="delete the pod, or change KubeSpawner.pod_name_template",
    )


def _is_left_over(pod: Raw, running: Collection[tuple[str, str]]) -> bool:
    if labels_of(pod).get("component") != COMPONENT or is_terminating(pod):
        return False
    annotations = annotations_of(pod)
    owner = (annotations.get(USERNAME_ANNOTATION), annotations.get(SERVERNAME_ANNOTATION, ""))
    return owner not in running


def _is_of_this_hub(pod: Raw, servers: Sequence[ExpectedPod]) -> bool:
    """False if the pod's release label names another release, where the server may well run."""
    return all(matches_release(pod, server.identity) for server in servers[:1])


def is_active(server: Server) -> bool:
    """Return whether the server runs, starts or stops."""
    return server.ready or server.pending is not None


def _owner(pod: Raw) -> str:
    annotations = annotations_of(pod)
    username, servername = annotations.get(USERNAME_ANNOTATION), annotations.get(SERVERNAME_ANNOTATION)
    return f"{username}/{servername}" if servername else username or ""
