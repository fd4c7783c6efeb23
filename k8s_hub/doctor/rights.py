"""Rights: what the hub's account may do, verb by verb, beside what is needed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from k8s_hub.doctor.findings import Finding, Status

CHECK = "rights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb on one kind of object."""

    verb: str
    resource: str  # plural
    group: str = ""  # "" is the core group
    is_of_cluster: bool = False  # in all namespaces, or on what is in none
    opens: str = ""  # what it is for, where the hub does without; "": it is needed

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


_CHANGED = ("pods", "persistentvolumeclaims", "secrets", "services")
NEEDED = (
    *(
        Right(verb=verb, resource=resource)
        for resource in _CHANGED
        for verb in ("get", "list", "watch", "create", "delete")
    ),
    *(Right(verb=verb, resource="events") for verb in ("get", "list", "watch")),
)
"""The Role of the Zero to JupyterHub chart."""

OPTIONAL = (
    Right(verb="patch", resource="persistentvolumeclaims", opens="storage_grow"),
    Right(verb="create", resource="namespaces", is_of_cluster=True, opens="enable_user_namespaces"),
)


def judge(answers: Mapping[Right, bool | None]) -> Iterator[Finding]:
    """Judge what the API server said of each right; None: it did not say."""
    if answers and all(is_allowed is None for is_allowed in answers.values()):
        yield Finding(
            check=CHECK,
            subject="of the hub's account",
            status=Status.UNKNOWN,
            message="the API server says of none whether it is allowed",
            advice="run it with an account that may ask (subjectaccessreviews)",
        )
        return
    for right, is_allowed in answers.items():
        yield _finding(right, is_allowed)


def _finding(right: Right, is_allowed: bool | None) -> Finding:
    if is_allowed is None:
        return Finding(
            check=CHECK,
            subject=str(right),
            status=Status.UNKNOWN,
            message="the API server does not say",
            advice="run it with an account that may ask (subjectaccessreviews)",
        )
    if is_allowed:
        return Finding(check=CHECK, subject=str(right), status=Status.FINE)
    if right.opens:
        return Finding(
            check=CHECK,
            subject=str(right),
            status=Status.NOTED,
            message=f"not allowed, which only {right.opens} needs",
        )
    return Finding(
        check=CHECK,
        subject=str(right),
        status=Status.WRONG,
        message="not allowed",
        advice=f"add the verb {right.verb} on {right.resource} to the Role of the hub's account",
    )
