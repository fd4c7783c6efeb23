import json

from devkit.realcluster.audit import Request, requests_of

HUB = "system:serviceaccount:team:hub"


def event(verb, code, *, user=HUB, uri="/api", target=None):
    reference = {"objectRef": target} if target else {}
    answer = {"user": {"username": user}, "responseStatus": {"code": code}}
    return json.dumps({"verb": verb, "requestURI": uri, **answer, **reference})


def test_only_what_the_account_asked_for_is_told_in_the_words_of_a_role(tmp_path):
    status = {"resource": "pods", "subresource": "status", "namespace": "team", "name": "jupyter-ada"}
    lines = [
        event("get", 403, target=status),
        event("list", 200, user="system:serviceaccount:team:hub2", target={"resource": "secrets"}),
        event("list", 200, target={"resource": "nodes"}),
        event("get", 200, uri="/version?timeout=3s"),
    ]
    (tmp_path / "log").write_text("\n".join(lines))
    assert list(requests_of(tmp_path / "log", account="hub", namespace="team")) == [
        Request(verb="get", resource="pods/status", namespace="team", code=403),
        Request(verb="list", resource="nodes", namespace=None, code=200),
        Request(verb="get", resource="/version", namespace=None, code=200),
    ]
