"""Rights: what the hub's account may do, verb by verb, beside what is needed."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from k8s_hub.culler.core.needs import lacking, needs
from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong

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


def check_rights(answers: Mapping[Right, bool | None]) -> Iterator[Finding]:
    """Check what the API server said of each right; None: it did not say."""
    if answers and all(is_allowed is None for is_allowed in answers.values()):
        yield unknown(
            CHECK,
            "of the hub's account",
            "the API server says of none whether it is allowed",
            advice="run it with an account that may ask (subjectaccessreviews)",
        )
        return
    for right, is_allowed in answers.items():
        yield _finding(right, is_allowed)


def _finding(right: Right, is_allowed: bool | None) -> Finding:
    if is_allowed is None:
        return unknown(
            CHECK,
            str(right),
            "the API server does not say",
            advice="run it with an account that may ask (subjectaccessreviews)",
        )
    if is_allowed:
        return fine(CHECK, str(right))
    if right.opens:
        return noted(CHECK, str(right), f"not allowed, which only {right.opens} needs")
    return wrong(
        CHECK,
        str(right),
        "not allowed",
        advice=f"add the verb {right.verb} on {right.resource} to the Role of the hub's account",
    )


SCOPES_CHECK = "culler"
SUBJECT = "scopes of the token"


def check_scopes(held: Collection[str] | None) -> Iterator[Finding]:
    """Check what the token has; None where there is no token to ask with."""
    if held is None:
        yield unknown(
            SCOPES_CHECK,
            SUBJECT,
            "no token: JUPYTERHUB_API_TOKEN is not set, and no culler runs here",
            advice="run it in the hub's pod, or give the culler's token in JUPYTERHUB_API_TOKEN",
        )
        return
    wanted = tuple(needs(culls_users=False, is_dry_run=False, of_rules=()))
    missing = [
        wrong(
            SCOPES_CHECK, SUBJECT, sentence, advice="add it to the role of the culler's service (load_roles)"
        )
        for sentence in lacking(wanted, held)
    ]
    yield from missing or [fine(SCOPES_CHECK, SUBJECT)]
