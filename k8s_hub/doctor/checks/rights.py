"""Rights: what the hub's account may do, compared with what the hub needs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from k8s_hub.culler.core.needs import Need, Options, lacking
from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong

CHECK = "rights"
ACCOUNT = "the hub's account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb on one kind of object."""

    verb: str
    resource: str  # plural, of the core group
    is_of_cluster: bool = False  # cluster-wide: all namespaces, or a cluster-scoped resource
    opens: str = ""  # the option that needs this right; "": the hub always needs it

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


_WATCHED = ("get", "list", "watch", "create", "delete")
_NOT_WATCHED = ("get", "list", "create", "delete")
_USED = {
    "pods": _WATCHED,
    "persistentvolumeclaims": _WATCHED,
    "secrets": _NOT_WATCHED,
    "services": _NOT_WATCHED,
    "events": ("list", "watch"),
}
NEEDED = tuple(Right(verb=verb, resource=resource) for resource, verbs in _USED.items() for verb in verbs)
"""What the hub uses. The Role of the Zero to JupyterHub chart also grants get events, and watch secrets and services."""

OPTIONAL = (
    Right(verb="patch", resource="persistentvolumeclaims", opens="storage_grow"),
    Right(verb="create", resource="namespaces", is_of_cluster=True, opens="enable_user_namespaces"),
)


def check_rights(answers: Mapping[Right, bool | None]) -> Iterator[Finding]:
    """Check the API server's answer about each right; None: the account may not ask."""
    if answers and all(is_allowed is None for is_allowed in answers.values()):
        yield _unanswered(ACCOUNT, "any of them")
        return
    for right, is_allowed in answers.items():
        yield _finding(right, is_allowed)


def _unanswered(subject: str, what: str) -> Finding:
    return unknown(
        CHECK,
        subject,
        f"the API server did not answer whether {what} is allowed",
        advice="run doctor with an account that may create subjectaccessreviews",
    )


def _finding(right: Right, is_allowed: bool | None) -> Finding:
    if is_allowed is None:
        return _unanswered(str(right), "it")
    if is_allowed:
        return fine(CHECK, str(right))
    if right.opens:
        return noted(CHECK, str(right), f"not allowed; only {right.opens} needs it")
    return wrong(
        CHECK,
        str(right),
        "not allowed",
        advice=f"add the verb {right.verb} on {right.resource} to the Role of the hub's account",
    )


SCOPES_CHECK = "culler"
SUBJECT = "scopes of the token"


def check_scopes(
    held: Collection[str] | None,
    whose: str = "",
    wanted: Sequence[Need] | None = None,
    judged_by: str = "",
    *,
    is_of_culler: bool = True,
) -> Iterator[Finding]:
    """Check the token's scopes; None without a token.

    whose: the token, as the findings name it; wanted: what the culler's options need, None: they are not known;
    judged_by: whose options these are, in a sentence; is_of_culler: whether a culler certainly has the token.
    """
    if held is None:
        yield unknown(
            SCOPES_CHECK,
            SUBJECT,
            "no token: JUPYTERHUB_API_TOKEN is not set, and no culler runs here",
            advice="run doctor in the hub's pod, or set JUPYTERHUB_API_TOKEN to the culler's token",
        )
        return
    sentences = lacking(Options().needs(held) if wanted is None else wanted, held)
    missing = [
        wrong(
            SCOPES_CHECK,
            SUBJECT,
            f"{whose}: {sentence}",
            advice="add it to the role of the culler's service (load_roles)",
        )
        if is_of_culler
        else unknown(
            SCOPES_CHECK,
            SUBJECT,
            f"{whose}: if this is the culler's token: {sentence}",
            advice="run doctor in the hub's pod, or give the culler's token with its flags in --culler-flags",
        )
        for sentence in sentences
    ]
    enough = (
        "enough for the default options: give the culler's own as --culler-flags"
        if wanted is None
        else "enough for its options and rules"
    )
    if judged_by:
        yield noted(SCOPES_CHECK, "options", judged_by)
    yield from missing or [fine(SCOPES_CHECK, SUBJECT, f"{whose}: {enough}")]
