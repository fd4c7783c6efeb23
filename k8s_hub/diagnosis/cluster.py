"""What the user reads when the cluster itself is in trouble: nobody's server is at fault."""

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage


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
