"""The hooks for an administrator's own code."""

from inspect import iscoroutinefunction
from typing import Any

from traitlets import Callable, HasTraits, Instance, List, TraitError, default, validate
from traitlets.utils.bunch import Bunch

from k8s_hub.spawner.config.kinds import ClassOrNone
from k8s_hub.spawner.events import EventFormatter, RuleEventFormatter


class HookTraits(HasTraits):
    """Functions that the spawner calls."""

    modify_pod_hook: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Function (spawner, pod) that returns the pod to create; it may be async.

        pod is a kubernetes_asyncio.client.V1Pod. It is called when the home claim exists, right before the
        pod is created.
        """,
    )

    after_pod_created_hook: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Function (spawner, pod) that is called once the pod exists; it may be async.

        pod is a dict as the Kubernetes API returns it. An exception ends the start and removes the pod.
        """,
    )

    get_pod_url: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Function (spawner, pod) that returns the URL at which the hub reaches the pod's server.

        pod is a dict with metadata, status, and the containers' ports.
        """,
    )

    diagnosis_rules: Any = List(
        Callable(),
        config=True,
        help="""
        Functions (observation) that know what pods wait for in this cluster: its webhook, queue or autoscaler.

        Each returns a k8s_hub.diagnosis.Diagnosis, or None if it does not apply. The spawner calls them in their order
        whenever something changes, before the built-in rules; the first Diagnosis counts. They may not be async.
        """,
    )

    event_formatter_class: Any = ClassOrNone(
        EventFormatter,
        config=True,
        help="""
        Class whose format_event(event) returns the text that the progress page shows for an event of a starting pod.

        None: users read a summary of the whole start. The default is k8s_hub's RuleEventFormatter if the
        configuration has rules for it, else None.
        """,
    )

    event_formatter: Any = Instance(EventFormatter, allow_none=True)

    decorate_progress_message: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Function (spawner, event, message) that returns a dict with the message to show on the progress page, and
        perhaps with html_message; it may be async.

        event is the Kubernetes event, a dict. The spawner calls the function for each message that comes from an event.
        """,
    )

    @default("event_formatter_class")
    def _class_with_rules(self) -> type[EventFormatter] | None:
        spawner: Any = self
        sections = (spawner.config, *(spawner.config[name] for name in spawner.section_names()))
        return RuleEventFormatter if any("RuleEventFormatter" in section for section in sections) else None

    @default("event_formatter")
    def _formatter_of_class(self) -> EventFormatter | None:
        chosen = self.event_formatter_class
        return None if chosen is None else chosen(parent=self)

    @validate("diagnosis_rules")
    def _are_not_async(self, proposal: Bunch) -> object:
        for rule in proposal.value:
            if iscoroutinefunction(rule):
                raise TraitError(
                    f"KubeSpawner.diagnosis_rules: {rule!r} is async, but a rule must be a plain function"
                )
        return proposal.value
