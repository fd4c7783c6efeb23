"""Rules about volumes: claims, provisioning, attaching and mounting."""

import re
from datetime import timedelta

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT, LATER, capitalized
from k8s_hub.diagnosis.observation import Observation, first_seen, message_of
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.objects.keys import annotations_of, is_terminating, key_of, metadata_of, phase_of, spec_of
from k8s_hub.objects.raw import Raw

_UNKNOWN_CLASS = re.compile(r'storageclass\.storage\.k8s\.io "(?P<name>[^"]+)" not found')
_MISSING_CLAIM = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found')
_NO_VOLUME = re.compile("no persistent volumes available for this claim and no storage class is set")
# The controller's own words, and those of the drivers of EBS, GCE, Azure, OpenStack and others.
_ATTACHED_ELSEWHERE = re.compile(
    r"Multi-Attach error|already (?:exclusively )?attached|VolumeInUse|RESOURCE_IN_USE|already being used by",
    re.IGNORECASE,
)
_VOLUME_NAME = re.compile(r'for volume "(?P<name>[^"]+)"')
_MISSING_SOURCE = re.compile(r'\b(?P<kind>secret|configmap)s? "(?P<name>[^"]+)" not found', re.IGNORECASE)
_MISSING_KEY = re.compile(r"references non-existent (?P<kind>secret|config) key: (?P<key>[^\s,\]]+)")


def volume_in_words(claim: Raw) -> str:
    """Name the user's volume: the home, or an extra volume by its name in ``extra_claims``."""
    extra = annotations_of(claim).get(EXTRA_CLAIM_ANNOTATION)
    return "your home volume" if extra is None else f'your volume "{extra}"'


def claim_lost(seen: Observation) -> Diagnosis | None:
    """The claim's volume is gone. No start can bring it back."""
    if seen.claim is None or phase_of(seen.claim) != "Lost":
        return None
    return Diagnosis.failed(
        Stage.STORAGE,
        Reason.CLAIM_LOST,
        f"The disk of {_volume(seen)} ({key_of(seen.claim).name}) no longer exists. "
        "Contact your administrator, who can restore it or give you a new one.",
        detail=f"claim {key_of(seen.claim)} is Lost: volume {_volume_name(seen.claim)} does not exist",
    )


def claim_terminating(seen: Observation) -> Diagnosis | None:
    """The claim is being deleted. A new one of the name can only be created after that.

    A scheduled pod keeps its claim: the start continues.
    """
    if seen.claim is None or not is_terminating(seen.claim) or seen.spec.get("nodeName"):
        return None
    finalizers = ", ".join(metadata_of(seen.claim).get("finalizers") or ())
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"{capitalized(_volume(seen))} ({key_of(seen.claim).name}) is being deleted. "
        "Your server then gets a new, empty one.",
        reason=Reason.CLAIM_TERMINATING,
        detail=f"claim {key_of(seen.claim)} is terminating; finalizers: {finalizers or 'none'}",
        expired=f"The deletion of {_volume(seen)} ({key_of(seen.claim).name}) did not finish within {{waited}}. {CONTACT}",
    )


def storage_class_unknown(seen: Observation) -> Diagnosis | None:
    """The claim's storage class does not exist."""
    if seen.claim is None or phase_of(seen.claim) != "Pending":
        return None
    for event in seen.claim_events("ProvisioningFailed"):
        if found := _UNKNOWN_CLASS.search(message_of(event)):
            return Diagnosis.failed(
                Stage.STORAGE,
                Reason.STORAGE_CLASS,
                f"{capitalized(_volume(seen))} could not be created: the cluster does not have its kind of storage "
                f'(storage class "{found["name"]}"). {CONTACT}',
                detail=message_of(event),
            )
    return None


def claim_without_volume(seen: Observation) -> Diagnosis | None:
    """The claim has no storage class, and needs a volume that an administrator adds."""
    if seen.claim is None or phase_of(seen.claim) != "Pending":
        return None
    events = seen.claim_events("FailedBinding", matching=_NO_VOLUME)
    if not events:
        return None
    lasting = seen.lasting(first_seen(events[0]))
    if lasting >= seen.grace.unbound_claim:
        return Diagnosis.failed(
            Stage.STORAGE,
            Reason.CLAIM_PENDING,
            f"{capitalized(_volume(seen))} has no disk, and the cluster has no default way to create one. {CONTACT}",
            detail=message_of(events[-1]),
        )
    volume = capitalized(_volume(seen))
    return _claim_pending(
        seen,
        f"{volume} has no disk yet.",
        detail=message_of(events[-1]),
        expired=f"{volume} did not get a disk within {{waited}}. {CONTACT}",
    )


def claim_provisioning_fails(seen: Observation) -> Diagnosis | None:
    """The provisioner failed, and retries."""
    if seen.claim is None or phase_of(seen.claim) != "Pending":
        return None
    events = seen.claim_events("ProvisioningFailed")
    if not events:
        return None
    failed = f"The storage system could not create {_volume(seen)}"
    return _claim_pending(
        seen,
        f"{failed}. It is trying again.",
        detail=message_of(events[-1]),
        expired=f"{failed} within {{waited}}. {LATER}",
    )


def claim_missing(seen: Observation) -> Diagnosis | None:
    """The pod refers to a claim that does not exist, or that the scheduler has not seen yet."""
    message = seen.unschedulable or ""
    if (found := _MISSING_CLAIM.search(message)) is None:
        return None
    if any(key_of(claim).name == found["name"] for claim in (seen.claim, *seen.other_claims) if claim):
        return None
    sentence = f'The volume "{found["name"]}" that your server needs does not exist.'
    lasting = seen.lasting(seen.since("PodScheduled"))
    return _missing(seen, Stage.STORAGE, Reason.CLAIM_MISSING, sentence, detail=message, lasting=lasting)


def claim_pending(seen: Observation) -> Diagnosis | None:
    """The volume is being provisioned. With WaitForFirstConsumer, this starts once the pod has a node."""
    if seen.claim is None or phase_of(seen.claim) != "Pending":
        return None
    if not (seen.claim_events("Provisioning", "ExternalProvisioning") or _is_awaited(seen)):
        return None
    messages = [message_of(event) for event in seen.claim_events()]
    volume = capitalized(_volume(seen))
    return _claim_pending(
        seen,
        f"{volume} is being prepared.",
        detail=messages[-1] if messages else (seen.unschedulable or ""),
        expired=f"{volume} was not ready within {{waited}}. {AGAIN}",
    )


def _is_awaited(seen: Observation) -> bool:
    """True if the scheduler needs the claim's volume before it can place the pod."""
    if seen.claim_events("WaitForFirstConsumer", "WaitForPodScheduled"):
        return False
    return seen.pod is None or "unbound immediate PersistentVolumeClaims" in (seen.unschedulable or "")


def disk_still_attached(seen: Observation) -> Diagnosis | None:
    """The disk is still attached to the node of an earlier server. Most disks can be attached to one node only."""
    events = seen.unsolved("FailedAttachVolume", matching=_ATTACHED_ELSEWHERE)
    if not events:
        return None
    volume = _attached_volume(seen, message_of(events[-1]))
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"The disk of {volume} is still attached to another machine. Your server is waiting for it.",
        reason=Reason.MOUNT,
        detail=message_of(events[-1]),
        expired=f"Another machine did not release the disk of {volume} within {{waited}}. {LATER}",
    )


def _attached_volume(seen: Observation, words: str) -> str:
    """Return the volume of the message, if the claim names it."""
    found = _VOLUME_NAME.search(words)
    claims = [claim for claim in (seen.claim, *seen.other_claims) if claim]
    for claim in claims:
        if found and _volume_name(claim) == found["name"]:
            return volume_in_words(claim)
    return "a volume of your server" if seen.other_claim_names else "your home volume"


def mounted_object_missing(seen: Observation) -> Diagnosis | None:
    """A volume refers to a Secret or ConfigMap, or a key of it, that does not exist."""
    for event in reversed(events := seen.unsolved("FailedMount")):
        if (what := _missing_in(message_of(event))) is not None:
            same = [each for each in events if _missing_in(message_of(each)) == what]
            return missing_object(seen, what, message_of(event), seen.lasting(first_seen(same[0])))
    return None


def _missing_in(words: str) -> str | None:
    if found := _MISSING_SOURCE.search(words):
        return f'{found["kind"]} "{found["name"]}"'
    if found := _MISSING_KEY.search(words):
        kind = "Secret" if found["kind"] == "secret" else "ConfigMap"
        volume = _VOLUME_NAME.search(words)
        return f'key "{found["key"]}" in the {kind}' + (
            f' of its volume "{volume["name"]}"' if volume else ""
        )
    return None


def missing_object(seen: Observation, what: str, detail: str, lasting: timedelta) -> Diagnosis:
    """Return the diagnosis of a missing Secret, ConfigMap or key, which may still be created."""
    sentence = f"A part of your server's configuration does not exist: {what}."
    return _missing(seen, Stage.STARTING, Reason.CONFIG_MISSING, sentence, detail=detail, lasting=lasting)


def _missing(
    seen: Observation, stage: Stage, reason: Reason, sentence: str, *, detail: str, lasting: timedelta
) -> Diagnosis:
    """Wait for an object that may still be created, and fail after the grace period."""
    failed = f"{sentence} {CONTACT}"
    if lasting >= seen.grace.missing_object:
        return Diagnosis.failed(stage, reason, failed, detail=detail)
    return Diagnosis.waiting(stage, sentence, reason=reason, detail=detail, expired=failed)


def mount_fails(seen: Observation) -> Diagnosis | None:
    """The node cannot attach or mount a volume, and retries."""
    events = seen.unsolved("FailedAttachVolume", "FailedMount", "FailedMapVolume")
    if not events:
        return None
    return Diagnosis.waiting(
        Stage.STORAGE,
        "The machine could not connect a volume of your server. It is trying again.",
        reason=Reason.MOUNT,
        detail=message_of(events[-1]),
        expired=f"The machine could not connect a volume of your server within {{waited}}. {AGAIN}",
    )


def _claim_pending(seen: Observation, sentence: str, *, detail: str, expired: str) -> Diagnosis:
    name = key_of(seen.claim or {})
    return Diagnosis.waiting(
        Stage.STORAGE,
        sentence,
        reason=Reason.CLAIM_PENDING,
        detail=f"claim {name} is Pending: {detail}" if detail else f"claim {name} is Pending",
        expired=expired,
    )


def _volume(seen: Observation) -> str:
    return volume_in_words(seen.claim or {})


def _volume_name(claim: Raw) -> str:
    return str(spec_of(claim).get("volumeName") or "")


CLAIM_RULES = (
    claim_lost,
    claim_terminating,
    storage_class_unknown,
    claim_without_volume,
    claim_provisioning_fails,
    claim_missing,
    claim_pending,
)
MOUNT_RULES = (disk_still_attached, mounted_object_missing, mount_fails)
