"""The messages of a start on the progress page, and the formatters that can show Kubernetes' events instead.

By default a user reads the diagnosis, which combines pod, claim and events. An administrator may set
`KubeSpawner.event_formatter_class` to a class of this module or a subclass. That class then formats each event
of the pod for the user. The names are those of KubeSpawner's module `kubespawner.events`.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from html import escape
from typing import Any

from jupyterhub.utils import maybe_future
from traitlets import Dict, List, TraitError, default, observe, validate
from traitlets.config import LoggingConfigurable
from traitlets.utils.bunch import Bunch

from k8s_hub.diagnosis.diagnosis import Diagnosis
from k8s_hub.diagnosis.observation import component_of, last_seen, message_of
from k8s_hub.objects.raw import Raw
from k8s_hub.objects.timestamps import format_seconds
from k8s_hub.spawner.config.kinds import OneOf
from k8s_hub.spawner.progress import PodEvent, Update, Waited
from k8s_hub.spawner.run_log import BROKEN_CODE, name_of
from k8s_hub.spawner.start_queue import Place
from k8s_hub.text import format_duration, nearest

FIELDS = ("reportingComponent", "fieldPath", "reason", "message", "type")
"""The fields of an event that a rule can match."""


class EventFormatter(LoggingConfigurable):
    """Formats the events of a pod for the user; a class to inherit from."""

    def format_event(self, event: Raw) -> str:
        """Return the text for the user; ``event`` is a core/v1 Event as the API server returns it."""
        raise NotImplementedError(f"{type(self).__name__} has no format_event")


class BasicEventFormatter(EventFormatter):
    """Shows the messages of Kubernetes."""

    def format_event(self, event: Raw) -> str:
        """Return the event's message."""
        return message_of(event)


class RuleEventFormatter(EventFormatter):
    """Formats an event with the first rule that matches it; shows the message of Kubernetes if none does."""

    rules: Any = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        Rules for events: a list, or a dict whose values are tried in the order of its keys.

        A rule is a dict. ``match`` maps fields of the event (reportingComponent, fieldPath, reason, message, type) to
        regular expressions. Each expression must match the beginning of its field. ``template`` is a text with the named
        groups of the expressions as fields, or a function that gets the groups as keyword arguments. A group that
        matched nothing is an empty text.
        """,
    )

    extra_rules: Any = OneOf(
        [List(), Dict()],
        config=True,
        help="""
        More rules, which are tried after `rules`. In a dict, a rule replaces the one of `rules` with the same key.
        """,
    )

    @default("rules")
    def _our_rules(self) -> list[dict[str, Any]]:
        return [{"match": dict(match), "template": template} for match, template in _RULES]

    @validate("rules", "extra_rules")
    def _are_rules(self, proposal: Bunch) -> object:
        for place, rule in _named(proposal.value, proposal.trait.name).items():
            _check(f"{type(self).__name__}.{place}", rule)
        return proposal.value

    @observe("rules", "extra_rules")
    def _rules_changed(self, _change: Bunch) -> None:
        self._compiled = None

    _compiled: list["_Rule"] | None = None

    def format_event(self, event: Raw) -> str:
        """Return the text of the first matching rule, else the event's message; log a template that fails."""
        for rule in self._in_order():
            if (groups := rule.match(event)) is None:
                continue
            try:
                return str(rule.template(**groups))
            except Exception as error:  # noqa: BLE001 - an administrator's template; show the event anyway
                BROKEN_CODE.log_once(self.log, f"event rule {type(self).__name__}.{rule.place}", error)
                break
        return message_of(event)

    def _in_order(self) -> list["_Rule"]:
        if self._compiled is None:
            rules = {**_keyed(self.rules, "rules"), **_keyed(self.extra_rules, "extra_rules")}
            self._compiled = [_Rule(place, rule) for _, (place, rule) in sorted(rules.items())]
        return self._compiled


class _Rule:
    """A rule with compiled patterns."""

    def __init__(self, place: str, rule: Raw) -> None:
        self.place = place
        template = rule["template"]
        self.template: Callable[..., object] = template.format if isinstance(template, str) else template
        self._patterns = {field: re.compile(pattern) for field, pattern in rule["match"].items()}

    def match(self, event: Raw) -> dict[str, str] | None:
        """Return the named groups; None if one of the fields does not match."""
        groups: dict[str, str] = {}
        for field, pattern in self._patterns.items():
            found = pattern.match(_field(event, field))
            if found is None:
                return None
            groups |= found.groupdict(default="")
        return groups


def _field(event: Raw, name: str) -> str:
    match name:
        case "reportingComponent":
            return component_of(event)
        case "fieldPath":
            return str((event.get("involvedObject") or {}).get("fieldPath") or "")
        case "message":
            return message_of(event)
        case _:
            return str(event.get(name) or "")


def _named(rules: Any, trait: str) -> dict[str, Any]:
    """Return the rules by their places in the configuration."""
    pairs: Iterator[tuple[Any, Any]] = (
        iter(rules.items()) if isinstance(rules, Mapping) else iter(enumerate(rules))
    )
    return {f"{trait}[{key!r}]": rule for key, rule in pairs}


def _keyed(rules: Any, trait: str) -> dict[str, tuple[str, Any]]:
    """Return the rules by the keys that order them; keys of lists sort first, in the order of the list."""
    places = list(_named(rules, trait).items())
    if isinstance(rules, Mapping):
        return dict(zip(map(str, rules), places, strict=True))
    number = 0 if trait == "rules" else 1
    return {f"{number}-{trait}-{index:06}": place for index, place in enumerate(places)}


def _check(place: str, rule: object) -> None:
    """Raise TraitError, which names the place, if the value is not a rule."""
    if not isinstance(rule, Mapping) or not {"match", "template"} <= rule.keys():
        raise TraitError(f"{place}: a rule is a dict with the keys 'match' and 'template', and not {rule!r}")
    match, template = rule["match"], rule["template"]
    if not isinstance(template, str) and not callable(template):
        raise TraitError(f"{place}['template']: {template!r} is neither a text nor a function")
    if not isinstance(match, Mapping) or not match:
        raise TraitError(f"{place}['match']: a dict of expressions by fields of an event, and not {match!r}")
    for field, pattern in match.items():
        _check_pattern(f"{place}['match'][{field!r}]", field, pattern)


def _check_pattern(place: str, field: object, pattern: object) -> None:
    if field not in FIELDS:
        similar = nearest(field, FIELDS)
        hint = f"; did you mean {similar!r}?" if similar else f"; there are {', '.join(FIELDS)}"
        raise TraitError(f"{place}: events are not matched by a field of this name{hint}")
    if not isinstance(pattern, str | re.Pattern):
        raise TraitError(f"{place}: {pattern!r} is neither a text nor a compiled regular expression")
    try:
        re.compile(pattern)
    except re.error as error:
        raise TraitError(f"{place}: {pattern!r} is no regular expression: {error}") from error


_CONTAINER = ("fieldPath", r"spec\.(?:initContainers|containers)\{(?P<container>[^}]+)\}")
_RULES: tuple[tuple[tuple[tuple[str, str], ...], str], ...] = (
    (
        (("reason", "Pulling"), _CONTAINER, ("message", r'Pulling image "(?P<image>[^"]+)"')),
        'Downloading the image "{image}" for the container "{container}".',
    ),
    (
        (("reason", "Pulled"), _CONTAINER, ("message", r'.*image "(?P<image>[^"]+)"')),
        'The image "{image}" for the container "{container}" is on the machine.',
    ),
    ((("reason", "Created$"), _CONTAINER), 'The container "{container}" was created.'),
    ((("reason", "Started$"), _CONTAINER), 'The container "{container}" has started.'),
    ((("reason", "Killing$"), _CONTAINER), 'The container "{container}" is being stopped.'),
    (
        (("reason", "Failed$"), _CONTAINER, ("message", r'Failed to pull image "(?P<image>[^"]+)"')),
        'The image "{image}" for the container "{container}" could not be downloaded.',
    ),
    (
        (("reason", "BackOff$"), _CONTAINER, ("message", r'Back-off pulling image "(?P<image>[^"]+)"')),
        'Downloading the image "{image}" for the container "{container}" failed. The machine is trying again after a pause.',
    ),
    ((("reason", "Scheduled$"),), "Found a machine for your server."),
    (
        (("reportingComponent", "karpenter|eks-auto-mode"), ("reason", "FailedScheduling$")),
        "The cluster cannot add a machine for your server now.",
    ),
    ((("reason", "FailedScheduling$"),), "No machine can take your server now."),
    (
        (("reason", "TriggeredScaleUp$|Nominated"),),
        "The cluster is adding a machine for your server, which usually takes a few minutes.",
    ),
    (
        (("reason", "NotTriggerScaleUp$|FailedScaleUp$"),),
        "The cluster cannot add a machine for your server now.",
    ),
    (
        (("reason", r"OutOf(?P<resource>\S+)"),),
        "The machine does not have enough {resource} left for your server.",
    ),
    (
        (("reason", "NodeAffinity$"),),
        "The machine is not of the kind that your server asks for.",
    ),
    (
        (("reason", "TaintManagerEviction$"), ("message", "Cancelling deletion")),
        "The machine is ready again, and your server stays on it.",
    ),
)
"""The default rules, for the events of a start in most clusters: what each matches, and its template."""


def decorate_plain_message(message: str, event: Raw) -> str:
    """Return the message with its time in UTC and the event's type, for a `decorate_progress_message`."""
    return f"{format_seconds(last_seen(event))} [{event.get('type') or 'Normal'}] {message}"


def decorate_html_message(message: str, event: Raw) -> str:
    """Return the same as HTML, for ``html_message``; escape the message, which is text."""
    time, kind = format_seconds(last_seen(event)), str(event.get("type") or "Normal")
    level = "warning" if kind == "Warning" else "info"
    return (
        f'<time datetime="{time}">{time}</time> '
        f'<span class="badge text-bg-{level}">{escape(kind)}</span> {escape(message)}'
    )


async def shown(spawner: Any, updates: AsyncIterator[Update | Waited]) -> AsyncIterator[dict[str, Any]]:
    """Yield the items for the progress page.

    ``raw_event`` is the event behind a message: the latest one since the previous message.
    """
    formatter: EventFormatter | None = spawner.event_formatter if spawner.events_enabled else None
    event: Raw | None = None
    percent = 0
    async for update in updates:
        match update:
            case Waited(seconds=seconds, latest=latest):
                message = spawner.slow_spawn_message.format(
                    waited=format_duration(timedelta(seconds=seconds)),
                    seconds=int(seconds),
                    message=latest.sentence,
                )
                yield {"progress": latest.percent, "message": message}
            case Place() as place:
                async for message in place.messages():
                    yield {"progress": 0, "message": message}
            case PodEvent(event=latest_event) if formatter is not None:
                yield await _decorated(spawner, percent, _formatted(formatter, latest_event), latest_event)
            case PodEvent(event=latest_event):
                event = latest_event
            case Diagnosis() as diagnosis:
                percent = diagnosis.percent
                if formatter is None:
                    yield await _decorated(spawner, percent, diagnosis.sentence, event)
                    event = None


def _formatted(formatter: EventFormatter, event: Raw) -> str:
    try:
        return str(formatter.format_event(event))
    except Exception as error:  # noqa: BLE001 - an administrator's code; show the event anyway
        BROKEN_CODE.log_once(formatter.log, f"event formatter {name_of(formatter.format_event)}", error)
        return message_of(event)


async def _decorated(spawner: Any, percent: int, message: str, event: Raw | None) -> dict[str, Any]:
    """Return the item to show, passed through `decorate_progress_message` if there is an event."""
    item: dict[str, Any] = {"progress": percent, "message": message}
    if event is None:
        return item
    item["raw_event"] = event
    hook = spawner.decorate_progress_message
    if hook is None:
        return item
    try:
        return {**item, **await maybe_future(hook(spawner, event, message))}
    except Exception as error:  # noqa: BLE001 - an administrator's code; show the message anyway
        BROKEN_CODE.log_once(spawner.log, f"decorate_progress_message {name_of(hook)}", error)
        return item
