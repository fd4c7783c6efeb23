"""What went wrong, what the user reads, and after how long: one table for the tests and for the docs.

``python -m tests.diagnosis.table`` writes it into docs/reference/start-messages.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from k8s_hub.claims.home import Refuse, choose_home
from k8s_hub.diagnosis import containers, obstacles
from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage, at_deadline
from k8s_hub.diagnosis.obstacles import foreign_object, previous_server, volume_refused
from k8s_hub.diagnosis.refusals import Refusal, diagnose_refusal
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.objects.keys import Key
from tests.claims.objects import identity, listed, request
from tests.diagnosis.recorded import begin, observation, recording
from tests.diagnosis.samples import (
    CLAIM_UID,
    CRASH_LOOP,
    at,
    claim,
    container,
    creating,
    event,
    placed,
    pod,
    seen,
    unscheduled,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "start-messages.md"
LONG = 900
"""Seconds: longer than a start is given; whatever has not failed by then waits for the deadline."""

AFTER_HTTP_TIMEOUT = "after `http_timeout`, here 30 s"

BEGIN, END = "<!-- the table: make it with python -m tests.diagnosis.table -->", "<!-- end of the table -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One recording of tests/data/recorded and what is made of it."""

    file: str
    stage: Stage
    reason: Reason | None
    #: What the user reads; in the end, if the start fails.
    sentence: str
    #: Seconds from the trouble's begin until the start fails; None if it waits for the deadline.
    fatal_after: int | None = 0
    #: What the user reads until then.
    meanwhile: str = ""

    def answer(self, second: float) -> Diagnosis:
        """Ask diagnosis that many seconds after the recording's begin."""
        return diagnose(observation(recording(self.file), second))

    @property
    def expired(self) -> Diagnosis | None:
        """The failure if the start waits for its deadline, of 5 minutes; None if it fails before, or runs."""
        waits = {"at the deadline": timedelta(minutes=5), AFTER_HTTP_TIMEOUT: timedelta(seconds=30)}
        waited = waits.get(_fails(self))
        return None if waited is None else at_deadline(self.answer(LONG), waited)

    @property
    def at_deadline(self) -> str:
        """What the user reads at that deadline; empty without one."""
        return "" if self.expired is None else self.expired.sentence

    @property
    def situation(self) -> str:
        """What happened, in the recorder's words."""
        return str(recording(self.file)["_about"]["situation"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Row):
    """A create that the API server refused."""

    stage: Stage = Stage.REQUEST
    kind: str = "Pod"

    def answer(self, second: float) -> Diagnosis:
        return diagnose_refusal(Refusal.of(recording(self.file)["status"], self.kind, "jupyter-alice"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedClaim(Refused):
    """A claim that the API server refused."""

    stage: Stage = Stage.STORAGE
    kind: str = "PersistentVolumeClaim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign(Row):
    """The recorded pod has the name of another user's pod."""

    situation: str = "Another user's pod has the name of this user's pod."

    def answer(self, second: float) -> Diagnosis:
        return foreign_object(_of_bob(recording(self.file)["pod"]), "Pod")


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClaim(Row):
    """The recorded claim has the name of another user's home."""

    situation: str = "Another user's claim has the name of this user's home claim."

    def answer(self, second: float) -> Diagnosis:
        claim = _of_bob(recording(self.file)["claim"])
        ours = replace(identity("alice"), namespace=claim["metadata"]["namespace"])
        choice = choose_home(request("alice", identity=ours), listed(claim))
        assert isinstance(choice, Refuse)
        return volume_refused(choice.message, choice.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous(Row):
    """The recorded pod is the user's previous server."""

    def answer(self, second: float) -> Diagnosis:
        content = recording(self.file)
        return previous_server(content["pod"], begin(content) + timedelta(seconds=second))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Row):
    """A pod, claim and events as clusters have reported them, where nothing could be recorded."""

    situation: str
    pod: dict[str, Any]
    claim: dict[str, Any] | None = None
    events: tuple[dict[str, Any], ...] = ()

    def answer(self, second: float) -> Diagnosis:
        return diagnose(seen(self.pod, self.claim, *self.events, second=second))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Row):
    """What the spawner finds itself, without an object that could be recorded."""

    situation: str
    found: Callable[[], Diagnosis]

    def answer(self, second: float) -> Diagnosis:
        return self.found()


def _of_bob(obj: dict[str, Any]) -> dict[str, Any]:
    """The object as bob's server would have made it."""
    annotations = {"hub.jupyter.org/username": "bob"}
    return obj | {"metadata": obj["metadata"] | {"annotations": annotations}}


TELL = "Contact your administrator."
AGAIN = "Try again; if it keeps happening, contact your administrator."
WAITING = "Your server is waiting for a machine"
QUOTA = "Not enough quota: your server needs"
SMALLER = "Choose a smaller server, stop another one, or try again later."
MORE = "Ask your administrator for more."
OR_ASK = "Choose a smaller server, or ask your administrator."
INVALID = "The settings of your server are not valid. Contact your administrator, and quote this:"
TAKEN_AWAY = "Your server was evicted while it was starting. Start it again."
IMAGE = '"registry.example.test/notebook:1"'
NO_ACCESS = (
    f"The image {IMAGE} does not exist, or this hub may not download it. "
    "Check its name, or ask your administrator for access."
)
CRASHED = "Your server crashed"
LOG = "Its log shows why; ask your administrator to read it."
TOO_LITTLE_MEMORY = (
    "Your server needed more memory than its limit of 512 MiB, so the cluster stopped it. "
    "Choose a larger server, or ask your administrator for more memory."
)
PREPARED = "Your home volume is being prepared."
ELSEWHERE = (
    "The disk of your home volume is still attached to another machine. Your server is waiting for it."
)
NOT_REACHED = "The machine could not connect a volume of your server. It is trying again."
NO_MACHINE = (
    "No machine with 512 GiB of memory was available, and the cluster could not add one. "
    "Choose a smaller server, or try again later."
)
PREVIOUS = "Your previous server is still shutting down"


def goes_on(file: str, stage: Stage, sentence: str, reason: Reason | None = None) -> Row:
    """Nothing that ends a start; it goes on until the deadline."""
    return Row(file=file, stage=stage, reason=reason, sentence=sentence, fatal_after=None)


def waits_for_machine(file: str, sentence: str) -> Row:
    """A pod that no machine takes; somebody may end or come, so it waits."""
    return goes_on(file, Stage.SCHEDULING, sentence, Reason.UNSCHEDULABLE)


def waits_for_previous(file: str, why: str) -> Previous:
    """A previous server, looked at when its user has waited for half a minute."""
    return Previous(
        file=file,
        stage=Stage.REQUEST,
        reason=Reason.OLD_SERVER,
        sentence=f"{PREVIOUS}, because {why}.",
        meanwhile=f"{PREVIOUS}.",
        fatal_after=None,
    )


def no_machine(file: str) -> Row:
    """A pod that no machine takes, and the autoscaler has said that it adds none."""
    return Row(
        file=file,
        stage=Stage.SCHEDULING,
        reason=Reason.UNSCHEDULABLE,
        sentence=NO_MACHINE,
        fatal_after=120,
        meanwhile=f"{WAITING} with 512 GiB of memory.",
    )


def image(file: str, reason: Reason, sentence: str) -> Row:
    """An image that cannot be had, however often it is tried."""
    return Row(file=file, stage=Stage.PULLING, reason=reason, sentence=sentence)


def image_for_now(file: str) -> Row:
    """An image that cannot be had at the moment."""
    return Row(
        file=file,
        stage=Stage.PULLING,
        reason=Reason.IMAGE_PULL,
        sentence=f"The machine could not download the image {IMAGE}. Try again later, or contact your administrator.",
        fatal_after=120,
        meanwhile=f"The machine could not download the image {IMAGE}. It is trying again.",
    )


def image_limited(file: str) -> Row:
    """An image whose registry wants fewer downloads."""
    registry = f"The registry of the image {IMAGE}"
    return replace(
        image_for_now(file),
        sentence=f"{registry} allowed no more downloads. Try again later, or contact your administrator.",
        meanwhile=f"{registry} allows no more downloads for now. The machine is trying again.",
    )


def image_denied(file: str) -> Row:
    """An image that the registry does not give out: it may be missing, or the login not work yet."""
    return replace(
        image(file, Reason.IMAGE_DENIED, NO_ACCESS),
        fatal_after=20,
        meanwhile=f"The image {IMAGE} may not exist, or this hub may not download it. The machine is trying again.",
    )


def ended(file: str, reason: Reason, sentence: str) -> Row:
    """A pod that will not come to run."""
    return Row(file=file, stage=Stage.STARTING, reason=reason, sentence=sentence)


def object_missing(file: str, what: str) -> Row:
    """A Secret or ConfigMap that the pod needs."""
    return Row(
        file=file,
        stage=Stage.STARTING,
        reason=Reason.CONFIG_MISSING,
        sentence=f"A part of your server's configuration does not exist: {what}. {TELL}",
        fatal_after=10,
        meanwhile=f"A part of your server's configuration does not exist: {what}.",
    )


def with_gpus(message: str) -> dict[str, Any]:
    """A pod that asks for two GPUs, and has no machine."""
    return unscheduled(
        message, containers=[{"name": "notebook", "resources": {"limits": {"nvidia.com/gpu": "2"}}}]
    )


def with_side(side: dict[str, Any]) -> dict[str, Any]:
    """A server that is ready, and a container beside it."""
    both = placed(
        container(running={"startedAt": at(5)}, ready=True), side, phase="Running", podIP="10.0.0.9"
    )
    both["spec"]["containers"] = [{"name": "notebook"}, {"name": side["name"]}]
    return both


def with_step(step: dict[str, Any], image: str) -> dict[str, Any]:
    """A server that waits for a step before it."""
    both = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[step])
    both["spec"]["initContainers"] = [{"name": step["name"], "image": image}]
    return both


def not_started(program: str, trouble: str) -> dict[str, Any]:
    """A state of a container whose program does not run."""
    words = f'runc create failed: unable to start container process: exec: "{program}": {trouble}: unknown'
    return {"reason": "RunContainerError", "message": words}


OTHER_KIND = "Choose another kind of server, or contact your administrator."
NO_GPUS = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."

MACHINE_REPORTED = (
    Reported(
        file="no_local_disk",
        situation="No node has the disk space for a volume of its own (TopoLVM, OpenEBS LVM).",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_PENDING,
        sentence="No machine has enough free disk space for your home volume.",
        fatal_after=None,
        pod=unscheduled("0/1 nodes are available: 1 node(s) did not have enough free storage."),
    ),
    Reported(
        file="no_device",
        situation="No node has a free device for a resource claim (DRA).",
        stage=Stage.SCHEDULING,
        reason=Reason.UNSCHEDULABLE,
        sentence=f"{WAITING} with a free device of the kind it asks for.",
        fatal_after=None,
        pod=unscheduled(
            "0/2 nodes are available: 1 cannot allocate all claims, 1 node(s) didn't match Pod's node affinity/selector."
        ),
    ),
    Reported(
        file="device_claim_missing",
        situation="The resource claim of the pod does not exist yet (DRA).",
        stage=Stage.SCHEDULING,
        reason=Reason.UNSCHEDULABLE,
        sentence="The cluster is preparing a device for your server.",
        fatal_after=None,
        pod=unscheduled(
            "0/2 nodes are available: waiting for dynamic resource controller to create the resourceclaim "
            '"pod0-gpu".'
        ),
    ),
    Reported(
        file="scale_up_backoff",
        situation="No machine has room; the autoscaler has tried and failed, and waits until it tries again.",
        stage=Stage.SCHEDULING,
        reason=Reason.UNSCHEDULABLE,
        sentence=f"{WAITING} with 2 GPUs. The cluster could not add one and tries again in a few minutes.",
        fatal_after=None,
        pod=with_gpus(NO_GPUS),
        events=(
            event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 in backoff after failed scale-up"),
        ),
    ),
    Reported(
        file="scale_up_karpenter",
        situation="No machine has room; Karpenter, or EKS Auto Mode, has no kind of machine that would do.",
        stage=Stage.SCHEDULING,
        reason=Reason.UNSCHEDULABLE,
        sentence="No machine with 2 GPUs was available, and the cluster could not add one. "
        "Choose a smaller server, or try again later.",
        fatal_after=120,
        meanwhile=f"{WAITING} with 2 GPUs.",
        pod=with_gpus(NO_GPUS),
        events=(
            event(
                "FailedScheduling",
                'Failed to schedule pod, incompatible with nodepool "default", no instance type satisfied resources',
                reportingComponent="karpenter",
            ),
        ),
    ),
    Reported(
        file="refused_too_large",
        situation="The pod was given to a node that is smaller than what it asks for.",
        stage=Stage.STARTING,
        reason=Reason.EVICTED,
        sentence="Your server needs 200 CPUs, but its machine has only 3.92. "
        "Choose a smaller server, or contact your administrator.",
        pod=pod(
            phase="Failed",
            status={
                "reason": "OutOfcpu",
                "message": "Node didn't have enough resource: cpu, requested: 200000, used: 662, capacity: 3920",
            },
        ),
    ),
    Reported(
        file="refused_other_kind",
        situation="The pod was given to a node that its node selector excludes, such as a new one that got its labels late.",
        stage=Stage.STARTING,
        reason=Reason.EVICTED,
        sentence=f"Your server came to a machine that is not of the kind it asks for. {AGAIN}",
        pod=pod(
            phase="Failed", status={"reason": "NodeAffinity", "message": "Predicate NodeAffinity failed"}
        ),
    ),
    Reported(
        file="refused_never",
        situation="The pod asks for what its node does not allow or have, such as a sysctl or another system.",
        stage=Stage.STARTING,
        reason=Reason.EVICTED,
        sentence=f"Your server came to a machine that is not of the kind it asks for. {OTHER_KIND}",
        pod=pod(phase="Failed", status={"reason": "SysctlForbidden", "message": "forbidden sysctl"}),
    ),
    Reported(
        file="refused_half_core",
        situation="The node gives whole cores only, and the pod asks for half a core.",
        stage=Stage.STARTING,
        reason=Reason.EVICTED,
        sentence="Your server asks for 1 CPU, but its machine gives CPUs in multiples of 2. "
        "Choose another number of CPUs, or contact your administrator.",
        pod=pod(
            phase="Failed",
            status={
                "reason": "SMTAlignmentError",
                "message": "SMT Alignment Error: requested 1 cpus not multiple cpus per core = 2",
            },
        ),
    ),
    Reported(
        file="refused_topology",
        situation="The node has no CPUs and devices on one NUMA node free.",
        stage=Stage.STARTING,
        reason=Reason.EVICTED,
        sentence="The machine that was found for your server could not give it CPUs and devices close together. "
        f"{AGAIN}",
        pod=pod(
            phase="Failed",
            status={
                "reason": "TopologyAffinityError",
                "message": "Resources cannot be allocated with Topology locality",
            },
        ),
    ),
    Reported(
        file="device_not_prepared",
        situation="The node cannot prepare a device of a resource claim (DRA).",
        stage=Stage.STARTING,
        reason=Reason.SANDBOX,
        sentence="The machine could not prepare a device for your server. It is trying again.",
        fatal_after=None,
        pod=creating(),
        events=(
            event(
                "FailedPrepareDynamicResources",
                "Failed to prepare dynamic resources: DRA driver gpu.nvidia.com is not registered",
            ),
        ),
    ),
    Reported(
        file="sandbox_runtime",
        situation="The node has no handler of the pod's runtime class.",
        stage=Stage.STARTING,
        reason=Reason.SANDBOX,
        sentence='The machine lacks the container runtime "nvidia" that your server asks for.',
        fatal_after=None,
        pod=creating(),
        events=(
            event(
                "FailedCreatePodSandBox",
                'Failed to create pod sandbox: rpc error: no runtime for "nvidia" is configured',
            ),
        ),
    ),
)


def mount_trouble(file: str, situation: str, sentence: str, reason: str, message: str) -> Reported:
    """A volume that does not come to the node, as an event tells."""
    return Reported(
        file=file,
        situation=situation,
        stage=Stage.STORAGE,
        reason=Reason.MOUNT,
        sentence=sentence,
        fatal_after=None,
        pod=creating(),
        claim=claim("Bound"),
        events=(event(reason, message),),
    )


VOLUME_REPORTED = (
    Reported(
        file="claim_misfit",
        situation="The claim names a volume that it does not fit.",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_PENDING,
        sentence="Your home volume does not fit the disk that its settings name.",
        fatal_after=None,
        pod=unscheduled("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        claim=claim("Pending"),
        events=(
            event(
                "VolumeMismatch",
                'Cannot bind to requested volume "pv-7": storageClassName does not match',
                uid=CLAIM_UID,
            ),
        ),
    ),
    Reported(
        file="claim_class_unknown_before",
        situation="An earlier start found that the claim's storage class does not exist; the cluster has not said more since.",
        stage=Stage.STORAGE,
        reason=Reason.STORAGE_CLASS,
        sentence="Your home volume could not be created: the cluster does not have its kind of storage "
        f'(storage class "fast"). {TELL}',
        fatal_after=20,
        meanwhile="Your home volume could not be created: the cluster does not have its kind of storage "
        '(storage class "fast").',
        pod=pod(phase="Pending"),
        claim=claim("Pending"),
        events=(
            event(
                "ProvisioningFailed",
                'storageclass.storage.k8s.io "fast" not found',
                second=-600,
                uid=CLAIM_UID,
            ),
        ),
    ),
    mount_trouble(
        "attach_limit",
        "The node has as many disks as it can take.",
        "The machine of your server cannot take one more disk. The cluster is trying again.",
        "FailedAttachVolume",
        "rpc error: code = ResourceExhausted desc = max number of volumes (8) already attached to instance",
    ),
    mount_trouble(
        "mount_still_used",
        "The disk is still in use on another node, which only the mount finds (Ceph).",
        ELSEWHERE,
        "FailedMount",
        "rpc error: code = Internal desc = rbd image replicapool/csi-vol-1 is still being used",
    ),
    mount_trouble(
        "mount_damaged",
        "The disk's file system is damaged.",
        "The machine cannot read the disk of your home volume. It is trying again.",
        "FailedMount",
        "'fsck' found errors on device /dev/sda but could not correct them",
    ),
    mount_trouble(
        "mount_permissions",
        "The kubelet gives many files to the pod's group (fsGroup).",
        "The cluster sets the permissions of the files in your home volume, which takes long with many files.",
        "VolumePermissionChangeInProgress",
        "Setting volume ownership for 3e/volumes/kubernetes.io~csi/pvc-1/mount, processed 300000 files",
    ),
    Reported(
        file="another_claim_pending",
        situation="The home is there; another claim that the pod mounts has no disk.",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_PENDING,
        sentence='The volume "shared-data" of your server has no disk yet.',
        fatal_after=None,
        pod=unscheduled(
            "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            volumes=[
                {"persistentVolumeClaim": {"claimName": name}} for name in ("claim-jane", "shared-data")
            ],
        ),
        claim=claim("Bound"),
    ),
    Reported(
        file="mount_key_missing",
        situation="A volume names a key that its ConfigMap has not got.",
        stage=Stage.STARTING,
        reason=Reason.CONFIG_MISSING,
        sentence="A part of your server's configuration does not exist: "
        f'key "motd.txt" in the ConfigMap of its volume "files". {TELL}',
        fatal_after=10,
        meanwhile="A part of your server's configuration does not exist: "
        'key "motd.txt" in the ConfigMap of its volume "files".',
        pod=creating(),
        events=(
            event(
                "FailedMount",
                'MountVolume.SetUp failed for volume "files" : references non-existent config key: motd.txt',
                lastTimestamp=at(16),
            ),
        ),
    ),
)


def pull_fails(
    message: str, reason: str = "ErrImagePull", image: str = "example.org/lab:1"
) -> dict[str, Any]:
    """A pod whose image cannot be had."""
    whole = placed(container(waiting={"reason": reason, "message": message}))
    whole["spec"]["containers"][0]["image"] = image
    return whole


IMAGES_REPORTED = (
    Reported(
        file="image_name_short",
        situation="The image's name has no registry, and the node (CRI-O) has none to complete it.",
        stage=Stage.PULLING,
        reason=Reason.IMAGE_NAME,
        sentence='The name of the image "jupyter/scipy-notebook" does not say which registry has it. '
        'Choose its full name, such as "docker.io/jupyter/scipy-notebook", or contact your administrator.',
        pod=pull_fails(
            'short-name "jupyter/scipy-notebook" did not resolve to an alias and no unqualified-search registries are defined',
            "ImageInspectError",
            "jupyter/scipy-notebook",
        ),
    ),
    Reported(
        file="image_not_signed",
        situation="The node takes only signed images, and the image is not.",
        stage=Stage.PULLING,
        reason=Reason.POLICY,
        sentence='A policy of the cluster refused the image "example.org/lab:1": it is not signed as the policy requires. '
        "Choose another image, or contact your administrator.",
        pod=pull_fails(
            "image pull failed for example.org/lab because the signature validation failed: Source image rejected",
            "SignatureValidationFailed",
        ),
    ),
    Reported(
        file="image_format_old",
        situation="The image has a format that the node no longer reads (schema 1).",
        stage=Stage.PULLING,
        reason=Reason.IMAGE_NOT_FOUND,
        sentence='The format of the image "example.org/lab:1" is too old for the machine. '
        "Choose another image, or contact your administrator.",
        pod=pull_fails(
            'media type "application/vnd.docker.distribution.manifest.v1+json" is no longer supported since containerd v2.1'
        ),
    ),
    Reported(
        file="image_registry_not_trusted",
        situation="The node does not trust the registry's certificate.",
        stage=Stage.PULLING,
        reason=Reason.IMAGE_PULL,
        sentence=f'The machine does not trust the registry of the image "example.org/lab:1". {TELL}',
        fatal_after=120,
        meanwhile='The machine does not trust the registry of the image "example.org/lab:1". It is trying again.',
        pod=pull_fails("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
    ),
    Reported(
        file="image_store_damaged",
        situation="The node's own store of images is damaged, or full.",
        stage=Stage.PULLING,
        reason=Reason.IMAGE_PULL,
        sentence='The machine could not download the image "example.org/lab:1". '
        "Try again later, or contact your administrator.",
        fatal_after=120,
        meanwhile='The machine could not download the image "example.org/lab:1". It is trying again.',
        pod=placed(
            container(
                waiting={
                    "reason": "ErrImagePull",
                    "message": "failed to extract layer sha256:00: content digest sha256:11: not found",
                }
            )
        ),
    ),
)

CONTAINERS_REPORTED = (
    Reported(
        file="machine_out_of_memory",
        situation="The notebook was killed for lack of memory, and has no limit: the node ran out.",
        stage=Stage.STARTING,
        reason=Reason.OUT_OF_MEMORY,
        sentence=f"The machine of your server ran out of memory, so the cluster stopped your server. {AGAIN}",
        pod=placed(container(terminated={"exitCode": 137, "reason": "OOMKilled"})),
    ),
    Reported(
        file="driver_too_old",
        situation="The image needs a newer GPU driver than the node has.",
        stage=Stage.STARTING,
        reason=Reason.COMMAND,
        sentence='The image "example.org/lab:1" needs a newer GPU driver (cuda>=12.8) than the machine has. '
        "Choose another image, or contact your administrator.",
        pod=placed(
            container(
                terminated={
                    "exitCode": 128,
                    "reason": "StartError",
                    "message": "nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, please update "
                    "your driver to a newer version, or use an earlier cuda container: unknown",
                }
            )
        ),
    ),
    Reported(
        file="program_not_allowed",
        situation="The image's program may not be run by the server's user.",
        stage=Stage.STARTING,
        reason=Reason.COMMAND,
        sentence='The image "example.org/lab:1" does not allow its user to run the program "/start.sh". '
        "Choose an image that is made for JupyterHub, or contact your administrator.",
        pod=placed(container(waiting=not_started("/start.sh", "permission denied"))),
    ),
    Reported(
        file="program_other_processor",
        situation="The image's program is for another processor than the node's.",
        stage=Stage.STARTING,
        reason=Reason.COMMAND,
        sentence='The image "example.org/lab:1" was not made for the kind of processor that the machine has. '
        "Choose an image that is made for JupyterHub, or contact your administrator.",
        pod=placed(container(waiting=not_started("/start.sh", "exec format error"))),
    ),
    Reported(
        file="program_missing_in_step",
        situation="An administrator's step before the server has no such program.",
        stage=Stage.STARTING,
        reason=Reason.COMMAND,
        sentence='The image "example.org/tools:1" of the setup step "block-metadata" of your server has no program '
        f'"iptables". {TELL}',
        pod=with_step(
            container(
                "block-metadata", waiting=not_started("iptables", "executable file not found in $PATH")
            ),
            "example.org/tools:1",
        ),
    ),
    Reported(
        file="post_start_hook",
        situation="The postStart hook fails, and the kubelet ends the server for it.",
        stage=Stage.STARTING,
        reason=Reason.POST_START,
        sentence="The startup command (postStart hook) of your server failed, so the cluster stopped your server, "
        "4 times in a row. "
        "Contact your administrator, who set up this command.",
        pod=placed(container(waiting=CRASH_LOOP, restarts=3, last={"exitCode": 143, "reason": "Error"})),
        events=(event("FailedPostStartHook", "PostStartHook failed"),),
    ),
    Reported(
        file="startup_probe",
        situation="A startup or liveness probe fails, and the kubelet ends the server for it.",
        stage=Stage.STARTING,
        reason=Reason.PROBE,
        sentence="Your server did not pass the cluster's health check (startup probe) in time, so the cluster stopped it, "
        f"4 times in a row. It may need more time to start than the check allows. {TELL}",
        pod=placed(container(waiting=CRASH_LOOP, restarts=3, last={"exitCode": 137, "reason": "Error"})),
        events=(event("Killing", "Container notebook failed startup probe, will be restarted"),),
    ),
    Reported(
        file="side_container_not_ready",
        situation="The server is ready, and a container beside it is not.",
        stage=Stage.RUNNING,
        reason=Reason.NOT_READY,
        sentence='Your server is running. The helper container "mesh-proxy" of your server is not ready yet.',
        fatal_after=None,
        pod=with_side(container("mesh-proxy", running={"startedAt": at(5)})),
        events=(
            event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", second=10),
        ),
    ),
    Reported(
        file="active_deadline",
        situation="The pod's activeDeadlineSeconds are over.",
        stage=Stage.STARTING,
        reason=Reason.DEADLINE,
        sentence="Your server was not ready in the time that its settings allow (activeDeadlineSeconds), so the cluster "
        "stopped it. Try again; if it keeps happening, contact your administrator.",
        pod=pod(phase="Failed", status={"reason": "DeadlineExceeded", "message": "Pod was active too long"}),
    ),
)

MACHINE = (
    goes_on("scheduler_away", Stage.SCHEDULING, "Looking for a machine for your server."),
    waits_for_machine("unschedulable_memory", f"{WAITING} with 512 GiB of memory."),
    waits_for_machine("unschedulable_cpu_and_memory", f"{WAITING} with 128 CPUs and 512 GiB of memory."),
    waits_for_machine("unschedulable_gpu", f"{WAITING} with 2 GPUs."),
    waits_for_machine("unschedulable_node_selector", f"{WAITING} of the kind it asks for."),
    waits_for_machine("unschedulable_taint", f"{WAITING} of the kind it asks for."),
    waits_for_machine("unschedulable_full", f"{WAITING} with 100 GiB of memory."),
    waits_for_machine(
        "unschedulable_cordoned",
        f"{WAITING}, because the existing ones are not ready or out of use.",
    ),
    waits_for_machine(
        "claim_other_zone",
        f"{WAITING} in the zone of your home volume, because a volume cannot move to another zone.",
    ),
    waits_for_machine("scheduling_gated", "Your server is in a queue."),
    goes_on(
        "scale_up_triggered",
        Stage.MACHINE,
        "The cluster is adding a machine for your server, which usually takes a few minutes.",
        Reason.UNSCHEDULABLE,
    ),
    no_machine("scale_up_at_maximum"),
    no_machine("scale_up_too_large"),
    goes_on(
        "node_not_ready",
        Stage.STARTING,
        "The machine of your server is not responding.",
        Reason.NODE_LOST,
    ),
    goes_on(
        "sandbox_failed",
        Stage.STARTING,
        "The machine could not set up the network of your server. It is trying again.",
        Reason.SANDBOX,
    ),
    ended(
        "refused_by_kubelet",
        Reason.EVICTED,
        "The machine that was found for your server refused it. Start it again.",
    ),
    ended("preempted", Reason.EVICTED, TAKEN_AWAY),
    ended("evicted", Reason.EVICTED, TAKEN_AWAY),
    ended(
        "evicted_disk",
        Reason.EVICTED,
        "Your server used more than its limit of 1 GiB of temporary disk space, so the cluster stopped it. "
        "Choose a larger server, or contact your administrator.",
    ),
    ended("node_shutdown", Reason.EVICTED, TAKEN_AWAY),
    ended("node_lost", Reason.EVICTED, TAKEN_AWAY),
)

VOLUME = (
    goes_on("claim_external_provisioner", Stage.STORAGE, PREPARED, Reason.CLAIM_PENDING),
    goes_on("claim_first_consumer", Stage.STORAGE, PREPARED, Reason.CLAIM_PENDING),
    Row(
        file="claim_class_unknown",
        stage=Stage.STORAGE,
        reason=Reason.STORAGE_CLASS,
        sentence="Your home volume could not be created: the cluster does not have its kind of storage "
        f'(storage class "fast"). {TELL}',
    ),
    Row(
        file="claim_no_class",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_PENDING,
        sentence=f"Your home volume has no disk, and the cluster has no default way to create one. {TELL}",
        fatal_after=60,
        meanwhile="Your home volume has no disk yet.",
    ),
    Row(
        file="claim_missing",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_MISSING,
        sentence=f'The volume "claim-alice" that your server needs does not exist. {TELL}',
        fatal_after=10,
        meanwhile='The volume "claim-alice" that your server needs does not exist.',
    ),
    goes_on(
        "claim_terminating",
        Stage.STORAGE,
        "Your home volume (claim-alice) is being deleted. Your server then gets a new, empty one.",
        Reason.CLAIM_TERMINATING,
    ),
    Row(
        file="claim_lost",
        stage=Stage.STORAGE,
        reason=Reason.CLAIM_LOST,
        sentence="The disk of your home volume (claim-alice) no longer exists. "
        "Contact your administrator, who can restore it or give you a new one.",
    ),
    goes_on("attach_multi", Stage.STORAGE, ELSEWHERE, Reason.MOUNT),
    goes_on("attach_multi_node_lost", Stage.STORAGE, ELSEWHERE, Reason.MOUNT),
    goes_on(
        "attach_failed",
        Stage.STORAGE,
        "The storage system does not find the disk of your home volume. It is trying again.",
        Reason.CLAIM_LOST,
    ),
    goes_on("mount_failed", Stage.STORAGE, NOT_REACHED, Reason.MOUNT),
    goes_on("mount_timed_out", Stage.STORAGE, NOT_REACHED, Reason.MOUNT),
)

IMAGES = (
    goes_on("image_being_pulled", Stage.PULLING, f"Downloading the image {IMAGE}."),
    image(
        "image_name_invalid",
        Reason.IMAGE_NAME,
        'The image name "registry.example.test/Notebook:1" is not valid. Check its spelling, or contact your administrator.',
    ),
    image(
        "image_never_pulled",
        Reason.IMAGE_NOT_FOUND,
        f"The image {IMAGE} is not on the machine, and this hub does not download it. "
        "Choose another image, or contact your administrator.",
    ),
    image(
        "image_not_found_first_try",
        Reason.IMAGE_NOT_FOUND,
        f"The image {IMAGE} does not exist. Check its name and tag, or contact your administrator.",
    ),
    image(
        "image_not_found",
        Reason.IMAGE_NOT_FOUND,
        f"The image {IMAGE} does not exist. Check its name and tag, or contact your administrator.",
    ),
    image_denied("image_denied_or_missing"),
    image_denied("image_unauthorized"),
    image_denied("image_forbidden"),
    image_for_now("image_registry_away"),
    image_limited("image_too_many_requests"),
)

CONTAINERS = (
    goes_on("container_creating", Stage.STARTING, "Found a machine; setting up your server."),
    goes_on("init_running", Stage.STARTING, 'The setup step "prepare" of your server is running.'),
    goes_on("running", Stage.RUNNING, "Your server is running. Waiting for its first response."),
    goes_on(
        "restarted_out_of_memory", Stage.RUNNING, "Your server is running. Waiting for its first response."
    ),
    ended(
        "crash_loop", Reason.CRASH, f"{CRASHED} 4 times in a row while it was starting (exit code 1). {LOG}"
    ),
    ended("ended_with_error", Reason.CRASH, f"{CRASHED} while it was starting (exit code 1). {LOG}"),
    ended("ended_by_signal", Reason.CRASH, f"{CRASHED} while it was starting (exit code 137). {LOG}"),
    ended("crash_loop_out_of_memory", Reason.OUT_OF_MEMORY, TOO_LITTLE_MEMORY),
    ended("out_of_memory", Reason.OUT_OF_MEMORY, TOO_LITTLE_MEMORY),
    ended(
        "completed",
        Reason.EXITED,
        "Your server ended by itself while it was starting (exit code 0). Its image may not be made for "
        "JupyterHub. Choose another image, or contact your administrator.",
    ),
    ended(
        "command_not_found",
        Reason.COMMAND,
        f'The image {IMAGE} has no program "jupyterhub-singleuser". '
        "Choose an image that is made for JupyterHub, or contact your administrator.",
    ),
    ended(
        "init_failed",
        Reason.CRASH,
        f'The setup step "prepare" of your server failed (exit code 1). {TELL}',
    ),
    ended(
        "init_crash_loop",
        Reason.CRASH,
        f'The setup step "prepare" of your server failed 4 times in a row (exit code 1). {TELL}',
    ),
    object_missing("secret_missing", 'secret "keys"'),
    object_missing("mount_config_map_missing", 'configmap "settings"'),
)

REFUSALS = (
    Refused(
        file="quota_memory",
        reason=Reason.QUOTA,
        sentence=f"{QUOTA} 2 GiB of memory, and 2 GiB of 3 GiB are in use. {SMALLER}",
    ),
    Refused(
        file="quota_memory_and_cpu",
        reason=Reason.QUOTA,
        sentence=f"{QUOTA} 2 CPUs, and only 1 is allowed; "
        f"it needs 2 GiB of memory, and only 1 GiB is allowed. {OR_ASK}",
    ),
    Refused(
        file="quota_gpu",
        reason=Reason.QUOTA,
        sentence=f"{QUOTA} 1 GPU, and none is allowed. {OR_ASK}",
    ),
    Refused(
        file="quota_pods",
        reason=Reason.QUOTA,
        sentence=f"{QUOTA} 1 place, and 1 of 1 is in use. {SMALLER}",
    ),
    RefusedClaim(
        file="quota_claims",
        reason=Reason.QUOTA,
        sentence=f"Not enough quota: your home volume needs 1 volume, and 1 of 1 is in use. {MORE}",
    ),
    RefusedClaim(
        file="quota_storage",
        reason=Reason.QUOTA,
        sentence="Not enough quota: your home volume needs 10 GiB of disk space, and only 5 GiB is allowed. "
        f"{MORE}",
    ),
    Refused(
        file="quota_needs_request",
        reason=Reason.QUOTA,
        sentence="The cluster requires the memory limit and the memory request of your server, "
        f"which this hub does not set. {TELL}",
    ),
    Refused(
        file="limit_range_maximum",
        reason=Reason.POLICY,
        sentence="Your server asks for 2 GiB of memory, but the cluster allows at most 1 GiB of memory. "
        "Choose another size, or contact your administrator.",
    ),
    Refused(
        file="limit_range_minimum",
        reason=Reason.POLICY,
        sentence="Your server asks for 0.1 CPUs, but the cluster allows at least 0.5 CPUs. "
        "Choose another size, or contact your administrator.",
    ),
    RefusedClaim(
        file="limit_range_storage",
        reason=Reason.POLICY,
        sentence="Your home volume asks for 10 GiB of disk space, "
        "but the cluster allows at most 1 GiB of disk space. "
        "Choose another size, or contact your administrator.",
    ),
    Refused(
        file="pod_security_baseline",
        reason=Reason.POLICY,
        sentence=f'The security standard "baseline:latest" of the cluster does not allow your server: privileged. {TELL}',
    ),
    Refused(
        file="pod_security_restricted",
        reason=Reason.POLICY,
        sentence='The security standard "restricted:latest" of the cluster does not allow your server: '
        "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile. "
        f"{TELL}",
    ),
    Refused(
        file="admission_policy",
        reason=Reason.POLICY,
        sentence="A policy of the cluster refused your server: images must come from images.example.test. "
        "Choose something else, or contact your administrator.",
    ),
    Refused(
        file="webhook_away",
        reason=Reason.CLUSTER_UNAVAILABLE,
        sentence="A service that must approve your server did not respond. "
        "Try again in a few minutes; if it keeps happening, contact your administrator.",
    ),
    Refused(
        file="priority_class_unknown",
        reason=Reason.INVALID,
        sentence=f'Your server needs the priority class "jhub-default-priority", which does not exist. {TELL}',
    ),
    Refused(
        file="runtime_class_unknown",
        reason=Reason.INVALID,
        sentence=f'Your server needs the runtime class "nvidia", which does not exist. {TELL}',
    ),
    Refused(
        file="service_account_unknown",
        reason=Reason.INVALID,
        sentence=f'Your server needs the service account "notebook", which does not exist. {TELL}',
    ),
    Refused(
        file="invalid_mount",
        reason=Reason.INVALID,
        sentence=f'{INVALID} spec.containers[0].volumeMounts[0].name: Not found: "data"',
    ),
    Refused(
        file="invalid_request_above_limit",
        reason=Reason.INVALID,
        sentence=f"{INVALID} spec.containers[0].resources.requests: "
        'Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi',
    ),
    Refused(
        file="invalid_label",
        reason=Reason.INVALID,
        sentence=f'{INVALID} metadata.labels: Invalid value: "alice@example.test": a valid label must be an empty '
        "string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        "alphanumeric character",
    ),
    Refused(
        file="invalid_name",
        reason=Reason.INVALID,
        sentence=f'{INVALID} metadata.name: Invalid value: "jupyter_Alice": a lowercase RFC 1123 subdomain must '
        "consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
        "character",
    ),
    RefusedClaim(
        file="invalid_claim",
        reason=Reason.INVALID,
        sentence="The settings of your home volume are not valid. Contact your administrator, and quote this: "
        'spec.accessModes: Unsupported value: "ReadWriteSometimes": supported values: "ReadOnlyMany", '
        '"ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
    ),
    Refused(
        file="invalid_field_type",
        reason=Reason.INVALID,
        sentence=f"{INVALID} json: cannot unmarshal number into Go struct field "
        "EnvVar.spec.containers.env.value of type string",
    ),
    Refused(
        file="invalid_quantity",
        reason=Reason.INVALID,
        sentence=f"{INVALID} quantities must match the regular expression "
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    ),
    Refused(
        file="forbidden",
        reason=Reason.FORBIDDEN,
        sentence=f"The hub lacks a permission in the cluster (create pods). {TELL}",
    ),
    Refused(
        file="unauthorized",
        reason=Reason.FORBIDDEN,
        sentence=f"The cluster no longer accepts the account of this hub. {TELL}",
    ),
    Refused(
        file="namespace_missing",
        reason=Reason.NAMESPACE,
        sentence=f'The place for your server in the cluster (namespace "jhub-alice") does not exist. {TELL}',
    ),
    RefusedClaim(
        file="namespace_terminating",
        reason=Reason.NAMESPACE,
        sentence='The place for your home volume in the cluster (namespace "jhub-namespace-terminating") is being deleted. '
        f"{TELL}",
    ),
)

UNSCHEDULABLE_CAUSES = (
    waits_for_previous("terminating", "its machine has not confirmed that it stopped"),
    waits_for_previous(
        "terminating_finalizer", "a service of the cluster (backup.example.test/wait) has not released it"
    ),
    waits_for_previous("node_lost", "its machine is not responding"),
    Row(
        file="terminating",
        stage=Stage.STARTING,
        reason=Reason.DELETED,
        sentence="Your server was removed before it was ready. Start it again.",
    ),
    Foreign(
        file="running",
        stage=Stage.REQUEST,
        reason=Reason.FOREIGN_OBJECT,
        sentence=f'Your server could not start because user "bob" already uses the name "jupyter-alice". {TELL}',
    ),
    ForeignClaim(
        file="running",
        stage=Stage.STORAGE,
        reason=Reason.FOREIGN_OBJECT,
        sentence=f"Your home volume cannot be opened because a volume of its name belongs to another user. {TELL}",
    ),
)

HOME = Key("jhub", "claim-alice")
ONE_AT_A_TIME = "Only one server at a time can use the volume of this server, and"


def busy_volume(file: str, situation: str, sentence: str, found: Callable[[], Diagnosis]) -> Found:
    """A volume that another server of the user has."""
    return Found(
        file=file,
        stage=Stage.STORAGE,
        reason=Reason.VOLUME_IN_USE,
        situation=situation,
        sentence=sentence,
        found=found,
    )


OTHER_SERVERS = (
    Found(
        file="same_node",
        stage=Stage.STORAGE,
        reason=None,
        situation="Another server of the user has the volume; the pod goes to its node.",
        sentence="Your default server uses the same volume, so this server starts on the same machine.",
        fatal_after=None,
        found=lambda: obstacles.placed_on_same_node("", HOME, "node-1"),
    ),
    Found(
        file="other_without_node",
        stage=Stage.STORAGE,
        reason=Reason.VOLUME_IN_USE,
        situation="Another server of the user has the volume, and no node yet.",
        sentence='Your server "gpu" uses the same volume and has no machine yet. '
        "This server is waiting for the same machine.",
        fatal_after=None,
        found=lambda: obstacles.waits_for_other_server("gpu", HOME),
    ),
    Found(
        file="no_place",
        stage=Stage.SCHEDULING,
        reason=Reason.VOLUME_IN_USE,
        situation="The node of the other server has no room.",
        sentence="Your server is waiting for room on the machine of your default server, because both use the same volume.",
        fatal_after=None,
        found=lambda: obstacles.waits_for_capacity("", "0/1 nodes are available: 1 Insufficient memory."),
    ),
    busy_volume(
        "unfit_node",
        "The server needs another kind of node than the one that has the volume.",
        "Your default server uses a volume of this server on a machine of another kind than this server needs. "
        "Stop that server first.",
        lambda: obstacles.unfit_node("", "0/1 nodes are available: 1 node(s) didn't match node selector."),
    ),
    busy_volume(
        "other_node",
        "The pod's settings name another node than the one that has the volume.",
        "Your default server uses a volume of this server on another machine. Stop that server first.",
        lambda: obstacles.on_another_node("", HOME, node="node-1", wanted="node-2"),
    ),
    busy_volume(
        "two_nodes",
        "Two volumes of the server are in use on two nodes.",
        'This server shares volumes with your server "gpu" and your default server, which run on different machines. '
        "Stop one of them first.",
        lambda: obstacles.volumes_on_different_nodes(("gpu", ""), ("node-1", "node-2")),
    ),
    busy_volume(
        "one_pod",
        "The claim is ReadWriteOncePod, and another server has it.",
        f"{ONE_AT_A_TIME} your default server uses it. Stop that server first.",
        lambda: obstacles.in_exclusive_use("", HOME),
    ),
)

ANSWERS = (
    Found(
        file="silent",
        stage=Stage.RUNNING,
        reason=Reason.NO_ANSWER,
        situation="The pod is ready, but its server gives no good HTTP answer.",
        sentence="Your server is running. Waiting for its first response.",
        fatal_after=None,
        found=lambda: containers.server_silent(pod(), "http://10.1.4.21:8888 answers with status 503"),
    ),
    Found(
        file="busy",
        stage=Stage.REQUEST,
        reason=Reason.CLUSTER_BUSY,
        situation="The API server is overloaded (429), or fails (5xx).",
        sentence="The cluster is busy. Your server is waiting for its turn.",
        fatal_after=None,
        found=lambda: obstacles.cluster_busy("code 429: too many requests"),
    ),
    Found(
        file="away",
        stage=Stage.REQUEST,
        reason=Reason.CLUSTER_UNAVAILABLE,
        situation="The API server does not answer.",
        sentence="The cluster is not responding. Your server starts when the cluster is back.",
        fatal_after=None,
        found=lambda: obstacles.cluster_silent("no connection to https://10.96.0.1:443"),
    ),
    Found(
        file="no_cluster",
        stage=Stage.REQUEST,
        reason=Reason.CLUSTER_UNAVAILABLE,
        situation="The hub has no cluster, or cannot use its configuration.",
        sentence=f"Your server could not start because the hub is not connected to a cluster. {TELL}",
        found=lambda: obstacles.no_cluster("no configuration of a cluster was found"),
    ),
)

TABLE: dict[str, tuple[Row, ...]] = {
    "The machine": MACHINE + MACHINE_REPORTED,
    "The home volume": VOLUME + VOLUME_REPORTED,
    "The image": IMAGES + IMAGES_REPORTED,
    "The server and the steps before it": CONTAINERS + CONTAINERS_REPORTED,
    "A request that the cluster refuses": REFUSALS,
    "What is in the way": UNSCHEDULABLE_CAUSES,
    "Another server with the same volume": OTHER_SERVERS,
    "No answer": ANSWERS,
}


def rows() -> list[Row]:
    """All rows, in the order of the docs."""
    return [row for topic in TABLE.values() for row in topic]


def markdown() -> str:
    """The table as the docs show it."""
    lines = []
    for topic, its_rows in TABLE.items():
        lines += [
            f"### {topic}",
            "",
            "| What happened | What the user reads | Fails | Reason |",
            "|---|---|---|---|",
        ]
        for row in its_rows:
            words = " *Then:* ".join(filter(None, (row.meanwhile, row.sentence, row.at_deadline)))
            reason = row.expired.reason if row.expired else row.reason
            cells = (row.situation, words, _fails(row), f"`{reason}`" if reason else "")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def documented(text: str) -> str:
    """The document with today's table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown()}\n{END}{after}"


def _fails(row: Row) -> str:
    if row.stage is Stage.RUNNING and row.reason is None:
        return "no"
    if row.reason is Reason.NO_ANSWER:
        return AFTER_HTTP_TIMEOUT
    if row.fatal_after is None:
        return "at the deadline"
    return f"after {row.fatal_after} s" if row.fatal_after else "at once"


if __name__ == "__main__":
    DOCUMENT.write_text(documented(DOCUMENT.read_text()))
