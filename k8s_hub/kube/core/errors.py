"""What can go wrong between this process and the API server, as one tree.

    KubeError
    |-- ConfigurationError   no cluster is configured, or its configuration cannot be used
    |-- NotFound             404
    |-- Conflict             409: exists already, or a precondition (a uid) of a change does not hold
    |-- Forbidden            401, 403
    |-- Gone                 410: a resourceVersion or continue token from too long ago
    |-- Invalid              400, 422 and every other 4xx: asking again cannot help
    `-- Unavailable          429, 5xx, no connection, no answer in time: asking again can help; also a create's
                             409 about another object, and for some seconds a refusal of what was allowed
                             before (both: `k8s_hub.kube.api`)

A Status body's reason and message are kept. A body that is no Status comes from something between us and the
API server and may echo headers, so only its size and type are named.
"""

from collections.abc import Mapping
from typing import Self

from k8s_hub.kube.core import decoding
from k8s_hub.objects.raw import Raw


class KubeError(Exception):
    """A call to the API server failed; the class says what a caller can decide on."""

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
        self.code = code  # HTTP status; 0 where no answer came
        self.reason = reason  # the Status's reason, such as "AlreadyExists"
        self.status = status  # None where no Status body came
        self.retry_after = retry_after  # seconds the server asked for; None where it did not ask


class ConfigurationError(KubeError):
    """No cluster is configured, or what is configured cannot be used; the message names key and value."""


class NotFound(KubeError):
    """The object does not exist."""


class Conflict(KubeError):
    """The name is taken, or a precondition does not hold."""

    @property
    def already_exists(self) -> bool:
        """True when a create met an object of that name."""
        return self.reason == "AlreadyExists"


class Forbidden(KubeError):
    """The credentials are not accepted or may not do this: Role, quota, policy or webhook."""


class Gone(KubeError):
    """The version asked for is no longer known: list again."""


class Invalid(KubeError):
    """The request itself is refused."""


class Unavailable(KubeError):
    """The API server is away, busy or slow: nothing is known about the object."""

    @classmethod
    def of(cls, error: KubeError) -> Self:
        """Return the same answer as one that may pass by itself."""
        return cls(
            error.message,
            code=error.code,
            reason=error.reason,
            status=error.status,
            retry_after=error.retry_after,
        )


_BY_CODE: Mapping[int, type[KubeError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    429: Unavailable,
}


def error_of_status(status: Raw, *, retry_after: float | None = None) -> KubeError:
    """Return the error a Status body means; ``retry_after`` is the header's, which goes before the body's.

    Of a body that has not the form of a Status, what has is believed.
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
    """Return the error that a reply with an HTTP error status means."""
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
    """Return a number that is one, or that is written as text; None for all else, and for one without a use."""
    try:
        number = float(value) if isinstance(value, int | float | str) else -1.0
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e9 else None
