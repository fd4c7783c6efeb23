"""What a start applied of the profiles, as the spawner saves it in the server's state and the culler reads it.

``user_options`` say what was asked for: a default that nobody chose is missing there, and a key that no profile has
may be there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s_hub.profiles.fields import PROFILE, unlisted_key

STATE_KEY = "applied_options"
"""The key in a server's saved state. KubeSpawner has none of this name, and leaves it alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedOptions:
    """A profile, and what holds of each of its options."""

    profile: Any = None  # its slug; None: there was no profile for this user
    options: Mapping[str, Any] = field(
        default_factory=dict
    )  # the key of a choice, or the text that was typed

    @classmethod
    def in_state(cls, state: Mapping[str, Any]) -> "AppliedOptions | None":
        """Read them from a server's saved state; None: its spawner saved none."""
        saved = state.get(STATE_KEY)
        if not isinstance(saved, Mapping):
            return None
        options = saved.get("options")
        return cls(profile=saved.get(PROFILE), options=options if isinstance(options, Mapping) else {})

    @classmethod
    def asked_for(cls, user_options: Any) -> "AppliedOptions":
        """Return what ``user_options`` ask for: a text that was typed goes before a choice, as in the spawner."""
        asked: Mapping[str, Any] = user_options if isinstance(user_options, Mapping) else {}
        typed = {
            key.removesuffix(_TYPED): text for key, text in asked.items() if key.endswith(_TYPED) and text
        }
        return cls(profile=asked.get(PROFILE), options={**asked, **typed})

    def dump(self) -> dict[str, Any]:
        """Return them as JSON."""
        return {PROFILE: self.profile, "options": dict(self.options)}


_TYPED = unlisted_key("")
