"""The requests of service accounts, from the API server's audit log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Who asked for what and with which result, but no content; the cluster's own parts, which are none, are left out.
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request in the audit log. A watch appears at its start and at its end."""

    verb: str
    #: The name in Roles: "pods" or "pods/status"; the path for other requests.
    resource: str
    #: None where there is none.
    namespace: str | None
    #: The status of the answer.
    code: int


def flags(policy: Path, log: Path) -> list[str]:
    """Return the API server's flags for the log."""
    policy.write_text(json.dumps(POLICY))
    return [f"--audit-policy-file={policy}", f"--audit-log-path={log}"]


def requests_of(log: Path, *, account: str, namespace: str) -> Iterator[Request]:
    """Return a service account's requests so far."""
    username = f"system:serviceaccount:{namespace}:{account}"
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] == username:
            target = event.get("objectRef", {})
            resource = "/".join(target[key] for key in ("resource", "subresource") if key in target)
            yield Request(
                verb=event["verb"],
                resource=resource or event["requestURI"].partition("?")[0],
                namespace=target.get("namespace"),
                code=event["responseStatus"]["code"],
            )
