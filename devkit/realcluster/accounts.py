"""Who may do what: the ServiceAccount and the Role that the z2jh chart gives to a hub."""

from typing import Any

from devkit.realcluster.api import Api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
RULES = [
    {
        "apiGroups": [""],
        "resources": ["pods", "persistentvolumeclaims", "secrets", "services"],
        "verbs": ["get", "watch", "list", "create", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "watch", "list"]},
]
TOKEN_SECONDS = 24 * 3600


def make_hub_account(admin: Api, namespace: str, *, name: str = "hub") -> str:
    """Create the hub's ServiceAccount, Role and RoleBinding in a namespace; answers a token for it."""
    core, rbac = f"/api/v1/namespaces/{namespace}", f"{RBAC}/namespaces/{namespace}"
    metadata = {"name": name}
    admin.create(f"{core}/serviceaccounts", {"metadata": metadata})
    admin.create(f"{rbac}/roles", {"metadata": metadata, "rules": RULES})
    binding: dict[str, Any] = {
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    admin.create(f"{rbac}/rolebindings", binding)
    answer = admin.create(
        f"{core}/serviceaccounts/{name}/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_SECONDS},
        },
    )
    token: str = answer["status"]["token"]
    return token
