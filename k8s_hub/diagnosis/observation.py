"""An observation of one start at one moment, with the queries that rules need."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from k8s_hub.diagnosis.diagnosis import GracePeriods
from k8s_hub.diagnosis.pod_life import last_exit, notebook_name, notebook_status, state_of
from k8s_hub.diagnosis.refusals import MESSAGE_LIMIT, Refusal
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import key_of, spec_of, status_of, uid_of
from k8s_hub.objects.raw import Raw

_MISSING_SECRET = re.compile(r'\bsecrets? "(?P<name>[^"]+)" not found')
_VOLUME = re.compile(r'for volume "(?P<name>[^"]+)"')
# All volumes of a pod are mounted before the first of its images is pulled.
_PAST_VOLUMES = ("Pulling", "Pulled", "Created", "Started")


class Role(Enum):
    """The role of a container in its pod."""

    #: The user's server.
    SERVER = auto()
    #: An init container: it ends before the server begins.
    STEP = auto()
    #: An init container that runs on (restartPolicy Always): the server begins once it has started.
    SIDECAR = auto()
    #: Another container that runs together with the server.
    BESIDE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Pod, claims and events from the API server. Each of them may be missing.

    Pods and claims have the fields that `k8s_hub.diagnosis.projection` keeps, without environment and arguments. ``events``
    may contain other objects' events: rules compare uids, so that events of an earlier pod of the same name do not count.
    """

    pod: Raw | None
    claim: Raw | None
    events: Sequence[Raw]
    #: Aware, UTC.
    now: datetime
    #: When this start began. No problem of it can be older.
    started: datetime
    grace: GracePeriods = field(default=GracePeriods())
    #: The server's other claims.
    other_claims: Sequence[Raw] = ()
    #: The Secrets that this start created after the pod. A container that missed one will find it.
    created_secrets: Collection[str] = ()
    #: A request that the API server refused. Then there are no pod, claims and events.
    refusal: Refusal | None = None

    def by_claim(self) -> "list[Observation]":
        """Return a copy of this observation for each claim, with that claim as ``claim``."""
        claims = [*([] if self.claim is None else [self.claim]), *self.other_claims]
        if len(claims) < 2:
            return [self]
        return [
            replace(self, claim=claim, other_claims=[*claims[:number], *claims[number + 1 :]])
            for number, claim in enumerate(claims)
        ]

    @property
    def spec(self) -> Raw:
        """The pod's spec, empty without a pod."""
        return spec_of(self.pod or {})

    @property
    def status(self) -> Raw:
        """The pod's status, empty without a pod."""
        return status_of(self.pod or {})

    @property
    def containers(self) -> list[Raw]:
        """The statuses of all containers: init containers first, then the server's, then the others."""
        init: list[Raw] = list(self.status.get("initContainerStatuses") or ())
        main: list[Raw] = list(self.status.get("containerStatuses") or ())
        if len(main) > 1:
            notebook = notebook_name(self.pod or {})
            main.sort(key=lambda container: container.get("name") != notebook)
        return init + main

    def role_of(self, container: Raw) -> Role:
        """Return the role of the container with this status."""
        name = container.get("name")
        specs = {spec.get("name"): spec for spec in self.spec.get("initContainers") or ()}
        if name in specs and specs[name].get("restartPolicy") == "Always":
            return Role.SIDECAR
        if any(status.get("name") == name for status in self.status.get("initContainerStatuses") or ()):
            return Role.STEP
        return Role.SERVER if name == notebook_name(self.pod or {}) else Role.BESIDE

    def in_words(self, container: Raw) -> str:
        """Name the container for the user: their server, or one of the administrator's containers."""
        match self.role_of(container):
            case Role.SERVER:
                return "your server"
            case Role.STEP:
                return f'the setup step "{container.get("name")}" of your server'
            case _:
                return f'the helper container "{container.get("name")}" of your server'

    @property
    def server_has_turn(self) -> bool:
        """True once all init containers are done. Other containers cannot block the server's start."""
        notebook = notebook_status(self.pod or {}) or {}
        has_begun = bool(state_of(notebook, "running") or last_exit(notebook))
        return has_begun or self.condition("Initialized").get("status") == "True"

    def waiting(self, *reasons: str) -> Raw | None:
        """Return the status of the first container that waits with one of these reasons and blocks the server."""
        for container in self.containers:
            waiting = state_of(container, "waiting")
            if waiting.get("reason") not in reasons or self.is_provided(message_of(waiting)):
                continue
            if not self.is_past(container):
                return container
        return None

    def is_past(self, container: Raw) -> bool:
        """True for a native sidecar that has started once: it no longer blocks the server."""
        return self.role_of(container) is Role.SIDECAR and self.server_has_turn

    def image_of(self, container: Raw) -> str:
        """Return a container's image from the spec: the status may use another name."""
        specs = (*(self.spec.get("initContainers") or ()), *(self.spec.get("containers") or ()))
        named = (spec.get("image") for spec in specs if spec.get("name") == container.get("name"))
        return str(next(named, None) or container.get("image") or "")

    def condition(self, name: str) -> Raw:
        """Return a condition of the pod, empty if it is not set."""
        conditions: Sequence[Raw] = self.status.get("conditions") or ()
        return next((condition for condition in conditions if condition.get("type") == name), {})

    @property
    def unschedulable(self) -> str | None:
        """The scheduler's message about the pod; None unless it has tried and found no node."""
        condition = self.condition("PodScheduled")
        if condition.get("status") != "False":
            return None
        return message_of(condition) or condition.get("reason") or "Unschedulable"

    def since(self, condition: str) -> datetime | None:
        """Return the time of a condition's last transition; None if unknown."""
        text = self.condition(condition).get("lastTransitionTime")
        return parse_time(text) if text else None

    @property
    def other_claim_names(self) -> set[str]:
        """The pod's claims besides ``claim``: a message about a volume may be about one of these."""
        volumes = self.spec.get("volumes") or ()
        names = {(volume.get("persistentVolumeClaim") or {}).get("claimName") or "" for volume in volumes}
        names |= {key_of(claim).name for claim in self.other_claims}
        return names - {"", key_of(self.claim).name if self.claim else ""}

    def unsolved(self, *reasons: str, matching: re.Pattern[str] | None = None) -> list[Raw]:
        """Return the pod's events of an unsolved problem on its node.

        An attached volume only solves the problems of that volume.
        """
        further = self.pod_events("SuccessfulAttachVolume", *_PAST_VOLUMES)
        return [
            event
            for event in self.pod_events(*reasons, matching=matching)
            if not self.is_provided(message_of(event)) and not any(_solves(each, event) for each in further)
        ]

    def is_provided(self, words: str) -> bool:
        """True if the kubelet missed a Secret that was created since: it retries by itself."""
        found = _MISSING_SECRET.search(words)
        return found is not None and found["name"] in self.created_secrets

    def pod_events(self, *reasons: str, matching: re.Pattern[str] | None = None) -> list[Raw]:
        """Return this pod's events with these reasons, oldest first; all events without a reason."""
        return self._events_of(self.pod, reasons, matching)

    def claim_events(self, *reasons: str, matching: re.Pattern[str] | None = None) -> list[Raw]:
        """Return the claim's events with these reasons, oldest first; all events without a reason."""
        return self._events_of(self.claim, reasons, matching)

    def lasting(self, since: datetime | None) -> timedelta:
        """Return the time since a moment, never negative and never longer than this start."""
        begun = self.started if since is None else max(since, self.started)
        return max(self.now - begun, timedelta())

    def _events_of(
        self, obj: Raw | None, reasons: Sequence[str], matching: re.Pattern[str] | None
    ) -> list[Raw]:
        if obj is None or not self.events:
            return []
        uid = uid_of(obj)
        found = [
            event
            for event in self.events
            if (event.get("involvedObject") or {}).get("uid") == uid
            and (not reasons or event.get("reason") in reasons)
            and (matching is None or matching.search(message_of(event)))
        ]
        return sorted(found, key=last_seen)


def message_of(said: Raw) -> str:
    """Return the message of an event, a condition or a container's state, shortened."""
    return str(said.get("message") or "")[:MESSAGE_LIMIT]


def component_of(event: Raw) -> str:
    """Return an event's source: "kubelet", "default-scheduler", "karpenter"; empty if unknown."""
    return str(event.get("reportingComponent") or (event.get("source") or {}).get("component") or "")


def is_of_container(event: Raw, name: str) -> bool:
    """True if an event is about this container, or does not name one."""
    path = str((event.get("involvedObject") or {}).get("fieldPath") or "")
    return not path or path.endswith(f"{{{name}}}")


def first_seen(event: Raw) -> datetime:
    """Return when an event happened first: the scheduler and the kubelet use different fields."""
    return _moment(event, "firstTimestamp", "eventTime", "lastTimestamp")


def last_seen(event: Raw) -> datetime:
    """Return when an event happened last."""
    series = event.get("series") or {}
    if series.get("lastObservedTime"):
        return parse_time(series["lastObservedTime"])
    return _moment(event, "lastTimestamp", "eventTime", "firstTimestamp")


def _moment(event: Raw, *fields: str) -> datetime:
    metadata = event.get("metadata") or {}
    texts = [*(event.get(name) for name in fields), metadata.get("creationTimestamp")]
    return parse_time(next((text for text in texts if text), ""))


def parse_time(text: str | None) -> datetime:
    """Parse a timestamp. A malformed one counts as the oldest moment, so that one bad event hides no others."""
    try:
        return timestamps.parse(text or "")
    except (TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


def _solves(further: Raw, trouble: Raw) -> bool:
    if last_seen(further) <= last_seen(trouble):
        return False
    attached = _VOLUME.search(message_of(further))
    stuck = _VOLUME.search(message_of(trouble))
    is_other_volume = attached is not None and stuck is not None and attached["name"] != stuck["name"]
    return further.get("reason") in _PAST_VOLUMES or not is_other_volume
