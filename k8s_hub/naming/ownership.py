"""Who owns an object, in the terms of ``docs/lifecycle.md``: ours, this attempt's, older, terminating, foreign."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Self

from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import annotations_of, is_terminating, key_of, labels_of, metadata_of
from k8s_hub.objects.raw import Raw

USERNAME_ANNOTATION = "hub.jupyter.org/username"
"""Also the name of a label, whose value is a slug of the user's name."""

SERVERNAME_ANNOTATION = "hub.jupyter.org/servername"
USER_ID_ANNOTATION = "hub.jupyter.org/user-id"
"""A `UserId`: who the object was made for, whatever their name is now."""

ATTEMPT_ANNOTATION = "hub.jupyter.org/start-attempt"
"""The id of the start that created the object."""

SAME_NODE_ANNOTATION = "hub.jupyter.org/placed-beside"
"""On a pod that must run on the node of another server's pod: that server's name, empty for the default server."""

EXTRA_CLAIM_ANNOTATION = "hub.jupyter.org/extra-claim"
"""On an extra claim: its name in ``extra_claims``."""

NOTEBOOK_CONTAINER = "notebook"
"""The name of the server's container in a pod that a spawner created."""

RELEASE_LABELS = ("app.kubernetes.io/instance", "release")

FEW = 3
LARGEST_SHARE = 0.5
"""More than `FEW`, and than this share of all objects without an owner: the hub may have lost its database."""

_NUMBERS = range(1, 2**31)
"""Keys of rows. A database may raise an error for others, and an annotation can have any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserId:
    """One user of one hub's database: no rename changes this, and no other user ever has it."""

    number: int
    """The key of the row. Another database counts from 1 again, so it identifies nobody alone."""
    created: datetime
    """When the hub added the user (aware)."""

    def __str__(self) -> str:
        return f"{self.number}@{self.created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the id in an annotation; None if it is none."""
        number, _, created = text.partition("@")
        try:
            user_id = cls(number=int(number), created=timestamps.parse(created))
        except ValueError:
            return None
        return user_id if user_id.number in _NUMBERS else None

    def is_same(self, other: "UserId") -> bool:
        """Compare two ids. MySQL and MariaDB keep only the seconds, so the hub has others after a restart."""
        if self.number != other.number:
            return False
        has_fractions = self.created.microsecond and other.created.microsecond
        difference = abs(self.created - other.created)
        return not difference if has_fractions else difference < timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """One server of one user of one hub."""

    namespace: str
    username: str
    servername: str
    release_labels: Mapping[str, str]
    #: None: the hub cannot say.
    user_id: UserId | None = None
    #: The ids of the hub's other users.
    other_users: Container[UserId] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.username}/{self.servername}" if self.servername else self.username


class Relation(Enum):
    """The relation of an object to a start of one server."""

    THIS_ATTEMPT = "this attempt"
    OLDER = "older"
    TERMINATING = "terminating"
    FOREIGN = "foreign"


def is_ours(obj: Raw, identity: ServerIdentity) -> bool:
    """True if the object belongs to this server, even if KubeSpawner created it."""
    annotations = annotations_of(obj)
    return (
        key_of(obj).namespace == identity.namespace
        and annotations.get(SERVERNAME_ANNOTATION, "") == identity.servername
        and is_of_user(obj, identity)
        and matches_release(obj, identity)
    )


def user_id_of(obj: Raw) -> UserId | None:
    """Return the id of the user that the object was made for; None if KubeSpawner or an earlier version made it."""
    return UserId.parse(annotations_of(obj).get(USER_ID_ANNOTATION, ""))


def has_user_id(obj: Raw, identity: ServerIdentity) -> bool:
    """True if the object was certainly made for this server's user, perhaps under an earlier name."""
    user_id = user_id_of(obj)
    return user_id is not None and identity.user_id is not None and user_id.is_same(identity.user_id)


def is_of_namesake(obj: Raw, identity: ServerIdentity) -> bool:
    """True if the object names this user, and was made for another one, who had the name before a rename."""
    has_name = annotations_of(obj).get(USERNAME_ANNOTATION) == identity.username
    return has_name and not has_user_id(obj, identity) and user_id_of(obj) in identity.other_users


def is_of_user(obj: Raw, identity: ServerIdentity) -> bool:
    """True if the object belongs to this server's user: by the user's id, else by the name.

    An id that no user has is of an earlier database or of a deleted user: then the name counts.
    """
    if has_user_id(obj, identity):
        return True
    has_name = annotations_of(obj).get(USERNAME_ANNOTATION) == identity.username
    return has_name and not is_of_namesake(obj, identity)


def is_of_hub(obj: Raw, identity: ServerIdentity) -> bool:
    """True if the object names a user of a hub, unless it belongs to another release than this server."""
    says_so = USERNAME_ANNOTATION in annotations_of(obj) or USERNAME_ANNOTATION in labels_of(obj)
    return says_so and matches_release(obj, identity)


def matches_release(obj: Raw, identity: ServerIdentity) -> bool:
    """False only if both sides have a release label and they differ: another hub in the same namespace."""
    return has_release(obj, identity.release_labels) is not False


def releases_of(obj: Raw) -> set[str]:
    """Return the releases that the object's labels name."""
    labels = labels_of(obj)
    return {labels[label] for label in RELEASE_LABELS if label in labels}


def has_release(obj: Raw, release_labels: Mapping[str, str]) -> bool | None:
    """Return whether the object's labels name this release; None if both sides have no release label in common."""
    labels = labels_of(obj)
    common = [label for label in RELEASE_LABELS if label in labels and label in release_labels]
    return all(labels[label] == release_labels[label] for label in common) if common else None


def relation(obj: Raw, identity: ServerIdentity, attempt_id: str) -> Relation:
    """Return the relation of the object to the start with this attempt id."""
    if not is_ours(obj, identity):
        return Relation.FOREIGN
    if is_terminating(obj):
        return Relation.TERMINATING
    if attempt_id_of(obj) == attempt_id:
        return Relation.THIS_ATTEMPT
    return Relation.OLDER


def attempt_id_of(obj: Raw) -> str | None:
    """Return the id of the start that created the object; None if it has none."""
    return annotations_of(obj).get(ATTEMPT_ANNOTATION)


def with_attempt_id(obj: Raw, attempt_id: str) -> dict[str, Any]:
    """Return a copy of the object with the id of a start."""
    return _annotated(obj, ATTEMPT_ANNOTATION, attempt_id)


def with_user_id(obj: Raw, user_id: UserId | None) -> Raw:
    """Return a copy of the object with the id of its user, by which it is found after a rename."""
    return obj if user_id is None else _annotated(obj, USER_ID_ANNOTATION, str(user_id))


def _annotated(obj: Raw, name: str, value: str) -> dict[str, Any]:
    annotations = {**annotations_of(obj), name: value}
    return {**obj, "metadata": {**metadata_of(obj), "annotations": annotations}}


def is_most_without_owner(count: int, total: int) -> bool:
    """Tell whether so many objects of all have no owner in the hub that it may have lost its database."""
    return count > max(FEW, LARGEST_SHARE * total)
