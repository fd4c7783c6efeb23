"""What the API server said, from tests/data/recorded, as diagnosis is asked about it."""

import json
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.projection import project_claim, project_pod
from k8s_hub.objects import timestamps

FOLDER = Path(__file__).parents[1] / "data" / "recorded"


@cache
def recording(name: str) -> dict[str, Any]:
    """Read one recording, its pod and claim as the spawner keeps them."""
    content = json.loads((FOLDER / f"{name}.json").read_text())
    for kind, project in (("pod", project_pod), ("claim", project_claim)):
        if content.get(kind):
            content[kind] = project(content[kind])
    return content


def begin(content: dict[str, Any]) -> datetime:
    """When the first of the recorded objects was created."""
    objects = [content[kind] for kind in ("pod", "claim") if content.get(kind)]
    return min(timestamps.parse(obj["metadata"]["creationTimestamp"]) for obj in objects)


def observation(content: dict[str, Any], second: float) -> Observation:
    """What is known that many seconds after the begin, if nothing else happens."""
    started = begin(content)
    return Observation(
        pod=content.get("pod"),
        claim=content.get("claim"),
        events=content.get("events") or (),
        now=started + timedelta(seconds=second),
        started=started,
    )
