"""lifecycle.md, "Is a pod dead?": each row a test, and the rows that reality adds."""

import copy

import pytest

from k8s_hub.diagnosis.pod_life import Alive, Ended, end_in_words, is_ready_to_serve, judge_pod, notebook_name
from k8s_hub.diagnosis.projection import project_claim, project_pod
from tests.diagnosis.samples import claim, container, pod

ERROR = {"exitCode": 1, "reason": "Error"}
OUT_OF_MEMORY = {"exitCode": 137, "reason": "OOMKilled"}
CRASH_LOOP = {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}


class TestIsAPodDead:
    """One test per row of the table."""

    @pytest.mark.parametrize(
        "living",
        [
            pod(phase="Pending"),
            pod(container(waiting={"reason": "ContainerCreating"}), phase="Pending"),
            pod(container(waiting={"reason": "ImagePullBackOff"}), phase="Pending"),
            pod(container(running={"startedAt": "2026-07-01T12:00:00Z"})),
            pod(container(waiting={"reason": "PodInitializing"})),
            pod(),
        ],
        ids=["pending", "creating", "pulling", "running", "waiting", "no-status"],
    )
    def test_pending_running_or_waiting_is_alive(self, living):
        assert judge_pod(living) == Alive()

    def test_notebook_that_exited_with_0_is_ended_whatever_side_containers_do(self):
        ended = pod(
            container("logs", running={}),
            container(terminated={"exitCode": 0, "reason": "Completed"}),
            names=("notebook", "logs"),
        )
        assert judge_pod(ended) == Ended(code=0, reason="Completed")

    @pytest.mark.parametrize("policy", ["OnFailure", "Always"])
    def test_failed_notebook_that_the_kubelet_restarts_is_alive_and_restarting(self, policy):
        failed = pod(container(terminated=OUT_OF_MEMORY), restart_policy=policy)
        assert judge_pod(failed) == Alive(restarting=True, code=137, reason="OOMKilled")

    def test_failed_notebook_with_restart_policy_never_is_ended_with_its_code(self):
        failed = pod(container(terminated=OUT_OF_MEMORY), restart_policy="Never")
        assert judge_pod(failed) == Ended(code=137, reason="OOMKilled")

    def test_crash_loop_after_3_restarts_is_ended_with_the_last_exit(self):
        looping = pod(container(waiting=CRASH_LOOP, restarts=3, last=OUT_OF_MEMORY))
        assert judge_pod(looping) == Ended(code=137, reason="OOMKilled")

    def test_crash_loop_after_2_restarts_is_alive_and_restarting(self):
        looping = pod(container(waiting=CRASH_LOOP, restarts=2, last=ERROR))
        assert judge_pod(looping) == Alive(restarting=True, code=1, reason="Error")

    @pytest.mark.parametrize("reason", ["Evicted", "Preempting", "NodeShutdown", "OutOfcpu"])
    def test_failed_without_container_statuses_is_ended_with_reason_and_message(self, reason):
        failed = pod(phase="Failed", status={"reason": reason, "message": "the node said so"})
        assert judge_pod(failed) == Ended(code=1, reason=reason, message="the node said so")

    def test_succeeded_is_ended_with_0(self):
        assert judge_pod(pod(phase="Succeeded")) == Ended(code=0, reason="Completed")

    def test_deletion_timestamp_is_ended_even_while_everything_runs(self):
        life = judge_pod(pod(container(running={}, ready=True), dying=True))
        assert isinstance(life, Ended)
        assert (life.code, life.reason) == (1, "Deleted")

    @pytest.mark.parametrize(
        "unknown",
        [
            pod(container(running={}), phase="Unknown"),
            pod(phase="Unknown"),
            pod(container(running={}), status={"conditions": [{"type": "Ready", "status": "False"}]}),
            pod(container(running={}), status={"reason": "NodeLost", "message": "Node n1 is unresponsive"}),
            {"metadata": {}},
        ],
        ids=["unknown-running", "unknown-bare", "not-ready", "node-lost", "empty"],
    )
    def test_node_not_ready_and_phase_unknown_are_alive(self, unknown):
        assert judge_pod(unknown) == Alive()


class TestRowsThatRealityAdds:
    def test_evicted_pod_whose_server_exited_politely_was_not_shut_down_by_its_user(self):
        evicted = pod(
            container(terminated={"exitCode": 0, "reason": "Completed"}),
            phase="Failed",
            status={"reason": "Evicted", "message": "The node was low on resource: memory."},
        )
        assert judge_pod(evicted) == Ended(
            code=1, reason="Evicted", message="The node was low on resource: memory."
        )

    def test_failed_pod_is_ended_although_its_policy_would_restart(self):
        assert judge_pod(pod(container(terminated=ERROR), phase="Failed")) == Ended(code=1, reason="Error")

    def test_failed_pod_whose_server_exited_with_0_was_shut_down_by_its_user(self):
        failed = pod(
            container(terminated={"exitCode": 0, "reason": "Completed"}),
            container("logs", terminated=ERROR),
            phase="Failed",
            restart_policy="Never",
        )
        assert judge_pod(failed) == Ended(code=0, reason="Completed")

    def test_failed_init_container_gives_the_code_of_a_pod_that_never_ran(self):
        failed = pod(
            container(waiting={"reason": "PodInitializing"}),
            phase="Failed",
            restart_policy="Never",
            status={
                "initContainerStatuses": [
                    container("first", terminated={"exitCode": 0}),
                    container("home", terminated={"exitCode": 3, "reason": "Error"}),
                ]
            },
        )
        assert judge_pod(failed) == Ended(code=3, reason="Error")

    def test_failed_pod_without_any_explanation_is_ended_with_1(self):
        assert judge_pod(pod(phase="Failed")) == Ended(code=1, reason="Failed")

    def test_crashed_side_container_does_not_matter(self):
        sidecar = container("logs", waiting=CRASH_LOOP, restarts=9, last=ERROR)
        assert judge_pod(pod(sidecar, container(running={}), names=("notebook", "logs"))) == Alive()

    def test_container_restart_policy_goes_before_the_pods(self):
        once = pod(
            container(terminated=ERROR),
            restart_policy="Always",
            spec={
                "containers": [
                    {"name": "logs", "restartPolicy": "Always"},
                    {"name": "notebook", "restartPolicy": "Never"},
                ]
            },
        )
        assert judge_pod(once) == Ended(code=1, reason="Error")

    def test_missing_restart_policy_is_always(self):
        """The API server's default."""
        failed = pod(container(terminated=ERROR))
        del failed["spec"]["restartPolicy"]
        assert judge_pod(failed) == Alive(restarting=True, code=1, reason="Error")

    def test_deletion_by_eviction_says_so(self):
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "default-scheduler: preempting to accommodate a higher priority pod",
        }
        preempted = pod(container(running={}), dying=True, status={"conditions": [condition]})
        assert judge_pod(preempted) == Ended(
            code=1, reason="PreemptionByScheduler", message=condition["message"]
        )

    def test_withdrawn_disruption_is_no_reason(self):
        condition = {"type": "DisruptionTarget", "status": "False", "reason": "PreemptionByScheduler"}
        life = judge_pod(pod(dying=True, status={"conditions": [condition]}))
        assert isinstance(life, Ended)
        assert life.reason == "Deleted"

    def test_without_a_container_called_notebook_the_first_of_the_spec_is_the_server(self):
        """The kubelet sorts statuses by name, so the first status may be a side container's."""
        ended = pod(
            container("agent", running={}),
            container("lab", terminated={"exitCode": 0, "reason": "Completed"}),
            names=("lab", "agent"),
        )
        assert notebook_name(ended) == "lab"
        assert judge_pod(ended) == Ended(code=0, reason="Completed")


class TestIsReadyToServe:
    SERVING = pod(container(running={}, ready=True), status={"podIP": "10.0.0.1"})

    def test_running_with_address_and_ready_containers(self):
        assert is_ready_to_serve(self.SERVING)

    @pytest.mark.parametrize(
        "other",
        [
            None,
            pod(container(running={}, ready=True), status={"podIP": "10.0.0.1"}, dying=True),
            pod(container(running={}, ready=True), status={"podIP": "10.0.0.1"}, phase="Pending"),
            pod(container(running={}, ready=True)),
            pod(container(running={}, ready=False), status={"podIP": "10.0.0.1"}),
            pod(status={"podIP": "10.0.0.1"}),
            pod(container(terminated=ERROR), status={"podIP": "10.0.0.1"}),
            pod(container(running={}, ready=True), status={"podIP": "10.0.0.1", "reason": "NodeLost"}),
        ],
        ids=["gone", "dying", "pending", "no-address", "not-ready", "no-statuses", "terminated", "lost"],
    )
    def test_anything_less_is_not_ready(self, other):
        assert not is_ready_to_serve(other)

    def test_side_container_that_is_still_starting_is_waited_for(self):
        """A service mesh's proxy carries the server's traffic."""
        starting = pod(
            container(running={}, ready=True),
            container("istio-proxy", running={}, ready=False),
            status={"podIP": "10.0.0.1"},
        )
        assert not is_ready_to_serve(starting)

    @pytest.mark.parametrize("state", [{"terminated": ERROR}, {"waiting": CRASH_LOOP}])
    def test_side_container_that_is_out_holds_nobody_back(self, state):
        serving = pod(
            container(running={}, ready=True), container("logs", **state), status={"podIP": "10.0.0.1"}
        )
        assert is_ready_to_serve(serving)


class TestProjection:
    def test_the_judgement_of_a_projected_pod_is_the_judgement_of_the_pod(self):
        for whole in (
            pod(container(waiting=CRASH_LOOP, restarts=3, last=OUT_OF_MEMORY)),
            pod(container(terminated=ERROR), restart_policy="Never"),
            pod(phase="Failed", status={"reason": "Evicted", "message": "low on memory"}),
            pod(container(running={}, ready=True), status={"podIP": "10.0.0.1"}),
        ):
            assert judge_pod(project_pod(whole)) == judge_pod(whole)
            assert is_ready_to_serve(project_pod(whole)) == is_ready_to_serve(whole)

    def test_nothing_secret_or_large_is_kept(self):
        whole = pod(
            container(running={}),
            metadata={
                "annotations": {"hub.jupyter.org/username": "jane", "vault/agent": "s.SECRET"},
                "managedFields": [{"manager": "SECRET"}],
            },
            spec={
                "containers": [
                    {
                        "name": "notebook",
                        "env": [{"name": "JUPYTERHUB_API_TOKEN", "value": "SECRET"}],
                        "args": ["--token=SECRET"],
                        "ports": [{"name": "notebook-port", "containerPort": 8888}],
                    }
                ]
            },
        )
        before = copy.deepcopy(whole)
        kept = project_pod(whole)
        assert "SECRET" not in repr(kept)
        assert kept["metadata"]["annotations"] == {"hub.jupyter.org/username": "jane"}
        assert kept["spec"]["containers"][0]["ports"] == [{"name": "notebook-port", "containerPort": 8888}]
        assert whole == before

    def test_of_a_claim_is_kept_whose_and_how_it_is(self):
        whole = claim("Lost", annotations={"hub.jupyter.org/username": "jane", "pv.example.org/x": "SECRET"})
        whole["spec"] |= {"volumeName": "pv-7", "dataSource": {"name": "SECRET"}}
        kept = project_claim(whole)
        assert "SECRET" not in repr(kept)
        assert kept["metadata"]["annotations"] == {"hub.jupyter.org/username": "jane"}
        assert (kept["spec"]["volumeName"], kept["status"]) == ("pv-7", {"phase": "Lost"})

    def test_of_volumes_are_kept_the_names_of_claims(self):
        volumes = [
            {"name": "home", "persistentVolumeClaim": {"claimName": "claim-jane", "readOnly": False}},
            {"name": "keys", "secret": {"secretName": "SECRET"}},
        ]
        kept = project_pod(pod(spec={"volumes": volumes}))
        assert kept["spec"]["volumes"] == [{"persistentVolumeClaim": {"claimName": "claim-jane"}}]
        assert "volumes" not in project_pod(pod(spec={"volumes": volumes[1:]}))["spec"]

    def test_projecting_twice_changes_nothing(self):
        volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "claim-jane"}}]
        once = project_pod(
            pod(container(running={}, ready=True), status={"podIP": "10.0.0.1"}, spec={"volumes": volumes})
        )
        assert project_pod(once) == once


def test_the_log_gets_the_kubelets_words_and_never_a_programs():
    evicted = pod(phase="Failed", status={"reason": "Evicted", "message": "The node was low on memory. "})
    assert end_in_words(evicted, judge_pod(evicted)) == "Evicted, exit code 1: The node was low on memory."

    crashed = pod(container(terminated=ERROR | {"message": "token=abc"}), phase="Failed")
    assert end_in_words(crashed, judge_pod(crashed)) == "Error, exit code 1"
