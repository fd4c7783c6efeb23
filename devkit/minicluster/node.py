"""The node: its resources, and the reasons why a pod cannot run on it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from k8s_hub.objects.keys import is_terminating
from k8s_hub.objects.quantities import parse
from k8s_hub.objects.raw import Raw

_ONE_NODE = "0/1 nodes are available: "
_NO_PREEMPTION = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."

# An image reference, loosely: [host[:port]/]path[:tag][@digest].
_IMAGE = re.compile(
    r"([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@[a-z0-9]+:[0-9a-f]{32,})?"
)


def _default_capacity() -> Mapping[str, Decimal]:
    return {"cpu": Decimal(64), "memory": parse("256Gi"), "ephemeral-storage": parse("1Ti")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A virtual node. It refuses a request beyond its capacity, but does not add up requests."""

    name: str = "mini"
    address: str = "127.0.0.1"
    labels: Mapping[str, str] = field(default_factory=lambda: {"kubernetes.io/os": "linux"})
    #: A resource that is missing here, such as "nvidia.com/gpu", does not exist.
    capacity: Mapping[str, Decimal] = field(default_factory=_default_capacity)
    #: The node has every requested label and device.
    fits_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageProblem:
    """The error of an image pull, like that of a kubelet with containerd."""

    reason: str
    message: str
    #: The waiting reason between two attempts.
    back_off_reason: str


FindClaim = Callable[[str], Raw | None]


def scheduling_obstacle(pod: Raw, node: Node, find_claim: FindClaim) -> str | None:
    """Return why the scheduler cannot place the pod; None if it can."""
    for cause in (
        *_claim_obstacles(pod, find_claim),
        *_selector_obstacles(pod, node),
        *_resource_obstacles(pod, node),
    ):
        return f"{_ONE_NODE}{cause}. {_NO_PREEMPTION}"
    return None


def claim_names(pod: Raw) -> list[str]:
    """Return the names of the claims that the pod mounts."""
    volumes = pod["spec"].get("volumes") or ()
    sources = [volume["persistentVolumeClaim"] for volume in volumes if volume.get("persistentVolumeClaim")]
    return [source["claimName"] for source in sources]


def image_problem(
    image: str, known: frozenset[str] | None, missing: frozenset[str] = frozenset()
) -> ImageProblem | None:
    """Return why the image cannot be pulled; ``known`` None: all but the missing ones exist."""
    if not _IMAGE.fullmatch(image):
        message = (
            f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": '
            "invalid reference format"
        )
        return ImageProblem(reason="InvalidImageName", message=message, back_off_reason="InvalidImageName")
    if image not in missing and (known is None or image in known):
        return None
    message = (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
        f'failed to resolve reference "{image}": {image}: not found'
    )
    return ImageProblem(reason="ErrImagePull", message=message, back_off_reason="ImagePullBackOff")


def _claim_obstacles(pod: Raw, find_claim: FindClaim) -> Iterator[str]:
    for name in claim_names(pod):
        claim = find_claim(name)
        if claim is None:
            yield f'persistentvolumeclaim "{name}" not found'
        elif is_terminating(claim):
            yield f'persistentvolumeclaim "{name}" is being deleted'
        elif claim.get("status", {}).get("phase") != "Bound":
            yield "pod has unbound immediate PersistentVolumeClaims"


def _selector_obstacles(pod: Raw, node: Node) -> Iterator[str]:
    wanted = pod["spec"].get("nodeSelector") or {}
    if not node.fits_all and any(node.labels.get(label) != value for label, value in wanted.items()):
        yield "1 node(s) didn't match Pod's node affinity/selector"


def _resource_obstacles(pod: Raw, node: Node) -> Iterator[str]:
    total: dict[str, Decimal] = {}
    for container in pod["spec"]["containers"]:
        resources = container.get("resources") or {}
        # A limit without a request is a request.
        asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        for resource, amount in asked.items():
            total[resource] = total.get(resource, Decimal(0)) + parse(amount)
    unnamed = Decimal("Infinity") if node.fits_all else Decimal(0)
    short = [name for name, amount in sorted(total.items()) if amount > node.capacity.get(name, unnamed)]
    if short:
        yield ", ".join(f"1 Insufficient {name}" for name in short)
