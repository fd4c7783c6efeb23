"""Claims and requests for the tests, with the names of one namespace and release."""

from datetime import UTC, datetime

from k8s_hub.claims.home import HomeRequest, legacy_names
from k8s_hub.claims.lookup import owners_of
from k8s_hub.naming.ownership import (
    SERVERNAME_ANNOTATION,
    USER_ID_ANNOTATION,
    USERNAME_ANNOTATION,
    ServerIdentity,
    UserId,
)
from k8s_hub.naming.templates import Names, expand, scope_of
from k8s_hub.objects.keys import key_of

NAMESPACE = "jhub"
RELEASE = {"release": "jhub"}


def claim(
    name, user=None, server="", *, namespace=NAMESPACE, release="jhub", created="2026-01-01T00:00:00Z", **more
):
    """Return a claim as the API server shows it; without ``user`` it has no annotations of ours."""
    annotations = dict(more.pop("annotations", {}))
    if user is not None:
        annotations[USERNAME_ANNOTATION] = user
    if server:
        annotations[SERVERNAME_ANNOTATION] = server
    phase = more.pop("phase", "Bound")
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{name}",
            "labels": {} if release is None else {"release": release},
            "annotations": annotations,
            "creationTimestamp": created,
            **more,
        },
        "status": {"phase": phase},
    }


def user_id(number, second=0, microsecond=5):
    return UserId(number=number, created=datetime(2025, 1, 1, 0, 0, second, microsecond, tzinfo=UTC))


def made_for(user_id, **annotations):
    """Return the annotations of an object that was made for this user."""
    return {USER_ID_ANNOTATION: str(user_id), **annotations}


class Users:
    """The hub's other users."""

    def __init__(self, *user_ids):
        self._user_ids = user_ids

    def __contains__(self, user_id):
        return user_id is not None and any(each.is_same(user_id) for each in self._user_ids)


def identity(user="ada", server="", **more):
    return ServerIdentity(
        namespace=NAMESPACE, username=user, servername=server, release_labels=RELEASE, **more
    )


def request(user="ada", server="", *, template="claim-{user_server}", userid=7, **changed):
    """Return a request of one server, with the template's name and all legacy names."""
    names = Names.of(username=user, servername=server, userid=userid, hub_namespace=NAMESPACE)
    return HomeRequest(
        **{
            "identity": identity(user, server),
            "template_name": expand(template, names),
            "scope": scope_of(template),
            "legacy_names": legacy_names(template, names),
            **changed,
        }
    )


class ListedClaims:
    """The lookup for a list of claims."""

    def __init__(self, claims):
        self._claims = {key_of(claim): claim for claim in claims}

    def get(self, key, /):
        return self._claims.get(key)

    def find(self, value, /):
        return [claim for claim in self._claims.values() if value in owners_of(claim)]


def listed(*claims):
    return ListedClaims(claims)
