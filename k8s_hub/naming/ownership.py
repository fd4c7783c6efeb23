"""Who owns an object, in the terms of ``docs/lifecycle.md``: ours, this attempt's, older, dying, foreign."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from k8s_hub.objects.keys import annotations_of, is_dying, key_of, labels_of, metadata_of
from k8s_hub.objects.raw import Raw

USERNAME_ANNOTATION = "hub.jupyter.org/username"
"""Also the name of a label, whose value is a slug of the user's name."""

SERVERNAME_ANNOTATION = "hub.jupyter.org/servername"
ATTEMPT_ANNOTATION = "hub.jupyter.org/start-attempt"
"""The id of the start that created the object."""

SAME_NODE_ANNOTATION = "hub.jupyter.org/placed-beside"
"""On a pod that must run on the node of another server's pod: that server's name, empty for the default server."""

EXTRA_CLAIM_ANNOTATION = "hub.jupyter.org/extra-claim"
"""On an extra claim: its name in ``extra_claims``."""

RELEASE_LABELS = ("app.kubernetes.io/instance", "release")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """One server of one user of one hub."""

    namespace: str
    username: str
    servername: str
    release_labels: Mapping[str, str]


class Relation(Enum):
    """The relation of an object to a start of one server."""

    THIS_ATTEMPT = "this attempt"
    OLDER = "older"
    DYING = "dying"
    FOREIGN = "foreign"


def is_ours(obj: Raw, identity: ServerIdentity) -> bool:
    """True if the object belongs to this server, even if KubeSpawner created it."""
    annotations = annotations_of(obj)
    return (
        key_of(obj).namespace == identity.namespace
        and annotations.get(USERNAME_ANNOTATION) == identity.username
        and annotations.get(SERVERNAME_ANNOTATION, "") == identity.servername
        and matches_release(obj, identity)
    )


def is_of_hub(obj: Raw, identity: ServerIdentity) -> bool:
    """True if the object names a user of a hub, unless it belongs to another release than this server."""
    says_so = USERNAME_ANNOTATION in annotations_of(obj) or USERNAME_ANNOTATION in labels_of(obj)
    return says_so and matches_release(obj, identity)


def matches_release(obj: Raw, identity: ServerIdentity) -> bool:
    """False only if both sides have a release label and they differ: another hub in the same namespace."""
    return has_release(obj, identity.release_labels) is not False


def has_release(obj: Raw, release_labels: Mapping[str, str]) -> bool | None:
    """Return whether the object's labels name this release; None if both sides have no release label in common."""
    labels = labels_of(obj)
    common = [label for label in RELEASE_LABELS if label in labels and label in release_labels]
    return all(labels[label] == release_labels[label] for label in common) if common else None


def relation(obj: Raw, identity: ServerIdentity, attempt_id: str) -> Relation:
    """Return the relation of the object to the start with this attempt id."""
    if not is_ours(obj, identity):
        return Relation.FOREIGN
    if is_dying(obj):
        return Relation.DYING
    if annotations_of(obj).get(ATTEMPT_ANNOTATION) == attempt_id:
        return Relation.THIS_ATTEMPT
    return Relation.OLDER


def with_attempt_id(obj: Raw, attempt_id: str) -> dict[str, Any]:
    """Return a copy of the object with the id of a start."""
    annotations = {**annotations_of(obj), ATTEMPT_ANNOTATION: attempt_id}
    return {**obj, "metadata": {**metadata_of(obj), "annotations": annotations}}
