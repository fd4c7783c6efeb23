"""Storage: whether a storage class provisions users' volumes, and whether it deletes their files."""

from collections.abc import Iterator, Sequence

from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong
from k8s_hub.objects.keys import annotations_of, key_of
from k8s_hub.objects.raw import Raw

CHECK = "storage"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def check_storage(classes: Sequence[Raw] | None, wanted: str | None) -> Iterator[Finding]:
    """Check the cluster's storage classes.

    classes: None if the account cannot list them.
    wanted: KubeSpawner.storage_class; None is the cluster's default, "" is no class.
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
    else:
        yield from _check_found(_candidates(classes, wanted), subject)


def subject_of(wanted: str | None) -> str:
    """Return how findings name the storage class of users' volumes."""
    return "default class" if wanted is None else wanted or "no class"


def _candidates(classes: Sequence[Raw], wanted: str | None) -> list[Raw]:
    if wanted is not None:
        return [one for one in classes if key_of(one).name == wanted]
    return [one for one in classes if annotations_of(one).get(DEFAULT) == "true"]


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
