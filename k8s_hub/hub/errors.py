"""Errors of requests to the hub, as one tree.

HubError
|-- HubForbidden     401, 403: the token is not valid, or lacks a scope
|-- HubNotFound      404: no such user or server, or the token may not see it
|-- Refused          every other 3xx and 4xx: do not retry
|-- BadReply         a response that does not fit the REST API
`-- HubUnavailable   429, 5xx, no connection, no answer in time: retry
"""


class HubError(Exception):
    """A call to the hub failed. The class tells a caller how to react."""

    def __init__(self, message: str, *, code: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code  # HTTP status; 0 without a response
        self.retry_after = retry_after  # seconds; None without a Retry-After header


class HubForbidden(HubError):
    """The token is not valid or lacks a scope; the message names the scope."""


class HubNotFound(HubError):
    """There is no such user or server, or the token may not see it."""


class Refused(HubError):
    """The hub refuses the request; a retry cannot help."""


class BadReply(HubError):
    """The response cannot be parsed."""


class HubUnavailable(HubError):
    """The hub is away, busy or slow: the outcome of the request is unknown."""


def error_of(code: int, asked: str, said: str, *, scope: str, retry_after: float | None = None) -> HubError:
    """Return the error for an HTTP status.

    asked: method and URL. said: the hub's message. scope: the scope that the call needs.
    """
    if code in {401, 403}:
        return HubForbidden(_why_forbidden(asked, said, scope), code=code)
    if code < 400:
        return Refused(
            f"{asked} was redirected: check that the URL is that of the REST API, such as http://localhost:8081/hub/api",
            code=code,
        )
    kinds: dict[int, type[HubError]] = {404: HubNotFound, 408: HubUnavailable, 429: HubUnavailable}
    kind = kinds.get(code, HubUnavailable if code >= 500 else Refused)
    return kind(f"{asked} returned {code}: {said}", code=code, retry_after=retry_after)


def _why_forbidden(asked: str, said: str, scope: str) -> str:
    # The hub speaks of scopes only to a token that it knows.
    if "scope" in said:
        return f"The API token lacks the scope {scope}: {asked} was refused ({said})"
    return f"The API token is not valid for this hub: {asked} was refused ({said})"
