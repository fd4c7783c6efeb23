"""Rules about finding a machine: the scheduler's and the autoscaler's words in plain ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum, auto

from k8s_hub.diagnosis import obstacles
from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import format_amount, listed
from k8s_hub.diagnosis.observation import Observation, component_of, first_seen, last_seen, message_of
from k8s_hub.naming.ownership import SAME_NODE_ANNOTATION
from k8s_hub.objects import quantities
from k8s_hub.objects.keys import annotations_of
from k8s_hub.objects.raw import Raw

# Cluster autoscaler: TriggeredScaleUp; Karpenter, of today and before 2024: Nominated, NominatedMachine.
_SCALING_UP = ("TriggeredScaleUp", "Nominated", "NominatedMachine")
# Cluster autoscaler: NotTriggerScaleUp; GKE's, when the cloud has no machine or no quota left: FailedScaleUp.
_NOT_SCALING_UP = ("NotTriggerScaleUp", "FailedScaleUp")
# Karpenter's no has the scheduler's reason. EKS Auto Mode and AKS run Karpenter, too.
_KARPENTER = re.compile("karpenter|eks-auto-mode", re.IGNORECASE)
_KARPENTERS_NO = "Failed to schedule pod, "
# A no for now: after a failed try, while a group of machines is not ready, or while the cloud has no such machine left.
_NOT_NOW = re.compile(
    r"\bin backoff\b|not ready for scale-?up|has the required offering|had enough resources,? had a required offering",
    re.IGNORECASE,
)
_INSUFFICIENT = re.compile(r"Insufficient (?P<resource>[\w./-]*\w)")
_OTHER_KIND = re.compile("node affinity/selector|requested node name|scheduler-enforced node affinity")
_OTHER_ZONE = re.compile(
    "volume node affinity conflict|PersistentVolume's node affinity|no available volume zone"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What the scheduler may say of machines, what the user reads, and what did not happen at the deadline."""

    pattern: re.Pattern[str]
    sentence: str
    missed: str = "none became free"
    stage: Stage = Stage.SCHEDULING
    reason: Reason = Reason.UNSCHEDULABLE


#: In order: a machine that fails an earlier one is nearer to taking the server than one that fails a later
#: one, so that one decides what is waited for. Missing resources go before all of these.
OBSTACLES = (
    Obstacle(
        pattern=re.compile("unbound immediate PersistentVolumeClaims|available persistent volumes to bind"),
        sentence="Your home volume has no disk yet.",
        missed="it did not get one",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_PENDING,
    ),
    Obstacle(
        pattern=re.compile('persistentvolumeclaim "[^"]+" is being deleted'),
        sentence="A volume of your server is being deleted, and your server waits until it is gone.",
        missed="it was not gone",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_TERMINATING,
    ),
    Obstacle(
        pattern=re.compile("ReadWriteOncePod access mode already in-use"),
        sentence="Your home volume is still in use by another server.",
        missed="it was not released",
        stage=Stage.STORAGE,
        reason=Reason.MOUNT,
    ),
    Obstacle(
        pattern=re.compile("non-existent pv|non-existent persistentvolume"),
        sentence="The disk behind a volume of your server does not exist.",
        missed="it did not appear",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_LOST,
    ),
    Obstacle(
        pattern=re.compile("scheduling gates"),
        sentence="Your server is in a queue.",
        missed="its turn did not come",
    ),
    Obstacle(
        pattern=re.compile("Too many pods"),
        sentence="Your server is waiting for a free place, because all machines are full.",
    ),
    Obstacle(
        pattern=re.compile("exceed max volume count"),
        sentence="Your server is waiting for a machine that can take one more volume.",
    ),
    Obstacle(
        pattern=_OTHER_ZONE,
        sentence="Your server is waiting for a machine in the zone of its home volume, "
        "because a volume cannot move to another zone.",
    ),
    Obstacle(
        pattern=re.compile("anti-affinity rules|pod affinity rules|topology spread|free ports"),
        sentence="Your server is waiting for a machine that it may share with the servers there.",
    ),
    Obstacle(
        pattern=re.compile("were unschedulable|node.kubernetes.io/(?:not-ready|unreachable|unschedulable)"),
        sentence="Your server is waiting for a machine, because those there are not ready or are taken out of use.",
        missed="none became ready",
    ),
    Obstacle(
        pattern=_OTHER_KIND,
        sentence="Your server is waiting for a machine of the kind it asks for.",
        missed="there was none",
    ),
    Obstacle(
        pattern=re.compile("untolerated taint"),
        sentence="Your server is waiting for a machine that accepts it, because those there are reserved or not ready.",
        missed="there was none",
    ),
    Obstacle(
        pattern=re.compile("no nodes available"),
        sentence="Your server is waiting for a machine, because the cluster has none yet.",
        missed="none was added",
    ),
)


def no_place_on_same_node(seen: Observation) -> Diagnosis | None:
    """The pod has to go where another server of its user has their volume, and it cannot, or not yet.

    Of the other machines the scheduler only says that they are others; what else it says is about that one.
    """
    other = annotations_of(seen.pod or {}).get(SAME_NODE_ANNOTATION)
    message = seen.unschedulable
    if other is None or message is None:
        return None
    verdict, detail = message.split(" preemption:")[0], _with_selector(seen.spec, message)
    found = [obstacle.pattern for obstacle in OBSTACLES if obstacle.pattern.search(verdict)]
    if found == [_OTHER_KIND] and not _INSUFFICIENT.search(verdict):
        return obstacles.unfit_machine(other, detail)
    return obstacles.waits_for_place(other, detail, seen.lasting(seen.since("PodScheduled")))


def machine_is_coming(seen: Observation) -> Diagnosis | None:
    """An autoscaler adds a machine; that takes minutes, and the user should know what for."""
    coming = next((scaler for scaler in _scalers(seen) if scaler.mind is _Mind.YES), None)
    if seen.unschedulable is None or coming is None:
        return None
    return Diagnosis.waiting(
        Stage.MACHINE,
        "A new machine is being started for your server, which usually takes some minutes.",
        reason=Reason.UNSCHEDULABLE,
        detail=coming.words,
        lasting=seen.lasting(coming.since),
        missed="it was not ready",
    )


def no_machine_will_come(seen: Observation) -> Diagnosis | None:
    """All autoscalers have said no for longer than is worth waiting for a place to become free."""
    obstacle = unschedulable(seen)
    scalers = _scalers(seen)
    if obstacle is None or obstacle.reason is not Reason.UNSCHEDULABLE or not scalers:
        return None
    detail = "; ".join([*(scaler.words for scaler in scalers), obstacle.detail])
    if any(scaler.mind is not _Mind.NO for scaler in scalers):
        return replace(
            obstacle,
            sentence=f"{obstacle.sentence} The cluster could not add one and tries again in some minutes.",
            detail=detail,
            expired=f"The cluster could not add a machine for your server within {{waited}}. {_LATER}",
        )
    if seen.lasting(max(scaler.since for scaler in scalers)) < seen.grace.no_scale_up:
        return None
    return Diagnosis.failed(
        Stage.SCHEDULING,
        Reason.UNSCHEDULABLE,
        f"{obstacle.sentence} The cluster cannot add one. {_LATER}",
        detail=detail,
    )


def unschedulable(seen: Observation) -> Diagnosis | None:
    """The scheduler has tried and found no machine; it tries again whenever something changes."""
    if (message := seen.unschedulable) is None:
        return None
    verdict = message.split(" preemption:")[0]
    obstacle = _lack_of_resources(seen.spec, verdict) or _obstacle_in(verdict)
    sentence = _of_its_volume(seen, obstacle)
    return Diagnosis.waiting(
        obstacle.stage,
        sentence,
        reason=obstacle.reason,
        detail=_with_selector(seen.spec, message),
        lasting=seen.lasting(seen.since("PodScheduled")),
        missed=obstacle.missed,
        expired=_without_disk(sentence) if sentence != obstacle.sentence else "",
    )


def looking_for_a_machine(seen: Observation) -> Diagnosis | None:
    """The pod is there, and the scheduler has not decided."""
    if seen.pod is None or seen.spec.get("nodeName"):
        return None
    return Diagnosis.waiting(
        Stage.SCHEDULING,
        "Looking for a machine for your server.",
        lasting=seen.lasting(None),
        missed="none was found",
    )


def total_request(spec: Raw, resource: str) -> Decimal:
    """How much of a resource the pod asks for, as the scheduler adds it up.

    The containers' sum, or the largest step before them if that is more; side containers among the init
    containers (restartPolicy Always) run on and count with both.
    """
    init: Sequence[Raw] = spec.get("initContainers") or ()
    aside = sum((_asked(c, resource) for c in init if c.get("restartPolicy") == "Always"), Decimal())
    steps = [_asked(c, resource) for c in init if c.get("restartPolicy") != "Always"]
    together = sum((_asked(c, resource) for c in spec.get("containers") or ()), Decimal())
    return aside + max([together, *steps])


def _asked(container: Raw, resource: str) -> Decimal:
    resources = container.get("resources") or {}
    for kind in ("requests", "limits"):
        if resource in (resources.get(kind) or {}):
            return quantities.parse(resources[kind][resource])
    return Decimal()


def _lack_of_resources(spec: Raw, verdict: str) -> Obstacle | None:
    lacking = list(dict.fromkeys(match["resource"] for match in _INSUFFICIENT.finditer(verdict)))
    if not lacking:
        return None
    # GPUs first: they are why the rest is scarce.
    lacking.sort(key=lambda resource: "/" not in resource)
    where = " in the zone of its home volume" if _OTHER_ZONE.search(verdict) else ""
    words = listed([_say(resource, total_request(spec, resource)) for resource in lacking])
    return Obstacle(
        pattern=_INSUFFICIENT, sentence=f"Your server is waiting for a machine with {words}{where}."
    )


def _say(resource: str, quantity: Decimal) -> str:
    return format_amount(resource, quantity) if quantity else f"more {resource}"


_ANY = Obstacle(pattern=re.compile(""), sentence="Your server is waiting for a machine.")


def _obstacle_in(verdict: str) -> Obstacle:
    return next((obstacle for obstacle in OBSTACLES if obstacle.pattern.search(verdict)), _ANY)


def _of_its_volume(seen: Observation, obstacle: Obstacle) -> str:
    """The scheduler does not say which of a pod's volumes it means; one that is bound has its disk."""
    others = seen.other_claim_names
    is_not_home = obstacle.reason is Reason.CLAIM_PENDING and (
        seen.claim is None or (seen.claim.get("status") or {}).get("phase") == "Bound"
    )
    if not others and not (is_not_home and seen.claim):
        return obstacle.sentence
    volume = (
        f'The volume "{others.pop()}" of your server'
        if is_not_home and len(others) == 1
        else "A volume of your server"
    )
    return obstacle.sentence.replace("Your home volume", volume).replace(
        "its home volume", "one of its volumes"
    )


def _without_disk(sentence: str) -> str:
    """Say what it came to where a volume of the administrator's got no disk; empty for all other sentences."""
    volume, mark, _ = sentence.partition(" has no disk yet")
    return f"{volume} did not get a disk within {{waited}}. Please tell your administrator." if mark else ""


def _with_selector(spec: Raw, message: str) -> str:
    selector = spec.get("nodeSelector") or {}
    words = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return f"{message} (node selector: {words})" if words else message


class _Mind(Enum):
    """What an autoscaler says to a pod."""

    YES = auto()
    NO = auto()
    NOT_NOW = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scaler:
    """What one autoscaler says now, since when, and in its own words."""

    mind: _Mind
    since: datetime
    words: str


def _scalers(seen: Observation) -> list[_Scaler]:
    """Return what each autoscaler of the cluster says now: the no of one does not undo the yes of another."""
    heard: dict[str, list[Raw]] = {}
    for event in seen.pod_events(*_SCALING_UP, *_NOT_SCALING_UP, "FailedScheduling"):
        if event.get("reason") != "FailedScheduling" or _is_karpenters(event):
            heard.setdefault(component_of(event), []).append(event)
    return [_said_last(events) for events in heard.values()]


def _said_last(events: Sequence[Raw]) -> _Scaler:
    """Take what was said since the last change of mind."""
    mind = _mind(events[-1])
    others = [event for event in events if _mind(event) is not mind]
    changed = last_seen(others[-1]) if others else None
    same = [
        event for event in events if _mind(event) is mind and (not changed or last_seen(event) >= changed)
    ]
    since = first_seen(same[0])
    return _Scaler(mind=mind, since=max(since, changed) if changed else since, words=message_of(events[-1]))


def _mind(event: Raw) -> _Mind:
    if event.get("reason") in _SCALING_UP:
        return _Mind.YES
    return _Mind.NOT_NOW if _NOT_NOW.search(message_of(event)) else _Mind.NO


def _is_karpenters(event: Raw) -> bool:
    return bool(_KARPENTER.match(component_of(event))) or message_of(event).startswith(_KARPENTERS_NO)


_LATER = "Please try again later, or choose another kind of server."

RULES = (no_place_on_same_node, machine_is_coming, no_machine_will_come, unschedulable, looking_for_a_machine)
