"""Diagnosis of a start: the first rule that matches wins.

Each rule is a function of one observation that returns None if it does not match. The order matters: rules for failures come
first, then rules for delays, then rules that only describe progress. A site's own rules (`KubeSpawner.diagnosis_rules`) come
before all of these.
"""

from collections.abc import Callable, Iterable

from k8s_hub.diagnosis import containers, images, runtime, scheduling, storage, terminations
from k8s_hub.diagnosis.diagnosis import Diagnosis, OnError, Stage, ask, ignore
from k8s_hub.diagnosis.messages import AGAIN
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.refusals import diagnose_refusal

Rule = Callable[[Observation], Diagnosis | None]

RULES: tuple[Rule, ...] = (
    containers.server_is_ready,
    terminations.out_of_memory,
    runtime.program_does_not_run,
    containers.step_fails,
    *terminations.RULES,
    *storage.CLAIM_RULES,
    *scheduling.RULES,
    *images.RULES,
    *containers.TROUBLE_RULES,
    *storage.MOUNT_RULES,
    *containers.PROGRESS_RULES,
)


def diagnose(seen: Observation, site_rules: Iterable[Rule] = (), *, on_error: OnError = ignore) -> Diagnosis:
    """Return what a start does, what delays it, and whether waiting can help.

    ``on_error`` is called with a rule that raises; the other rules still apply.
    """
    for rule in site_rules:
        if (diagnosis := ask(rule, seen, on_error)) is not None:
            return diagnosis
    if seen.refusal is not None:
        return diagnose_refusal(seen.refusal, on_error)
    observations = seen.by_claim()
    for rule in RULES:
        for each in observations:
            if (diagnosis := ask(rule, each, on_error)) is not None:
                return diagnosis
    return Diagnosis.waiting(
        Stage.REQUEST,
        "The hub is preparing your server.",
        expired=f"The hub did not finish preparing your server within {{waited}}. {AGAIN}",
    )
