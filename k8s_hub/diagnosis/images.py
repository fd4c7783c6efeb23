"""Rules about images: pulls in progress, and errors of the kubelet and the registry.

Only a registry's answer about the image itself ends a start at once. Other errors (the network, rate limits, a login that
does not work yet, a full or damaged store of the node) may pass, so they get a grace period.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT
from k8s_hub.diagnosis.observation import (
    Observation,
    Role,
    first_seen,
    is_of_container,
    last_seen,
    message_of,
)
from k8s_hub.diagnosis.pod_life import state_of
from k8s_hub.objects.raw import Raw

_PULL_FAILS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "ImageInspectError",
    "SignatureValidationFailed",
)

# Docker Hub, ECR, GHCR, Quay, Google's and Azure's registries, Harbor, and the kubelet's own limit.
_LIMITED = re.compile(
    r"\b429\b|too ?many ?requests|(?:rate|request|data|pull)[ -]?limit|rate exceeded|QPS exceeded"
    r"|throttl|quota metric|RESOURCE_EXHAUSTED",
    re.IGNORECASE,
)
# What containerd says of a reference that it could not resolve; of a blob, a snapshot or a lease in the node's own
# store it says "not found" too.
_UNRESOLVED = re.compile(
    r'"(?P<reference>[^"\s]+)": (?P=reference): not found|no available registry endpoint: \S+ not found'
    r"|/manifests/\S+: 404\b|(?:manifest for|repository|artifact) (?P<named>\S+) not found"
)
_DIGEST = re.compile(r"@(sha256:\w+)")
_UNKNOWN = re.compile(
    r"manifest[ _]unknown|name[ _]unknown|repository name not known|requested image not found"
    r"|was deleted or has expired",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"access to the resource is denied|insufficient_scope|(?<!proxy )authentication required"
    r"|authorization failed|no basic auth credentials|\bunauthorized\b|(?<!permission )\bdenied\b"
    r"|failed to (?:authorize|fetch \w+ token)[^\n]*\b40[0134]\b"
    r"|\b40[13] (?:Unauthorized|Forbidden)|status code 40[13]|code = (?:PermissionDenied|Unauthenticated)",
    re.IGNORECASE,
)
_NO_PLATFORM = re.compile(
    r"no match for platform in manifest|no image found in (?:manifest list|image index)"
    r"|no matching manifest for|cannot be used on this platform|does not match the specified platform"
)
# containerd 2 and Docker: no version of them reads such images again.
_OLD_FORMAT = re.compile(
    r"no longer supported since containerd|schema 1\b[^\n]{0,80}\bdisabled by default", re.IGNORECASE
)
# CRI-O, but not where it could not download the signatures; the kubelet; containerd's image verifiers.
_UNSIGNED = re.compile(
    r"Source image rejected(?![^\n]*(?:dial tcp|timeout|timed out|deadline|\bEOF\b|connection re|HTTP status|x509:))"
    r"|because the signature validation failed|image verifier (?:\S+ )?blocked pull of"
)
# CRI-O, of a name without a registry.
_SHORT_NAME = re.compile(
    r"short-name\b[^\n]*\bdid not resolve|short-name resolution enforced|short name mode is enforcing"
)
_UNTRUSTED = re.compile(r"\bx509: ")
_PULL_FAILED = re.compile("Failed to pull image")
# All that some kubelets say between two tries.
_BACK_OFF = re.compile(r'Back-off pulling image "[^"]*"')
# CRI-O, of a registry with mirrors: what stands behind this is of the registry itself.
_MIRRORS = re.compile(r"\(Mirrors also failed: .*\]\): ", re.DOTALL)
# A kubelet with several credentials for a registry lists the answer to each.
_SEVERAL = re.compile(r"(?:^|: )\[(?P<answers>.+)\]$", re.DOTALL)
_NEXT = re.compile(
    r", (?=rpc error: code = |failed to pull |Error response from daemon: |initializing source )"
)
# What stands in the words of a failure and may be called like one: images and addresses.
_NAMES = re.compile(r'https?://\S+|"[^"\s]*[/:][^"\s]*"')

_OTHER_IMAGE = "Choose another image, or contact your administrator."

_SPELLING = "Check its spelling, or contact your administrator."
_NAME_AND_TAG = "Check its name and tag, or contact your administrator."


def image_name_invalid(seen: Observation) -> Diagnosis | None:
    """The image name is invalid, so no registry was asked."""
    if (container := seen.waiting("InvalidImageName")) is None:
        return None
    name = f'The image name "{_image(seen, container)}"{_of(seen, container)}'
    return _failed(seen, container, Reason.IMAGE_NAME, f"{name} is not valid.", _SPELLING)


def image_never_pulled(seen: Observation) -> Diagnosis | None:
    """The pull policy is Never, and the node does not have the image."""
    if (container := seen.waiting("ErrImageNeverPull")) is None:
        return None
    return _failed(
        seen,
        container,
        Reason.IMAGE_NOT_FOUND,
        f"The {_named(seen, container)} is not on the machine, and this hub does not download it.",
        _OTHER_IMAGE,
    )


class _Answer(Enum):
    """What the words of a failed pull say about the image."""

    #: The registry answers so before it looks at the image.
    LIMITED = auto()
    #: It is not what this machine takes, or its name names no image here: see `_FAULTS`.
    OTHER_PLATFORM = auto()
    OLD_FORMAT = auto()
    UNSIGNED = auto()
    SHORT_NAME = auto()
    #: Many registries also answer so if the image does not exist, and some until a login works.
    DENIED = auto()
    MISSING = auto()
    #: Nothing: the machine does not take the registry for what its name says.
    UNTRUSTED = auto()
    #: Nothing.
    NONE = auto()


def image_pull_fails(seen: Observation) -> Diagnosis | None:
    """The pull failed. A retry cannot help if the error is about the image itself."""
    if (container := seen.waiting(*_PULL_FAILS)) is None:
        return None
    image, answer = _named(seen, container), _answer(_reply(seen, container), seen.image_of(container))
    match answer:
        case _Answer.LIMITED:
            return _tried_again(
                seen,
                container,
                f"The registry of the {image} allows no more downloads for now. The machine is trying again.",
                f"The registry of the {image} allowed no more downloads.",
            )
        case _Answer.DENIED:
            return _denied(seen, container, image)
        case _Answer.UNTRUSTED:
            return _tried_again(
                seen,
                container,
                f"The machine does not trust the registry of the {image}. It is trying again.",
                f"The machine does not trust the registry of the {image}.",
                CONTACT,
            )
        case _Answer.NONE:
            return _tried_again(
                seen,
                container,
                f"The machine could not download the {image}. It is trying again.",
                f"The machine could not download the {image}.",
            )
        case _:
            fault = _FAULTS[answer]
            sentence, advice = (
                text.format(image=image, full=_with_registry(_image(seen, container)))
                for text in (fault.sentence, fault.advice)
            )
            return _failed(seen, container, fault.reason, sentence, advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """A fault of an image that no further try heals, as its user reads it."""

    pattern: re.Pattern[str]
    reason: Reason
    sentence: str
    advice: str = _OTHER_IMAGE


# In this order, and all but the last before a denial is looked for.
_FAULTS = {
    _Answer.OTHER_PLATFORM: _Fault(
        pattern=_NO_PLATFORM,
        reason=Reason.IMAGE_NOT_FOUND,
        sentence="The {image} was not made for the kind of processor that the machine has.",
    ),
    _Answer.OLD_FORMAT: _Fault(
        pattern=_OLD_FORMAT,
        reason=Reason.IMAGE_NOT_FOUND,
        sentence="The format of the {image} is too old for the machine.",
    ),
    _Answer.UNSIGNED: _Fault(
        pattern=_UNSIGNED,
        reason=Reason.POLICY,
        sentence="A policy of the cluster refused the {image}: it is not signed as the policy requires.",
    ),
    _Answer.SHORT_NAME: _Fault(
        pattern=_SHORT_NAME,
        reason=Reason.IMAGE_NAME,
        sentence="The name of the {image} does not say which registry has it.",
        advice='Choose its full name, such as "{full}", or contact your administrator.',
    ),
    _Answer.MISSING: _Fault(
        pattern=_UNKNOWN,
        reason=Reason.IMAGE_NOT_FOUND,
        sentence="The {image} does not exist.",
        advice=_NAME_AND_TAG,
    ),
}


def _with_registry(image: str) -> str:
    """Return the name with Docker Hub's registry, which most names without one mean."""
    return f"docker.io/{image}" if "/" in image else f"docker.io/library/{image}"


def _denied(seen: Observation, container: Raw, image: str) -> Diagnosis:
    """Wait for one more try, which succeeds if only the login was late."""
    secrets = [message_of(event) for event in seen.pod_events("FailedToRetrieveImagePullSecret")]
    end = _failed(
        seen,
        container,
        Reason.IMAGE_DENIED,
        f"The {image} does not exist, or this hub may not download it.",
        "Check its name, or ask your administrator for access.",
        also=secrets[-1:],
    )
    name = seen.image_of(container)
    denials = [
        event for event in _failures(seen, container) if _answer(message_of(event), name) is _Answer.DENIED
    ]
    meanwhile = f"The {image} may not exist, or this hub may not download it. The machine is trying again."
    return _until(
        seen, container, end, since=_since(seen, denials), grace=seen.grace.image_denied, meanwhile=meanwhile
    )


def image_is_pulled(seen: Observation) -> Diagnosis | None:
    """The node pulls the image."""
    pulling, pulled = seen.pod_events("Pulling"), seen.pod_events("Pulled", "Failed")
    if not pulling or (pulled and last_seen(pulled[-1]) >= last_seen(pulling[-1])):
        return None
    if seen.waiting("ContainerCreating", "PodInitializing") is None:
        return None
    found = re.search(r'"([^"]+)"', message_of(pulling[-1]))
    image = f'the image "{_shortened(found[1])}"' if found else "the image"
    return Diagnosis.waiting(
        Stage.PULLING,
        f"Downloading {image}.",
        detail=message_of(pulling[-1]),
        expired=f"The machine did not finish downloading {image} within {{waited}}. {AGAIN}",
    )


def _tried_again(
    seen: Observation,
    container: Raw,
    meanwhile: str,
    failed: str,
    advice: str = "Try again later, or contact your administrator.",
) -> Diagnosis:
    """Wait for the kubelet's retries, and fail after the grace period."""
    end = _failed(seen, container, Reason.IMAGE_PULL, failed, advice)
    since = _since(seen, _failures(seen, container))
    return _until(seen, container, end, since=since, grace=seen.grace.image_pull, meanwhile=meanwhile)


def _until(
    seen: Observation,
    container: Raw,
    end: Diagnosis,
    *,
    since: datetime | None,
    grace: timedelta,
    meanwhile: str,
) -> Diagnosis:
    """Wait until the grace period is over, and then for the try that is on its way: it may be downloading."""
    if seen.lasting(since) >= grace and not _is_being_tried(seen, container):
        return end
    return Diagnosis.waiting(
        Stage.PULLING,
        meanwhile,
        reason=end.reason,
        detail=end.detail,
        expired=end.sentence,
    )


def _failed(
    seen: Observation,
    container: Raw,
    reason: Reason,
    sentence: str,
    advice: str,
    *,
    also: list[str] | None = None,
) -> Diagnosis:
    """Return a failure with advice for whoever chose the image: the user, or the administrator for other containers."""
    advice = advice if seen.role_of(container) is Role.SERVER else CONTACT
    return Diagnosis.failed(
        Stage.PULLING,
        reason,
        f"{sentence} {advice}",
        detail="; ".join([_reply(seen, container), *(also or ())]),
    )


def _named(seen: Observation, container: Raw) -> str:
    return f'image "{_image(seen, container)}"{_of(seen, container)}'


def _image(seen: Observation, container: Raw) -> str:
    return _shortened(seen.image_of(container))


def _of(seen: Observation, container: Raw) -> str:
    """Name the container, if it is not the user's server."""
    return "" if seen.role_of(container) is Role.SERVER else f" of {seen.in_words(container)}"


def _shortened(image: str) -> str:
    """Shorten digests, which have 64 digits."""
    return re.sub(r"@sha256:(\w{12})\w+", r"@sha256:\1", image)


def _reply(seen: Observation, container: Raw) -> str:
    """Return the last message about this container's pull: older kubelets have the registry's error only in an event."""
    words = message_of(state_of(container, "waiting"))
    if not words or _BACK_OFF.fullmatch(words):
        failures = _failures(seen, container)
        words = message_of(failures[-1]) if failures else words
    return words.replace('\\"', '"')


def _answer(words: str, image: str) -> _Answer:
    """Return what the words say. Of several answers, one that does not rule the image out decides."""
    words = words.replace('\\"', '"')
    several = _SEVERAL.search(words)
    parts = _NEXT.split(several["answers"]) if several else []
    answers = {_single(each, image) for each in (parts if len(parts) > 1 else [words])}
    return next(each for each in _DECISIVE if each in answers)


_DECISIVE = (
    _Answer.LIMITED,
    _Answer.NONE,
    _Answer.UNTRUSTED,
    _Answer.DENIED,
    *_FAULTS,
)


def _single(words: str, image: str) -> _Answer:
    """Return what a single answer says."""
    words = _MIRRORS.sub("", words)
    nameless = _nameless(words, image)
    if _LIMITED.search(nameless):
        return _Answer.LIMITED
    for answer, fault in _FAULTS.items():
        if answer is not _Answer.MISSING and fault.pattern.search(nameless):
            return answer
    if _DENIED.search(nameless):
        return _Answer.DENIED
    if _is_unresolved(words, image) or _UNKNOWN.search(nameless):
        return _Answer.MISSING
    return _Answer.UNTRUSTED if _UNTRUSTED.search(nameless) else _Answer.NONE


def _is_unresolved(words: str, image: str) -> bool:
    """True if the image was not found. A proxy that is still fetching it does not find a digest that nobody asked for."""
    for found in _UNRESOLVED.finditer(words):
        digest = _DIGEST.search(found["named"] or "")
        if digest is None or digest[1] in image:
            return True
    return False


def _nameless(words: str, image: str) -> str:
    """Return the message without names: an image may be called "denied" or have the tag 429."""
    words = _NAMES.sub("", words)
    return words.replace(image, "") if re.search("[/:]", image) else words


def _failures(seen: Observation, container: Raw) -> list[Raw]:
    return [
        event
        for event in seen.pod_events("Failed", matching=_PULL_FAILED)
        if is_of_container(event, str(container.get("name")))
    ]


def _since(seen: Observation, failures: list[Raw]) -> datetime | None:
    return first_seen(failures[0]) if failures else seen.since("PodScheduled")


def _is_being_tried(seen: Observation, container: Raw) -> bool:
    """True from the begin of a further pull until its end. Meanwhile the container's state tells of the last one."""
    failures = _failures(seen, container)
    pulls = [each for each in seen.pod_events("Pulling") if is_of_container(each, str(container.get("name")))]
    return bool(failures and pulls) and last_seen(pulls[-1]) > last_seen(failures[-1])


RULES = (
    image_name_invalid,
    image_never_pulled,
    image_pull_fails,
    image_is_pulled,
)
