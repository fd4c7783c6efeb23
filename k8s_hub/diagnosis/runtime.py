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
# What NVIDIA's hook says of an image for another machine: of its driver, and of the kind of its GPUs.
_MACHINE_FAULTS = (
    (
        re.compile(
            r"unsatisfied condition: (?P<need>(?:cuda|driver)\s*[<>=]+\s*\d+(?:\.\d+)*)", re.IGNORECASE
        ),
        "needs a newer GPU driver ({need}) than the machine has",
    ),
    (
        re.compile(r"unsatisfied condition: (?P<need>[^,\n]{1,60}?)(?:,|: unknown|\n|$)", re.IGNORECASE),
        "needs another kind of GPU ({need}) than the machine has",
    ),
)
# containerd's words, in two versions, and CRI-O's.
_NO_RUNTIME = (
    re.compile(r'no runtime for "(?P<name>[^"]+)" is configured'),
    re.compile(r'runtime ?handler "?(?P<name>[\w.-]+)"? (?:is )?not supported', re.IGNORECASE),
    re.compile(r"find runtime handler (?P<name>[\w.-]+)"),
)
_NETWORK = re.compile(
    r"\bnetwork(?! is unreachable)|\bcni\b|plugin type=|\bIP address|\bIPAM\b", re.IGNORECASE
)
# The node has an image of its own for sandboxes, and downloads it with its own network.
_SANDBOX_IMAGE = re.compile(r"\bsandbox image|failed (?:pulling|to pull) image", re.IGNORECASE)
# The pod's own names are quoted, and may be anything.
_QUOTED = re.compile(r'"[^"]*"')


def program_does_not_run(seen: Observation) -> Diagnosis | None:
    """The image lacks the program, or has none for this user or processor. Every try fails.

    This is the most frequent problem of images that are not made for a hub. A sidecar with it does not end a running server.
    """
    for container in seen.containers:
        words = runtime_words(container)
        fault, advice = _image_fault(words)
        if not fault or seen.is_past(container):
            continue
        sentence = _sentence(seen, container, fault, advice)
        if seen.role_of(container) is Role.BESIDE and state_of(
            notebook_status(seen.pod or {}) or {}, "running"
        ):
            return Diagnosis.waiting(
                Stage.RUNNING, sentence, reason=Reason.COMMAND, detail=words, expired=sentence
            )
        return Diagnosis.failed(Stage.STARTING, Reason.COMMAND, sentence, detail=words)
    return None


def sandbox_fails(seen: Observation) -> Diagnosis | None:
    """The node cannot create the pod's sandbox, usually because of the network, or prepare a device, and retries."""
    events = seen.unsolved(
        "FailedCreatePodSandBox", "FailedCreatePodSandbox", "NetworkNotReady", "FailedPrepareDynamicResources"
    )
    if not events:
        return None
    words = message_of(events[-1]).replace('\\"', '"')
    if events[-1].get("reason") == "FailedPrepareDynamicResources":
        sentence = "The machine could not prepare a device for your server. It is trying again."
        expired = f"The machine could not prepare a device for your server within {{waited}}. {AGAIN}"
    elif found := next(filter(None, (pattern.search(words) for pattern in _NO_RUNTIME)), None):
        sentence = f'The machine lacks the container runtime "{found["name"]}" that your server asks for.'
        expired = (
            f'The machine did not have the container runtime "{found["name"]}" that your server asks for. '
            "Choose another kind of server, or contact your administrator."
        )
    elif events[-1].get("reason") == "NetworkNotReady" or _is_of_network(_QUOTED.sub("", words)):
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


def _is_of_network(words: str) -> bool:
    return _NETWORK.search(words) is not None and _SANDBOX_IMAGE.search(words) is None


_MADE_FOR_HUB = "Choose an image that is made for JupyterHub, or contact your administrator."
_OTHER_IMAGE = "Choose another image, or contact your administrator."


def _sentence(seen: Observation, container: Raw, fault: str, advice: str) -> str:
    """Return the text: the user chose the server's image, the administrator all others."""
    image = f'The image "{seen.image_of(container)}"'
    if seen.role_of(container) is Role.SERVER:
        return f"{image} {fault}. {advice}"
    return f"{image} of {seen.in_words(container)} {fault}. {CONTACT}"


def _image_fault(words: str) -> tuple[str, str]:
    """Return what is wrong with the image, and advice for who chose it; empty if the message is about something else."""
    for faults, advice in ((_IMAGE_FAULTS, _MADE_FOR_HUB), (_MACHINE_FAULTS, _OTHER_IMAGE)):
        for pattern, message in faults:
            if found := pattern.search(words):
                return message.format(**found.groupdict()), advice
    return "", ""


def runtime_words(container: Raw) -> str:
    """Return why the runtime did not start a container; empty if it did."""
    states = (state_of(container, "waiting"), last_exit(container))
    own = (message_of(state) for state in states if state.get("reason") in _NOT_STARTED)
    # CRI-O quotes the runtime with its quotation marks escaped.
    return "; ".join(words for words in own if words).replace('\\"', '"')
