"""What container runtimes say when they cannot run a container, or cannot make the sandbox of a pod.

Read are only messages that are the runtime's own (of runc, crun, youki, gVisor, Kata, behind containerd, CRI-O or
Docker): what a program has printed may look like one.
"""

import re
from dataclasses import dataclass

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.observation import Observation, Role, first_seen, message_of
from k8s_hub.diagnosis.pod_life import last_exit, notebook_status, state_of
from k8s_hub.objects.raw import Raw

# Reasons of a container that was not started; the message of all others may be the program's.
_NOT_STARTED = ("StartError", "ContainerCannotRun", "RunContainerError", "CreateContainerError")
_PROGRAM = "[\"'`](?P<program>[^\"'`]{1,200})[\"'`]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Obstacle:
    """What runtimes say of one reason why a program does not run, and what its user reads of the image."""

    patterns: tuple[re.Pattern[str], ...]
    #: ``{program}`` is the program, or the folder or user, that the runtime has named; empty if it never names one.
    told: str
    #: Where it has named none.
    told_without: str = ""


def _patterns(*texts: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(text, re.IGNORECASE) for text in texts)


_OBSTACLES = (
    _Obstacle(
        patterns=_patterns(
            rf"exec: {_PROGRAM}: (?:executable file not found|(?:stat \S+ )?no such file)",
            rf"executable (?:file )?{_PROGRAM} not found",
            rf"finding executable {_PROGRAM}",
            r"failed to load (?P<program>[^\s:]{1,200}): no such file",
        ),
        told='has no program "{program}"',
    ),
    _Obstacle(
        patterns=_patterns("exec format error"),
        told="",
        told_without="was not made for the kind of processor that the machine has",
    ),
    _Obstacle(
        patterns=_patterns(
            rf"(?:exec:|exec container process) {_PROGRAM}: permission denied",
            "open executable: permission denied",
        ),
        told='does not allow its user to run the program "{program}"',
        told_without="does not allow its user to run its program",
    ),
    _Obstacle(
        patterns=_patterns(r'chdir to cwd \("(?P<program>[^"]{1,200})"\) set in config.json failed'),
        told='has no folder "{program}" in which its program can start',
    ),
    _Obstacle(
        patterns=_patterns("no command specified"),
        told="",
        told_without="does not say which program to run",
    ),
    _Obstacle(
        patterns=_patterns(r"unable to find (?:user|group) (?P<program>[^\s:]{1,200}): no matching entries"),
        told='has no user "{program}"',
    ),
)
# containerd's words, in two versions, and CRI-O's.
_NO_RUNTIME = (
    re.compile(r'no runtime for "(?P<name>[^"]+)" is configured'),
    re.compile(r'runtime ?handler "?(?P<name>[\w.-]+)"? (?:is )?not supported', re.IGNORECASE),
    re.compile(r"find runtime handler (?P<name>[\w.-]+)"),
)
_NETWORK = re.compile(r"\bnetwork|\bcni\b|plugin type=|\bIP address|\bIPAM\b", re.IGNORECASE)
# The pod's own names are quoted, and may be anything.
_QUOTED = re.compile(r'"[^"]*"')


def program_does_not_run(seen: Observation) -> Diagnosis | None:
    """The image has no such program, or none for this user or processor: so it will be at each try.

    The most frequent trouble of an image that is not made for a hub. What runs beside a server that runs does not end it.
    """
    for container in seen.containers:
        words = runtime_words(container)
        what = _obstacle_in(words)
        if not what or seen.is_past(container):
            continue
        sentence = _sentence(seen, container, what)
        if seen.role_of(container) is Role.BESIDE and state_of(
            notebook_status(seen.pod or {}) or {}, "running"
        ):
            return Diagnosis.waiting(
                Stage.RUNNING, sentence, reason=Reason.COMMAND, detail=words, expired=sentence
            )
        return Diagnosis.failed(Stage.STARTING, Reason.COMMAND, sentence, detail=words)
    return None


def sandbox_fails(seen: Observation) -> Diagnosis | None:
    """The machine cannot make what the containers run in, most often their network, and tries again."""
    events = seen.unsolved("FailedCreatePodSandBox", "FailedCreatePodSandbox", "NetworkNotReady")
    if not events:
        return None
    words = message_of(events[-1]).replace('\\"', '"')
    lasting = seen.lasting(first_seen(events[0]))
    if found := next(filter(None, (pattern.search(words) for pattern in _NO_RUNTIME)), None):
        sentence = f'The machine cannot run your server yet: it has no container runtime "{found["name"]}".'
        expired = (
            f'The machine had no container runtime "{found["name"]}", which your server asks for. '
            "Please choose another kind of server, or tell your administrator."
        )
    elif events[-1].get("reason") == "NetworkNotReady" or _NETWORK.search(_QUOTED.sub("", words)):
        sentence, expired = "The machine cannot set up the network of your server yet and tries again.", ""
    else:
        sentence = "The machine cannot set up your server yet and tries again."
        expired = (
            "The machine could not set up your server within {waited}. "
            "Please try again; if it keeps happening, tell your administrator."
        )
    return Diagnosis.waiting(
        Stage.STARTING,
        sentence,
        reason=Reason.SANDBOX,
        detail=words,
        lasting=lasting,
        missed="it did not succeed",
        expired=expired,
    )


def _sentence(seen: Observation, container: Raw, what: str) -> str:
    """The user chose the image of the server, the administrator those of all others."""
    image = f'The image "{seen.image_of(container)}"'
    if seen.role_of(container) is Role.SERVER:
        return f"{image} {what}. Please choose an image that is made for JupyterHub."
    return f"{image} of {seen.in_words(container)} {what}. Please tell your administrator."


def _obstacle_in(words: str) -> str:
    """Return what is told of the image, empty if the words are about something else."""
    for obstacle in _OBSTACLES:
        for pattern in obstacle.patterns:
            if found := pattern.search(words):
                program = found.groupdict().get("program")
                return obstacle.told.format(program=program) if program else obstacle.told_without
    return ""


def runtime_words(container: Raw) -> str:
    """Return why the runtime has not started a container, empty if it has: then nothing of it is in the program's log."""
    states = (state_of(container, "waiting"), last_exit(container))
    own = (message_of(state) for state in states if state.get("reason") in _NOT_STARTED)
    # CRI-O quotes the runtime with its quotation marks escaped.
    return "; ".join(words for words in own if words).replace('\\"', '"')
