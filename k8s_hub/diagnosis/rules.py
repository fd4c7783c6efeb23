"""Diagnosis of a start: the first rule that has something to say is right.

Each rule is a function of one observation that answers None for "not my matter". Order carries meaning:
what ends a start goes before what delays it, and what delays it before what only describes it.
"""

from collections.abc import Callable

from k8s_hub.diagnosis import containers, images, scheduling, storage
from k8s_hub.diagnosis.diagnosis import Diagnosis, Stage
from k8s_hub.diagnosis.observation import Observation

Rule = Callable[[Observation], Diagnosis | None]

RULES: tuple[Rule, ...] = (
    *containers.END_RULES,
    *storage.CLAIM_RULES,
    *scheduling.RULES,
    *images.RULES,
    *containers.TROUBLE_RULES,
    *storage.MOUNT_RULES,
    *containers.PROGRESS_RULES,
)


def diagnose(seen: Observation) -> Diagnosis:
    """Say what a start is doing, what hinders it, and whether waiting can help."""
    observations = seen.by_claim()
    for rule in RULES:
        for each in observations:
            if (diagnosis := rule(each)) is not None:
                return diagnosis
    return Diagnosis.waiting(Stage.REQUEST, "Your server is being requested.", lasting=seen.lasting(None))
