"""Obstacles to a start: the user's other servers, the previous pod, objects of others, the cluster."""

from datetime import datetime, timedelta

from k8s_hub.diagnosis.diagnosis import Diagnosis, GracePeriods, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT, LATER, capitalized, listed
from k8s_hub.diagnosis.pod_life import is_on_lost_node
from k8s_hub.naming.ownership import USER_ID_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import Key, annotations_of, key_of, labels_of, metadata_of, status_of
from k8s_hub.objects.raw import Raw


def foreign_object(obj: Raw, kind: str) -> Diagnosis:
    """An object of another owner has a name that this server needs. It is never touched."""
    key = key_of(obj)
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.FOREIGN_OBJECT,
        f'Your server could not start because {_owner(obj)} already uses the name "{key.name}". {CONTACT}',
        detail=f"{kind.lower()} {key} is not this server's; annotations and labels name {_owner(obj)}",
    )


def namesakes_object(obj: Raw, kind: str) -> Diagnosis:
    """An object of a user who had this user's name before a rename. It is never touched."""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.FOREIGN_OBJECT,
        "Your server could not start because another user, who had your name before, has a server of the same "
        f"name. Try again when that server has stopped. {CONTACT}",
        detail=f"{kind.lower()} {key_of(obj)} belongs to a renamed user: see its annotation {USER_ID_ANNOTATION}",
    )


def leftover(obj: Raw, kind: str) -> Diagnosis:
    """An object of an earlier pod of this server is being deleted."""
    finalizers = ", ".join(metadata_of(obj).get("finalizers") or ())
    return Diagnosis.waiting(
        Stage.REQUEST,
        "Parts of your previous server are still being removed.",
        reason=Reason.OLD_SERVER,
        detail=f"{kind.lower()} {key_of(obj)} is terminating; finalizers: {finalizers or 'none'}",
        expired=f"Parts of your previous server were not removed within {{waited}}. {LATER}",
    )


def terminating_namespace(namespace: Raw) -> Diagnosis:
    """The user's namespace is being deleted with everything in it. A new one can only be created after that."""
    conditions = status_of(namespace).get("conditions") or ()
    words = "; ".join(str(condition.get("message")) for condition in conditions if condition.get("message"))
    place = _place(key_of(namespace).name)
    return Diagnosis.waiting(
        Stage.REQUEST,
        f"{capitalized(place)} is being deleted. Your server then starts in a new one.",
        reason=Reason.NAMESPACE,
        detail=f"namespace {key_of(namespace)} is terminating: {words or 'no reason is given'}",
        expired=f"The deletion of {place} did not finish within {{waited}}. {LATER}",
    )


def foreign_namespace(name: str) -> Diagnosis:
    """The user's namespace already exists and is not marked as this hub's. Nothing is created in it."""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.FOREIGN_OBJECT,
        f"Your server could not start: {_place(name)} already existed, and may belong to someone else. {CONTACT}",
        detail=f"nothing marks namespace {name} as this hub's: no label or annotation {USERNAME_ANNOTATION} on it or on a pod or "
        "claim in it, and no server of this user that was in it. To use it, run kubectl label namespace "
        f"{name} {USERNAME_ANNOTATION}=NAME, or set KubeSpawner.user_namespace_allow_existing",
    )


def new_namespace(name: str, detail: str) -> Diagnosis:
    """The namespace is new, and its default objects do not exist yet."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        f"The cluster is setting up {_place(name)}.",
        reason=Reason.NAMESPACE,
        detail=detail,
        expired=f"The cluster did not set up {_place(name)} within {{waited}}. {AGAIN}",
    )


def _place(namespace: str) -> str:
    return f'the place of your servers in the cluster (namespace "{namespace}")'


def volume_refused(message: str, detail: str) -> Diagnosis:
    """A claim of another owner has the name of this server's volume. It is never mounted."""
    return Diagnosis.failed(Stage.STORAGE, Reason.FOREIGN_OBJECT, message, detail=detail)


def vanished_pod(pod: Raw) -> Diagnosis:
    """The pod of this start was deleted before it was ready."""
    return Diagnosis.failed(
        Stage.STARTING,
        Reason.DELETED,
        "Your server was removed before it was ready. Start it again.",
        detail=f"pod {key_of(pod)} was deleted by somebody else",
    )


def previous_server(pod: Raw, now: datetime) -> Diagnosis:
    """An earlier pod of this server is shutting down. If that takes long, say why."""
    slow = now - _asked_to_end(pod, now) >= GracePeriods().shutdown
    cause, past_cause = _causes(pod, now)
    return Diagnosis.waiting(
        Stage.REQUEST,
        f"Your previous server is still shutting down{cause if slow else ''}.",
        reason=Reason.OLD_SERVER,
        detail=f"pod {key_of(pod)} on node {(pod.get('spec') or {}).get('nodeName')}{cause}",
        expired=f"Your previous server did not shut down within {{waited}}{past_cause}. {LATER}",
    )


def _owner(obj: Raw) -> str:
    """Name the owner of an object by its annotations."""
    labels = labels_of(obj)
    user = annotations_of(obj).get(USERNAME_ANNOTATION)
    release = labels.get("app.kubernetes.io/instance") or labels.get("release")
    words = [f'{kind} "{name}"' for kind, name in (("user", user), ("release", release)) if name]
    if words:
        return " of ".join(words)
    references = metadata_of(obj).get("ownerReferences") or ()
    return f'{references[0]["kind"]} "{references[0]["name"]}"' if references else "someone else"


def _asked_to_end(pod: Raw, now: datetime) -> datetime:
    """Return when the deletion was requested: its timestamp minus the grace period."""
    metadata = metadata_of(pod)
    if not metadata.get("deletionTimestamp"):
        return now
    grace = timedelta(seconds=int(metadata.get("deletionGracePeriodSeconds") or 0))
    return timestamps.parse(metadata["deletionTimestamp"]) - grace


def _causes(pod: Raw, now: datetime) -> tuple[str, str]:
    """Return why a pod is still there, in the present and in the past tense."""
    if is_on_lost_node(pod):
        return ", because its machine is not responding", " because its machine did not respond"
    if finalizers := metadata_of(pod).get("finalizers"):
        holder = f"a service of the cluster ({', '.join(finalizers)})"
        return f", because {holder} has not released it", f" because {holder} did not release it"
    deadline = metadata_of(pod).get("deletionTimestamp")
    if deadline and now < timestamps.parse(deadline):
        return ", because it still has time to save its work", " because it had time to save its work"
    return (
        ", because its machine has not confirmed that it stopped",
        " because its machine did not confirm that it stopped",
    )


def cluster_busy(detail: str = "") -> Diagnosis:
    """The API server is busy (429), failed (5xx) or is slow. The spawner retries."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        "The cluster is busy. Your server is waiting for its turn.",
        reason=Reason.CLUSTER_BUSY,
        detail=detail,
        expired=f"The cluster was too busy to start your server within {{waited}}. {LATER}",
    )


def webhook_broken(detail: str = "") -> Diagnosis:
    """A required admission webhook fails or does not answer. The spawner retries."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        "A service that must approve your server is failing or not responding. The cluster is trying again.",
        reason=Reason.CLUSTER_UNAVAILABLE,
        detail=detail,
        expired=f"A service that must approve your server failed or did not respond within {{waited}}. {LATER}",
    )


def cluster_silent(detail: str = "") -> Diagnosis:
    """The API server cannot be reached. The start continues when it is back."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        "The cluster is not responding. Your server starts when the cluster is back.",
        reason=Reason.CLUSTER_UNAVAILABLE,
        detail=detail,
        expired=f"The cluster did not respond within {{waited}}. {LATER}",
    )


def cluster_unavailable(detail: str = "") -> Diagnosis:
    """The API server stayed away until the deadline."""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.CLUSTER_UNAVAILABLE,
        f"Your server could not start because the cluster did not respond. {LATER}",
        detail=detail,
    )


def no_cluster(detail: str = "") -> Diagnosis:
    """No cluster is configured, or its configuration does not work."""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.CLUSTER_UNAVAILABLE,
        f"Your server could not start because the hub is not connected to a cluster. {CONTACT}",
        detail=detail,
    )


def placed_on_same_node(servername: str, claim: Key, node: str) -> Diagnosis:
    """The pod will run on the node of another server, because the disk is there."""
    other = server_in_words(servername)
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"{capitalized(other)} uses the same volume, so this server starts on the same machine.",
        detail=f"claim {claim} is ReadWriteOnce and in use on node {node}",
        expired=f"This server did not start on the machine of {other} within {{waited}}. {AGAIN}",
    )


def waits_for_other_server(servername: str, claim: Key) -> Diagnosis:
    """The other server has the volume, and no node yet."""
    other = capitalized(server_in_words(servername))
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"{other} uses the same volume and has no machine yet. This server is waiting for the same machine.",
        reason=Reason.VOLUME_IN_USE,
        detail=f"claim {claim} is ReadWriteOnce, and the pod that mounts it has no node",
        expired=f"{other} uses the same volume and got no machine within {{waited}}. "
        "Stop that server first, or try again later.",
    )


def in_exclusive_use(servername: str, claim: Key) -> Diagnosis:
    """Only one pod at a time may use the volume."""
    return _in_use(
        f"Only one server at a time can use the volume of this server, and {server_in_words(servername)} uses it. {_STOP_IT}",
        f"claim {claim} is ReadWriteOncePod",
    )


def volumes_on_different_nodes(servernames: tuple[str, str], nodes: tuple[str, str]) -> Diagnosis:
    """Two volumes are on different nodes."""
    return _in_use(
        f"This server shares volumes with {listed([server_in_words(name) for name in servernames])}, "
        "which run on different machines. Stop one of them first.",
        f"its ReadWriteOnce claims are in use on the nodes {' and '.join(nodes)}",
    )


def on_another_node(servername: str, claim: Key, *, node: str, wanted: str) -> Diagnosis:
    """The pod's settings require another node than the volume's."""
    return _in_use(
        f"{capitalized(server_in_words(servername))} uses a volume of this server on another machine. {_STOP_IT}",
        f"claim {claim} is ReadWriteOnce and in use on node {node}; the pod's nodeName is {wanted}",
    )


def waits_for_capacity(servername: str, detail: str) -> Diagnosis:
    """The node of the other server has no room, or accepts no pods now."""
    other = server_in_words(servername)
    return Diagnosis.waiting(
        Stage.SCHEDULING,
        f"Your server is waiting for room on the machine of {other}, because both use the same volume.",
        reason=Reason.VOLUME_IN_USE,
        detail=detail,
        expired=f"The machine of {other}, which uses the same volume, had no room for this server within {{waited}}. "
        "Stop that server first, or choose a smaller one.",
    )


def unfit_node(servername: str, detail: str) -> Diagnosis:
    """The server needs another kind of node than the one with the volume."""
    return _in_use(
        f"{capitalized(server_in_words(servername))} uses a volume of this server on a machine of another kind "
        f"than this server needs. {_STOP_IT}",
        detail,
    )


def server_in_words(name: str) -> str:
    """Name a server for its user."""
    return f'your server "{name}"' if name else "your default server"


_STOP_IT = "Stop that server first."


def _in_use(sentence: str, detail: str) -> Diagnosis:
    return Diagnosis.failed(Stage.STORAGE, Reason.VOLUME_IN_USE, sentence, detail=detail)
