"""Rules about containers on their machine."""

from dataclasses import replace

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import condition, container, creating, event, placed, pod, seen

CRASH_LOOP = {"reason": "CrashLoopBackOff"}
ERROR = {"exitCode": 1, "reason": "Error", "message": "Traceback: token=hunter2hunter2"}
OUT_OF_MEMORY = {"exitCode": 137, "reason": "OOMKilled"}
NO_PROGRAM = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
    'failed: unable to start container process: exec: "jupyterhub-singleuser": executable file not found in $PATH'
)


def limited(*statuses, limit="1Gi"):
    whole = placed(*statuses)
    whole["spec"]["containers"][0]["resources"] = {"limits": {"memory": limit}}
    return whole


def told(pod, *events, second=5):
    diagnosis = diagnose(seen(pod, None, *events, second=second))
    return diagnosis.stage, diagnosis.reason, diagnosis.fatal


class TestOutOfMemory:
    @pytest.mark.parametrize(
        "state",
        [
            container(terminated=OUT_OF_MEMORY),
            container(waiting=CRASH_LOOP, restarts=1, last=OUT_OF_MEMORY),
        ],
        ids=["terminated", "held-back"],
    )
    def test_ends_the_start_at_once_and_names_the_limit(self, state):
        diagnosis = diagnose(seen(limited(state)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.OUT_OF_MEMORY, True)
        assert "its limit of 1 GiB" in diagnosis.message
        assert "exit code 137" in diagnosis.detail

    def test_without_a_limit_names_none(self):
        """The machine itself was out of memory."""
        assert "its limit and" in diagnose(seen(placed(container(terminated=OUT_OF_MEMORY)))).message

    def test_of_a_former_try_does_not_end_the_one_that_runs(self):
        running = container(running={"startedAt": "2026-07-01T12:00:09Z"}, restarts=1, last=OUT_OF_MEMORY)
        assert told(limited(running)) == (Stage.RUNNING, None, False)


class TestCrashes:
    def test_a_failed_try_is_told(self):
        diagnosis = diagnose(seen(placed(container(terminated=ERROR))))
        assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (
            Stage.STARTING,
            Reason.CRASH,
            False,
        )
        assert "(exit code 1)" in diagnosis.message

    def test_the_third_restart_is_the_last(self):
        assert told(placed(container(waiting=CRASH_LOOP, restarts=2, last=ERROR)))[2] is False
        diagnosis = diagnose(seen(placed(container(waiting=CRASH_LOOP, restarts=3, last=ERROR))))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CRASH, True)
        assert "(Error, exit code 1), 4 times in a row" in diagnosis.message

    @pytest.mark.parametrize(("restarts", "is_over"), [(2, False), (3, True)])
    def test_the_third_restart_is_over_when_it_ends_and_not_a_back_off_later(self, restarts, is_over):
        """A kubelet shows the container as terminated for most of the back-off."""
        diagnosis = diagnose(seen(placed(container(terminated=ERROR, restarts=restarts, last=ERROR))))
        assert (diagnosis.fatal, diagnosis.reason) == (is_over, Reason.CRASH)
        assert ("4 times in a row" in diagnosis.message) is is_over

    def test_restart_policy_never_gives_one_try(self):
        once = placed(container(terminated=ERROR))
        once["spec"]["restartPolicy"] = "Never"
        diagnosis = diagnose(seen(once))
        assert diagnosis.fatal
        assert "in a row" not in diagnosis.message

    def test_the_last_words_of_the_program_are_not_repeated(self):
        for tries in (container(terminated=ERROR), container(waiting=CRASH_LOOP, restarts=3, last=ERROR)):
            diagnosis = diagnose(seen(placed(tries)))
            assert "Traceback" not in diagnosis.message + diagnosis.detail

    def test_a_server_that_ends_politely_while_starting_has_failed_too(self):
        diagnosis = diagnose(seen(placed(container(terminated={"exitCode": 0, "reason": "Completed"}))))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EXITED, True)

    def test_a_step_that_crashes_ends_the_start_after_the_third_restart(self):
        def with_step(restarts):
            step = container("fix-home", waiting=CRASH_LOOP, restarts=restarts, last=ERROR)
            return placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[step])

        assert told(with_step(2))[2] is False
        diagnosis = diagnose(seen(with_step(3)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CRASH, True)
        assert '"fix-home"' in diagnosis.message

    def test_a_side_container_that_crashes_does_not_end_the_start(self):
        both = placed(
            container(running={"startedAt": "2026-07-01T12:00:09Z"}),
            container("logs", waiting=CRASH_LOOP, restarts=9, last=ERROR),
        )
        assert told(both) == (Stage.RUNNING, None, False)


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
        assert '"example.org/lab:1" has no program "jupyterhub-singleuser"' in diagnosis.message

    def test_is_not_read_out_of_a_programs_own_words(self):
        lying = placed(container(terminated={"exitCode": 1, "reason": "Error", "message": NO_PROGRAM}))
        assert told(lying)[1] is Reason.CRASH


class TestTheEndOfThePod:
    @pytest.mark.parametrize("reason", ["Evicted", "Preempting", "NodeShutdown"])
    def test_an_eviction_is_told_as_such(self, reason):
        evicted = pod(phase="Failed", status={"reason": reason, "message": "The node was low on memory."})
        diagnosis = diagnose(seen(evicted))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert "took the place of your server away" in diagnosis.message
        assert "low on memory" in diagnosis.detail

    def test_a_preemption_that_has_only_begun_is_told_as_such(self):
        preempted = pod(
            dying=True,
            status={"conditions": [condition("DisruptionTarget", "True", reason="PreemptionByScheduler")]},
        )
        assert told(preempted)[1:] == (Reason.EVICTED, True)

    def test_a_machine_that_refuses_the_pod_is_told_as_such(self):
        refused = pod(phase="Failed", status={"reason": "OutOfcpu", "message": "Node didn't have enough cpu"})
        diagnosis = diagnose(seen(refused))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert "refused your server" in diagnosis.message

    def test_a_pod_that_somebody_deletes_is_told_as_such(self):
        assert told(pod(container(running={}), dying=True))[1:] == (Reason.DELETED, True)

    def test_a_pod_that_succeeded_without_a_server_has_failed(self):
        assert told(pod(phase="Succeeded"))[1:] == (Reason.EXITED, True)


class TestConfiguration:
    @pytest.mark.parametrize(
        "message,named",
        [
            ('secret "aws" not found', 'secret "aws"'),
            ('configmap "settings" not found', 'configmap "settings"'),
            ("couldn't find key id in Secret hub/aws", "key id in Secret hub/aws"),
        ],
    )
    def test_a_missing_object_is_given_10_seconds_and_named(self, message, named):
        missing = placed(container(waiting={"reason": "CreateContainerConfigError", "message": message}))
        failed = event("Failed", f"Error: {message}", second=7)
        assert told(missing, failed, second=16.9) == (Stage.STARTING, Reason.CONFIG_MISSING, False)
        diagnosis = diagnose(seen(missing, None, failed, second=17))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CONFIG_MISSING, True)
        assert named in diagnosis.message

    def test_without_an_event_its_time_counts_from_the_scheduling(self):
        missing = placed(
            container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "a" not found'})
        )
        assert told(missing, second=10.9)[2] is False
        assert told(missing, second=11)[2] is True

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ("container has runAsNonRoot and image will run as root", "wants to run as root"),
            (
                "container has runAsNonRoot and image has non-numeric user (jovyan), cannot verify user is non-root",
                'names its user "jovyan" and not by number',
            ),
            ("container's runAsUser breaks non-root policy", "settings of your server run"),
        ],
    )
    def test_an_image_that_would_run_as_root_ends_the_start(self, message, words):
        waiting = {
            "reason": "CreateContainerConfigError",
            "message": f"{message} (pod: x, container: notebook)",
        }
        diagnosis = diagnose(seen(placed(container(waiting=waiting))))
        assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (
            Stage.STARTING,
            Reason.POLICY,
            True,
        )
        assert words in diagnosis.sentence

    def test_a_secret_that_comes_after_its_pod_is_no_trouble_once_it_has_come(self):
        waiting = {
            "reason": "CreateContainerConfigError",
            "message": 'secret "jupyter-ada.env" not found',
        }
        early = placed(container(waiting=waiting))
        missing = diagnose(seen(early))
        coming = diagnose(replace(seen(early), created_secrets={"jupyter-ada.env"}))
        assert missing.reason == Reason.CONFIG_MISSING
        assert (coming.reason, coming.sentence) == (None, "A machine is found and sets up your server.")

    @pytest.mark.parametrize(
        "reason", ["CreateContainerError", "CreateContainerConfigError", "RunContainerError"]
    )
    def test_what_the_machine_tries_again_is_told(self, reason):
        message = "failed to sync secret cache: timed out waiting for the condition"
        passing = placed(container(waiting={"reason": reason, "message": message}))
        diagnosis = diagnose(seen(passing, second=500))
        assert (diagnosis.stage, diagnosis.fatal) == (Stage.STARTING, False)
        assert "tries again" in diagnosis.message
        assert message in diagnosis.detail


class TestTheMachine:
    def test_that_does_not_answer_is_told_and_not_dead(self):
        lost = creating(reason="NodeLost", message="Node node-1 is unresponsive")
        assert told(lost, second=500) == (Stage.STARTING, Reason.NODE_LOST, False)
        assert told(creating(), event("NodeNotReady", "Node is not ready"))[1] is Reason.NODE_LOST

    def test_that_went_on_since_is_no_trouble(self):
        silent = event("NodeNotReady", "Node is not ready", second=2)
        assert told(creating(), silent, event("Pulled", "", second=3))[1] is None

    def test_that_cannot_make_the_network_is_told(self):
        failed = event("FailedCreatePodSandBox", "plugin type=aws-cni failed: no IP addresses available")
        assert told(creating(), failed) == (Stage.STARTING, Reason.SANDBOX, False)

    def test_sets_up(self):
        assert told(creating()) == (Stage.STARTING, None, False)
        assert "node-1" in diagnose(seen(creating())).detail


class TestOnTheWay:
    def test_a_step_that_runs_is_named(self):
        step = container("fix-home", running={"startedAt": "2026-07-01T12:00:03Z"})
        preparing = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[step])
        preparing["spec"]["initContainers"] = [{"name": "fix-home"}]
        assert '"fix-home"' in diagnose(seen(preparing)).message

    def test_a_side_container_among_the_steps_is_none(self):
        mesh = container("mesh", running={"startedAt": "2026-07-01T12:00:03Z"})
        meshed = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[mesh])
        meshed["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
        assert "mesh" not in diagnose(seen(meshed)).message

    def test_a_server_that_runs_but_is_not_ready(self):
        diagnosis = diagnose(seen(placed(container(running={"startedAt": "x"}), phase="Running")))
        assert (diagnosis.stage, diagnosis.message) == (
            Stage.RUNNING,
            "Your server is running and will answer soon.",
        )

    def test_a_server_that_is_ready(self):
        ready = placed(container(running={}, ready=True), phase="Running", podIP="10.0.0.1")
        assert diagnose(seen(ready)).message == "Your server is running and will answer soon."

    def test_nothing_there_yet(self):
        diagnosis = diagnose(seen())
        assert (diagnosis.stage, diagnosis.fatal) == (Stage.REQUEST, False)
