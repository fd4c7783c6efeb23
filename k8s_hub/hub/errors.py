"""What can go wrong between this process and the hub, as one tree.

HubError
|-- HubForbidden     401, 403: the token is not valid, or lacks a scope
|-- HubNotFound      404: no such user or server, or none this token may see
|-- Refused          every other 3xx and 4xx: asking again cannot help
|-- BadReply         an answer that is not what the REST API promises
`-- HubUnavailable   429, 5xx, no connection, no answer in time: asking again can help
"""


class HubError(Exception):
    """A call to the hub failed; the class says what a caller can decide on."""

    def __init__(self, message: str, *, code: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code  # HTTP status; 0 where no answer came
        self.retry_after = retry_after  # seconds the hub asked for; None where it did not ask


class HubForbidden(HubError):
    """The token is not valid or lacks a scope; the message names the scope."""


class HubNotFound(HubError):
    """There is no such user or server, or the token may not see it."""


class Refused(HubError):
    """The hub will not do this, whoever asks again."""


class BadReply(HubError):
    """The answer cannot be read."""


class HubUnavailable(HubError):
    """The hub is away, busy or slow: nothing is known about what was asked."""


def error_of(code: int, asked: str, said: str, *, scope: str, retry_after: float | None = None) -> HubError:
    """Return the error that an HTTP status means.

    asked: method and path; said: the hub's own message; scope: what the token needs for this call.
    """
    if code in {401, 403}:
        return HubForbidden(_why_forbidden(asked, said, scope), code=code)
    if code < 400:
        return Refused(
            f"{asked} was redirected: is this the REST API, such as http://localhost:8081/hub/api?", code=code
        )
    kinds: dict[int, type[HubError]] = {404: HubNotFound, 408: HubUnavailable, 429: HubUnavailable}
    kind = kinds.get(code, HubUnavailable if code >= 500 else Refused)
    return kind(f"{asked} was answered with {code}: {said}", code=code, retry_after=retry_after)


def _why_forbidden(asked: str, said: str, scope: str) -> str:
    # The hub speaks of scopes only to a token that it knows.
    if "scope" in said:
        return f"The API token lacks the scope {scope}: {asked} was refused ({said})"
    return f"The API token is not valid for this hub: {asked} was refused ({said})"
