"""Prometheus metrics, served with the hub's own. The number of label values is bounded."""

from prometheus_client import Counter, Gauge

REQUESTS = Counter(
    "k8s_hub_kube_requests_total",
    "Responses of the Kubernetes API; code 0: no response.",
    ["verb", "resource", "code"],
)
LISTS = Counter(
    "k8s_hub_kube_lists_total",
    "Complete lists that informers read: one at the start, one after each 410 or event that cannot be read.",
    ["resource"],
)
PENDING_DELETES = Gauge(
    "k8s_hub_kube_undelivered_deletes",
    "Deletes that the API server has not accepted yet.",
)
