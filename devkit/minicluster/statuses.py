"""The errors of the API, each with the Status body that the real server sends for it."""

from collections.abc import Mapping, Sequence
from typing import Any


class StatusError(Exception):
    """A refusal: an HTTP code and the Status body that goes with it."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.metadata = metadata

    @property
    def body(self) -> dict[str, Any]:
        """The Status object."""
        body = status_body(self.code, self.reason, self.message, self.details)
        return body | {"metadata": dict(self.metadata or {})}


def status_body(
    code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a Status of failure; a ``reason`` or ``details`` that is empty is left out."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        body["reason"] = reason
    if details:
        body["details"] = dict(details)
    return body | {"code": code}


def success_body(plural: str, name: str, uid: str) -> dict[str, Any]:
    """Return the Status that answers the deletion of a kind that is not sent back itself."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": name, "kind": plural, "uid": uid},
    }


def no_such_path(path: str, known: str) -> StatusError:
    """Return the answer to a path outside of what this cluster serves."""
    return StatusError(
        404, "NotFound", f"the mini cluster does not serve {path}; it knows {known} of the core group (v1)"
    )


def unsupported_method(method: str, path: str) -> StatusError:
    """Return the answer to PUT, PATCH and deletion of whole collections."""
    return StatusError(
        405,
        "MethodNotAllowed",
        f"the mini cluster does not support {method} on {path}; it lists, gets, watches, creates and deletes",
    )


def unauthorized() -> StatusError:
    """Return the answer to a missing or wrong token."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> StatusError:
    """Return the answer to a request that makes no sense."""
    return StatusError(400, "BadRequest", message)


def not_found(plural: str, name: str) -> StatusError:
    """Return the answer to a name that is not there."""
    return StatusError(404, "NotFound", f'{plural} "{name}" not found', {"name": name, "kind": plural})


def already_exists(plural: str, name: str, *, is_terminating: bool = False) -> StatusError:
    """Return the answer to creating a name twice; the message tells when the first is being deleted."""
    message = f'{plural} "{name}" already exists'
    if is_terminating:
        message = f"object is being deleted: {message}"
    return StatusError(409, "AlreadyExists", message, {"name": name, "kind": plural})


def conflict(kind: str, name: str, cause: str) -> StatusError:
    """Return the answer to a precondition that does not hold."""
    message = f'Operation cannot be fulfilled on {kind} "{name}": {cause}'
    return StatusError(409, "Conflict", message, {"name": name, "kind": kind})


def invalid(kind: str, name: str, causes: Sequence[tuple[str, str, str]]) -> StatusError:
    """Return the answer to a body that cannot be; ``causes`` are (field, reason, message)."""
    said = [f"{field}: {message}" for field, _, message in causes]
    listed = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    details = {
        "name": name,
        "kind": kind,
        "causes": [
            {"reason": reason, "message": message, "field": field} for field, reason, message in causes
        ],
    }
    return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', details)


def namespace_ending(plural: str, name: str, namespace: str) -> StatusError:
    """Return the answer to creating anything in a namespace that is being deleted."""
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    message = (
        f'{plural} "{name}" is forbidden: unable to create new content in namespace {namespace} '
        "because it is being terminated"
    )
    return StatusError(403, "Forbidden", message, {"name": name, "kind": plural, "causes": [cause]})


def too_old(version: int, oldest: int) -> StatusError:
    """Return the answer to a watch from a version whose history is gone."""
    return StatusError(410, "Expired", f"too old resource version: {version} ({oldest})")


def from_the_future(version: int, current: int) -> StatusError:
    """Return the answer to a version that this cluster has not reached: it belongs to another one."""
    return StatusError(410, "Expired", f"too large resource version: {version}, current: {current}")


def continue_expired(token: str) -> StatusError:
    """Return the answer to a continue token whose moment is gone; ``token`` goes on at the present one."""
    return StatusError(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new "
        "list without the continue parameter, or use the continue token in this response to retrieve the "
        "remainder of the results. Continuing with the provided token results in an inconsistent list - "
        "objects that were created, modified, or deleted between the time the first chunk was returned and "
        "now may show up in the list.",
        metadata={"continue": token},
    )
