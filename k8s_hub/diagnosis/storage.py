"""Rules about volumes: claims, provisioning, attaching and mounting."""

import re
from collections.abc import Sequence
from datetime import timedelta

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT, LATER, capitalized
from k8s_hub.diagnosis.observation import Observation, first_seen, last_seen, message_of
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.objects.keys import annotations_of, is_terminating, key_of, metadata_of, phase_of, spec_of
from k8s_hub.objects.raw import Raw

_UNKNOWN_CLASS = re.compile(r'storageclass\.storage\.k8s\.io "(?P<name>[^"]+)" not found')
_MISSING_CLAIM = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found')
_NO_VOLUME = re.compile("no persistent volumes available for this claim and no storage class is set")
# Somebody makes the volume, or will once there is a pod: the claim has a storage class that exists.
_PROVISIONING = ("Provisioning", "ExternalProvisioning", "WaitForFirstConsumer", "WaitForPodScheduled")
# The controller's own words, and those of the drivers of EBS, GCE, Azure, OpenStack, vSphere, Ceph, Longhorn and others.
_ATTACHED_ELSEWHERE = re.compile(
    r"Multi-Attach error|already (?:exclusively )?attached|VolumeInUse|RESOURCE_?IN_?USE|already being used by"
    r"|attached to (?:a |another |the )?(?:different|another|other|wrong)\b|is still being used"
    r"|resource '[^']*' is in use|in 'in-use'",
    re.IGNORECASE,
)
# CSI's code for a node with as many volumes as it can take, and words of drivers that have none. Some use it for requests.
_NO_SLOT = re.compile(
    r"code = ResourceExhausted(?![^\n]*(?:\brate\b|throttl|too many requests|quota))|AttachmentLimitExceeded"
    r"|max(?:imum)? number of (?:\w+ ){0,3}(?:volumes|disks|devices)\b|maximum_persistent_disks",
    re.IGNORECASE,
)
# The clouds' words, and CSI's code for an unknown volume or node, where it is the volume; no path of a device.
_NOT_NODE = r"(?:(?!\b(?:node|instance|server|droplet|vm)\b)[^\n])*"
_GONE = re.compile(
    r"InvalidVolume\.NotFound|VolumeNotFound|RBD image not found|\bDisk \S+ is not found"
    r"|'[^']*/disks/[^']*' was not found"
    rf"|code = NotFound desc = {_NOT_NODE}(?<![/.\w-])(?:volume|disk)\b(?![/.]| ?attachment){_NOT_NODE}not (?:found|exist)",
    re.IGNORECASE,
)
_DAMAGED = re.compile(
    r"'fsck' found errors|can't read superblock|input/output error|Structure needs cleaning", re.IGNORECASE
)
_VOLUME_NAME = re.compile(r'for volume "(?P<name>[^"]+)"')
_MOUNT_FAILURES = ("FailedAttachVolume", "FailedMount", "FailedMapVolume")
# What the kubelet says every two minutes, whatever the trouble is.
_ONLY_LATE = "Unable to attach or mount volumes"
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
    events = _standing(seen, "ProvisioningFailed", matching=_UNKNOWN_CLASS)
    if not events or (found := _UNKNOWN_CLASS.search(words := message_of(events[-1]))) is None:
        return None
    volume = capitalized(_volume(seen))
    sentence = (
        f"{volume} could not be created: the cluster does not have its kind of storage "
        f'(storage class "{found["name"]}").'
    )
    failed = f"{sentence} {CONTACT}"
    if last_seen(events[-1]) < seen.started and seen.lasting(None) < seen.grace.old_complaint:
        return Diagnosis.waiting(
            Stage.STORAGE, sentence, reason=Reason.STORAGE_CLASS, detail=words, expired=failed
        )
    return Diagnosis.failed(Stage.STORAGE, Reason.STORAGE_CLASS, failed, detail=words)


def claim_misfit(seen: Observation) -> Diagnosis | None:
    """The claim names a volume that it does not fit: another size, access mode or storage class."""
    if seen.claim is None or phase_of(seen.claim) != "Pending":
        return None
    if not (events := seen.claim_events("VolumeMismatch")):
        return None
    name = _volume_name(seen.claim)
    disk = "the disk that its settings name" + (f' ("{name}")' if name else "")
    volume = capitalized(_volume(seen))
    return _claim_pending(
        seen,
        f"{volume} does not fit {disk}.",
        detail=message_of(events[-1]),
        expired=f"{volume} did not get {disk} within {{waited}}: it does not fit. {CONTACT}",
    )


def claim_without_volume(seen: Observation) -> Diagnosis | None:
    """The claim has no storage class, and needs a volume that an administrator adds."""
    if seen.claim is None or phase_of(seen.claim) != "Pending":
        return None
    events = _standing(seen, "FailedBinding", matching=_NO_VOLUME)
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
    # The cluster says again and again that it waits for the provisioner, also while that fails.
    standing = _standing(seen, "ProvisioningFailed")
    events = [
        event
        for event in seen.claim_events("ProvisioningFailed")
        if event in standing or last_seen(event) >= seen.started
    ]
    if not events:
        return None
    failed = f"The storage system could not create {_volume(seen)}"
    return _claim_pending(
        seen,
        f"{failed}. It is trying again.",
        detail=message_of(events[-1]),
        expired=f"{failed} within {{waited}}. {LATER}",
    )


def _standing(seen: Observation, reason: str, *, matching: re.Pattern[str] | None = None) -> list[Raw]:
    """Return the complaints about the claim that no later event has overtaken: events outlive a start."""
    further = max(map(last_seen, seen.claim_events(*_PROVISIONING)), default=None)
    return [
        event
        for event in seen.claim_events(reason, matching=matching)
        if further is None or last_seen(event) >= further
    ]


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


def no_slot_for_disk(seen: Observation) -> Diagnosis | None:
    """The node has as many disks as it can take. The scheduler did not know, or counts other disks."""
    events = seen.unsolved("FailedAttachVolume", matching=_NO_SLOT)
    return _not_connected(
        events,
        "The machine of your server cannot take one more disk. The cluster is trying again.",
        "The machine of your server had no room for one more disk within {waited}. "
        "Start it again; if it keeps happening, contact your administrator.",
    )


def disk_still_attached(seen: Observation) -> Diagnosis | None:
    """The disk is still attached to the node of an earlier server. Most disks can be attached to one node only."""
    events = seen.unsolved("FailedAttachVolume", "FailedMount", matching=_ATTACHED_ELSEWHERE)
    volume = _attached_volume(seen, events)
    return _not_connected(
        events,
        f"The disk of {volume} is still attached to another machine. Your server is waiting for it.",
        f"Another machine did not release the disk of {volume} within {{waited}}. {LATER}",
    )


def disk_gone(seen: Observation) -> Diagnosis | None:
    """The storage system does not know the disk. It may have been deleted there."""
    events = seen.unsolved("FailedAttachVolume", "FailedMount", matching=_GONE)
    volume = _attached_volume(seen, events)
    return _not_connected(
        events,
        f"The storage system does not find the disk of {volume}. It is trying again.",
        f"The storage system did not find the disk of {volume} within {{waited}}. {CONTACT}",
        reason=Reason.CLAIM_LOST,
    )


def disk_damaged(seen: Observation) -> Diagnosis | None:
    """The file system of the disk is damaged, or the disk itself."""
    events = seen.unsolved("FailedMount", matching=_DAMAGED)
    volume = _attached_volume(seen, events)
    return _not_connected(
        events,
        f"The machine cannot read the disk of {volume}. It is trying again.",
        f"The machine could not read the disk of {volume} within {{waited}}. {CONTACT}",
    )


def files_get_owner(seen: Observation) -> Diagnosis | None:
    """The kubelet gives each file of the volume to the pod's group (fsGroup)."""
    events = seen.unsolved("VolumePermissionChangeInProgress")
    failures = [each for each in seen.unsolved(*_MOUNT_FAILURES) if not _says_only_late(each)]
    if failures and events and last_seen(failures[-1]) > last_seen(events[-1]):
        return None
    volume = _attached_volume(seen, events)
    return _not_connected(
        events,
        f"The cluster sets the permissions of the files in {volume}, which takes long with many files.",
        f"The cluster did not finish setting the permissions of the files in {volume} within {{waited}}. {CONTACT}",
    )


def _not_connected(
    events: Sequence[Raw], sentence: str, expired: str, *, reason: Reason = Reason.MOUNT
) -> Diagnosis | None:
    """Return the diagnosis of a volume that is not there yet, with the last event's words; None without an event."""
    if not events:
        return None
    detail = message_of(events[-1])
    return Diagnosis.waiting(Stage.STORAGE, sentence, reason=reason, detail=detail, expired=expired)


def _attached_volume(seen: Observation, events: Sequence[Raw]) -> str:
    """Return the volume of the last event, if a claim has it. Events about files name it in a path."""
    words = message_of(events[-1]) if events else ""
    named = {found["name"]} if (found := _VOLUME_NAME.search(words)) else set(words.split("/"))
    for claim in (seen.claim, *seen.other_claims):
        if claim and (name := _volume_name(claim)) and name in named:
            return volume_in_words(claim)
    return "a volume of your server" if seen.other_claim_names else "your home volume"


def _says_only_late(event: Raw) -> bool:
    return message_of(event).startswith(_ONLY_LATE)


def mounted_object_missing(seen: Observation) -> Diagnosis | None:
    """A volume refers to a Secret or ConfigMap, or a key of it, that does not exist."""
    for event in reversed(events := seen.unsolved("FailedMount")):
        if (what := _missing_in(message_of(event))) is not None:
            same = [each for each in events if _missing_in(message_of(each)) == what]
            return missing_object(seen, what, message_of(event), missing_for(seen, same))
    return None


def missing_for(seen: Observation, complaints: Sequence[Raw]) -> timedelta:
    """Return how long an object has been missing by the kubelet's last look. It waits 8 s and more between two looks.

    An event may be late or not repeated. After three grace periods, the kubelet has looked again in any case.
    """
    first = first_seen(complaints[0])
    looked, lasting = seen.lasting(first) - seen.lasting(last_seen(complaints[-1])), seen.lasting(first)
    return looked if lasting < 3 * seen.grace.missing_object else lasting


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
    events = seen.unsolved(*_MOUNT_FAILURES)
    return _not_connected(
        [each for each in events if not _says_only_late(each)] or events,
        "The machine could not connect a volume of your server. It is trying again.",
        f"The machine could not connect a volume of your server within {{waited}}. {AGAIN}",
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
    claim_misfit,
    claim_without_volume,
    claim_provisioning_fails,
    claim_missing,
    claim_pending,
)
MOUNT_RULES = (
    no_slot_for_disk,
    disk_still_attached,
    mounted_object_missing,
    disk_gone,
    disk_damaged,
    files_get_owner,
    mount_fails,
)
