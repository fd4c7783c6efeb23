"""The scenarios as data: the hub's settings, the steps before, the step that the kill strikes, and the writes of that step."""

from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

ORPHAN_GRACE = 4.0
"""Seconds from which an object without a server counts as an orphan, in the hubs of the campaign."""


class Step(StrEnum):
    """What a user, an administrator or the cluster does. Each step waits for its end."""

    START = "start the server"
    START_UNSCHEDULABLE = "start it where no machine fits, until its pod is there"
    STOP = "stop the server"
    RENAME_USER = "rename the user"
    RENAME_SERVER = "rename the server"
    DELETE_USER = "delete the user"
    PLANT = "plant a pod of an earlier hub for this server"
    END = "end the pod: its container exits"
    DELETE_POD = "delete the pod at once, as an administrator"
    GROW = "configure larger volumes"
    PRUNE = "k8s-hub volumes prune --delete"
    REMOVE_ORPHANS = "k8s-hub orphans remove --delete"
    WAIT_GONE = "wait until the server has no pod"
    WAIT = "wait until the hub has polled and has looked for orphans"
    PLANT_CLAIM = "restore the server's claim, as an administrator"


COMMANDS = MappingProxyType(
    {
        Step.PRUNE: ("volumes", "prune", "--delete"),
        Step.REMOVE_ORPHANS: ("orphans", "remove", "--delete"),
    }
)
"""Steps that are a process of their own, and not the hub's: that process is killed, and run again."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One hub."""

    name: str
    #: Of KubeSpawner.
    options: dict[str, Any] = field(hash=False)
    #: Whether it has all rights, or those that the chart gives it.
    may_do_all: bool = False
    #: Whether the cluster removes what a pod owned; where it does, it is often faster than the hub.
    collects_garbage: bool = True


HOME = {
    "storage_pvc_ensure": True,
    "storage_capacity": "1Gi",
    "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}],
    "volume_mounts": [{"name": "home", "mountPath": "/home/jovyan"}],
    "orphans": "remove",
    "delete_grace_period": 1,
    "start_timeout": 20,
    "http_timeout": 5,
}
EXTRA = {
    "name_template": "scratch-{user_server}",
    "capacity": "1Gi",
    "mount_path": "/scratch",
    "keep": "with-server",
    "storage_class": "growing",
}
ALL_VOLUMES = {
    "extra_claims": {"scratch": EXTRA},
    "delete_pvc": True,
    "storage_grow": True,
    "storage_class": "growing",
}
OWN_NAMESPACES = {"enable_user_namespaces": True, "user_namespace_template": "of-{username}"}

PLAIN = Setting("plain", HOME)
OWNED = Setting(
    "owned", {**HOME, "services_enabled": True, "api_token_in_secret": True}, collects_garbage=False
)
NAMESPACES = Setting("namespaces", {**HOME, **OWN_NAMESPACES}, may_do_all=True)
VOLUMES = Setting("volumes", {**HOME, **ALL_VOLUMES}, may_do_all=True)
BY_HAND = Setting("by-hand", {**HOME, "orphans": "report"})


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that a hub does, and the writes that it takes."""

    name: str
    setting: Setting
    setup: tuple[Step, ...]
    #: The kill strikes in here.
    act: tuple[Step, ...]
    #: What the audit log of an undisturbed run must have: "verb resource", as often as it is there.
    writes: tuple[str, ...]
    _: KW_ONLY
    #: Done at once when the hub is back.
    then: tuple[Step, ...] = ()
    servername: str = ""
    #: Whether the administrator asked for the deletion of the claims.
    may_delete_claims: bool = False
    hubs: frozenset[int] = frozenset({5, 6})


START, STOP, PLANT, DELETE_USER = Step.START, Step.STOP, Step.PLANT, Step.DELETE_USER
RENAME = Step.RENAME_USER
CLAIM, POD, GONE = "create persistentvolumeclaims", "create pods", "delete pods"
NO_CLAIM, LARGER = "delete persistentvolumeclaims", "patch persistentvolumeclaims"
OWNED_NEW, OWNED_GONE = ("create secrets", "create services"), ("delete secrets", "delete services")
NEW = (CLAIM, POD)

SCENARIOS = (
    Scenario("start", PLAIN, (), (START,), NEW),
    Scenario("start a named server", PLAIN, (), (START,), NEW, servername="two"),
    Scenario("start again", PLAIN, (START, STOP), (START,), (POD,)),
    Scenario("start over an earlier pod", PLAIN, (START, STOP, PLANT), (START,), (GONE, POD)),
    Scenario("cancel a start", PLAIN, (), (Step.START_UNSCHEDULABLE, STOP), (CLAIM, POD, GONE)),
    Scenario("stop", PLAIN, (START,), (STOP,), (GONE,)),
    Scenario("an ended server", PLAIN, (START,), (Step.END, Step.WAIT_GONE), (GONE,)),
    Scenario("stop after a rename of the user", PLAIN, (START, RENAME), (STOP,), (GONE,)),
    Scenario("start after a rename of the user", PLAIN, (START, STOP, RENAME), (START,), (POD,)),
    Scenario("start, then a rename of the user", PLAIN, (), (START,), NEW, then=(RENAME,)),
    Scenario("stop, then a rename of the user", PLAIN, (START,), (STOP,), (GONE,), then=(RENAME,)),
    Scenario(
        "start after a rename of the server",
        PLAIN,
        (START, STOP, Step.RENAME_SERVER),
        (START,),
        (POD,),
        servername="one",
        hubs=frozenset({6}),
    ),
    Scenario("delete the user", PLAIN, (START,), (DELETE_USER,), (GONE,)),
    Scenario("remove an orphan", PLAIN, (START, STOP, PLANT), (Step.WAIT_GONE,), (GONE,)),
    Scenario("start with Secret and Service", OWNED, (), (START,), (*NEW, *OWNED_NEW)),
    Scenario("stop with Secret and Service", OWNED, (START,), (STOP,), (GONE, *OWNED_GONE)),
    Scenario("start in a new namespace", NAMESPACES, (), (START,), ("create namespaces", *NEW)),
    Scenario("stop in the user's namespace", NAMESPACES, (START,), (STOP,), (GONE,)),
    Scenario("start with an extra volume", VOLUMES, (), (START,), (CLAIM, *NEW)),
    Scenario("start with larger volumes", VOLUMES, (START, STOP, Step.GROW), (START,), (LARGER, LARGER, POD)),
    Scenario(
        "delete the user with all volumes",
        VOLUMES,
        (START,),
        (DELETE_USER,),
        (GONE, NO_CLAIM, NO_CLAIM),
        may_delete_claims=True,
    ),
    Scenario(
        "prune volumes", BY_HAND, (START, DELETE_USER), (Step.PRUNE,), (NO_CLAIM,), may_delete_claims=True
    ),
    Scenario("remove orphans by hand", BY_HAND, (START, STOP, PLANT), (Step.REMOVE_ORPHANS,), (GONE,)),
)
