"""Where a pod may run whose claims other pods of the user mount: a ReadWriteOnce volume is on one node at a time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from k8s_hub.claims.extra import READ_WRITE_ONCE, READ_WRITE_ONCE_POD
from k8s_hub.naming.ownership import (
    SERVERNAME_ANNOTATION,
    ServerIdentity,
    is_of_user,
    matches_release,
)
from k8s_hub.objects.keys import Key, annotations_of, is_terminating, key_of, phase_of, spec_of, status_of
from k8s_hub.objects.raw import Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Anywhere:
    """On any node: no other server of the user holds a claim that is limited to one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SameNode:
    """Only on the node of the server that holds the claim."""

    node: str
    claim: Key
    servername: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotKnownYet:
    """On the node of another server, whose pod is not scheduled yet."""

    pod: Key
    claim: Key
    servername: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusive:
    """Nowhere: only one pod may mount the claim, and another server's pod does."""

    claim: Key
    servername: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentNodes:
    """Nowhere: two servers hold claims of this one on different nodes."""

    servernames: tuple[str, str]
    nodes: tuple[str, str]


Placement: TypeAlias = Anywhere | SameNode | NotKnownYet | Exclusive | DifferentNodes


def plan_placement(
    identity: ServerIdentity, claims: Iterable[Raw], mounting: Callable[[Key], Iterable[Raw]]
) -> Placement:
    """Decide where a pod of this server may run that mounts these claims.

    ``mounting`` returns the user's pods that mount a claim now. It is not called for a claim that many nodes may mount.
    A terminating pod does not count: its node may be going away, and the volume is detached soon.
    """
    holders: list[SameNode] = []
    for each in claims:
        modes, claim = _modes(each), key_of(each)
        if modes != {READ_WRITE_ONCE} and READ_WRITE_ONCE_POD not in modes:
            continue
        for pod in (pod for pod in mounting(claim) if _is_holder(pod, identity)):
            servername = annotations_of(pod).get(SERVERNAME_ANNOTATION, "")
            if READ_WRITE_ONCE_POD in modes:
                return Exclusive(claim=claim, servername=servername)
            node = spec_of(pod).get("nodeName")
            if not node:
                return NotKnownYet(pod=key_of(pod), claim=claim, servername=servername)
            holders.append(SameNode(node=node, claim=claim, servername=servername))
    if not holders:
        return Anywhere()
    first = holders[0]
    other = next((holder for holder in holders if holder.node != first.node), None)
    if other is None:
        return first
    return DifferentNodes(servernames=(first.servername, other.servername), nodes=(first.node, other.node))


def mounted_claims(pod: Raw) -> tuple[str, ...]:
    """Return the names of the claims that a pod mounts, each once."""
    volumes: Sequence[Mapping[str, Raw]] = spec_of(pod).get("volumes") or ()
    sources = (volume.get("persistentVolumeClaim") for volume in volumes)
    return tuple(dict.fromkeys(source["claimName"] for source in sources if source))


def _modes(claim: Raw) -> set[str]:
    """Return the access modes that the claim requests and those that its volume has."""
    asked = spec_of(claim).get("accessModes") or ()
    had = status_of(claim).get("accessModes") or ()
    return {*asked, *had}


def _is_holder(pod: Raw, identity: ServerIdentity) -> bool:
    return (
        is_of_user(pod, identity)
        and annotations_of(pod).get(SERVERNAME_ANNOTATION, "") != identity.servername
        and key_of(pod).namespace == identity.namespace
        and matches_release(pod, identity)
        and not is_terminating(pod)
        and phase_of(pod) not in {"Succeeded", "Failed"}
    )
