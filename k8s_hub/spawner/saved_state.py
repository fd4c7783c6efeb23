"""What JupyterHub's database keeps of a server between runs, in the form of KubeSpawner 6 and 7."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

COMPATIBLE_VERSION = "7.1.0"
"""The version of KubeSpawner whose names and state these are; KubeSpawner reads it after a way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The state of one server. None where the state says nothing."""

    pod_name: str | None = None
    namespace: str | None = None
    dns_name: str | None = None
    #: Only of a claim that was seen to exist.
    pvc_name: str | None = None
    #: "unknown" in the state of a KubeSpawner before 7, None where there is no state.
    version: str | None = None

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "SavedState":
        """Read what any version saved; fields of another type than text count as missing."""

        def text(name: str) -> str | None:
            value = state.get(name)
            return value if isinstance(value, str) and value else None

        return cls(
            pod_name=text("pod_name"),
            namespace=text("namespace"),
            dns_name=text("dns_name"),
            pvc_name=text("pvc_name"),
            version=text("kubespawner_version") or ("unknown" if state else None),
        )

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON, without what is None."""
        fields = {
            "kubespawner_version": self.version,
            "pod_name": self.pod_name,
            "namespace": self.namespace,
            "dns_name": self.dns_name,
            "pvc_name": self.pvc_name,
        }
        return {name: value for name, value in fields.items() if value is not None}
