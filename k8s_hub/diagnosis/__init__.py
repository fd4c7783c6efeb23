"""Diagnosis: what a pod, its claim, their events or a refused request mean, in one sentence for the user.

Here live ordered rules and the sentences they say; nothing here asks the cluster, waits or remembers.
For doubt: could you answer from files saved with ``kubectl -o json``, and a time?

A new rule is a function in the module of its topic and a place in that module's tuple of rules; a reason that users have
not met yet is a member of `Reason`, too. It is proven by a recording of a real cluster in tests/data/recorded, made by a
situation of devkit/realcluster, with its row in tests/diagnosis/table.py, which writes docs/reference/start-messages.md.

The names below are what a site's own rules (`KubeSpawner.diagnosis_rules`) are made of, and are kept between versions.
"""

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.refusals import Refusal

__all__ = ["Diagnosis", "Observation", "Reason", "Refusal", "Stage"]
