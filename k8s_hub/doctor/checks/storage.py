"""Storage: whether a storage class provisions users' volumes, and whether it deletes their files."""

from collections.abc import Iterator, Sequence

from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong
from k8s_hub.objects.keys import annotations_of, key_of
from k8s_hub.objects.raw import Raw

CHECK = "storage"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
DEFAULTS = (DEFAULT, "storageclass.beta.kubernetes.io/is-default-class")
"""Kubernetes takes both for the cluster's default."""


def check_storage(
    classes: Sequence[Raw] | None, wanted: str | None, *, has_claims: bool = True
) -> Iterator[Finding]:
    """Check the cluster's storage classes.

    classes: None if the account cannot list them.
    wanted: KubeSpawner.storage_class; None is the cluster's default, "" is no class.
    has_claims: whether spawners have made claims in the namespace; if not, the hub may need no class.
    """
    subject = subject_of(wanted)
    if classes is None:
        yield unknown(
            CHECK,
            subject,
            "this account cannot list storage classes; the hub does not need to",
            advice="run doctor with an administrator's kubeconfig",
        )
    elif wanted == "":
        yield noted(CHECK, subject, "an administrator must create each volume in advance")
    elif wanted is None and not has_claims and not default_classes(classes):
        yield noted(
            CHECK,
            subject,
            "the cluster has none, and the hub has made no claims: it needs one only if it makes a claim for each user",
            advice="if it does, create a default class, or set KubeSpawner.storage_class to an existing class",
        )
    else:
        yield from _check_found(_candidates(classes, wanted), subject)


def subject_of(wanted: str | None) -> str:
    """Return how findings name the storage class of users' volumes."""
    return "default class" if wanted is None else wanted or "no class"


def _candidates(classes: Sequence[Raw], wanted: str | None) -> list[Raw]:
    if wanted is not None:
        return [one for one in classes if key_of(one).name == wanted]
    return default_classes(classes)


def default_classes(classes: Sequence[Raw]) -> list[Raw]:
    """Return the classes that are marked as the cluster's default."""
    return [one for one in classes if any(annotations_of(one).get(mark) == "true" for mark in DEFAULTS)]


def _check_found(found: Sequence[Raw], subject: str) -> Iterator[Finding]:
    if not found:
        yield wrong(
            CHECK,
            subject,
            "storage class not found: servers will wait for their volumes",
            advice="create it, or set KubeSpawner.storage_class to an existing class",
        )
        return
    names = ", ".join(key_of(one).name for one in found)
    if len(found) > 1:
        yield noted(CHECK, subject, f"several defaults ({names}): Kubernetes uses the newest")
    else:
        yield fine(CHECK, subject, names)
    for one in found:
        if one.get("reclaimPolicy", "Delete") == "Delete":
            yield noted(
                CHECK,
                key_of(one).name,
                "deleting a claim also deletes its files (reclaimPolicy Delete)",
            )
