"""Rules about the ends of a server and of its pod."""

from datetime import UTC, datetime

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.pod_life import judge_pod
from k8s_hub.diagnosis.projection import project_pod
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.diagnosis.terminations import end_for_user, ended_at
from tests.diagnosis.samples import (
    CRASH_LOOP,
    ERROR,
    at,
    condition,
    container,
    event,
    placed,
    pod,
    seen,
)

OUT_OF_MEMORY = {"exitCode": 137, "reason": "OOMKilled"}
KILLED = {"exitCode": 137, "reason": "Error"}
TERMINATED = {"exitCode": 143, "reason": "Error"}
POLITE = {"exitCode": 0, "reason": "Completed"}
AGAIN = "Start it again."


def limited(*statuses, limit="1Gi"):
    whole = placed(*statuses)
    whole["spec"]["containers"][0]["resources"] = {"limits": {"memory": limit}}
    return whole


def told(pod, *events, second=5):
    diagnosis = diagnose(seen(pod, None, *events, second=second))
    return diagnosis.stage, diagnosis.reason, diagnosis.fatal


def refused(reason, message, *statuses):
    """A pod that its kubelet would not have."""
    return placed(*statuses, phase="Failed", reason=reason, message=message)


def of(name, **involved):
    return {"involvedObject": {"uid": "11111111-pod", "fieldPath": f"spec.containers{{{name}}}"}}


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
        assert "its limit of 1 GiB" in diagnosis.sentence
        assert "exit code 137" in diagnosis.detail

    @pytest.mark.parametrize(
        "state",
        [container(terminated=OUT_OF_MEMORY), container(waiting=CRASH_LOOP, restarts=1, last=OUT_OF_MEMORY)],
    )
    def test_without_a_limit_was_its_machines(self, state):
        diagnosis = diagnose(seen(project_pod(placed(state))))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.OUT_OF_MEMORY, True)
        assert diagnosis.sentence == (
            "The machine of your server ran out of memory, so the cluster stopped your server. "
            "Try again; if it keeps happening, contact your administrator."
        )

    def test_may_be_of_the_limit_of_the_whole_pod(self):
        whole = placed(container(terminated=OUT_OF_MEMORY))
        whole["spec"]["resources"] = {"limits": {"memory": "3Gi"}}
        assert "its limit of 3 GiB" in diagnose(seen(project_pod(whole))).sentence
        whole["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1Gi"}}
        assert "its limit of 1 GiB" in diagnose(seen(project_pod(whole))).sentence

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
        assert "(exit code 1)" in diagnosis.sentence

    def test_the_third_restart_is_the_last(self):
        assert told(placed(container(waiting=CRASH_LOOP, restarts=2, last=ERROR)))[2] is False
        diagnosis = diagnose(seen(placed(container(waiting=CRASH_LOOP, restarts=3, last=ERROR))))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CRASH, True)
        assert "crashed 4 times in a row while it was starting (exit code 1)" in diagnosis.sentence

    @pytest.mark.parametrize(("restarts", "is_over"), [(2, False), (3, True)])
    def test_the_third_restart_is_over_when_it_ends_and_not_a_back_off_later(self, restarts, is_over):
        """A kubelet shows the container as terminated for most of the back-off."""
        diagnosis = diagnose(seen(placed(container(terminated=ERROR, restarts=restarts, last=ERROR))))
        assert (diagnosis.fatal, diagnosis.reason) == (is_over, Reason.CRASH)
        assert ("4 times in a row" in diagnosis.sentence) is is_over

    def test_restart_policy_never_gives_one_try(self):
        once = placed(container(terminated=ERROR))
        once["spec"]["restartPolicy"] = "Never"
        diagnosis = diagnose(seen(once))
        assert diagnosis.fatal
        assert "in a row" not in diagnosis.sentence

    def test_the_last_words_of_the_program_are_not_repeated(self):
        for tries in (container(terminated=ERROR), container(waiting=CRASH_LOOP, restarts=3, last=ERROR)):
            diagnosis = diagnose(seen(placed(tries)))
            assert "Traceback" not in diagnosis.sentence + diagnosis.detail

    def test_a_server_that_ends_politely_while_starting_has_failed_too(self):
        diagnosis = diagnose(seen(placed(container(terminated={"exitCode": 0, "reason": "Completed"}))))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EXITED, True)


class TestTheEndOfThePod:
    @pytest.mark.parametrize("reason", ["Evicted", "Preempting", "NodeShutdown"])
    def test_an_eviction_is_told_as_such(self, reason):
        evicted = pod(phase="Failed", status={"reason": reason, "message": "The node was low on memory."})
        diagnosis = diagnose(seen(evicted))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert "was evicted while it was starting" in diagnosis.sentence
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
        assert "refused it" in diagnosis.sentence

    def test_a_pod_that_somebody_deletes_is_told_as_such(self):
        assert told(pod(container(running={}), dying=True))[1:] == (Reason.DELETED, True)

    def test_a_pod_that_succeeded_without_a_server_has_failed(self):
        assert told(pod(phase="Succeeded"))[1:] == (Reason.EXITED, True)


class TestItsOwnLimit:
    @pytest.mark.parametrize(
        "message",
        [
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
            'Container notebook exceeded its local ephemeral storage limit "1Gi". ',
            'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi". ',
        ],
        ids=["pod", "container", "volume"],
    )
    def test_of_temporary_disk_space_is_named_and_nobody_is_told_to_start_again(self, message):
        """It is so at each start."""
        diagnosis = diagnose(seen(refused("Evicted", message)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert "more than its limit of 1 GiB of temporary disk space" in diagnosis.sentence
        assert ("scratch" in diagnosis.sentence) is ("scratch" in message)
        assert AGAIN not in diagnosis.sentence
        assert message.strip() in diagnosis.detail

    def test_is_not_its_machines(self):
        low = (
            "The node was low on resource: ephemeral-storage. Container notebook was using 5Gi, request is 0."
        )
        assert diagnose(seen(refused("Evicted", low))).sentence.endswith(AGAIN)

    def test_that_is_no_quantity_is_repeated_as_it_is(self):
        odd = 'Usage of EmptyDir volume "x" exceeds the limit "lots". '
        assert "its limit of lots of" in diagnose(seen(refused("Evicted", odd))).sentence


class TestAKubeletThatRefusesThePod:
    CREATING = container(waiting={"reason": "ContainerCreating"})
    LOST = container(terminated={"exitCode": 137, "reason": "ContainerStatusUnknown"})

    @pytest.mark.parametrize("statuses", [(), (CREATING,), (LOST,)], ids=["no status", "kept", "lost"])
    def test_is_told_as_such_whatever_became_of_the_containers(self, statuses):
        """None of them has run, or not on this side of the kubelet's restart: no log says why."""
        words = "Pod was rejected: Allocate failed due to no healthy devices present, which is unexpected"
        diagnosis = diagnose(seen(refused("UnexpectedAdmissionError", words, *statuses)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert diagnosis.sentence.startswith("The machine that was found for your server refused it")
        assert "log" not in diagnosis.sentence
        assert words in diagnosis.detail

    @pytest.mark.parametrize(
        "reason,message,words",
        [
            (
                "OutOfcpu",
                "Node didn't have enough resource: cpu, requested: 200000, used: 662, capacity: 3920",
                "needs 200 CPUs, but its machine has only 3.92",
            ),
            (
                "OutOfmemory",
                (
                    "Pod was rejected: Node didn't have enough resource: memory, requested: 68719476736, used: 1, "
                    "capacity: 34359738368"
                ),
                "needs 64 GiB of memory, but its machine has only 32 GiB",
            ),
            (
                "OutOfnvidia.com/gpu",
                "Node didn't have enough resource: nvidia.com/gpu, requested: 2, used: 0, capacity: 1",
                "needs 2 GPUs, but its machine has only 1",
            ),
        ],
    )
    def test_that_is_larger_than_the_machine_is_not_started_again(self, reason, message, words):
        diagnosis = diagnose(seen(refused(reason, message)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert words in diagnosis.sentence
        assert diagnosis.sentence.endswith("Choose a smaller server, or contact your administrator.")

    def test_that_had_no_room_left_may_be_started_again(self):
        full = "Node didn't have enough resource: cpu, requested: 2000, used: 3000, capacity: 3920"
        assert diagnose(seen(refused("OutOfcpu", full))).sentence.endswith(AGAIN)

    @pytest.mark.parametrize(
        "reason,message",
        [
            (
                "NodeAffinity",
                "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
            ),
            ("NodeAffinity", "Pod was rejected: Predicate NodeAffinity failed"),
            (
                "TopologyAffinityError",
                "Pod was rejected: Resources cannot be allocated with Topology locality",
            ),
        ],
    )
    def test_for_what_another_try_may_not_meet_may_be_started_again(self, reason, message):
        """A new machine gets some of its labels late."""
        diagnosis = diagnose(seen(refused(reason, message)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert diagnosis.sentence.endswith(". Try again; if it keeps happening, contact your administrator.")

    @pytest.mark.parametrize("cpus,step,words", [(1, 2, "1 CPU"), (6, 4, "6 CPUs")])
    def test_because_of_half_a_core_needs_another_number_of_cpus(self, cpus, step, words):
        message = f"Pod was rejected: SMT Alignment Error: requested {cpus} cpus not multiple cpus per core = {step}"
        assert diagnose(seen(refused("SMTAlignmentError", message))).sentence == (
            f"Your server asks for {words}, but its machine gives CPUs in multiples of {step}. "
            "Choose another number of CPUs, or contact your administrator."
        )

    def test_without_whole_cores_left_may_be_started_again(self):
        message = (
            "SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 1, requested CPUs = 2, "
            "CPUs per core = 2"
        )
        assert diagnose(seen(refused("SMTAlignmentError", message))).sentence.endswith(AGAIN)

    @pytest.mark.parametrize("reason", ["NodeName", "SysctlForbidden", "PodOSNotSupported", "AppArmor"])
    def test_of_another_kind_of_machine_is_not_started_again(self, reason):
        words = "Predicate NodeName failed: node(s) didn't match the requested node name"
        diagnosis = diagnose(seen(refused(reason, words)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.EVICTED, True)
        assert AGAIN not in diagnosis.sentence
        assert diagnosis.sentence.endswith("Choose another kind of server, or contact your administrator.")

    @pytest.mark.parametrize("statuses", [(), (CREATING,), (container(terminated=KILLED),)])
    def test_that_was_active_too_long_has_not_crashed(self, statuses):
        words = "Pod was active on the node longer than the specified deadline"
        diagnosis = diagnose(seen(refused("DeadlineExceeded", words, *statuses)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.DEADLINE, True)
        assert "activeDeadlineSeconds" in diagnosis.sentence
        assert words in diagnosis.detail


class TestAPostStartHook:
    OLD = event(
        "FailedPostStartHook",
        'Exec lifecycle hook ([pull-course]) for Container "notebook" in Pod "jupyter-jane_hub(11111111-pod)" failed - '
        "error: command 'pull-course' exited with 126",
        second=6,
    )
    NOW = event("FailedPostStartHook", "PostStartHook failed", second=6, **of("notebook"))

    @pytest.mark.parametrize("failed", [OLD, NOW], ids=["named in words", "named by path"])
    @pytest.mark.parametrize(
        "ended",
        [
            placed(container(terminated=POLITE), phase="Succeeded"),
            placed(container(waiting=CRASH_LOOP, restarts=3, last=TERMINATED), phase="Running"),
            placed(container(terminated=TERMINATED, restarts=3), phase="Running"),
            placed(container(terminated=KILLED), phase="Failed"),
        ],
        ids=["politely", "crash loop", "third restart", "failed pod"],
    )
    def test_that_fails_is_named_and_the_image_is_not_blamed(self, ended, failed):
        diagnosis = diagnose(seen(ended, None, event("Started", second=5), failed, second=90))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.POST_START, True)
        assert diagnosis.sentence.startswith("The startup command (postStart hook) of your server failed")
        assert diagnosis.sentence.endswith("Contact your administrator, who set up this command.")
        assert failed["message"] in diagnosis.detail

    @pytest.mark.parametrize(
        "again",
        [
            container(terminated=TERMINATED, restarts=1),
            container(waiting={"reason": "PostStartHookError", "message": "PostStartHook failed"}),
        ],
        ids=["terminated", "waiting"],
    )
    def test_that_fails_is_told_while_the_server_is_tried_again(self, again):
        diagnosis = diagnose(seen(placed(again), None, self.NOW, second=9))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.POST_START, False)
        assert diagnosis.sentence.endswith(
            "so the cluster stopped your server. The cluster is starting it again."
        )

    def test_without_an_event_the_state_of_the_container_tells(self):
        waiting = container(waiting={"reason": "PostStartHookError", "message": "pull-course: not found"})
        diagnosis = diagnose(seen(placed(waiting)))
        assert (diagnosis.reason, diagnosis.detail) == (Reason.POST_START, "pull-course: not found")

    @pytest.mark.parametrize(
        "other",
        [
            event("FailedPostStartHook", "PostStartHook failed", second=6, **of("mesh")),
            OLD | {"message": 'Exec lifecycle hook ([x]) for Container "mesh" in Pod "p" failed - error: x'},
        ],
        ids=["by path", "in words"],
    )
    def test_of_another_container_is_not_the_servers(self, other):
        crashed = placed(container(terminated=ERROR, restarts=3))
        assert told(crashed, other)[1] is Reason.CRASH

    def test_that_failed_before_the_last_try_is_not_why_that_ended(self):
        crashed = placed(container(terminated=ERROR | {"startedAt": at(30)}, restarts=3))
        assert told(crashed, self.NOW, second=40)[1] is Reason.CRASH

    def test_that_failed_once_does_not_hinder_a_server_that_runs(self):
        running = placed(
            container(running={"startedAt": at(9)}, restarts=1, last=TERMINATED), phase="Running"
        )
        assert told(running, self.NOW, second=40) == (Stage.RUNNING, None, False)


class TestAProbe:
    LIVENESS = event("Killing", "Container notebook failed liveness probe, will be restarted", second=50)
    STARTUP = event("Killing", "Container notebook failed startup probe, will be restarted", second=50)
    LAST = event("Killing", "Container notebook failed startup probe", second=50)
    UNHEALTHY = event("Unhealthy", 'Startup probe failed: Get "http://10.0.0.9:8888/api": refused', second=20)

    @pytest.mark.parametrize(
        "killed,probe",
        [(LIVENESS, "liveness"), (STARTUP, "startup"), (LAST, "startup"), (UNHEALTHY, "startup")],
        ids=["liveness", "startup", "not restarted", "only unhealthy"],
    )
    @pytest.mark.parametrize("end", [KILLED, TERMINATED], ids=["killed", "terminated"])
    def test_that_ends_a_slow_server_is_named_and_the_server_is_not_blamed(self, killed, probe, end):
        slow = placed(container(waiting=CRASH_LOOP, restarts=3, last=end), phase="Running")
        diagnosis = diagnose(seen(slow, None, killed, second=200))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.PROBE, True)
        assert f"did not pass the cluster's health check ({probe} probe) in time" in diagnosis.sentence
        assert "4 times in a row" in diagnosis.sentence
        assert "crashed" not in diagnosis.sentence
        assert killed["message"] in diagnosis.detail

    def test_is_told_while_the_server_is_tried_again_with_what_it_said(self):
        slow = placed(container(terminated=KILLED, restarts=1), phase="Running")
        diagnosis = diagnose(seen(slow, None, self.UNHEALTHY, self.STARTUP, second=60))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.PROBE, False)
        assert diagnosis.sentence.endswith("so the cluster stopped it. The cluster is starting it again.")
        assert "refused" in diagnosis.detail

    def test_after_which_a_server_ends_politely_has_ended_it_all_the_same(self):
        polite = placed(container(terminated=POLITE), phase="Succeeded")
        assert told(polite, self.LIVENESS, second=60)[1:] == (Reason.PROBE, True)

    @pytest.mark.parametrize(
        "other",
        [
            event("Killing", "Container mesh failed liveness probe, will be restarted", second=50),
            event("Killing", "Stopping container notebook", second=50),
            event("Unhealthy", "Readiness probe failed: a liveness probe failed: refused", second=50),
            UNHEALTHY | of("mesh"),
        ],
        ids=["another container", "stopping", "readiness", "another's"],
    )
    def test_of_another_kind_or_container_has_not_ended_the_server(self, other):
        killed = placed(container(waiting=CRASH_LOOP, restarts=3, last=KILLED), phase="Running")
        assert told(killed, other, second=60)[1] is Reason.CRASH

    def test_that_failed_has_not_ended_a_server_that_crashed_by_itself(self):
        crashed = placed(container(waiting=CRASH_LOOP, restarts=3, last=ERROR), phase="Running")
        assert told(crashed, self.UNHEALTHY, second=60)[1] is Reason.CRASH


class TestTheEndOfARunningServer:
    """In words for its user, who reads "Your last server ended at 3:12 PM: ..."."""

    @pytest.mark.parametrize(
        "ended, words",
        [
            (
                limited(container(terminated=OUT_OF_MEMORY), limit="2Gi"),
                "it needed more memory than its limit of 2 GiB",
            ),
            (placed(container(terminated=OUT_OF_MEMORY)), "its machine ran out of memory"),
            (placed(container(terminated=POLITE)), "it shut down by itself"),
            (
                refused("Evicted", "The node was low on resource: memory."),
                "its machine ran short of memory or disk space",
            ),
            (
                refused(
                    "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."
                ),
                "it used more than its limit of 1 GiB of temporary disk space",
            ),
            (refused("NodeLost", "Node mini was lost"), "its machine stopped responding"),
            (
                refused("Terminated", "Pod was terminated in response to shutdown."),
                "its machine was shut down",
            ),
            (
                refused("DeadlineExceeded", "Pod was active"),
                "it reached the longest time that its settings allow",
            ),
            (refused("OutOfcpu", "no room"), "it crashed (exit code 1)"),
        ],
    )
    def test_says_why(self, ended, words):
        if "Failed" not in str(ended["status"]):
            ended["spec"]["restartPolicy"] = "Never"
        assert end_for_user(ended, judge_pod(ended)) == words

    def test_says_when(self):
        ended = placed(container(terminated={**OUT_OF_MEMORY, "finishedAt": "2026-07-01T12:00:00Z"}))
        assert ended_at(ended) == datetime(2026, 7, 1, 12, tzinfo=UTC)
        assert ended_at(refused("Evicted", "")) is None

    def test_an_earlier_exit_of_a_container_that_runs_again_is_not_when(self):
        """A drained node takes away a server that the kubelet restarted hours ago."""
        earlier = {**OUT_OF_MEMORY, "finishedAt": "2026-07-01T09:00:00Z"}
        drained = placed(container(running={"startedAt": "2026-07-01T09:00:05Z"}, last=earlier))
        assert ended_at(drained) is None
