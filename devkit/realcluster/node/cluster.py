"""A cluster with real containers: a control plane and one node."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devkit.realcluster import images
from devkit.realcluster.api import wait_for
from devkit.realcluster.build import NodeBinaries, build_node
from devkit.realcluster.cgroups import make_cgroups, remove_cgroups
from devkit.realcluster.cleanup import clean_up
from devkit.realcluster.controlplane import ControlPlane, control_plane
from devkit.realcluster.credentials import NODE
from devkit.realcluster.folders import held_folder
from devkit.realcluster.needs import demand_a_node
from devkit.realcluster.network import Network, made_network
from devkit.realcluster.node.containerd import containerd, has_image, load_image, pack_pause_image
from devkit.realcluster.node.kubelet import kubelet
from devkit.realcluster.node.space import made_space
from devkit.realcluster.process import Process, ProcessFailedError, running

NODE_GRACE_PERIOD = "15s"
NODE_READY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerCluster:
    """A running cluster."""

    plane: ControlPlane
    folder: Path
    logs: Path
    network: Network
    binaries: NodeBinaries
    containerd: Process
    kubelet: Process

    @property
    def gateway(self) -> str:
        """The address of this machine for pods."""
        return str(self.network.gateway)

    @property
    def node(self) -> str:
        """The node's name."""
        return NODE

    @property
    def images(self) -> dict[int, str]:
        """The image names of users' servers by the hub's version; `load_user_image` imports one."""
        return {hub: images.image_name(hub) for hub in images.HUBS}

    def load_image(self, archive: Path) -> None:
        """Import an image, for pods with `imagePullPolicy: IfNotPresent`."""
        load_image(self.folder, archive)

    def load_user_image(self, hub: int) -> str:
        """Import the image for this version of the hub, built if necessary; return its name."""
        name = self.images[hub]
        if not has_image(self.folder, name):
            self.load_image(images.user_image(hub))
        return name

    def load_hub_image(self, hub: int) -> str:
        """Import the image of a hub of this version, built if necessary; return its name."""
        name = images.hub_image_name(hub)
        if not has_image(self.folder, name):
            self.load_image(images.hub_image(hub))
        return name

    def stop_kubelet(self) -> None:
        """Stop the kubelet; its containers keep running."""
        self.kubelet.stop()

    def start_kubelet(self) -> None:
        """Start the kubelet again."""
        self.kubelet.start()
        self.wait_for_node()

    @contextlib.contextmanager
    def lost_kubelet(self) -> Iterator[None]:
        """Stop the kubelet for the context."""
        self.stop_kubelet()
        try:
            yield
        finally:
            self.start_kubelet()

    def wait_for_node(self) -> None:
        """Wait until the node is ready and without its taints."""
        try:
            wait_for(self._is_node_usable, "a ready node", seconds=NODE_READY_SECONDS)
        except TimeoutError as error:
            logs = f"{self.kubelet.tail()}\n{self.containerd.tail()}"
            raise ProcessFailedError(f"{error}\n{logs}") from error

    def _is_node_usable(self) -> bool:
        for node in self.plane.admin.get("/api/v1/nodes")["items"]:
            conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", ())}
            return conditions.get("Ready") == "True" and not node["spec"].get("taints")
        return False


@contextlib.contextmanager
def container_cluster(
    *, logs: Path | None = None, node_grace_period: str = NODE_GRACE_PERIOD
) -> Iterator[ContainerCluster]:
    """Run a cluster with one ready node, which counts as lost after the grace period without a heartbeat.

    At the end only logs in the caller's folder are left. Leftovers of killed runs are removed first.
    """
    demand_a_node()
    binaries = build_node()
    clean_up()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(held_folder())
        logs = logs or folder
        network = stack.enter_context(made_network(folder.name))
        stack.callback(remove_cgroups, folder.name)
        make_cgroups(folder.name)
        space = stack.enter_context(made_space(folder, logs, binaries))
        plane = stack.enter_context(
            control_plane(
                node_count=0,
                logs=logs,
                volume_maker=space.volume_maker,
                node_grace_period=node_grace_period,
            )
        )
        runtime = containerd(folder, logs, network, space)
        stack.enter_context(running(runtime))
        load_image(folder, pack_pause_image(folder, binaries.pause))
        agent = kubelet(folder, logs, plane=plane, binaries=binaries, network=network, space=space)
        stack.enter_context(running(agent))
        cluster = ContainerCluster(
            plane=plane,
            folder=folder,
            logs=logs,
            network=network,
            binaries=binaries,
            containerd=runtime,
            kubelet=agent,
        )
        cluster.wait_for_node()
        yield cluster
