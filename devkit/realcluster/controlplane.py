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
        """The API with the administrator's token."""
        return self.api(self.admin_token)

    def api(self, token: str) -> Api:
        """Return the API with a token; "" is anonymous."""
        return self.layout.api(self.url, token)

    def make_nodes(self, count: int, *, prefix: str) -> list[str]:
        """Add nodes that kwok simulates."""
        return nodes.make_nodes(self.admin, count, prefix=prefix)

    def make_namespace(self, name: str | None = None) -> str:
        """Create a namespace and wait for its default ServiceAccount; None means a generated name."""
        name = name or f"test-{secrets.token_hex(4)}"
        self.admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(lambda: self.admin.is_ok(account), f"the default ServiceAccount of {name}")
        return name

    def make_hub_account(self, namespace: str, *, name: str = "hub") -> str:
        """Return a token of a ServiceAccount with exactly the rights of the chart's hub."""
        return make_hub_account(self.admin, namespace, name=name)

    def write_kubeconfig(self, path: Path, *, token: str | None = None, namespace: str = "default") -> Path:
        """Write a kubeconfig (mode 0600) with a token; None means the administrator's."""
        return write_kubeconfig(
            path,
            url=self.url,
            token=self.admin_token if token is None else token,
            ca_certificate=self.ca_certificate,
            namespace=namespace,
        )

    def restart_apiserver(self) -> None:
        """Restart it at the same address with the same data; its watch caches start empty."""
        with self.absent_apiserver():
            pass

    @contextlib.contextmanager
    def absent_apiserver(self) -> Iterator[None]:
        """Stop the API server for the context: open connections break, new ones are refused.

        The controllers are restarted afterwards: running ones would back off for up to half a minute.
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
        """Freeze the API server for the context: connections stay open without answers."""
        self.apiserver.pause()
        try:
            yield
        finally:
            self.apiserver.resume()

    def forget_history(self) -> str:
        """Make every resource version up to now unknown (410 Gone); return the newest of them.

        Compacting etcd is not enough, because the API server answers from its own watch cache.
        """
        etcd = self.layout.api(self.layout.etcd_url)
        newest: str = etcd.create("/v3/kv/range", {"key": base64.b64encode(b"/").decode()})["header"][
            "revision"
        ]
        with contextlib.suppress(RefusedError):  # already compacted at this version
            etcd.create("/v3/kv/compaction", {"revision": newest, "physical": True})
        self.restart_apiserver()
        return newest


@contextlib.contextmanager
def control_plane(
    *,
    node_count: int = 2,
    logs: Path | None = None,
    volume_maker: Sequence[str | Path] = (),
    node_grace_period: str = "24h",  # nodes without kubelet and kwok have no heartbeat
) -> Iterator[ControlPlane]:
    """Run a control plane with ready nodes. At the end only logs in the caller's folder are left.

    Without nodes, kwok does not run either: the caller adds its own nodes. The volume maker is a command that runs the
    controller manager. Every part is stopped even if another one fails to stop; the errors are chained. Leftovers of killed
    runs are removed first.
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
    """Remove the provisioner's folder of a volume."""
    path = Path(volume["spec"].get("hostPath", {}).get("path", ""))
    if path.parent == HOST_PATHS:
        shutil.rmtree(path, ignore_errors=True)


def _remove_host_paths(admin: Api) -> None:
    with contextlib.suppress(OSError):  # the API server is gone, and with it the list of volumes
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
    """Create the hub's ServiceAccount, Role and RoleBinding in a namespace; return a token for it."""
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
