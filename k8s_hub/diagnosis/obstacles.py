"""What stands where a server is to be: its user's other servers, the previous one, somebody else's object, the cluster."""

from datetime import datetime, timedelta

from k8s_hub.diagnosis.diagnosis import Diagnosis, GracePeriods, Reason, Stage
from k8s_hub.diagnosis.messages import capitalized, listed
from k8s_hub.diagnosis.pod_life import is_on_lost_node
from k8s_hub.naming.ownership import USERNAME_ANNOTATION
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import Key, annotations_of, key_of, labels_of, metadata_of
from k8s_hub.objects.raw import Raw


def foreign_pod(pod: Raw) -> Diagnosis:
    """Another's pod has the name of this user's pod; it is never touched."""
    return _foreign(Stage.REQUEST, "pod", pod, "Your server cannot be started")


def foreign_object(obj: Raw, kind: str) -> Diagnosis:
    """Another's object has the name of one that this user's server needs; it is never touched."""
    return _foreign(Stage.REQUEST, kind.lower(), obj, "Your server cannot be started")


def leftover(obj: Raw, kind: str) -> Diagnosis:
    """An object of an earlier pod of this server is being deleted."""
    finalizers = ", ".join(metadata_of(obj).get("finalizers") or ())
    return Diagnosis.waiting(
        Stage.REQUEST,
        "What belongs to your previous server is still being removed.",
        reason=Reason.OLD_SERVER,
        detail=f"{kind.lower()} {key_of(obj)} is terminating; finalizers: {finalizers or 'none'}",
        missed="it was not gone",
    )


def dying_namespace(namespace: Raw, now: datetime) -> Diagnosis:
    """The user's namespace is being deleted, with all that is in it; a new one can only come after it."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    words = "; ".join(str(condition.get("message")) for condition in conditions if condition.get("message"))
    return Diagnosis.waiting(
        Stage.REQUEST,
        f'Your namespace "{key_of(namespace).name}" is being deleted. '
        "Your server waits until it is gone and then gets a new one.",
        reason=Reason.NAMESPACE,
        detail=f"namespace {key_of(namespace)} is terminating: {words or 'no reason is given'}",
        lasting=max(now - _asked_to_end(namespace, now), timedelta()),
        missed="it was not gone",
    )


def foreign_namespace(name: str) -> Diagnosis:
    """The user's namespace was there before, and nothing says that it is this hub's; nothing is put into it."""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.FOREIGN_OBJECT,
        f'Your server cannot be started: the namespace "{name}" exists and is not known to be this hub\'s. '
        "Please tell your administrator.",
        detail=f"namespace {name} has no label or annotation {USERNAME_ANNOTATION}, nor has a pod or claim in it, and no server "
        f"of this user has been in it. If it is meant for this hub: kubectl label namespace {name} {USERNAME_ANNOTATION}=NAME, "
        "or set KubeSpawner.user_namespace_allow_existing",
    )


def new_namespace(name: str, detail: str) -> Diagnosis:
    """The namespace was made a moment ago, and lacks what the cluster puts into each."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        f'Your namespace "{name}" is being set up.',
        reason=Reason.NAMESPACE,
        detail=detail,
        missed="it was not ready",
    )


def volume_refused(message: str, detail: str) -> Diagnosis:
    """Another's claim has the name of this server's volume; it is never mounted."""
    return Diagnosis.failed(Stage.STORAGE, Reason.FOREIGN_OBJECT, message, detail=detail)


def vanished_pod(pod: Raw) -> Diagnosis:
    """The pod of this start was deleted by somebody before it was ready."""
    return Diagnosis.failed(
        Stage.STARTING,
        Reason.DELETED,
        "Your server was removed before it was ready. Please start it again.",
        detail=f"pod {key_of(pod)} was deleted by somebody else",
    )


def previous_server(pod: Raw, now: datetime, grace: GracePeriods | None = None) -> Diagnosis:
    """An earlier pod of this server is shutting down; once that takes long, say what it waits for."""
    lasting = max(now - _asked_to_end(pod, now), timedelta())
    slow = lasting >= (grace or GracePeriods()).shutdown
    return Diagnosis.waiting(
        Stage.REQUEST,
        f"Your previous server is still shutting down{_cause(pod, now) if slow else ''}.",
        reason=Reason.OLD_SERVER,
        detail=f"pod {key_of(pod)} on node {(pod.get('spec') or {}).get('nodeName')}{_cause(pod, now)}",
        lasting=lasting,
        missed="it was not gone",
    )


def _foreign(stage: Stage, kind: str, obj: Raw, consequence: str) -> Diagnosis:
    key = key_of(obj)
    return Diagnosis.failed(
        stage,
        Reason.FOREIGN_OBJECT,
        f'{consequence}: the name "{key.name}" is taken by a {kind} of {_owner(obj)}. '
        "Please tell your administrator.",
        detail=f"{kind} {key} is not this server's; annotations and labels name {_owner(obj)}",
    )


def _owner(obj: Raw) -> str:
    """Name whose an object is, as well as it says itself."""
    labels = labels_of(obj)
    user = annotations_of(obj).get(USERNAME_ANNOTATION)
    release = labels.get("app.kubernetes.io/instance") or labels.get("release")
    words = [f'{kind} "{name}"' for kind, name in (("user", user), ("release", release)) if name]
    if words:
        return " of ".join(words)
    references = metadata_of(obj).get("ownerReferences") or ()
    return f'{references[0]["kind"]} "{references[0]["name"]}"' if references else "somebody else"


def _asked_to_end(pod: Raw, now: datetime) -> datetime:
    """When the deletion was asked for; its timestamp is that moment plus the grace period."""
    metadata = metadata_of(pod)
    if not metadata.get("deletionTimestamp"):
        return now
    grace = timedelta(seconds=int(metadata.get("deletionGracePeriodSeconds") or 0))
    return timestamps.parse(metadata["deletionTimestamp"]) - grace


def _cause(pod: Raw, now: datetime) -> str:
    if is_on_lost_node(pod):
        return ", because its machine does not answer"
    if finalizers := metadata_of(pod).get("finalizers"):
        return f", because {', '.join(finalizers)} has not released it"
    deadline = metadata_of(pod).get("deletionTimestamp")
    if deadline and now < timestamps.parse(deadline):
        return ", because it has been given time to save its work"
    return ", because its machine has not confirmed its end"


def cluster_busy(detail: str = "") -> Diagnosis:
    """The API server asked to wait (429), stumbled (5xx) or is slow; the request is repeated."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        "The cluster is busy, so your server waits for its turn.",
        reason=Reason.CLUSTER_BUSY,
        detail=detail,
        missed="it had no turn",
    )


def webhook_broken(detail: str = "") -> Diagnosis:
    """The API server must ask a webhook, which fails or is away; the request is repeated."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        "A service that the cluster must ask about your server fails or does not answer, so your server waits.",
        reason=Reason.CLUSTER_UNAVAILABLE,
        detail=detail,
        missed="it did not recover",
    )


def cluster_silent(detail: str = "") -> Diagnosis:
    """The API server cannot be reached at the moment; the start goes on when it is back."""
    return Diagnosis.waiting(
        Stage.REQUEST,
        "The cluster does not answer at the moment, so your server waits.",
        reason=Reason.CLUSTER_UNAVAILABLE,
        detail=detail,
        missed="it did not come back",
    )


def cluster_unavailable(detail: str = "") -> Diagnosis:
    """The API server stayed away until the deadline."""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.CLUSTER_UNAVAILABLE,
        "The cluster does not answer, so your server could not be started. Please try again in some minutes.",
        detail=detail,
    )


def no_cluster(detail: str = "") -> Diagnosis:
    """The hub was not told which cluster to use, or in a way that does not work."""
    return Diagnosis.failed(
        Stage.REQUEST,
        Reason.CLUSTER_UNAVAILABLE,
        "The hub is not connected to a cluster, so your server could not be started. "
        "Please tell your administrator.",
        detail=detail,
    )


def placed_on_same_node(servername: str, claim: Key, node: str) -> Diagnosis:
    """The pod will run where the other server's runs, because the disk is there."""
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"{capitalized(server_in_words(servername))} uses the same volume, so this one is placed on the same machine.",
        detail=f"claim {claim} is ReadWriteOnce and in use on node {node}",
    )


def waits_for_other_server(servername: str, claim: Key, lasting: timedelta) -> Diagnosis:
    """The other server has the volume, and no machine yet."""
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"{capitalized(server_in_words(servername))} uses the same volume and has no machine yet; "
        "this one waits to be placed on the same machine.",
        reason=Reason.VOLUME_IN_USE,
        detail=f"claim {claim} is ReadWriteOnce, and the pod that mounts it has no node",
        lasting=lasting,
        missed="it did not get one",
    )


def in_exclusive_use(servername: str, claim: Key) -> Diagnosis:
    """The volume is for one pod at a time."""
    return _in_use(
        f"This server needs a volume that only one server at a time can use, and {server_in_words(servername)} uses it. "
        "Please stop that one first.",
        f"claim {claim} is ReadWriteOncePod",
    )


def volumes_on_different_nodes(servernames: tuple[str, str], nodes: tuple[str, str]) -> Diagnosis:
    """Two volumes are on different machines."""
    return _in_use(
        f"This server needs the volumes of {listed([server_in_words(name) for name in servernames])}, "
        "which run on different machines. Please stop one of them first.",
        f"its ReadWriteOnce claims are in use on the nodes {' and '.join(nodes)}",
    )


def on_another_machine(servername: str, claim: Key, *, node: str, wanted: str) -> Diagnosis:
    """The pod's settings name its node, and the volume is on another."""
    return _in_use(
        f"{capitalized(server_in_words(servername))} uses a volume of this one on another machine. Please stop that one first.",
        f"claim {claim} is ReadWriteOnce and in use on node {node}; the pod's nodeName is {wanted}",
    )


def waits_for_place(servername: str, detail: str, lasting: timedelta) -> Diagnosis:
    """The machine of the other server has no room, or takes nobody now."""
    return Diagnosis.waiting(
        Stage.SCHEDULING,
        f"Your server is waiting for a place on the machine of {server_in_words(servername)}, "
        "because both use the same volume.",
        reason=Reason.VOLUME_IN_USE,
        detail=detail,
        lasting=lasting,
        missed="there was none",
    )


def unfit_machine(servername: str, detail: str) -> Diagnosis:
    """The server asks for another kind of machine than the one where the volume is."""
    return _in_use(
        f"{capitalized(server_in_words(servername))} uses a volume of this one on a machine that is not of the kind "
        "that this one asks for. Please stop that one first.",
        detail,
    )


def server_in_words(name: str) -> str:
    """Name a server to its user."""
    return f'your server "{name}"' if name else "your default server"


def _in_use(sentence: str, detail: str) -> Diagnosis:
    return Diagnosis.failed(Stage.STORAGE, Reason.VOLUME_IN_USE, sentence, detail=detail)
