"""The state of a server in JupyterHub's database, in the format of KubeSpawner 6 and 7. Only this module parses it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from k8s_hub.objects import timestamps
from k8s_hub.profiles.fields import PROFILE, unlisted_key

ACCESS_TOKEN = "access_token"  # noqa: S105 - the key, not the token
"""The key of a token for this server only (``KubeSpawner.save_access_token``)."""

COMPATIBLE_VERSION = "7.1.0"
"""The version of KubeSpawner whose names and state format these are. KubeSpawner reads it after a switch back."""

UNKNOWN_VERSION = "unknown"
"""Stands for KubeSpawner before 7, which saved neither its version nor the claim's name."""


APPLIED_OPTIONS = "applied_options"
"""The key of the applied profile and options. KubeSpawner does not use this key."""

LAST_END = "last_end"
"""The key of how the last server ended. KubeSpawner does not use this key."""

LAST_START = "last_start"
"""The key of the id of the last start. KubeSpawner does not use this key."""

EARLIER_STARTS = "earlier_starts"
"""The key of the ids of earlier starts. KubeSpawner does not use this key."""

NEVER_RUN: Mapping[str, Any] = {"kubespawner_version": COMPATIBLE_VERSION}
"""The state of a server that has never run, to which the ids of other servers' starts are added."""

KEPT_STARTS = 5
"""How many earlier starts a state names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedOptions:
    """The profile that a start applied, and the value of each of its options.

    It differs from ``user_options``, which lack unchosen defaults and may have keys that no profile has.
    """

    #: The slug; None if no profile was offered to this user.
    profile: Any = None
    #: The key of a choice, or the typed text.
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, saved: object) -> "AppliedOptions | None":
        """Parse the value in a saved state; None if it has none."""
        if not isinstance(saved, Mapping):
            return None
        options = saved.get("options")
        return cls(profile=saved.get(PROFILE), options=options if isinstance(options, Mapping) else {})

    @classmethod
    def asked_for(cls, user_options: Any) -> "AppliedOptions":
        """Return what ``user_options`` request: typed text goes before a choice, as in the spawner."""
        asked: Mapping[str, Any] = user_options if isinstance(user_options, Mapping) else {}
        suffix = unlisted_key("")
        typed = {
            key.removesuffix(suffix): text for key, text in asked.items() if key.endswith(suffix) and text
        }
        return cls(profile=asked.get(PROFILE), options={**asked, **typed})

    def dump(self) -> dict[str, Any]:
        """Return them as JSON."""
        return {PROFILE: self.profile, "options": dict(self.options)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LastEnd:
    """The end of a server without a stop by the hub. Its user reads it until the next start has succeeded."""

    #: Aware.
    at: datetime
    #: Completes "Your last server ended at 3:12 PM: ...".
    cause: str

    @classmethod
    def load(cls, saved: object) -> "LastEnd | None":
        """Parse the value in a saved state; None if it has none."""
        match saved:
            case {"at": str(at), "cause": str(cause)}:
                try:
                    return cls(at=timestamps.parse(at), cause=cause)
                except ValueError:
                    return None
            case _:
                return None

    def dump(self) -> dict[str, str]:
        """Return it as JSON."""
        return {"at": timestamps.format_seconds(self.at), "cause": self.cause}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """The saved state of one server; None for whatever is not in it."""

    pod_name: str | None = None
    #: Identifies the pod even if its user was renamed while it ran.
    pod_uid: str | None = None
    namespace: str | None = None
    dns_name: str | None = None
    #: Only a claim that existed.
    pvc_name: str | None = None
    #: Extra claims by their names in ``extra_claims``.
    extra_claims: Mapping[str, str] = field(default_factory=dict)
    #: The address of a running server, for programs that bypass the proxy. The spawner uses the hub's record instead.
    url: str | None = None
    #: For programs that select servers by profile, such as the culler.
    applied_options: AppliedOptions | None = None
    #: A token for this server only, valid while it runs, for programs that ask the server.
    access_token: str | None = field(default=None, repr=False)
    #: None unless the last server ended by itself.
    last_end: LastEnd | None = None
    #: The id of the last start: a pod of a later one shows that the hub's database is older than the pod.
    last_start: str | None = None
    #: The ids of the starts before it, last added first; in a default server's state also those of its user's removed servers.
    earlier_starts: tuple[str, ...] = ()
    #: None where there is no state.
    version: str | None = None

    @classmethod
    def load(cls, saved: object) -> "SavedState":
        """Parse the state of any version; a value of the wrong type counts as missing."""
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
            url=text("url"),
            applied_options=AppliedOptions.load(state.get(APPLIED_OPTIONS)),
            access_token=text(ACCESS_TOKEN),
            last_end=LastEnd.load(state.get(LAST_END)),
            last_start=text(LAST_START),
            earlier_starts=_only_texts(state.get(EARLIER_STARTS)),
            version=text("kubespawner_version") or (UNKNOWN_VERSION if state else None),
        )

    @property
    def has_run(self) -> bool:
        """False if there is no state, or if it has only the ids of starts of other servers."""
        is_empty = replace(self, version=None, earlier_starts=()) == SavedState()
        return self.version is not None and not (is_empty and self.earlier_starts)

    @property
    def starts(self) -> tuple[str, ...]:
        """The ids of all starts in the state, latest first."""
        return self.earlier_starts if self.last_start is None else (self.last_start, *self.earlier_starts)

    def with_earlier(self, starts: Iterable[str]) -> "SavedState":
        """Return a state that names these earlier starts, too, latest first; the oldest drop out."""
        known = dict.fromkeys((*starts, *self.earlier_starts))
        return replace(self, earlier_starts=tuple(known)[:KEPT_STARTS])

    @property
    def claims(self) -> frozenset[str]:
        """All claims in the state."""
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
            APPLIED_OPTIONS: None if self.applied_options is None else self.applied_options.dump(),
            ACCESS_TOKEN: self.access_token,
            LAST_END: None if self.last_end is None else self.last_end.dump(),
            LAST_START: self.last_start,
            EARLIER_STARTS: list(self.earlier_starts) or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str) and text}


def _only_texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()
