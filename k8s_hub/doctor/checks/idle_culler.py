"""The culler: whether it runs and sweeps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from k8s_hub.culler.beside import ProcessState, flags_of
from k8s_hub.doctor.checks.findings import Finding, fine, noted, unknown, wrong
from k8s_hub.hub.api import SERVICE_SCOPES, Service
from k8s_hub.text import paragraph_of

CHECK = "culler"
PROCESS = "process"
SWEEPS = "sweeps"


MistakesIn = Callable[[Sequence[str]], Sequence[str]]
"""Returns why a culler refuses these flags, by themselves."""


def check_cullers(
    cullers: Sequence[Service], state_of: Callable[[int], ProcessState], mistakes_in: MistakesIn
) -> Iterator[Finding]:
    """Check the hub's services that are cullers; state_of: the state of a process of this host, by its id."""
    if not cullers:
        yield noted(CHECK, PROCESS, "the hub starts no culler, and none runs here: it may run elsewhere")
    for service in cullers:
        state = state_of(service.pid) if service.pid else ProcessState.ENDED
        flags = flags_of(service.command)
        yield _of_process(service.name, state, mistakes_in(flags) if flags is not None else ())


def not_seen() -> Finding:
    """Return the finding without a culler here, and without the scopes to list the hub's services."""
    return unknown(
        CHECK,
        PROCESS,
        "no culler of this hub runs here; it may run elsewhere, or have ended",
        advice=f"run doctor in the hub's pod, with a token that also has the scopes {', '.join(SERVICE_SCOPES)}",
    )


def has_another_url(hub: str) -> Finding:
    """Return the finding of a culler that runs here, whose hub has this URL and not the one that the doctor asks."""
    return unknown(
        CHECK,
        "URL of the hub",
        f"a culler of {hub} runs here, which is not the URL that the doctor asks",
        advice="if both lead to one hub, run doctor with the culler's URL as --url",
    )


def _of_process(name: str, state: ProcessState, mistakes: Sequence[str]) -> Finding:
    match state:
        case ProcessState.RUNS:
            return fine(CHECK, PROCESS, f"service {name} runs")
        case ProcessState.ENDED:
            why = (
                paragraph_of([*mistakes, "The hub's log has all errors of the service"])
                if mistakes
                else "the last lines of the service in the hub's log say why"
            )
            return wrong(
                CHECK,
                PROCESS,
                f"service {name} has ended by itself, and stops no servers: {why}",
                advice="correct this, and restart the hub: it starts the service again every 30 s, with the same result",
            )
        case ProcessState.ABSENT:
            return unknown(
                CHECK,
                PROCESS,
                f"service {name} runs in another pod or on another host",
                advice="run doctor in the hub's pod",
            )


def says_nothing(owner: str) -> Finding:
    """Return the finding of a culler whose page does not answer as a culler's."""
    return unknown(CHECK, SWEEPS, f"{owner}: its page does not say whether it sweeps")


def check_health(owner: str, health: Mapping[str, Any]) -> Finding:
    """Check what the culler's page says of the culler."""
    if not isinstance(health.get("healthy"), bool):
        return says_nothing(owner)
    reason = str(health.get("reason"))
    if health.get("healthy") is True:
        return fine(CHECK, SWEEPS, f"{owner}: {reason}")
    return wrong(
        CHECK,
        SWEEPS,
        f"{owner} stops no servers: {reason}",
        advice="correct this, and restart the hub, or the culler if it runs apart",
    )
