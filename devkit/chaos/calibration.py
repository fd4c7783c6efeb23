"""Plants one bug after the other of `bugs.toml` in k8s_hub, and tells which violations the campaigns then find.

Each stands for a careless edit. The package is restored afterwards, whatever happens.
"""

import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import k8s_hub

ROOT = Path(__file__).parents[2]
PACKAGE = Path(k8s_hub.__file__).parent
LIST = Path(__file__).with_name("bugs.toml")
LOAD = ("--minutes", "0.5", "--users", "30", "--rate", "4", "--idle-timeout", "30")
"""For one fault and the peace around it: a soak takes two and a half minutes."""


MISSING = "is in the scenario and not in the audit log"
"""What a campaign of kills says of a write that its scenario names and that never came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """A bug to plant, and the campaign that should show it."""

    name: str
    #: Below the package.
    file: str
    #: Occurs once in the file.
    old: str
    new: str
    #: Of a soak; else `only` and `case` of a campaign of kills and spoiled views.
    fault: str = ""
    only: str = ""
    case: str = ""
    #: The name of the violation that is expected; "" if the campaigns are known to miss the bug.
    expected: str

    @property
    def campaign(self) -> tuple[str, ...]:
        """The verb and arguments of its campaign."""
        if self.fault:
            return ("chaos", *LOAD, "--faults", self.fault)
        return ("perturb", "--only", self.only, "--case", self.case)

    def planted_in(self, text: str) -> str:
        """Return the text of its file with the bug; raise ValueError if that has changed too much."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has not exactly one {self.old!r}")
        return text.replace(self.old, self.new)


def bugs() -> list[Bug]:
    """Return all bugs of the list."""
    return [Bug(**each) for each in tomllib.loads(LIST.read_text())["bugs"]]


def run_planted(bug: Bug) -> list[str]:
    """Plant a bug, run its campaign, and restore the file; return the names of the violations."""
    path = PACKAGE / bug.file
    original = path.read_text()
    path.write_text(bug.planted_in(original))
    try:
        return violations(bug)
    finally:
        path.write_text(original)


def violations(bug: Bug) -> list[str]:
    """Run the campaign of a bug; return the names of the violations."""
    verb, *arguments = bug.campaign
    folder = ROOT / f".{verb}/calibration" / bug.name.replace(" ", "-")
    command = [sys.executable, "-m", "devkit", verb, *arguments, "--folder", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "out.txt").write_text(done.stdout + done.stderr)
    report = folder / "report.json"
    if report.is_file():
        return sorted({each["invariant"] for each in json.loads(report.read_text())["violations"]})
    found = set(re.findall(r"^  ([a-z ]+): ", done.stdout, re.MULTILINE))
    if MISSING in done.stdout:
        found.add("a write is missing")
    return sorted(found) or ([] if done.returncode == 0 else ["the campaign failed"])


def results(texts: Sequence[str]) -> Iterator[tuple[Bug, list[str], float]]:
    """Run all bugs, or those with one of these texts in their names; yield each with its violations and the seconds."""
    for bug in bugs():
        if not texts or any(text in bug.name for text in texts):
            begun = time.monotonic()
            yield bug, run_planted(bug), time.monotonic() - begun
