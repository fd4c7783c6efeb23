"""The control plane: starts its parts in order, unwinds them when a later one fails, and stops them all.

Everything listens on 127.0.0.1 and keeps its data in one temporary folder, which goes with it.
"""

import base64
import contextlib
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devkit.realcluster import nodes, parts
from devkit.realcluster.api import Api, RefusedError, wait_for
from devkit.realcluster.build import build
from devkit.realcluster.cleanup import clean_up
from devkit.realcluster.credentials import make_credentials, write_kubeconfig
from devkit.realcluster.folders import held_folder
from devkit.realcluster.parts import HOST_PATHS
from devkit.realcluster.process import Process, running

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "kubernetes.io/host-path",
    "reclaimPolicy": "Delete",
}

# A kubelet names the uid of the pod whose end it confirms. kwok does not, and confirms more than once: a new pod of
# the same name would be deleted in place of the old one.
KWOK_ENDS_ONLY_THE_DYING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "kwok-ends-only-the-dying"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["pods"]}
            ]
        },
        "matchConditions": [{"name": "kwok", "expression": "request.userInfo.username == 'kwok'"}],
        "validations": [{"expression": "has(oldObject.metadata.deletionTimestamp)"}],
    },
}
FOR_ALL_PODS = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "kwok-ends-only-the-dying"},
    "spec": {"policyName": "kwok-ends-only-the-dying", "validationActions": ["Deny"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """A running control plane."""

    layout: parts.Layout
    etcd: Process
    apiserver: Process
    #: Its clients: controller manager, scheduler, kwok.
    controllers: tuple[Process, ...]

    @property
    def url(self) -> str:
        return self.layout.url

    @property
    def ca_certificate(self) -> Path:
        return self.layout.credentials.ca_certificate

    @property
    def admin_token(self) -> str:
        return self.layout.credentials.admin_token

    @property
    def admin(self) -> Api:
        """The API as the administrator."""
        return self.api(self.admin_token)

    def api(self, token: str) -> Api:
        """The API as the owner of a token; nobody's is the empty one."""
        return self.layout.api(self.url, token)

    def make_nodes(self, count: int, *, prefix: str) -> list[str]:
        """Add nodes that kwok plays."""
        return nodes.make_nodes(self.admin, count, prefix=prefix)

    def make_namespace(self, name: str | None = None) -> str:
        """A new namespace, ready for pods (its default ServiceAccount is there); None makes up a name."""
        name = name or f"test-{secrets.token_hex(4)}"
        self.admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(lambda: self.admin.is_ok(account), f"the default ServiceAccount of {name}")
        return name

    def make_hub_account(self, namespace: str, *, name: str = "hub") -> str:
        """A token of a ServiceAccount with just the rights that the chart gives to the hub."""
        return make_hub_account(self.admin, namespace, name=name)

    def write_kubeconfig(self, path: Path, *, token: str | None = None, namespace: str = "default") -> Path:
        """A kubeconfig (mode 0600) for the owner of a token; None means the administrator."""
        return write_kubeconfig(
            path,
            url=self.url,
            token=self.admin_token if token is None else token,
            ca_certificate=self.ca_certificate,
            namespace=namespace,
        )

    def restart_apiserver(self) -> None:
        """Start it anew at the same address, with the same data; its watch caches start empty."""
        with self.absent_apiserver():
            pass

    @contextlib.contextmanager
    def absent_apiserver(self) -> Iterator[None]:
        """Within it connections are refused; those that were open are broken.

        The controllers start anew after it: old ones would back off for up to half a minute.
        """
        self.apiserver.stop()
        try:
            yield
        finally:
            self.apiserver.start()
            for controller in self.controllers:
                controller.stop()
                controller.start()

    @contextlib.contextmanager
    def paused_apiserver(self) -> Iterator[None]:
        """Within it the API server answers nobody; connections stay open."""
        self.apiserver.pause()
        try:
            yield
        finally:
            self.apiserver.resume()

    def forget_history(self) -> str:
        """Make every resource version up to now unknown (410 Gone); answers the newest one forgotten.

        Compacting etcd is not enough, because the API server answers from its own watch cache.
        """
        etcd = self.layout.api(self.layout.etcd_url)
        newest: str = etcd.create("/v3/kv/range", {"key": base64.b64encode(b"/").decode()})["header"][
            "revision"
        ]
        with contextlib.suppress(RefusedError):  # compacted there already: nothing has happened since
            etcd.create("/v3/kv/compaction", {"revision": newest, "physical": True})
        self.restart_apiserver()
        return newest


@contextlib.contextmanager
def control_plane(
    *,
    node_count: int = 2,
    logs: Path | None = None,
    volume_maker: Sequence[str | Path] = (),
    node_grace_period: str = "24h",  # nodes that nobody plays have no heartbeat
) -> Iterator[ControlPlane]:
    """A control plane with ready nodes; at the end nothing of it is left, but logs in a folder of the caller's.

    No node means no kwok either: the caller brings nodes of its own. The volume maker is a command that runs the
    controller manager. Each part is stopped although another one fails to; the errors are chained. What killed
    runs left goes first.
    """
    binaries = build()
    clean_up()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(held_folder())
        layout = parts.Layout(
            folder=folder,
            logs=logs or folder,
            binaries=binaries,
            ports=parts.choose_ports(),
            credentials=make_credentials(folder / "credentials"),
        )
        manager = parts.controller_manager(
            layout,
            wrapper=volume_maker or parts.own_volumes(layout),
            node_grace_period=node_grace_period,
        )
        controllers = [manager, parts.scheduler(layout), *([parts.kwok(layout)] if node_count else [])]
        plane = ControlPlane(
            layout=layout,
            etcd=parts.etcd(layout),
            apiserver=parts.apiserver(layout),
            controllers=tuple(controllers),
        )
        plane.write_kubeconfig(layout.kubeconfig)
        plane.write_kubeconfig(layout.kwok_kubeconfig, token=layout.credentials.kwok_token)
        stack.enter_context(running(plane.etcd))
        stack.enter_context(running(plane.apiserver))
        stack.callback(_remove_host_paths, plane.admin)
        plane.admin.create("/apis/storage.k8s.io/v1/storageclasses", STORAGE_CLASS)
        if node_count:
            admission = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
            plane.admin.create(f"{admission}ies", KWOK_ENDS_ONLY_THE_DYING)
            plane.admin.create(f"{admission}ybindings", FOR_ALL_PODS)
        for controller in plane.controllers:
            stack.enter_context(running(controller))
        if node_count:
            plane.make_nodes(node_count, prefix="kwok")
            nodes.make_unplayed_node(plane.admin)
            wait_for(lambda: nodes.are_usable(plane.admin), "nodes without a not-ready taint")
        yield plane


def remove_host_path(volume: Mapping[str, Any]) -> None:
    """Remove the folder that the provisioner made for a volume."""
    path = Path(volume["spec"].get("hostPath", {}).get("path", ""))
    if path.parent == HOST_PATHS:
        shutil.rmtree(path, ignore_errors=True)


def _remove_host_paths(admin: Api) -> None:
    with contextlib.suppress(OSError):  # without an API server nobody knows which they are
        for volume in admin.get("/api/v1/persistentvolumes")["items"]:
            remove_host_path(volume)


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
