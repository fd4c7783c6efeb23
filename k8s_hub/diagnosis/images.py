"""Rules about images: what the kubelet and the registry say when one cannot be had, and while it comes."""

import re
from datetime import timedelta

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.observation import Observation, first_seen, last_seen, words_of
from k8s_hub.diagnosis.pod_life import state_of
from k8s_hub.objects.raw import Raw

_PULL_FAILS = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError")

# The texts of containerd, CRI-O and docker, and of the registries they quote. "not found" alone would also
# match a credential helper that is missing on the machine.
_NOT_FOUND = re.compile(
    r"code = NotFound|manifest unknown|name unknown|NAME_UNKNOWN|MANIFEST_UNKNOWN"
    r"|(?:manifest for|repository|reference|artifact) \S+ not found|: not found\b(?! in)",
)
_PULL_FAILED = re.compile("Failed to pull image")
_NO_PLATFORM = re.compile(
    r"no match for platform in manifest|no image found in (?:manifest list|image index)"
)
_DENIED = re.compile(
    r"pull access denied|access to the resource is denied|insufficient_scope"
    r"|authentication required|authorization failed|no basic auth credentials|\bunauthorized\b"
    r"|\b40[13] (?:Unauthorized|Forbidden)|status code 40[13]|PermissionDenied|Unauthenticated",
    re.IGNORECASE,
)


def image_name_invalid(seen: Observation) -> Diagnosis | None:
    """The name is no image's name; nobody was even asked."""
    if (container := seen.waiting("InvalidImageName")) is None:
        return None
    return _failed(
        seen,
        container,
        Reason.IMAGE_NAME,
        'The image name "{image}" is not valid. Please check its spelling.',
    )


def image_never_pulled(seen: Observation) -> Diagnosis | None:
    """The pull policy is Never, and the machine does not have it."""
    if (container := seen.waiting("ErrImageNeverPull")) is None:
        return None
    return _failed(
        seen,
        container,
        Reason.IMAGE_NOT_FOUND,
        'The image "{image}" is not on the machine, and this hub does not download it.',
    )


def image_denied(seen: Observation) -> Diagnosis | None:
    """The registry answered, and said no to us; many say so too of what does not exist."""
    if (container := seen.waiting(*_PULL_FAILS)) is None or not _DENIED.search(_words(seen, container)):
        return None
    return _failed(
        seen,
        container,
        Reason.IMAGE_DENIED,
        'The image "{image}" does not exist, or this hub may not download it. '
        "Please check its name, or ask your administrator for access.",
    )


def image_for_other_machines(seen: Observation) -> Diagnosis | None:
    """It exists, but not for this processor."""
    if (container := seen.waiting(*_PULL_FAILS)) is None or not _NO_PLATFORM.search(_words(seen, container)):
        return None
    return _failed(
        seen,
        container,
        Reason.IMAGE_NOT_FOUND,
        'The image "{image}" was not made for the kind of processor that the machine has.',
    )


def image_not_found(seen: Observation) -> Diagnosis | None:
    """The registry answered, and has no such image. Asking again cannot help."""
    if (container := seen.waiting(*_PULL_FAILS)) is None or not _NOT_FOUND.search(_words(seen, container)):
        return None
    return _failed(
        seen,
        container,
        Reason.IMAGE_NOT_FOUND,
        'The image "{image}" does not exist. Please check its name and tag.',
    )


def image_pull_fails(seen: Observation) -> Diagnosis | None:
    """The registry did not answer, or not in a way that ends it; the kubelet tries again."""
    if (container := seen.waiting(*_PULL_FAILS)) is None:
        return None
    lasting = _failing_for(seen, container)
    if lasting >= seen.patience.image_pull:
        return _failed(
            seen,
            container,
            Reason.IMAGE_PULL,
            'The image "{image}" cannot be downloaded. Please try again later, or tell your administrator.',
        )
    return Diagnosis.waiting(
        Stage.PULLING,
        f'Downloading the image "{_shortened(seen.image_of(container))}" failed and is tried again.',
        reason=Reason.IMAGE_PULL,
        detail=_words(seen, container),
        lasting=lasting,
        missed="it did not succeed",
    )


def image_is_pulled(seen: Observation) -> Diagnosis | None:
    """The machine downloads; the larger the image, the longer."""
    pulling, pulled = seen.pod_events("Pulling"), seen.pod_events("Pulled", "Failed")
    if not pulling or (pulled and last_seen(pulled[-1]) >= last_seen(pulling[-1])):
        return None
    if seen.waiting("ContainerCreating", "PodInitializing") is None:
        return None
    image = re.search(r'"([^"]+)"', words_of(pulling[-1]))
    return Diagnosis.waiting(
        Stage.PULLING,
        f'Downloading the image "{_shortened(image[1])}".' if image else "Downloading the image.",
        detail=words_of(pulling[-1]),
        lasting=seen.lasting(first_seen(pulling[-1])),
        missed="it was not finished",
    )


def _failed(seen: Observation, container: Raw, reason: Reason, sentence: str) -> Diagnosis:
    return Diagnosis.failed(
        Stage.PULLING,
        reason,
        sentence.format(image=_shortened(seen.image_of(container))),
        detail=_words(seen, container),
    )


def _shortened(image: str) -> str:
    """A digest is 64 digits that nobody reads."""
    return re.sub(r"@sha256:(\w{12})\w+", r"@sha256:\1", image)


def _words(seen: Observation, container: Raw) -> str:
    """What was said of this container's pull: older kubelets give the registry's words only in an event."""
    waiting = state_of(container, "waiting").get("message") or ""
    return "; ".join([waiting, *(words_of(event) for event in _failures(seen, container))])


def _failures(seen: Observation, container: Raw) -> list[Raw]:
    path = f"{{{container.get('name')}}}"
    return [
        event
        for event in seen.pod_events("Failed", matching=_PULL_FAILED)
        if str((event.get("involvedObject") or {}).get("fieldPath") or path).endswith(path)
    ]


def _failing_for(seen: Observation, container: Raw) -> timedelta:
    failures = _failures(seen, container)
    return seen.lasting(first_seen(failures[0]) if failures else seen.since("PodScheduled"))


RULES = (
    image_name_invalid,
    image_never_pulled,
    image_denied,
    image_for_other_machines,
    image_not_found,
    image_pull_fails,
    image_is_pulled,
)
