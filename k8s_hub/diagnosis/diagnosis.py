"""A diagnosis of one start: its stage, one plain sentence for the user, and whether waiting can help."""

import json
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from inspect import iscoroutine
from typing import Any, Self, TypeVar

from k8s_hub.diagnosis.messages import AGAIN, sanitized
from k8s_hub.text import format_duration


class Stage(StrEnum):
    """The stage of a start, in the order of a start without trouble."""

    REQUEST = "request"  # removing leftovers, creating objects
    STORAGE = "storage"
    SCHEDULING = "scheduling"
    MACHINE = "machine"  # the autoscaler is adding a node
    PULLING = "pulling"
    STARTING = "starting"
    RUNNING = "running"

    @property
    def percent(self) -> int:
        """The percentage of the progress bar; only the hub shows 100."""
        return _PERCENT[self]


_PERCENT = {
    Stage.REQUEST: 5,
    Stage.STORAGE: 10,
    Stage.SCHEDULING: 20,
    Stage.MACHINE: 30,
    Stage.PULLING: 50,
    Stage.STARTING: 80,
    Stage.RUNNING: 95,
}


class Reason(StrEnum):
    """Why a start waits or failed: a closed list, because metrics use it as a label."""

    # What was chosen
    CHOICE = "choice"
    # The node
    UNSCHEDULABLE = "unschedulable"
    NODE_LOST = "node_lost"
    EVICTED = "evicted"
    # The image
    IMAGE_NAME = "image_name"
    IMAGE_NOT_FOUND = "image_not_found"
    IMAGE_DENIED = "image_denied"
    IMAGE_PULL = "image_pull"
    # The containers
    CONFIG_MISSING = "config_missing"
    COMMAND = "command"
    CRASH = "crash"
    POST_START = "post_start"
    PROBE = "probe"
    NOT_READY = "not_ready"
    OUT_OF_MEMORY = "out_of_memory"
    SANDBOX = "sandbox"
    EXITED = "exited"
    DELETED = "deleted"
    NO_ANSWER = "no_answer"
    # The home volume
    CLAIM_PENDING = "claim_pending"
    CLAIM_TERMINATING = "claim_terminating"
    CLAIM_LOST = "claim_lost"
    CLAIM_MISSING = "claim_missing"
    STORAGE_CLASS = "storage_class"
    MOUNT = "mount"
    VOLUME_IN_USE = "volume_in_use"
    # The refusal of a request
    QUOTA = "quota"
    POLICY = "policy"
    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    NAMESPACE = "namespace"
    # What is broken in the hub
    HOOK = "hook"
    BUG = "bug"
    # What stands in the way
    FOREIGN_OBJECT = "foreign_object"
    OLD_SERVER = "old_server"
    # The cluster
    CLUSTER_BUSY = "cluster_busy"
    CLUSTER_UNAVAILABLE = "cluster_unavailable"
    DEADLINE = "deadline"
    # What a rule of `KubeSpawner.diagnosis_rules` has found
    SITE = "site"


@dataclass(frozen=True, slots=True, kw_only=True)
class GracePeriods:
    """How long to wait for a problem that may pass by itself; problems not listed here last until the start's deadline.

    Users give up after a few minutes. A problem that only an administrator can solve fails the start well before that. A
    problem that the cluster often solves by itself gets more time.
    """

    #: A missing Secret, ConfigMap or claim: the same hook may be creating it. The kubelet must have looked for it since.
    missing_object: timedelta = timedelta(seconds=10)
    #: A registry that denies the image: the kubelet tries again after 10 to 16 s, which helps if the pull secret came
    #: late. Most often the name is misspelt, and the user should know within half a minute.
    image_denied: timedelta = timedelta(seconds=20)
    #: A registry that does not answer, or answers 429 or 5xx: the kubelet retries after 10, 20, 40, ... s.
    image_pull: timedelta = timedelta(seconds=120)
    #: The autoscaler said that no node can be added. Another server may still end and make room, and the
    #: autoscaler may change its mind when a failed group leaves its back-off.
    no_scale_up: timedelta = timedelta(seconds=120)
    #: A claim without a volume and without a storage class: an administrator may be adding the volume.
    unbound_claim: timedelta = timedelta(seconds=60)
    #: A complaint about a claim from before this start: the cluster looks at a claim every 15 s.
    old_complaint: timedelta = timedelta(seconds=20)
    #: A server that shuts down: after this, the user reads why it takes long.
    shutdown: timedelta = timedelta(seconds=20)


SENTENCE_LIMIT = 300
DETAIL_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One diagnosis, made with :meth:`waiting` or :meth:`failed`. Its texts are bounded, redacted and one line long.

    They are plain text: escape them for HTML.
    """

    stage: Stage
    #: For the user: at most SENTENCE_LIMIT characters.
    sentence: str
    #: For the administrator's log: the cluster's own words, at most DETAIL_LIMIT characters.
    detail: str = ""
    #: The percentage of the progress bar, if it is beyond that of the stage.
    percent: int = 0
    fatal: bool = False
    #: None if nothing is wrong.
    reason: Reason | None = None
    #: For the user at the deadline: what did not happen within ``{waited}``, and what to do.
    expired: str = ""

    def __post_init__(self) -> None:
        for name, limit in {
            "sentence": SENTENCE_LIMIT,
            "detail": DETAIL_LIMIT,
            "expired": SENTENCE_LIMIT,
        }.items():
            object.__setattr__(self, name, sanitized(getattr(self, name), limit))
        object.__setattr__(self, "percent", max(self.percent, self.stage.percent))

    @classmethod
    def waiting(
        cls,
        stage: Stage,
        sentence: str,
        *,
        reason: Reason | None = None,
        detail: str = "",
        expired: str = "",
        lasting: timedelta | None = None,  # noqa: ARG003
    ) -> Self:
        """A state that may pass by itself.

        ``lasting`` is ignored. Rules for version 0.1.0 pass it.
        """
        return cls(stage=stage, sentence=sentence, detail=detail, reason=reason, expired=expired)

    @classmethod
    def failed(cls, stage: Stage, reason: Reason, sentence: str, *, detail: str = "") -> Self:
        """A state that waiting does not change soon enough."""
        return cls(stage=stage, sentence=sentence, detail=detail, fatal=True, reason=reason)


T = TypeVar("T")

OnError = Callable[[Callable[..., object], Exception], object]
"""Called with a rule that raised, and its exception."""


def ignore(_rule: Callable[..., object], _error: Exception) -> None:
    """Ignore a rule that raised."""


def ask(rule: Callable[[T], Any], subject: T, on_error: OnError) -> Diagnosis | None:
    """Return the result of a rule; None if it raises, so that the other rules still apply."""
    try:
        answer = rule(subject)
        if answer is None or isinstance(answer, Diagnosis):
            return answer
        if iscoroutine(answer):
            answer.close()
        raise TypeError(f"it returned {type(answer).__name__}, which is neither a Diagnosis nor None")  # noqa: TRY301
    except Exception as error:  # noqa: BLE001 - a mistake in one rule must not end every start
        on_error(rule, error)
        return None


# --- What the user reads: nothing twice, nothing back, no secret, and at the deadline why it failed ---


def advance(previous: Diagnosis | None, new: Diagnosis) -> Diagnosis | None:
    """Return what to show now; None if it was just shown. The progress bar never goes back."""
    if previous is None:
        return new
    if new.sentence == previous.sentence:
        return None
    return replace(new, percent=max(previous.percent, new.percent))


def at_deadline(diagnosis: Diagnosis, waited: timedelta) -> Diagnosis:
    """Turn the diagnosis of a waiting start into the reason for its failure at the deadline."""
    if diagnosis.fatal:
        return diagnosis
    return replace(
        diagnosis,
        sentence=(diagnosis.expired or NOT_STARTED).replace("{waited}", format_duration(waited)),
        fatal=True,
        reason=diagnosis.reason or Reason.DEADLINE,
    )


NOT_STARTED = f"Your server did not start within {{waited}}. {AGAIN}"
"""The text for the user at the deadline if no other is known."""


SHORTEST = 8
"""The shortest value to hide, in characters: shorter ones are parts of many words."""

_HIDDEN, _CUT = "***", "…"


def redacted(diagnosis: Diagnosis, secrets: Collection[str]) -> Diagnosis:
    """Return the diagnosis without the secrets in its texts, even if they are escaped or truncated there."""
    forms = _forms_of(secrets)
    return replace(
        diagnosis,
        sentence=_without(diagnosis.sentence, forms),
        detail=_without(diagnosis.detail, forms),
    )


def redacted_text(text: str, secrets: Collection[str]) -> str:
    """Return the text without the secrets."""
    return _without(text, _forms_of(secrets))


def _forms_of(secrets: Collection[str]) -> list[str]:
    """Return all forms of all secrets, the longest first."""
    return sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms in which a text may quote a secret, such as single lines of it."""
    lines = [line for line in secret.splitlines() if len(line) >= SHORTEST]
    for text in (*lines, " ".join(secret.split())):
        if len(text) >= SHORTEST:
            yield from (text, " ".join(text.split()), json.dumps(text)[1:-1])
    if lines:
        yield b64encode(secret.encode()).decode()


def _without(text: str, forms: Collection[str]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, _HIDDEN)
        if text.endswith(_CUT):
            text = _without_cut(text.removesuffix(_CUT), form) + _CUT
    return text


def _without_cut(text: str, form: str) -> str:
    """Hide a truncated secret at the end of a text."""
    for length in range(min(len(form) - 1, len(text)), SHORTEST - 1, -1):
        if text.endswith(form[:length]):
            return text[:-length] + _HIDDEN
    return text
