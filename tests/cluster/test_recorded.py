"""The recorded refusals are what the real server still says."""

import json
import re

import pytest

from devkit.realcluster.record import FOLDER, SOURCES, observe
from devkit.realcluster.situations.refusals import REFUSALS

UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def comparable(status):
    """A Status without what differs from run to run: uids, versions, continue tokens."""
    message = re.sub(r"\d+ \(\d+\)", "OLD (NEW)", UID.sub("UID", status["message"]))
    details = {key: value for key, value in status.get("details", {}).items() if key != "uid"}
    return {key: status.get(key) for key in ("kind", "status", "reason", "code")} | {
        "message": message,
        "causes": UID.sub("UID", json.dumps(details)),
    }


@pytest.mark.cluster
@pytest.mark.parametrize("situation", REFUSALS, ids=lambda situation: situation.__name__)
def test_the_server_refuses_as_recorded(control_plane, situation):
    recorded = json.loads((FOLDER / f"{situation.__name__}.json").read_text())
    seen = observe(control_plane, situation)
    assert comparable(seen["status"]) == comparable(recorded["status"])


def test_every_situation_has_its_recording_and_no_recording_is_an_orphan():
    situations = {situation.__name__ for group in SOURCES.values() for situation in group}
    assert {path.stem for path in FOLDER.glob("*.json")} == situations
