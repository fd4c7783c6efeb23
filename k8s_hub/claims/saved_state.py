"""What JupyterHub's database keeps of a server between runs, in the form of KubeSpawner 6 and 7."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s_hub.profiles.applied import STATE_KEY, AppliedOptions

ACCESS_TOKEN = "access_token"  # noqa: S105 - the key, not the token
"""The key of a token that opens this server only (``KubeSpawner.save_access_token``)."""

COMPATIBLE_VERSION = "7.1.0"
"""The version of KubeSpawner whose names and state these are; KubeSpawner reads it after a way back."""

UNKNOWN_VERSION = "unknown"
"""KubeSpawner before 7, which saved neither its version nor the claim's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The state of one server. None where the state says nothing."""

    pod_name: str | None = None
    #: By which the pod is known although its user was renamed while it ran.
    pod_uid: str | None = None
    namespace: str | None = None
    dns_name: str | None = None
    #: Only of a claim that was seen to exist.
    pvc_name: str | None = None
    #: The claims besides the home, by the names that the admin gave them.
    extra_claims: Mapping[str, str] = field(default_factory=dict)
    #: Where a running server listens, for programs that ask it without the proxy. It is not read back: the hub knows.
    url: str | None = None
    #: What the start applied of the profiles, for programs that judge servers by it.
    applied_options: AppliedOptions | None = None
    #: Opens this server only, for programs that ask it; as long as it runs.
    access_token: str | None = field(default=None, repr=False)
    #: None where there is no state.
    version: str | None = None

    @classmethod
    def load(cls, saved: object) -> "SavedState":
        """Read what any version saved; what is of another type than it should be counts as missing."""
        state = saved if isinstance(saved, Mapping) else {}

        def text(name: str) -> str | None:
            value = state.get(name)
            return value if isinstance(value, str) and value else None

        return cls(
            pod_name=text("pod_name"),
            pod_uid=text("pod_uid"),
            namespace=text("namespace"),
            dns_name=text("dns_name"),
            pvc_name=text("pvc_name"),
            extra_claims=_texts(state.get("extra_claims")),
            applied_options=AppliedOptions.in_state(state),
            access_token=text(ACCESS_TOKEN),
            version=text("kubespawner_version") or (UNKNOWN_VERSION if state else None),
        )

    @property
    def claims(self) -> frozenset[str]:
        """The names of all claims that the state names."""
        home = set() if self.pvc_name is None else {self.pvc_name}
        return frozenset(home.union(self.extra_claims.values()))

    def dump(self) -> dict[str, Any]:
        """Return the state as JSON, without what is None."""
        fields = {
            "kubespawner_version": None if self.version == UNKNOWN_VERSION else self.version,
            "pod_name": self.pod_name,
            "pod_uid": self.pod_uid,
            "namespace": self.namespace,
            "dns_name": self.dns_name,
            "pvc_name": self.pvc_name,
            "extra_claims": dict(self.extra_claims) or None,
            "url": self.url,
            STATE_KEY: None if self.applied_options is None else self.applied_options.dump(),
            ACCESS_TOKEN: self.access_token,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str) and text}
