"""What stands where a server is to be: the previous server of its user, or somebody else's object."""

from datetime import datetime, timedelta

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.patience import Patience
from k8s_hub.diagnosis.pod_life import is_on_lost_node
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import annotations_of, key_of, labels_of, metadata_of
from k8s_hub.objects.raw import Raw

_USERNAME = "hub.jupyter.org/username"


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
        detail=f"namespace {name} has no label or annotation {_USERNAME}, nor has a pod or claim in it, and no server "
        f"of this user has been in it. If it is meant for this hub: kubectl label namespace {name} {_USERNAME}=NAME, "
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


def previous_server(pod: Raw, now: datetime, patience: Patience | None = None) -> Diagnosis:
    """An earlier pod of this server is shutting down; once that takes long, say what it waits for."""
    lasting = max(now - _asked_to_end(pod, now), timedelta())
    slow = lasting >= (patience or Patience()).shutdown
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
    user = annotations_of(obj).get(_USERNAME)
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
    """The API server asked for patience (429), stumbled (5xx) or is slow; the request is repeated."""
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
