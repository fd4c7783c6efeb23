"""What is known at one moment about one start, and the questions that rules ask of it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from k8s_hub.diagnosis.patience import Patience
from k8s_hub.diagnosis.pod_life import notebook_name, state_of
from k8s_hub.objects import timestamps
from k8s_hub.objects.keys import uid_of
from k8s_hub.objects.raw import Raw

_MISSING_SECRET = re.compile(r'\bsecret "(?P<name>[^"]+)" not found')


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Pod, claims and events as the API server tells them; each of them may be missing.

    ``events`` may hold other objects' events: they are told apart by uid, so that those of an earlier pod
    of the same name say nothing about this one.
    """

    pod: Raw | None
    claim: Raw | None
    events: Sequence[Raw]
    #: Aware, UTC.
    now: datetime
    #: When this start attempt began; the oldest that any trouble of it can be.
    started: datetime
    patience: Patience = field(default=Patience())
    #: The claims that the server has besides the one that is looked at.
    other_claims: Sequence[Raw] = ()
    #: The Secrets that this start has created after the pod: what missed one of them will find it.
    created_secrets: Collection[str] = ()

    def by_claim(self) -> "list[Observation]":
        """Return this observation with each of the claims in turn as the one that is looked at."""
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
        spec: Raw = (self.pod or {}).get("spec") or {}
        return spec

    @property
    def status(self) -> Raw:
        """The pod's status, empty without a pod."""
        status: Raw = (self.pod or {}).get("status") or {}
        return status

    @property
    def containers(self) -> list[Raw]:
        """The statuses of all containers: those that prepare first, then the server's, then the others."""
        init: list[Raw] = list(self.status.get("initContainerStatuses") or ())
        main: list[Raw] = list(self.status.get("containerStatuses") or ())
        if len(main) > 1:
            notebook = notebook_name(self.pod or {})
            main.sort(key=lambda container: container.get("name") != notebook)
        return init + main

    def waiting(self, *reasons: str) -> Raw | None:
        """Return the status of the first container that waits for one of the reasons."""
        for container in self.containers:
            waiting = state_of(container, "waiting")
            if waiting.get("reason") in reasons and not self.is_provided(waiting.get("message") or ""):
                return container
        return None

    def image_of(self, container: Raw) -> str:
        """Name a container's image as the spec does; the status may have another of its names."""
        specs = (*(self.spec.get("initContainers") or ()), *(self.spec.get("containers") or ()))
        named = (spec.get("image") for spec in specs if spec.get("name") == container.get("name"))
        return str(next(named, None) or container.get("image") or "")

    def condition(self, name: str) -> Raw:
        """Return a condition of the pod, empty if it is not set."""
        conditions: Sequence[Raw] = self.status.get("conditions") or ()
        return next((condition for condition in conditions if condition.get("type") == name), {})

    @property
    def unschedulable(self) -> str | None:
        """What the scheduler says about the pod, None unless it has tried and found no machine."""
        condition = self.condition("PodScheduled")
        if condition.get("status") != "False":
            return None
        return condition.get("message") or condition.get("reason") or "Unschedulable"

    def since(self, condition: str) -> datetime | None:
        """When a condition of the pod came to be what it is, None if that is unknown."""
        text = self.condition(condition).get("lastTransitionTime")
        return timestamps.parse(text) if text else None

    def unsolved(self, *reasons: str, matching: re.Pattern[str] | None = None) -> list[Raw]:
        """Return the pod's events of a trouble with its machine, unless it has come further since."""
        events = self.pod_events(*reasons, matching=matching)
        further = self.pod_events("SuccessfulAttachVolume", "Pulling", "Pulled", "Created", "Started")
        events = [event for event in events if not self.is_provided(words_of(event))]
        if not events or (further and last_seen(further[-1]) > last_seen(events[-1])):
            return []
        return events

    def is_provided(self, words: str) -> bool:
        """True where the machine missed a Secret that has been created since: it looks again by itself."""
        found = _MISSING_SECRET.search(words)
        return found is not None and found["name"] in self.created_secrets

    def pod_events(self, *reasons: str, matching: re.Pattern[str] | None = None) -> list[Raw]:
        """Return this pod's events of these reasons, oldest first; all of them without a reason."""
        return self._events_of(self.pod, reasons, matching)

    def claim_events(self, *reasons: str, matching: re.Pattern[str] | None = None) -> list[Raw]:
        """Return the claim's events of these reasons, oldest first; all of them without a reason."""
        return self._events_of(self.claim, reasons, matching)

    def lasting(self, since: datetime | None) -> timedelta:
        """How long something has been so; never negative, never longer than this attempt."""
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
            and (matching is None or matching.search(words_of(event)))
        ]
        return sorted(found, key=last_seen)


def words_of(event: Raw) -> str:
    """What an event says; some say nothing."""
    return str(event.get("message") or "")


def first_seen(event: Raw) -> datetime:
    """When an event happened first; the scheduler's and the kubelet's events say it in different fields."""
    return _moment(event, "firstTimestamp", "eventTime", "lastTimestamp")


def last_seen(event: Raw) -> datetime:
    """When an event happened last."""
    series = event.get("series") or {}
    if series.get("lastObservedTime"):
        return timestamps.parse(series["lastObservedTime"])
    return _moment(event, "lastTimestamp", "eventTime", "firstTimestamp")


def _moment(event: Raw, *fields: str) -> datetime:
    metadata = event.get("metadata") or {}
    texts = [*(event.get(name) for name in fields), metadata.get("creationTimestamp")]
    return timestamps.parse(next(text for text in texts if text))
