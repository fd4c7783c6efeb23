"""What the API server said, from tests/data/recorded, as diagnosis is asked about it."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from k8s_hub.diagnosis.observation import Observation
from k8s_hub.diagnosis.projection import project_pod
from k8s_hub.objects import timestamps

FOLDER = Path(__file__).parents[1] / "data" / "recorded"


def recording(name: str) -> dict[str, Any]:
    """Read one recording, its pod as the spawner keeps it."""
    content = json.loads((FOLDER / f"{name}.json").read_text())
    return content | ({"pod": project_pod(content["pod"])} if content.get("pod") else {})


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


def timestamps_in(value: Any) -> Iterator[datetime]:
    """Every timestamp of a recording."""
    match value:
        case dict():
            for key, item in value.items():
                if key.endswith(("Timestamp", "Time", "startedAt", "finishedAt")) and isinstance(item, str):
                    yield timestamps.parse(item)
                else:
                    yield from timestamps_in(item)
        case list():
            for item in value:
                yield from timestamps_in(item)
