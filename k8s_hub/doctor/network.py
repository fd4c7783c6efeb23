"""Network policies: whether they let the hub and the proxy reach users' servers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k8s_hub.doctor.findings import Finding, Status
from k8s_hub.objects.keys import key_of
from k8s_hub.objects.raw import Raw

CHECK = "network"
PORT_NAME = "notebook-port"
SERVERS = {"component": "singleuser-server", "app.kubernetes.io/component": "singleuser-server"}
HUB = {"component": "hub", "app.kubernetes.io/component": "hub"}


def judge(policies: Sequence[Raw] | None, port: int) -> Iterator[Finding]:
    """Judge the policies of the hub's namespace; None where they may not be read."""
    if policies is None:
        yield Finding(
            check=CHECK,
            subject="network policies",
            status=Status.UNKNOWN,
            message="this account may not read them, which the hub need not",
            advice="run it with an administrator's kubeconfig",
        )
        return
    yield _way(policies, SERVERS, "Ingress", (port, PORT_NAME), f"into servers, port {port}")
    yield _way(policies, HUB, "Egress", (port,), f"out of the hub, port {port}")


def _way(
    policies: Sequence[Raw],
    labels: Mapping[str, str],
    direction: str,
    ports: Sequence[int | str],
    subject: str,
) -> Finding:
    """Judge one way: closed where policies select these pods and none of them lets the port pass."""
    concerned = [policy for policy in policies if _selects(policy, labels) and _is_for(policy, direction)]
    rules = [rule for policy in concerned for rule in policy["spec"].get(direction.lower()) or ()]
    names = ", ".join(key_of(policy).name for policy in concerned)
    if not concerned:
        return Finding(check=CHECK, subject=subject, status=Status.FINE, message="no policy restricts it")
    if any(_passes(rule, ports) for rule in rules):
        return Finding(check=CHECK, subject=subject, status=Status.FINE, message=f"let pass by {names}")
    return Finding(
        check=CHECK,
        subject=subject,
        status=Status.WRONG,
        message=f"no rule of {names} lets it pass",
        advice=f"let TCP {' or '.join(map(str, ports))} pass there, or set KubeSpawner.port to what passes",
    )


def _selects(policy: Raw, labels: Mapping[str, str]) -> bool:
    """Tell whether a policy is for these pods, as far as the labels that the chart gives them say."""
    wanted = (policy["spec"].get("podSelector") or {}).get("matchLabels") or {}
    return all(labels[name] == value for name, value in wanted.items() if name in labels)


def _is_for(policy: Raw, direction: str) -> bool:
    spec = policy["spec"]
    default = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    return direction in (spec.get("policyTypes") or default)


def _passes(rule: Mapping[str, Any], ports: Sequence[int | str]) -> bool:
    entries = rule.get("ports")
    if not entries:
        return True
    return any(
        entry.get("protocol", "TCP") == "TCP" and (entry.get("port") is None or _contains(entry, ports))
        for entry in entries
    )


def _contains(entry: Mapping[str, Any], ports: Sequence[int | str]) -> bool:
    first, last = entry["port"], entry.get("endPort")
    return any(
        port == first
        or (isinstance(port, int) and isinstance(first, int) and first <= port <= (last or first))
        for port in ports
    )
