"""The programs of the control plane: their flags and readiness checks."""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from devkit.demo.settings import free_port
from devkit.realcluster import audit
from devkit.realcluster.api import Api
from devkit.realcluster.build import Binaries
from devkit.realcluster.credentials import Credentials
from devkit.realcluster.nodes import KWOK_SELECTOR
from devkit.realcluster.process import Process

POD_NETWORK = "127.1.0.1/16"  # kwok assigns each pod its own address from here
HOST_PATHS = Path("/tmp/hostpath_pv")  # fixed in the controller manager's provisioner
SERVICE_NETWORK = "10.96.0.0/16"  # not routed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """A free port of 127.0.0.1 for each part that listens."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Values that the parts share."""

    #: Data and keys, removed with the control plane.
    folder: Path
    #: A log file per part, which may outlive it.
    logs: Path
    binaries: Binaries
    ports: Ports
    credentials: Credentials

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.etcd}"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.ports.apiserver}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for parts that are clients."""
        return self.folder / "kubeconfig"

    @property
    def kwok_kubeconfig(self) -> Path:
        return self.folder / "kwok.kubeconfig"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def api(self, url: str, token: str = "") -> Api:
        return Api(url, self.credentials.ca_certificate, token)


def choose_ports() -> Ports:
    """Return a free port for each part."""
    return Ports(**{name: free_port() for name in Ports.__dataclass_fields__})


def etcd(layout: Layout) -> Process:
    clients, peers = layout.etcd_url, f"http://127.0.0.1:{layout.ports.etcd_peer}"
    flags = [
        "--name=box",
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=box={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]
    return Process(
        name="etcd",
        command=[layout.binaries.etcd, *flags],
        log=layout.log("etcd"),
        is_ready=lambda: layout.api(clients).is_ok("/health"),
    )


def apiserver(layout: Layout) -> Process:
    made = layout.credentials
    flags = [
        f"--etcd-servers={layout.etcd_url}",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.ports.apiserver}",
        "--endpoint-reconciler-type=none",  # it refuses to publish a loopback address
        f"--tls-cert-file={made.serving_certificate}",
        f"--tls-private-key-file={made.serving_key}",
        f"--token-auth-file={made.tokens}",
        f"--kubelet-client-certificate={made.client_certificate}",
        f"--kubelet-client-key={made.client_key}",
        "--kubelet-preferred-address-types=InternalIP",  # the node's name is in no DNS
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",  # as in real clusters; admission decides
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={made.service_account_key}",
        f"--service-account-signing-key-file={made.service_account_key}",
        "--event-ttl=1h",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        "--profiling=false",
        *audit.flags(layout.folder / "audit-policy.json", layout.log("audit")),
    ]
    admin = layout.api(layout.url, made.admin_token)
    return Process(
        name="kube-apiserver",
        command=[layout.binaries.apiserver, *flags],
        log=layout.log("kube-apiserver"),
        is_ready=lambda: admin.is_ok("/readyz"),
        stop_signal=signal.SIGKILL,  # after SIGTERM it waits a minute for watches; its state is in etcd
    )


def own_volumes(layout: Layout) -> list[str | Path]:
    """Return the wrapper that puts the provisioner's folders into the cluster's folder, which needs root.

    Without root they are in the provisioner's fixed folder, and a killed cluster leaves them there.
    """
    if os.geteuid() != 0:
        return []
    volumes = layout.folder / "volumes"
    volumes.mkdir()
    HOST_PATHS.mkdir(exist_ok=True)  # only to mount on
    script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", volumes, HOST_PATHS]


def controller_manager(
    layout: Layout, *, wrapper: Sequence[str | Path] = (), node_grace_period: str = "24h"
) -> Process:
    """Return the controller manager. The wrapper is a command that runs it with the place and owner of volumes' folders."""
    made = layout.credentials
    flags = [
        f"--service-account-private-key-file={made.service_account_key}",
        f"--root-ca-file={made.ca_certificate}",
        "--enable-hostpath-provisioner=true",
        # Made where it is missing; the default one is outside of the cluster's folder.
        f"--flex-volume-plugin-dir={layout.folder / 'volume-plugins'}",
        "--node-monitor-period=1s",
        f"--node-monitor-grace-period={node_grace_period}",
    ]
    command = [*wrapper, layout.binaries.controller_manager]
    return _controller(layout, "kube-controller-manager", command, layout.ports.controller_manager, flags)


def scheduler(layout: Layout) -> Process:
    return _controller(layout, "kube-scheduler", [layout.binaries.scheduler], layout.ports.scheduler, [])


def kwok(layout: Layout) -> Process:
    address = f"127.0.0.1:{layout.ports.kwok}"
    stages = layout.folder / "stages.yaml"
    stages.write_bytes(subprocess.run([layout.binaries.stages], check=True, stdout=subprocess.PIPE).stdout)
    flags = [
        f"--config={stages}",
        f"--kubeconfig={layout.kwok_kubeconfig}",
        f"--cidr={POD_NETWORK}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={KWOK_SELECTOR}",
        f"--server-address={address}",
    ]
    return Process(
        name="kwok",
        command=[layout.binaries.kwok, *flags],
        log=layout.log("kwok"),
        is_ready=lambda: layout.api(f"http://{address}").is_ok("/healthz"),
    )


def _controller(
    layout: Layout, name: str, program: Sequence[str | Path], port: int, flags: Sequence[str]
) -> Process:
    made = layout.credentials
    common = [
        f"--kubeconfig={layout.kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={made.serving_certificate}",
        f"--tls-private-key-file={made.serving_key}",
        "--leader-elect=false",
        "--kube-api-qps=1000",
        "--kube-api-burst=2000",
    ]
    return Process(
        name=name,
        command=[*program, *common, *flags],
        log=layout.log(name),
        is_ready=lambda: layout.api(f"https://127.0.0.1:{port}").is_ok("/healthz"),
    )
