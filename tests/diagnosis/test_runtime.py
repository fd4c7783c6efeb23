"""What container runtimes say; their texts are those of runc, crun, youki and gVisor, behind containerd, CRI-O and Docker."""

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import CRASH_LOOP, at, container, creating, event, placed, seen

NO_PROGRAM = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
    'failed: unable to start container process: exec: "jupyterhub-singleuser": executable file not found in $PATH'
)
CHOOSE = "Choose an image that is made for JupyterHub, or contact your administrator."
TELL = "Contact your administrator."
RUNC = "OCI runtime create failed: runc create failed: unable to start container process: "


def told(pod, *events, second=5):
    diagnosis = diagnose(seen(pod, None, *events, second=second))
    return diagnosis.stage, diagnosis.reason, diagnosis.fatal


def start_error(message):
    return placed(container(terminated={"exitCode": 128, "reason": "StartError", "message": message}))


class TestProgramMissing:
    @pytest.mark.parametrize(
        "state",
        [
            container(terminated={"exitCode": 128, "reason": "StartError", "message": NO_PROGRAM}),
            container(waiting={"reason": "RunContainerError", "message": NO_PROGRAM}),
            container(
                waiting=CRASH_LOOP,
                restarts=1,
                last={"exitCode": 128, "reason": "StartError", "message": NO_PROGRAM},
            ),
        ],
        ids=["terminated", "waiting", "held-back"],
    )
    def test_ends_the_start_at_once_and_names_image_and_program(self, state):
        diagnosis = diagnose(seen(placed(state)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.COMMAND, True)
        assert '"example.org/lab:1" has no program "jupyterhub-singleuser"' in diagnosis.sentence

    def test_is_not_read_out_of_a_programs_own_words(self):
        lying = placed(container(terminated={"exitCode": 1, "reason": "Error", "message": NO_PROGRAM}))
        assert told(lying)[1] is Reason.CRASH


@pytest.mark.parametrize(
    "message",
    [
        f'{RUNC}exec: "start-me": executable file not found in $PATH: unknown',
        f'{RUNC}exec: "start-me": stat start-me: no such file or directory: unknown',
        (
            'container create failed: time="2026-02-01T02:02:31Z" level=error msg="runc create failed: unable to start '
            'container process: exec: \\"start-me\\": executable file not found in $PATH"'
        ),
        "container create failed: executable file `start-me` not found in $PATH: No such file or directory",
        "crun: executable file `start-me` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found",
        "container create failed: executable 'start-me' not found in $PATH",
        'creating container: error finding executable "start-me" in PATH [/usr/bin /bin]: no such file or directory',
        "starting container: starting root container: failed to load start-me: no such file or directory",
        (
            "OCI runtime create failed: container_linux.go:380: starting container process caused: "
            'exec: "start-me": executable file not found in $PATH: unknown'
        ),
        'rpc status: Status { code: INTERNAL, message: "exec: \\"start-me\\": executable file not found in $PATH" }',
    ],
    ids=["runc", "stat", "cri-o", "cri-o crun", "crun", "youki", "gvisor", "gvisor load", "docker", "kata"],
)
@pytest.mark.parametrize(
    "reason", ["RunContainerError", "CreateContainerError", "StartError", "ContainerCannotRun"]
)
def test_a_program_that_is_not_there_is_named_whatever_the_runtime(message, reason):
    state = {"waiting": {"reason": reason, "message": message}}
    if reason in {"StartError", "ContainerCannotRun"}:
        state = {"terminated": {"exitCode": 128, "reason": reason, "message": message}}
    diagnosis = diagnose(seen(placed(container(**state))))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.COMMAND, True)
    assert diagnosis.sentence == f'The image "example.org/lab:1" has no program "start-me". {CHOOSE}'


@pytest.mark.parametrize(
    "message,words",
    [
        (f'{RUNC}exec: "/start.sh": permission denied: unknown', 'to run the program "/start.sh"'),
        ("container create failed: open executable: Permission denied", "to run its program"),
        ("crun: exec container process `/start.sh`: Permission denied", 'to run the program "/start.sh"'),
        (f'{RUNC}exec: "/start.sh": exec format error: unknown', "kind of processor"),
        (
            "container create failed: exec container process `/start.sh`: Exec format error",
            "kind of processor",
        ),
        (
            "starting container process caused: exec user process caused: exec format error",
            "kind of processor",
        ),
        (
            f'{RUNC}chdir to cwd ("/home/course") set in config.json failed: no such file or directory: unknown',
            'no folder "/home/course"',
        ),
        (
            f'{RUNC}chdir to cwd ("/home/course") set in config.json failed: permission denied: unknown',
            'no folder "/home/course"',
        ),
        (
            "failed to generate container spec: failed to generate spec: no command specified",
            "which program to run",
        ),
        (
            f"{RUNC}unable to find user jovyan: no matching entries in passwd file: unknown",
            'no user "jovyan"',
        ),
    ],
)
def test_a_program_that_cannot_run_ends_the_start_at_once(message, words):
    diagnosis = diagnose(seen(start_error(message)))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.COMMAND, True)
    assert words in diagnosis.sentence
    assert diagnosis.sentence.endswith(CHOOSE)
    assert message in diagnosis.detail


@pytest.mark.parametrize(
    "message",
    [
        "failed to reserve container name jupyter-jane: name is reserved",
        "context deadline exceeded",
        "OCI runtime create failed: runc create failed: unable to apply cgroup configuration",
        "error mounting /data to rootfs: no such file or directory",
    ],
)
def test_what_may_pass_is_tried_again(message):
    passing = placed(container(waiting={"reason": "CreateContainerError", "message": message}))
    assert told(passing, second=500) == (Stage.STARTING, Reason.CRASH, False)


NOT_STARTED = {
    "mount": f'{RUNC}error mounting "/subpath/0" to rootfs at "/etc/jupyter/a.py": not a directory: unknown',
    "driver": "OCI runtime create failed: nvidia-container-cli: initialization error: driver not loaded",
}


@pytest.mark.parametrize("words", NOT_STARTED.values(), ids=NOT_STARTED)
@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun"])
class TestContainerNeverStarted:
    """Its log is empty: what the administrator needs are the runtime's words."""

    def test_is_no_crash_while_it_is_tried_again(self, reason, words):
        diagnosis = diagnose(
            seen(placed(container(terminated={"exitCode": 128, "reason": reason, "message": words})))
        )
        assert not diagnosis.fatal
        assert diagnosis.sentence == "The machine could not start your server. It is trying again."
        assert diagnosis.detail == words

    def test_is_told_with_its_reason_in_the_end(self, reason, words):
        last = {"exitCode": 128, "reason": reason, "message": words}
        diagnosis = diagnose(seen(placed(container(waiting=CRASH_LOOP, restarts=3, last=last))))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CRASH, True)
        assert diagnosis.sentence == (
            f"The machine could not start your server 4 times in a row (exit code 128). {TELL}"
        )
        assert diagnosis.detail.endswith(words)


def test_a_memory_limit_in_which_nothing_begins_is_too_low():
    words = f"{RUNC}container init was OOM-killed (memory limit too low?): unknown"
    diagnosis = diagnose(seen(start_error(words)))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.OUT_OF_MEMORY, True)
    assert "needed more memory than its limit" in diagnosis.sentence
    printed = placed(container(terminated={"exitCode": 1, "reason": "Error", "message": words}))
    assert told(printed)[1] is Reason.CRASH


@pytest.mark.parametrize(
    "words",
    [
        "set memory limit 5242880 too low; should be at least 12582912",
        "container create failed: set memory limit 1 too low; should be at least 12582912 bytes",
    ],
)
def test_a_memory_limit_that_cri_o_finds_too_low_is_told_of_container_and_pod(words):
    stuck = placed(container(waiting={"reason": "CreateContainerError", "message": words}))
    stuck["spec"]["containers"][0]["resources"] = {"limits": {"memory": "5Mi"}}
    failed = event("FailedCreatePodSandBox", f"Failed to create pod sandbox: rpc error: pod {words}")
    setting_up = creating()
    for diagnosis in (diagnose(seen(stuck)), diagnose(seen(setting_up, None, failed))):
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.OUT_OF_MEMORY, True)
        assert words in diagnosis.detail
    assert "its limit of 5 MiB" in diagnose(seen(stuck)).sentence
    assert told(setting_up, failed, event("Pulling", second=3))[1] is None


HOOK = (
    "error during container init: error running prestart hook #0: exit status 1, stdout: , stderr: Auto-detected mode as "
    "'legacy'\nnvidia-container-cli: requirement error: unsatisfied condition: "
)


@pytest.mark.parametrize(
    "words,fault",
    [
        (
            "cuda>=12.8, please update your driver to a newer version, or use an earlier cuda container: unknown",
            "needs a newer GPU driver (cuda>=12.8) than the machine has",
        ),
        ("driver>=550: unknown", "needs a newer GPU driver (driver>=550) than the machine has"),
        ("brand = tesla: unknown", "needs another kind of GPU (brand = tesla) than the machine has"),
    ],
)
def test_an_image_for_another_gpu_is_told_as_such(words, fault):
    diagnosis = diagnose(seen(start_error(f"{RUNC}{HOOK}{words}")))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.COMMAND, True)
    assert diagnosis.sentence == (
        f'The image "example.org/lab:1" {fault}. Choose another image, or contact your administrator.'
    )


STUCK = {"reason": "RunContainerError", "message": NO_PROGRAM.replace("jupyterhub-singleuser", "iptables")}


class TestOfTheAdministratorsContainers:
    @pytest.mark.parametrize("policy", [None, "Always"], ids=["step", "native side container"])
    def test_a_program_that_is_missing_before_the_server_is_a_matter_for_the_administrator(self, policy):
        step = container("block-metadata", waiting=STUCK, restarts=1)
        stuck = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[step])
        stuck["spec"]["initContainers"] = [
            {"name": "block-metadata", "image": "example.org/tools:1", "restartPolicy": policy}
        ]
        diagnosis = diagnose(seen(stuck))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.COMMAND, True)
        assert '"example.org/tools:1" of the ' in diagnosis.sentence
        assert '"block-metadata"' in diagnosis.sentence
        assert 'has no program "iptables"' in diagnosis.sentence
        assert diagnosis.sentence.endswith(TELL)

    @pytest.mark.parametrize(
        "notebook,is_fatal",
        [
            (container(running={"startedAt": at(5)}, ready=True), False),
            (container(waiting={"reason": "ContainerCreating"}), True),
        ],
        ids=["server runs", "server comes"],
    )
    def test_one_that_is_missing_beside_the_server_too_and_ends_no_server_that_runs(self, notebook, is_fatal):
        both = placed(
            notebook, container("mesh", waiting=STUCK, restarts=1), phase="Running", podIP="10.0.0.1"
        )
        both["spec"]["containers"] = [{"name": "notebook"}, {"name": "mesh", "image": "example.org/mesh:1"}]
        diagnosis = diagnose(seen(both))
        assert diagnosis.fatal is is_fatal
        assert '"example.org/mesh:1" of the helper container "mesh" of your server' in diagnosis.sentence
        assert diagnosis.sentence.endswith(TELL)

    def test_one_that_is_missing_in_a_native_side_container_ends_no_server_that_runs(self):
        both = placed(container(running={"startedAt": at(5)}), phase="Running", podIP="10.0.0.1")
        both["status"]["initContainerStatuses"] = [container("mesh", waiting=STUCK, restarts=1)]
        both["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
        assert told(both) == (Stage.RUNNING, None, False)


class TestTheSandbox:
    @pytest.mark.parametrize(
        "words",
        [
            "plugin type=aws-cni failed: no IP addresses available",
            'failed to setup network for sandbox "0123": plugin type="calico" failed (add): unauthorized',
            "networkPlugin cni failed to set up pod network: context deadline exceeded",
            "error adding pod to CNI network: failed to allocate for range 0",
        ],
    )
    def test_without_its_network_is_told(self, words):
        failed = event("FailedCreatePodSandBox", f"Failed to create pod sandbox: rpc error: {words}")
        assert told(creating(), failed) == (Stage.STARTING, Reason.SANDBOX, False)
        assert "network" in diagnose(seen(creating(), None, failed)).sentence

    def test_of_a_machine_without_any_network_is_told(self):
        assert "network" in diagnose(seen(creating(), None, event("NetworkNotReady", "not ready"))).sentence

    @pytest.mark.parametrize(
        "words",
        [
            'failed to get sandbox runtime: no runtime for "nvidia" is configured',
            'failed to get sandbox runtime: no runtime for \\"nvidia\\" is configured',
            'RuntimeHandler "nvidia" not supported',
            "failed to find runtime handler nvidia from runtime list map[runc:0x1]",
        ],
        ids=["containerd", "escaped", "containerd 2", "cri-o"],
    )
    def test_of_a_runtime_that_the_machine_lacks_is_not_the_network(self, words):
        """It may come: a new machine with GPUs installs its runtime after its first pods have come."""
        failed = event("FailedCreatePodSandBox", f"Failed to create pod sandbox: rpc error: {words}")
        diagnosis = diagnose(seen(creating(), None, failed, second=100))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.SANDBOX, False)
        assert 'lacks the container runtime "nvidia"' in diagnosis.sentence
        assert "network" not in diagnosis.sentence

    @pytest.mark.parametrize(
        "words",
        [
            'failed to reserve sandbox name "jupyter-network_hub_1_0": name is reserved',
            'failed to get sandbox image "registry.k8s.io/pause:3.9": failed to pull image: i/o timeout',
            'failed pulling image "k8s.gcr.io/pause:3.1": dial udp [::8888]:53: connect: network is unreachable',
            'failed to pull image "registry.k8s.io/pause:3.9": dial tcp: the network of the host is down',
            "failed to start shim: dial unix /run/x.sock: connect: network is unreachable",
            "failed to start sandbox container task: OCI runtime create failed: unable to apply cgroup configuration",
            "failed to create shim task: no space left on device",
        ],
    )
    def test_of_other_trouble_does_not_blame_the_network(self, words):
        failed = event("FailedCreatePodSandBox", f"Failed to create pod sandbox: rpc error: {words}")
        diagnosis = diagnose(seen(creating(), None, failed, second=100))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.SANDBOX, False)
        assert diagnosis.sentence == "The machine could not set up your server. It is trying again."


def test_a_device_that_the_machine_cannot_prepare_is_told():
    words = "Failed to prepare dynamic resources: prepare dynamic resources: DRA driver network.example.com is not registered"
    failed = event("FailedPrepareDynamicResources", words)
    diagnosis = diagnose(seen(creating(), None, failed))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.SANDBOX, False)
    assert diagnosis.sentence == "The machine could not prepare a device for your server. It is trying again."
    assert diagnosis.detail == words
    assert told(creating(), failed, event("Pulling", second=3))[1] is None
