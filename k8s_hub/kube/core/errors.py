"""Errors of requests to the API server, as one tree.

    KubeError
    |-- ConfigurationError   no cluster is configured, or its configuration cannot be used
    |-- NotFound             404
    |-- Conflict             409: the name is taken, or a precondition (a uid) does not hold
    |-- Forbidden            401, 403
    |-- RelistRequired       410: an expired resourceVersion or continue token; also a watch that cannot be resumed
    |-- Invalid              400, 422 and every other 4xx: do not retry
    `-- Unavailable          429, 5xx, no connection, no answer in time: retry; also a create's 409 about another
                             object, and a 403 that may be transient (both: `k8s_hub.kube.api`)

Errors keep the reason and message of a Status body. Any other body comes from a proxy and may echo request headers, so the
message has only its size and type.
"""

from collections.abc import Mapping
from typing import Self

from k8s_hub.kube.core import decoding
from k8s_hub.objects.raw import Raw


class KubeError(Exception):
    """A call to the API server failed. The class tells a caller how to react."""

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        reason: str = "",
        status: Raw | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code  # HTTP status; 0 without a response
        self.reason = reason  # the Status's reason, such as "AlreadyExists"
        self.status = status  # the Status body; None without one
        self.retry_after = retry_after  # seconds; None without a Retry-After header


class ConfigurationError(KubeError):
    """No cluster is configured, or its configuration is wrong; the message names key and value."""


class NotFound(KubeError):
    """The object does not exist."""


class Conflict(KubeError):
    """The name is taken, or a precondition does not hold."""

    @property
    def already_exists(self) -> bool:
        """True if a create found an object of the same name."""
        return self.reason == "AlreadyExists"


class Forbidden(KubeError):
    """The credentials are rejected, or a Role, quota, policy or webhook denies the request."""


class RelistRequired(KubeError):
    """A list or watch cannot be continued: list again.

    Its version or token expired (410), a line of the watch is unreadable, versions run backwards, or our code failed.
    """


class Invalid(KubeError):
    """The request is invalid; a retry cannot help."""


class Unavailable(KubeError):
    """The API server is away, busy or slow: the outcome of the request is unknown."""

    @classmethod
    def of(cls, error: KubeError) -> Self:
        """Return the same error as one to retry."""
        return cls(
            error.message,
            code=error.code,
            reason=error.reason,
            status=error.status,
            retry_after=error.retry_after,
        )


def is_unanswered(error: KubeError) -> bool:
    """Tell whether the same request may succeed later: the server is `Unavailable`, or rejects the credentials (401).

    A 401 says nothing about rights.
    """
    return isinstance(error, Unavailable) or error.code == 401


_BY_CODE: Mapping[int, type[KubeError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: RelistRequired,
    429: Unavailable,
}


def error_of_status(status: Raw, *, retry_after: float | None = None) -> KubeError:
    """Return the error for a Status body. ``retry_after`` is the header's, and overrides the body's.

    Fields of the wrong type are ignored.
    """
    code = int(_number(status.get("code")) or 500)
    reason, details = _text(status.get("reason")), status.get("details")
    if retry_after is None and isinstance(details, Mapping):
        retry_after = _number(details.get("retryAfterSeconds"))
    return _class_of(code)(
        _text(status.get("message")) or reason or f"HTTP {code}",
        code=code,
        reason=reason,
        status=status,
        retry_after=retry_after,
    )


def error_of_response(
    code: int, phrase: str, body: bytes, *, content_type: str, retry_after: float | None
) -> KubeError:
    """Return the error for a response with an HTTP error status."""
    status = _status_in(body)
    if status is not None:
        return error_of_status({**status, "code": code}, retry_after=retry_after)
    kind = content_type.split(";", maxsplit=1)[0]
    message = f"HTTP {code} {phrase} ({len(body)} bytes of {kind}, not a Kubernetes Status)"
    return _class_of(code)(message, code=code, reason=phrase, retry_after=retry_after)


def _class_of(code: int) -> type[KubeError]:
    if code in _BY_CODE:
        return _BY_CODE[code]
    return Invalid if 400 <= code < 500 else Unavailable


def _status_in(body: bytes) -> Raw | None:
    try:
        decoded = decoding.loads(body)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) and decoded.get("kind") == "Status" else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    """Return a number, also from a string; None for anything else and for implausible values."""
    try:
        number = float(value) if isinstance(value, int | float | str) else -1.0
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e9 else None
