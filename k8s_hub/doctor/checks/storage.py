"""Storage: whether there is a class that makes users' volumes, and what it does with them later."""

from collections.abc import Iterator, Sequence

from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong
from k8s_hub.objects.keys import annotations_of, key_of
from k8s_hub.objects.raw import Raw

CHECK = "storage"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def check_storage(classes: Sequence[Raw] | None, wanted: str | None) -> Iterator[Finding]:
    """Check the cluster's storage classes.

    classes: None where they are not shown.
    wanted: the name in KubeSpawner.storage_class; None is the cluster's default, "" none.
    """
    subject = "default class" if wanted is None else wanted or "no class"
    if classes is None:
        yield unknown(
            CHECK,
            subject,
            "the API server does not show storage classes to this account; the hub need not see them",
            advice="run it with an administrator's kubeconfig",
        )
    elif wanted == "":
        yield noted(CHECK, subject, "volumes must be there beforehand")
    else:
        yield from _check_found(_candidates(classes, wanted), subject)


def _candidates(classes: Sequence[Raw], wanted: str | None) -> list[Raw]:
    if wanted is not None:
        return [one for one in classes if key_of(one).name == wanted]
    return [one for one in classes if annotations_of(one).get(DEFAULT) == "true"]


def _check_found(found: Sequence[Raw], subject: str) -> Iterator[Finding]:
    if not found:
        yield wrong(
            CHECK,
            subject,
            "there is no such storage class, so no volume is made and servers wait for theirs",
            advice="make one, or name another one in KubeSpawner.storage_class",
        )
        return
    names = ", ".join(key_of(one).name for one in found)
    if len(found) > 1:
        yield noted(CHECK, subject, f"there are several ({names}), and the latest is taken")
    else:
        yield fine(CHECK, subject, names)
    for one in found:
        if one.get("reclaimPolicy", "Delete") == "Delete":
            yield noted(
                CHECK,
                key_of(one).name,
                "whoever deletes a claim deletes its files, too (reclaimPolicy Delete)",
            )
