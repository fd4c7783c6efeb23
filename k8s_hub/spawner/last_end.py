"""The end of a user's last server, if the hub did not stop it: what the saved state keeps and the user reads."""

from collections.abc import AsyncIterator
from typing import Any

from k8s_hub.claims.saved_state import LastEnd
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.pod_life import Ended
from k8s_hub.diagnosis.terminations import end_for_user, ended_at
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.form import render_last_end
from k8s_hub.spawner.poll import REMOVED, UNFINISHED
from k8s_hub.text import format_duration

_CAUSES = {
    UNFINISHED: "JupyterHub was restarted while it was starting",
    REMOVED: "it was deleted from the cluster",
}
"""What the user reads, by what the log says."""


def end_of_pod(pod: Raw, end: Ended) -> LastEnd:
    """Return the end of a server whose pod exists."""
    return LastEnd(at=ended_at(pod) or utcnow(), cause=end_for_user(pod, end))


def end_of_missing_pod(how: str) -> LastEnd:
    """Return the end of a server without a pod; ``how`` is from `poll.end_without_pod`."""
    return LastEnd(at=utcnow(), cause=_CAUSES[how])


def above_form(form: Any, end: LastEnd | None) -> Any:
    """Return the form with the last server's end above it; an empty form stays empty, because the hub then shows none."""
    if not form or end is None:
        return form
    # No sum: a form of Markup would escape the notice.
    return f"{render_last_end(end.at, end.cause)}{form}"


async def before_progress(
    end: LastEnd | None, items: AsyncIterator[dict[str, Any]]
) -> AsyncIterator[dict[str, Any]]:
    """Yield the last server's end, then the progress of the start."""
    if end is not None:
        # The age, not the time: only a page knows its reader's time zone.
        age = format_duration(utcnow() - end.at, parts=1)
        yield {"progress": 0, "message": f"Your last server ended {age} ago: {end.cause}."}
    async for item in items:
        yield item
