"""One case for each write and each moment of its life: pure functions of what the audit log of undisturbed runs has."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from devkit.perturb.scenarios import Scenario
from devkit.realcluster.audit import Request

WRITES = {"create", "update", "patch", "delete", "deletecollection"}
"""The verbs of the audit log that change something."""


class Moment(StrEnum):
    """When the process that asks for a write is killed."""

    BEFORE = "before"
    """The API server never hears of the request."""
    COMMITTED = "committed"
    """The API server has done it; the reply is lost."""
    REPLIED = "replied"
    """The process has read the reply; its next request is not let through."""


@dataclass(frozen=True, slots=True, order=True)
class Write:
    """One write of a scenario."""

    verb: str
    resource: str
    #: Counts the writes of the same verb and resource, from 1.
    number: int = 1

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" ({self.number})" if self.number > 1 else "")


@dataclass(frozen=True, slots=True)
class Case:
    """One kill."""

    scenario: str
    write: Write
    moment: Moment

    def __str__(self) -> str:
        return f"{self.scenario}, {self.write}, {self.moment}"

    @property
    def has_pod(self) -> bool:
        """True if the pod exists after the kill."""
        return self.write == Write("create", "pods") and self.moment is not Moment.BEFORE


def is_write(request: Request) -> bool:
    """Tell whether the API server has changed something for it: a refused request changes nothing."""
    return request.verb in WRITES and request.code < 300


def writes_of(requests: Iterable[Request]) -> list[Write]:
    """Return the writes among the requests of one run, in their order."""
    seen = Counter[tuple[str, str]]()
    writes = []
    for request in filter(is_write, requests):
        seen[request.verb, request.resource] += 1
        writes.append(Write(request.verb, request.resource, seen[request.verb, request.resource]))
    return writes


def surprises(scenario: Scenario, found: Sequence[Write]) -> list[str]:
    """Return how the audit log differs from the writes that the scenario names."""
    named, done = Counter(scenario.writes), Counter(f"{write.verb} {write.resource}" for write in found)
    return [
        *(
            f"{scenario.name}: `{what}` is in the audit log and not in the scenario"
            for what in (done - named).elements()
        ),
        *(
            f"{scenario.name}: `{what}` is in the scenario and not in the audit log"
            for what in (named - done).elements()
        ),
    ]


def cases_of(scenario: Scenario, found: Sequence[Write]) -> list[Case]:
    """Return one case for each write and moment."""
    return [Case(scenario.name, write, moment) for write in found for moment in Moment]


def uncovered(requests: Iterable[Request], cases: Iterable[Case]) -> list[str]:
    """Return the writes of a whole campaign whose verb and resource no case has."""
    covered = {(case.write.verb, case.write.resource) for case in cases}
    done = {(request.verb, request.resource) for request in filter(is_write, requests)}
    return [
        f"`{verb} {resource}` is in the audit log, and no case has it"
        for verb, resource in sorted(done - covered)
    ]


def coverage(cases: Iterable[Case], results: Mapping[str, str]) -> list[str]:
    """Return a table: a row for each write, a column for each moment with the result of its case."""
    rows = dict.fromkeys((case.scenario, case.write) for case in cases)
    cells = [("scenario", "write", *Moment)]
    for name, write in rows:
        said = (results.get(str(Case(name, write, moment)), "not run") for moment in Moment)
        cells.append((name, str(write), *said))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
