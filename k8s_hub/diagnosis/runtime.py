"""Rules about container runtimes that cannot run a container, or cannot create a pod's sandbox.

They read only the runtime's own messages (runc, crun, youki, gVisor, Kata; through containerd, CRI-O or Docker), because a
program's output may look like one.
"""

import re

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.messages import AGAIN, CONTACT
from k8s_hub.diagnosis.observation import Observation, Role, message_of
from k8s_hub.diagnosis.pod_life import last_exit, notebook_status, state_of
from k8s_hub.objects.raw import Raw

# Reasons of a container that was not started; the message of all others may be the program's.
_NOT_STARTED = ("StartError", "ContainerCannotRun", "RunContainerError", "CreateContainerError")
_PROGRAM = "[\"'`](?P<program>[^\"'`]{1,200})[\"'`]"


_NO_PROGRAM = 'has no program "{program}"'
# What runtimes say of a program that does not run, and what its user reads of the image.
_IMAGE_FAULTS = tuple(
    (re.compile(pattern, re.IGNORECASE), message)
    for pattern, message in (
        (rf"exec: {_PROGRAM}: (?:executable file not found|(?:stat \S+ )?no such file)", _NO_PROGRAM),
        (rf"executable (?:file )?{_PROGRAM} not found", _NO_PROGRAM),
        (rf"finding executable {_PROGRAM}", _NO_PROGRAM),
        (r"failed to load (?P<program>[^\s:]{1,200}): no such file", _NO_PROGRAM),
        ("exec format error", "was not made for the kind of processor that the machine has"),
        (
            rf"(?:exec:|exec container process) {_PROGRAM}: permission denied",
            'does not allow its user to run the program "{program}"',
        ),
        ("open executable: permission denied", "does not allow its user to run its program"),
        (
            r'chdir to cwd \("(?P<folder>[^"]{1,200})"\) set in config.json failed',
            'has no folder "{folder}" in which its program can start',
        ),
        ("no command specified", "does not say which program to run"),
        (
            r"unable to find (?:user|group) (?P<user>[^\s:]{1,200}): no matching entries",
            'has no user "{user}"',
        ),
    )
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
    """The image lacks the program, or has none for this user or processor. Every try fails.

    This is the most frequent problem of images that are not made for a hub. A sidecar with it does not end a running server.
    """
    for container in seen.containers:
        words = runtime_words(container)
        fault = _image_fault(words)
        if not fault or seen.is_past(container):
            continue
        sentence = _sentence(seen, container, fault)
        if seen.role_of(container) is Role.BESIDE and state_of(
            notebook_status(seen.pod or {}) or {}, "running"
        ):
            return Diagnosis.waiting(
                Stage.RUNNING, sentence, reason=Reason.COMMAND, detail=words, expired=sentence
            )
        return Diagnosis.failed(Stage.STARTING, Reason.COMMAND, sentence, detail=words)
    return None


def sandbox_fails(seen: Observation) -> Diagnosis | None:
    """The node cannot create the pod's sandbox, usually because of the network, and retries."""
    events = seen.unsolved("FailedCreatePodSandBox", "FailedCreatePodSandbox", "NetworkNotReady")
    if not events:
        return None
    words = message_of(events[-1]).replace('\\"', '"')
    if found := next(filter(None, (pattern.search(words) for pattern in _NO_RUNTIME)), None):
        sentence = f'The machine lacks the container runtime "{found["name"]}" that your server asks for.'
        expired = (
            f'The machine did not have the container runtime "{found["name"]}" that your server asks for. '
            "Choose another kind of server, or contact your administrator."
        )
    elif events[-1].get("reason") == "NetworkNotReady" or _NETWORK.search(_QUOTED.sub("", words)):
        sentence = "The machine could not set up the network of your server. It is trying again."
        expired = f"The machine could not set up the network of your server within {{waited}}. {AGAIN}"
    else:
        sentence = "The machine could not set up your server. It is trying again."
        expired = f"The machine could not set up your server within {{waited}}. {AGAIN}"
    return Diagnosis.waiting(
        Stage.STARTING,
        sentence,
        reason=Reason.SANDBOX,
        detail=words,
        expired=expired,
    )


_MADE_FOR_HUB = "Choose an image that is made for JupyterHub, or contact your administrator."


def _sentence(seen: Observation, container: Raw, fault: str) -> str:
    """Return the text: the user chose the server's image, the administrator all others."""
    image = f'The image "{seen.image_of(container)}"'
    if seen.role_of(container) is Role.SERVER:
        return f"{image} {fault}. {_MADE_FOR_HUB}"
    return f"{image} of {seen.in_words(container)} {fault}. {CONTACT}"


def _image_fault(words: str) -> str:
    """Return what is wrong with the image; empty if the message is about something else."""
    found = ((pattern.search(words), message) for pattern, message in _IMAGE_FAULTS)
    return next((message.format(**match.groupdict()) for match, message in found if match), "")


def runtime_words(container: Raw) -> str:
    """Return why the runtime did not start a container; empty if it did."""
    states = (state_of(container, "waiting"), last_exit(container))
    own = (message_of(state) for state in states if state.get("reason") in _NOT_STARTED)
    # CRI-O quotes the runtime with its quotation marks escaped.
    return "; ".join(words for words in own if words).replace('\\"', '"')
