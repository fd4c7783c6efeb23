"""The culler: whether it runs and sweeps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from k8s_hub.culler.beside import ProcessState, is_culler
from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong
from k8s_hub.hub.api import Service

CHECK = "culler"
PROCESS = "process"
SWEEPS = "sweeps"


def check_services(services: Sequence[Service], state_of: Callable[[int], ProcessState]) -> Iterator[Finding]:
    """Check the hub's services that are cullers; state_of: the state of a process of this machine, by its id."""
    cullers = [service for service in services if is_culler(service.command)]
    if not cullers:
        yield noted(CHECK, PROCESS, "the hub starts no culler, and none runs here: it may run elsewhere")
    for service in cullers:
        yield _of_process(service.name, ProcessState.ENDED if not service.pid else state_of(service.pid))


def not_seen(missing: Sequence[str]) -> Finding:
    """Return the finding without a culler here, and without the scopes to list the hub's services."""
    return unknown(
        CHECK,
        PROCESS,
        "no culler of this hub runs here; it may run elsewhere, or have ended",
        advice=f"run doctor in the hub's pod with a token that has the scopes {', '.join(missing)}, to see which",
    )


def _of_process(name: str, state: ProcessState) -> Finding:
    match state:
        case ProcessState.RUNS:
            return fine(CHECK, PROCESS, f"service {name} runs")
        case ProcessState.ENDED:
            return wrong(
                CHECK,
                PROCESS,
                f"service {name} has ended by itself: no server is stopped because it is idle",
                advice="read the hub's log: the service's last lines say why. The hub starts it again every 30 s, and it "
                "ends again",
            )
        case ProcessState.ABSENT:
            return unknown(
                CHECK,
                PROCESS,
                f"service {name} runs on another machine",
                advice="run doctor in the hub's pod",
            )


def check_health(owner: str, health: Mapping[str, Any]) -> Finding:
    """Check what the culler's page says of the culler."""
    reason = str(health.get("reason"))
    if health.get("healthy") is True:
        return fine(CHECK, SWEEPS, f"{owner}: {reason}")
    return wrong(
        CHECK,
        SWEEPS,
        f"{owner} stops no servers: {reason}",
        advice="correct this, and restart the hub, or the culler if it runs apart",
    )
