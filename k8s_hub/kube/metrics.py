"""What this package counts, served with the hub's own metrics; every label is bounded."""

from prometheus_client import Counter, Gauge

REQUESTS = Counter(
    "k8s_hub_kube_requests_total",
    "Answers of the Kubernetes API; code 0 means that none came.",
    ["verb", "resource", "code"],
)
LISTS = Counter(
    "k8s_hub_kube_lists_total",
    "Complete lists read to fill a view: one at the start, one more after each 410.",
    ["resource"],
)
PENDING_DELETES = Gauge(
    "k8s_hub_kube_undelivered_deletes",
    "Deletes that wait for the API server to come back.",
)
