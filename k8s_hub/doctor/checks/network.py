"""Network policies: whether they let the hub and the proxy reach users' servers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from k8s_hub.doctor.checks.findings import Finding, fine, unknown, wrong
from k8s_hub.objects.keys import key_of, labels_of, spec_of
from k8s_hub.objects.raw import Raw

CHECK = "network"
POLICIES = "network policies"
PORT_NAME = "notebook-port"
SERVERS = {"component": "singleuser-server", "app.kubernetes.io/component": "singleuser-server"}
OF_A_RELEASE = {"app", "release", "app.kubernetes.io/name", "app.kubernetes.io/instance"}
"""Labels whose values depend on the chart's release; only a real pod shows them."""

HUB = {"component": "hub", "app.kubernetes.io/component": "hub"}


def check_network(policies: Sequence[Raw] | None, pods: Sequence[Raw], port: int) -> Iterator[Finding]:
    """Check the network policies of the hub's namespace; None if the account cannot list them."""
    if policies is None:
        yield unknown(
            CHECK,
            POLICIES,
            "this account cannot list network policies; the hub does not need to",
            advice="run doctor with an administrator's kubeconfig",
        )
        return
    into, out = (f"into servers, port {port}", f"out of the hub, port {port}")
    ports = (port, PORT_NAME)  # also on the way out, a port's name is that of the servers' pods
    yield _way(policies, _labels(pods, SERVERS), "Ingress", ports, into)
    yield _way(policies, _labels(pods, HUB), "Egress", ports, out)


def _labels(pods: Sequence[Raw], usual: Mapping[str, str]) -> Mapping[str, str]:
    """Return the labels of one of these pods; without a pod, the labels that the chart would set."""
    component = usual["component"]
    return next((labels_of(pod) for pod in pods if labels_of(pod).get("component") == component), usual)


def _way(
    policies: Sequence[Raw],
    labels: Mapping[str, str],
    direction: str,
    ports: Sequence[int | str],
    subject: str,
) -> Finding:
    """Check one direction: blocked if policies select these pods and none of their rules allows the port."""
    concerned = [policy for policy in policies if _selects(policy, labels) and _is_for(policy, direction)]
    rules = [rule for policy in concerned for rule in spec_of(policy).get(direction.lower()) or ()]
    names = ", ".join(key_of(policy).name for policy in concerned)
    if not concerned:
        return fine(CHECK, subject, "no policy restricts it")
    if any(_passes(rule, ports) for rule in rules):
        return fine(CHECK, subject, f"allowed by {names}")
    return wrong(
        CHECK,
        subject,
        f"blocked: no rule of {names} allows it",
        advice=f"allow TCP {' or '.join(map(str, ports))} there, or set KubeSpawner.port to an allowed port",
    )


def _selects(policy: Raw, labels: Mapping[str, str]) -> bool:
    """Return whether the policy selects pods with these labels."""
    selector = spec_of(policy).get("podSelector") or {}
    wanted = dict(selector.get("matchLabels") or {})
    if "component" in wanted and not OF_A_RELEASE & labels.keys():
        wanted = {name: value for name, value in wanted.items() if name not in OF_A_RELEASE}
    return wanted.items() <= labels.items() and all(
        _matches(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Return whether the labels meet a requirement of ``matchExpressions``; a missing label meets ``NotIn``."""
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:  # DoesNotExist
            return value is None


def _is_for(policy: Raw, direction: str) -> bool:
    spec = spec_of(policy)
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
