"""Which error an HTTP status means, and what its sentence says."""

import pytest

from k8s_hub.hub.errors import HubForbidden, HubNotFound, HubUnavailable, Refused, error_of


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (302, Refused), (400, Refused), (401, HubForbidden), (403, HubForbidden), (404, HubNotFound), (405, Refused),
        (408, HubUnavailable), (409, Refused), (429, HubUnavailable), (500, HubUnavailable), (503, HubUnavailable),
    ],
)  # fmt: skip
def test_kinds(code, kind):
    error = error_of(code, "GET /users", "said", scope="list:users", retry_after=3.0)
    assert type(error) is kind
    assert error.code == code
    assert "GET /users" in str(error)


def test_retry_after_is_kept():
    assert error_of(429, "GET /users", "slow down", scope="", retry_after=3.0).retry_after == 3.0


def test_a_missing_scope_is_named():
    said = "Action is not authorized with current scopes; requires any of [list:users]"
    assert "lacks the scope list:users" in str(error_of(403, "GET /users", said, scope="list:users"))


def test_a_token_that_the_hub_does_not_know_lacks_no_scope():
    error = error_of(403, "GET /users", "Missing or invalid credentials.", scope="list:users")
    assert "not valid for this hub" in str(error)
    assert "list:users" not in str(error)
