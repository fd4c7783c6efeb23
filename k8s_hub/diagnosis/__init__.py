"""Diagnosis: what a pod, its claim, their events or a refused request mean, in one sentence for the user.

Here live ordered rules and the sentences they say; nothing here asks the cluster, waits or remembers.
For doubt: could you answer from files saved with ``kubectl -o json``, and a time?

The names below are what a site's own rules (`KubeSpawner.diagnosis_rules`) are made of, and are kept between versions.
"""

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.refusals import Refusal

__all__ = ["Diagnosis", "Observation", "Reason", "Refusal", "Stage"]
