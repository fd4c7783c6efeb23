"""Rules about scheduling: messages of the scheduler and of autoscalers in plain words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum, auto

from k8s_hub.diagnosis import obstacles
from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT, LATER, capitalized, format_amount, listed
from k8s_hub.diagnosis.observation import Observation, component_of, first_seen, last_seen, message_of
from k8s_hub.naming.ownership import SAME_NODE_ANNOTATION
from k8s_hub.objects import quantities
from k8s_hub.objects.keys import annotations_of, phase_of
from k8s_hub.objects.raw import Raw

# Cluster autoscaler: TriggeredScaleUp; Karpenter, of today and before 2024: Nominated, NominatedMachine.
_SCALING_UP = ("TriggeredScaleUp", "Nominated", "NominatedMachine")
# Cluster autoscaler: NotTriggerScaleUp; GKE's, when the cloud has no node or no quota left: FailedScaleUp.
_NOT_SCALING_UP = ("NotTriggerScaleUp", "FailedScaleUp")
# Karpenter's no has the scheduler's reason. EKS Auto Mode and AKS run Karpenter, too.
_KARPENTER = re.compile("karpenter|eks-auto-mode", re.IGNORECASE)
_KARPENTERS_NO = "Failed to schedule pod, "
# A no for now: after a failed try, while a group of nodes is not ready, or while the cloud has no such node left.
_NOT_NOW = re.compile(
    r"\bin backoff\b|not ready for scale-?up|has the required offering|had enough resources,? had a required offering",
    re.IGNORECASE,
)
# Karpenter found room on a node that exists already: the scheduler may see it otherwise.
_ON_EXISTING_NODE = re.compile(r"\bnode/")
_INSUFFICIENT = re.compile(r"Insufficient (?P<resource>[\w./-]*\w)")
_OTHER_KIND = re.compile("node affinity/selector|requested node name|scheduler-enforced node affinity")
_OTHER_ZONE = re.compile(
    "volume node affinity conflict|PersistentVolume's node affinity|no available volume zone"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnschedulableCause:
    """A message of the scheduler about nodes, and the text for the user; ``{volume}`` is replaced by the volume."""

    pattern: re.Pattern[str]
    sentence: str
    #: The text at the deadline; empty if it is about a missing node.
    expired: str = ""
    #: The node that the server needs, in words: "machine with 2 GPUs".
    wanted: str = "machine"
    advice: str = "Choose another kind of server, or try again later."
    stage: Stage = Stage.SCHEDULING
    reason: Reason = Reason.UNSCHEDULABLE


#: In order: a node that fails an earlier one is nearer to taking the server than one that fails a later
#: one, so that one decides what is waited for. Missing resources go before all of these.
UNSCHEDULABLE_CAUSES = (
    UnschedulableCause(
        pattern=re.compile(
            "unbound immediate PersistentVolumeClaims|available persistent volumes to bind"
            "|binding volumes: (?:timed out|context deadline exceeded|provisioning failed)"
        ),
        sentence="{Volume} has no disk yet.",
        expired=f"{{Volume}} did not get a disk within {{waited}}. {CONTACT}",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_PENDING,
    ),
    UnschedulableCause(
        pattern=re.compile("did(?: not|n't) have enough free storage"),
        sentence="No machine has enough free disk space for {volume}.",
        expired=f"No machine had enough free disk space for {{volume}} within {{waited}}. {LATER}",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_PENDING,
    ),
    UnschedulableCause(
        pattern=re.compile('persistentvolumeclaim "[^"]+" is being deleted'),
        sentence="A volume of your server is being deleted. Your server is waiting until it is gone.",
        expired=f"The deletion of a volume of your server did not finish within {{waited}}. {CONTACT}",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_TERMINATING,
    ),
    UnschedulableCause(
        pattern=re.compile("ReadWriteOncePod access mode already in-use"),
        sentence="{Volume} is still in use by another server.",
        expired="Another server did not release {volume} within {waited}. Stop that server first, or try again later.",
        stage=Stage.STORAGE,
        reason=Reason.MOUNT,
    ),
    UnschedulableCause(
        pattern=re.compile("non-existent pv|non-existent persistentvolume"),
        sentence="The disk of a volume of your server does not exist.",
        expired=f"The disk of a volume of your server did not appear within {{waited}}. {CONTACT}",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_LOST,
    ),
    UnschedulableCause(
        pattern=re.compile("scheduling gates"),
        sentence="Your server is in a queue.",
        expired="Your server was still in a queue after {waited}. Try again later.",
    ),
    UnschedulableCause(
        pattern=re.compile("waiting for dynamic resource controller to create the resourceclaim"),
        sentence="The cluster is preparing a device for your server.",
        expired=f"The cluster did not prepare a device for your server within {{waited}}. {AGAIN}",
    ),
    UnschedulableCause(
        pattern=re.compile("cannot allocate all claims|resourceclaim not available on the node"),
        sentence="Your server is waiting for a machine with a free device of the kind it asks for.",
        wanted="machine with a free device of the kind that your server asks for",
    ),
    UnschedulableCause(
        pattern=re.compile("Too many pods"),
        sentence="Your server is waiting for a free place, because all machines are full.",
        wanted="machine with a free place",
        advice="Try again later.",
    ),
    UnschedulableCause(
        pattern=re.compile("exceed max volume count"),
        sentence="Your server is waiting for a machine that can take one more volume.",
        wanted="machine that can take one more volume",
    ),
    UnschedulableCause(
        pattern=_OTHER_ZONE,
        sentence="Your server is waiting for a machine in the zone of {volume}, "
        "because a volume cannot move to another zone.",
        wanted="machine in the zone of {volume}",
    ),
    UnschedulableCause(
        pattern=re.compile("anti-affinity rules|pod affinity rules|topology spread|free ports"),
        sentence="Your server is waiting for a machine that the placement rules allow.",
        wanted="machine that the placement rules allow",
    ),
    UnschedulableCause(
        pattern=re.compile("were unschedulable|node.kubernetes.io/(?:not-ready|unreachable|unschedulable)"),
        sentence="Your server is waiting for a machine, because the existing ones are not ready or out of use.",
        advice=LATER,
    ),
    UnschedulableCause(
        pattern=_OTHER_KIND,
        sentence="Your server is waiting for a machine of the kind it asks for.",
        wanted="machine of the kind that your server asks for",
    ),
    UnschedulableCause(
        pattern=re.compile("untolerated taint"),
        sentence="Your server is waiting for a machine that accepts it, because the existing ones are reserved or not ready.",
        wanted="machine that accepts your server",
    ),
    UnschedulableCause(
        pattern=re.compile("no nodes available"),
        sentence="Your server is waiting for a machine, because the cluster has none yet.",
        advice=LATER,
    ),
)


def no_capacity_on_same_node(seen: Observation) -> Diagnosis | None:
    """The pod must run on the node of another server with the user's volume, and cannot, or not yet.

    The scheduler's message about other nodes is only that they are not that node. The rest is about that node.
    """
    other = annotations_of(seen.pod or {}).get(SAME_NODE_ANNOTATION)
    message = seen.unschedulable
    if other is None or message is None:
        return None
    verdict, detail = message.split(" preemption:")[0], _with_selector(seen.spec, message)
    found = [cause.pattern for cause in UNSCHEDULABLE_CAUSES if cause.pattern.search(verdict)]
    if found == [_OTHER_KIND] and not _INSUFFICIENT.search(verdict):
        return obstacles.unfit_node(other, detail)
    return obstacles.waits_for_capacity(other, detail)


def node_is_coming(seen: Observation) -> Diagnosis | None:
    """An autoscaler adds a node, which takes minutes."""
    coming = next((scaler for scaler in _scalers(seen) if scaler.mind is _Mind.YES), None)
    if seen.unschedulable is None or coming is None:
        return None
    return Diagnosis.waiting(
        Stage.MACHINE,
        "The cluster is adding a machine for your server, which usually takes a few minutes.",
        reason=Reason.UNSCHEDULABLE,
        detail=coming.words,
        expired=f"The new machine for your server was not ready within {{waited}}. {LATER}",
    )


def no_node_will_come(seen: Observation) -> Diagnosis | None:
    """All autoscalers have refused for longer than the grace period."""
    if seen.unschedulable is None:
        return None
    cause, scalers = _unschedulable_cause(seen, seen.unschedulable), _scalers(seen)
    if cause.reason is not Reason.UNSCHEDULABLE or not scalers:
        return None
    waiting = _waits(seen, cause, seen.unschedulable)
    detail = "; ".join([*(scaler.words for scaler in scalers), waiting.detail])
    if any(scaler.mind is not _Mind.NO for scaler in scalers):
        return replace(
            waiting,
            sentence=f"{cause.sentence} The cluster could not add one and tries again in a few minutes.",
            detail=detail,
            expired=f"The cluster could not add a {cause.wanted} within {{waited}}. {cause.advice}",
        )
    if seen.lasting(max(scaler.since for scaler in scalers)) < seen.grace.no_scale_up:
        return None
    return Diagnosis.failed(
        Stage.SCHEDULING,
        Reason.UNSCHEDULABLE,
        f"No {cause.wanted} was available, and the cluster could not add one. {cause.advice}",
        detail=detail,
    )


def unschedulable(seen: Observation) -> Diagnosis | None:
    """The scheduler found no node, and retries when something changes."""
    if (message := seen.unschedulable) is None:
        return None
    return _waits(seen, _unschedulable_cause(seen, message), message)


def _waits(seen: Observation, cause: UnschedulableCause, message: str) -> Diagnosis:
    return Diagnosis.waiting(
        cause.stage,
        cause.sentence,
        reason=cause.reason,
        detail=_with_selector(seen.spec, message),
        expired=cause.expired or f"No {cause.wanted} became available within {{waited}}. {cause.advice}",
    )


def looking_for_a_node(seen: Observation) -> Diagnosis | None:
    """The pod exists, and the scheduler has not decided yet."""
    if seen.pod is None or seen.spec.get("nodeName"):
        return None
    return Diagnosis.waiting(
        Stage.SCHEDULING,
        "Looking for a machine for your server.",
        expired=f"The cluster found no machine for your server within {{waited}}. {LATER}",
    )


def total_request(spec: Raw, resource: str) -> Decimal:
    """Return the pod's request for a resource, as the scheduler computes it.

    This is the sum of the containers, or the largest init container if that is more. Native sidecars (restartPolicy Always)
    count with both.
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


def _unschedulable_cause(seen: Observation, message: str) -> UnschedulableCause:
    """Return what excludes each node, with the text about this pod's volume."""
    verdict = message.split(" preemption:", maxsplit=1)[0]
    known = (cause for cause in UNSCHEDULABLE_CAUSES if cause.pattern.search(verdict))
    cause = _lack_of_resources(seen.spec, verdict) or next(known, _ANY)
    volume = _volume_meant(seen, cause)

    def about(text: str) -> str:
        return text.replace("{volume}", volume).replace("{Volume}", capitalized(volume))

    return replace(
        cause,
        sentence=about(cause.sentence),
        expired=about(cause.expired),
        wanted=about(cause.wanted),
    )


def _lack_of_resources(spec: Raw, verdict: str) -> UnschedulableCause | None:
    lacking = list(dict.fromkeys(match["resource"] for match in _INSUFFICIENT.finditer(verdict)))
    if not lacking:
        return None
    # GPUs first: they are why the rest is scarce.
    lacking.sort(key=lambda resource: "/" not in resource)
    where = " in the zone of {volume}" if _OTHER_ZONE.search(verdict) else ""
    asked = {resource: total_request(spec, resource) for resource in lacking}
    words = listed([format_amount(name, much) if much else f"more {name}" for name, much in asked.items()])
    return UnschedulableCause(
        pattern=_INSUFFICIENT,
        sentence=f"Your server is waiting for a machine with {words}{where}.",
        wanted=f"machine with {words}{where}",
        advice="Choose a smaller server, or try again later.",
    )


_ANY = UnschedulableCause(
    pattern=re.compile(""), sentence="Your server is waiting for a machine.", advice=LATER
)


def _volume_meant(seen: Observation, cause: UnschedulableCause) -> str:
    """Return the volume of the message. The scheduler does not name it, but a bound volume has its disk."""
    others = seen.other_claim_names
    is_not_home = cause.reason is Reason.CLAIM_PENDING and (
        seen.claim is None or phase_of(seen.claim) == "Bound"
    )
    if not others and not (is_not_home and seen.claim):
        return "your home volume"
    if is_not_home and len(others) == 1:
        return f'the volume "{others.pop()}" of your server'
    return "a volume of your server"


def _with_selector(spec: Raw, message: str) -> str:
    selector = spec.get("nodeSelector") or {}
    words = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return f"{message} (node selector: {words})" if words else message


class _Mind(Enum):
    """An autoscaler's decision about a pod."""

    YES = auto()
    NO = auto()
    NOT_NOW = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scaler:
    """One autoscaler's current decision, its time, and its message."""

    mind: _Mind
    since: datetime
    words: str


def _scalers(seen: Observation) -> list[_Scaler]:
    """Return the current decision of each autoscaler: the refusal of one does not revoke the acceptance of another."""
    heard: dict[str, list[Raw]] = {}
    for event in seen.pod_events(*_SCALING_UP, *_NOT_SCALING_UP, "FailedScheduling"):
        if _adds_nothing(event):
            continue
        if event.get("reason") != "FailedScheduling" or _is_karpenters(event):
            heard.setdefault(component_of(event), []).append(event)
    return [_said_last(events) for events in heard.values()]


def _said_last(events: Sequence[Raw]) -> _Scaler:
    """Return the events since the autoscaler's last change of its decision."""
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


def _adds_nothing(event: Raw) -> bool:
    return event.get("reason") in _SCALING_UP and bool(_ON_EXISTING_NODE.search(message_of(event)))


def _is_karpenters(event: Raw) -> bool:
    return bool(_KARPENTER.match(component_of(event))) or message_of(event).startswith(_KARPENTERS_NO)


RULES = (no_capacity_on_same_node, node_is_coming, no_node_will_come, unschedulable, looking_for_a_node)
