"""What is told of a server that shares a volume with another server of its user."""

from datetime import timedelta

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.diagnosis.sentences import begun, listed
from k8s_hub.objects.keys import Key


def placed_beside(servername: str, claim: Key, node: str) -> Diagnosis:
    """The pod will run where the other server's runs, because the disk is there."""
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"{begun(server_in_words(servername))} uses the same volume, so this one is placed on the same machine.",
        detail=f"claim {claim} is ReadWriteOnce and in use on node {node}",
    )


def waits_for_other_server(servername: str, claim: Key, lasting: timedelta) -> Diagnosis:
    """The other server has the volume, and no machine yet."""
    return Diagnosis.waiting(
        Stage.STORAGE,
        f"{begun(server_in_words(servername))} uses the same volume and has no machine yet; "
        "this one waits to be placed on the same machine.",
        reason=Reason.VOLUME_IN_USE,
        detail=f"claim {claim} is ReadWriteOnce, and the pod that mounts it has no node",
        lasting=lasting,
        missed="it did not get one",
    )


def in_exclusive_use(servername: str, claim: Key) -> Diagnosis:
    """The volume is for one pod at a time."""
    return _in_use(
        f"This server needs a volume that only one server at a time can use, and {server_in_words(servername)} uses it. "
        "Please stop that one first.",
        f"claim {claim} is ReadWriteOncePod",
    )


def torn_apart(servernames: tuple[str, str], nodes: tuple[str, str]) -> Diagnosis:
    """Two volumes are on different machines."""
    return _in_use(
        f"This server needs the volumes of {listed([server_in_words(name) for name in servernames])}, "
        "which run on different machines. Please stop one of them first.",
        f"its ReadWriteOnce claims are in use on the nodes {' and '.join(nodes)}",
    )


def on_another_machine(servername: str, claim: Key, *, node: str, wanted: str) -> Diagnosis:
    """The pod's settings name its node, and the volume is on another."""
    return _in_use(
        f"{begun(server_in_words(servername))} uses a volume of this one on another machine. Please stop that one first.",
        f"claim {claim} is ReadWriteOnce and in use on node {node}; the pod's nodeName is {wanted}",
    )


def waits_for_place(servername: str, detail: str, lasting: timedelta) -> Diagnosis:
    """The machine of the other server has no room, or takes nobody now."""
    return Diagnosis.waiting(
        Stage.SCHEDULING,
        f"Your server is waiting for a place on the machine of {server_in_words(servername)}, "
        "because both use the same volume.",
        reason=Reason.VOLUME_IN_USE,
        detail=detail,
        lasting=lasting,
        missed="there was none",
    )


def unfit_machine(servername: str, detail: str) -> Diagnosis:
    """The server asks for another kind of machine than the one where the volume is."""
    return _in_use(
        f"{begun(server_in_words(servername))} uses a volume of this one on a machine that is not of the kind "
        "that this one asks for. Please stop that one first.",
        detail,
    )


def server_in_words(name: str) -> str:
    """Name a server to its user."""
    return f'your server "{name}"' if name else "your default server"


def _in_use(sentence: str, detail: str) -> Diagnosis:
    return Diagnosis.failed(Stage.STORAGE, Reason.VOLUME_IN_USE, sentence, detail=detail)
