"""From replies to the error tree; the Status bodies have the form of a real API server's."""

import json

import pytest

from k8s_hub.kube.core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    RelistRequired,
    Unavailable,
    error_of_response,
    error_of_status,
)
from tests.kube.odd import DEEP, DIGITS


def status(code: int, reason: str = "", message: str = "no", **details):
    return {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def answered(code: int, body, *, retry_after: float | None = None):
    return error_of_response(
        code, "", json.dumps(body).encode(), content_type="application/json", retry_after=retry_after
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (400, Invalid),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (405, Invalid),
        (408, Unavailable),
        (409, Conflict),
        (410, RelistRequired),
        (422, Invalid),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (302, Unavailable),
    ],
)
def test_the_code_decides_the_class(code, expected):
    error = answered(code, status(code))

    assert type(error) is expected
    assert error.code == code


def test_a_status_is_kept_whole():
    body = status(403, "Forbidden", 'pods "a" is forbidden: exceeded quota: small', name="a", kind="pods")

    error = error_of_status(body)

    assert (error.message, error.reason, error.status) == (body["message"], "Forbidden", body)
    assert str(error) == body["message"]


@pytest.mark.parametrize(("reason", "expected"), [("AlreadyExists", True), ("Conflict", False)])
def test_a_taken_name_is_told_from_a_failed_precondition(reason, expected):
    error = error_of_status(status(409, reason))

    assert isinstance(error, Conflict)
    assert error.already_exists is expected


@pytest.mark.parametrize(
    ("header", "details", "expected"),
    [
        (None, {}, None),
        (3.0, {}, 3.0),
        (None, {"retryAfterSeconds": 5}, 5.0),
        (3.0, {"retryAfterSeconds": 5}, 3.0),
        (None, {"retryAfterSeconds": "5"}, 5.0),
        (None, {"retryAfterSeconds": [5]}, None),
        (None, {"retryAfterSeconds": 10**300}, None),
    ],
)
def test_retry_after_comes_from_the_header_or_the_body(header, details, expected):
    assert answered(429, status(429, **details), retry_after=header).retry_after == expected


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Authorization: Bearer s3cret</html>",
        b"[1]",
        b'"s3cret"',
        b'{"token": "s3cret"}',
        b"",
        b"\xff\xfe",
        DEEP.encode(),
        DIGITS.encode(),
        f'{{"kind": "Status", "code": 403, "details": {DEEP}}}'.encode(),
    ],
    ids=len,
)
def test_a_body_that_is_no_status_is_told_by_size_and_type_only(body, decoder):
    error = error_of_response(
        502, "Bad Gateway", body, content_type="text/html; charset=utf-8", retry_after=None
    )

    assert str(error) == f"HTTP 502 Bad Gateway ({len(body)} bytes of text/html, not a Kubernetes Status)"
    assert error.status is None


@pytest.mark.parametrize("odd", [None, 5, 10**4000, 1e300, True, [[]], {"a": []}])
@pytest.mark.parametrize("part", ["code", "reason", "message", "details", "status"])
def test_a_status_may_have_any_type_anywhere(part, odd):
    error = error_of_status(status(403, "Forbidden", "no") | {part: odd})

    assert isinstance(error, KubeError)
    assert len(str(error)) < 100


def test_a_status_in_a_watch_may_lack_everything():
    error = error_of_status({"kind": "Status", "code": "?", "details": None})

    assert isinstance(error, Unavailable)
    assert str(error) == "HTTP 500"


def test_every_error_is_a_kube_error():
    assert all(
        issubclass(kind, KubeError)
        for kind in (NotFound, Conflict, Forbidden, RelistRequired, Invalid, Unavailable)
    )
