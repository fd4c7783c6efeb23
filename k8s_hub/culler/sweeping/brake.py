"""The brake: many servers at once that were in use a moment ago are rather a mistake than idle.

A clock that jumps, a hub that has lost its activity, a rule with a wrong unit: each would empty a whole hub.
One sweep is left out, with an error in the log, so that somebody may look. The next goes on.
"""

from collections.abc import Collection

from k8s_hub.hub.routes import ServerKey

AT_LEAST = 10
"""Fewer servers than these are never braked: half of a small hub often leaves together."""


def braked(
    to_stop: Collection[ServerKey], in_use_before: frozenset[ServerKey], running: int, percent: int
) -> frozenset[ServerKey]:
    """Return those of ``to_stop`` that are not to be stopped this time.

    in_use_before: what the pass before saw in use; running: how many servers run;
    percent: of these, so many may be stopped although they were in use before; 0: all.
    """
    sudden = in_use_before & frozenset(to_stop)
    is_too_much = percent > 0 and len(sudden) >= AT_LEAST and len(sudden) * 100 > running * percent
    return sudden if is_too_much else frozenset()
