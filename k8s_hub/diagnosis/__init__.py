"""diagnosis: explains a pod, its claim, their events or a refused request in one sentence for the user.

Holds ordered rules and their sentences. Everything is pure: files of ``kubectl -o json`` and a time are enough to test it.

To add a rule, write a function in the module of its topic and add it to that module's tuple of rules; a new reason is also a
member of `Reason`. Prove it with a recording of a real cluster in tests/data/recorded, which a situation of
devkit/realcluster makes, and with a row in tests/diagnosis/table.py, which writes docs/reference/start-messages.md.

The names below are for a site's own rules (`KubeSpawner.diagnosis_rules`), and stay stable between versions.
"""

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.refusals import Refusal

__all__ = ["Diagnosis", "Observation", "Reason", "Refusal", "Stage"]
