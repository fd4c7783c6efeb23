"""Scopes: whether the culler's token may do what the culler does."""

from collections.abc import Collection, Iterator

from k8s_hub.culler.needs import lacking, needs
from k8s_hub.doctor.findings import Finding, Status

CHECK = "culler"
SUBJECT = "scopes of the token"


def judge(held: Collection[str] | None) -> Iterator[Finding]:
    """Judge what the token has; None where there is no token to ask with."""
    if held is None:
        yield Finding(
            check=CHECK,
            subject=SUBJECT,
            status=Status.UNKNOWN,
            message="no token: JUPYTERHUB_API_TOKEN is not set, and no culler runs here",
            advice="run it in the hub's pod, or give the culler's token in JUPYTERHUB_API_TOKEN",
        )
        return
    wanted = tuple(needs(culls_users=False, is_dry_run=False, of_rules=()))
    missing = [
        Finding(
            check=CHECK,
            subject=SUBJECT,
            status=Status.WRONG,
            message=sentence,
            advice="add it to the role of the culler's service (load_roles)",
        )
        for sentence in lacking(wanted, held)
    ]
    yield from missing or [Finding(check=CHECK, subject=SUBJECT, status=Status.FINE)]
