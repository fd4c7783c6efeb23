"""Rules about containers on their machine."""

from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage, at_deadline
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import CRASH_LOOP, ERROR, at, condition, container, creating, event, placed, seen


def told(pod, *events, second=5):
    diagnosis = diagnose(seen(pod, None, *events, second=second))
    return diagnosis.stage, diagnosis.reason, diagnosis.fatal


class TestOtherContainers:
    def test_a_step_that_crashes_ends_the_start_after_the_third_restart(self):
        def with_step(restarts):
            step = container("fix-home", waiting=CRASH_LOOP, restarts=restarts, last=ERROR)
            return placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[step])

        assert told(with_step(2))[2] is False
        diagnosis = diagnose(seen(with_step(3)))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CRASH, True)
        assert '"fix-home"' in diagnosis.sentence

    def test_a_side_container_that_crashes_does_not_end_the_start(self):
        both = placed(
            container(running={"startedAt": "2026-07-01T12:00:09Z"}),
            container("logs", waiting=CRASH_LOOP, restarts=9, last=ERROR),
        )
        assert told(both) == (Stage.RUNNING, None, False)

    def test_a_native_side_container_that_crashes_beside_the_server_does_not_end_the_start(self):
        def beside(notebook, **conditions):
            mesh = container("mesh", waiting=CRASH_LOOP, restarts=4, last=ERROR)
            both = placed(notebook, phase="Running", initContainerStatuses=[mesh])
            both["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
            both["status"]["conditions"] += [condition(name, status) for name, status in conditions.items()]
            return both

        running = container(running={"startedAt": "2026-07-01T12:00:09Z"})
        creating = container(waiting={"reason": "ContainerCreating"})
        assert told(beside(running)) == (Stage.RUNNING, None, False)
        assert told(beside(creating, Initialized="True"))[2] is False
        assert told(beside(container(terminated=ERROR, restarts=1)))[1:] == (Reason.CRASH, False)
        crashed = diagnose(seen(beside(container(waiting=CRASH_LOOP, restarts=3, last=ERROR))))
        assert crashed.sentence.startswith("Your server crashed")

    def test_a_native_side_container_that_never_starts_ends_the_start_as_what_it_is(self):
        mesh = container("mesh", waiting=CRASH_LOOP, restarts=3, last=ERROR)
        blocked = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[mesh])
        blocked["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
        diagnosis = diagnose(seen(blocked))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CRASH, True)
        assert diagnosis.sentence.startswith(
            'The helper container "mesh" of your server failed 4 times in a row (exit code 1)'
        )

    def test_a_side_container_that_was_ended_with_its_pod_is_not_why_it_ended(self):
        mesh = container("mesh", terminated={"exitCode": 137, "reason": "Error"})
        ended = placed(container(terminated=ERROR), phase="Failed", initContainerStatuses=[mesh])
        ended["spec"] |= {
            "initContainers": [{"name": "mesh", "restartPolicy": "Always"}],
            "restartPolicy": "Never",
        }
        assert diagnose(seen(ended)).sentence.startswith(
            "Your server crashed while it was starting (exit code 1)"
        )

    def test_nor_is_one_that_was_ended_with_the_step_that_failed(self):
        mesh = container("mesh", terminated={"exitCode": 137, "reason": "Error"})
        step = container("fix-home", terminated=ERROR)
        waiting = container(waiting={"reason": "PodInitializing"})
        ended = placed(waiting, phase="Failed", initContainerStatuses=[mesh, step])
        ended["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}, {"name": "fix-home"}]
        assert diagnose(seen(ended)).sentence.startswith('The setup step "fix-home" of your server failed')


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
        failed = event("Failed", f"Error: {message}", second=7, lastTimestamp=at(17))
        assert told(missing, failed, second=16.9) == (Stage.STARTING, Reason.CONFIG_MISSING, False)
        diagnosis = diagnose(seen(missing, None, failed, second=17))
        assert (diagnosis.reason, diagnosis.fatal) == (Reason.CONFIG_MISSING, True)
        assert named in diagnosis.sentence

    @pytest.mark.parametrize("last", [7, 16])
    def test_an_object_that_the_machine_has_not_looked_for_again_may_be_there_by_now(self, last):
        message = 'secret "keys" not found'
        missing = placed(container(waiting={"reason": "CreateContainerConfigError", "message": message}))
        failed = event("Failed", f"Error: {message}", second=7, lastTimestamp=at(last))
        assert told(missing, failed, second=36.9) == (Stage.STARTING, Reason.CONFIG_MISSING, False)
        assert told(missing, failed, second=37) == (Stage.STARTING, Reason.CONFIG_MISSING, True)

    def test_of_the_containers_of_the_administrator_nobody_asks_for_another_image(self):
        waiting = {
            "reason": "CreateContainerConfigError",
            "message": "container has runAsNonRoot and image will run as root",
        }
        step = container("fix-home", waiting=waiting)
        broken = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[step])
        sentence = diagnose(seen(broken)).sentence
        assert 'of the setup step "fix-home" of your server runs as root' in sentence
        assert "another image" not in sentence

    def test_without_an_event_its_time_counts_from_the_scheduling(self):
        missing = placed(
            container(waiting={"reason": "CreateContainerConfigError", "message": 'secret "a" not found'})
        )
        assert told(missing, second=10.9)[2] is False
        assert told(missing, second=11)[2] is True

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ("container has runAsNonRoot and image will run as root", "runs as root"),
            (
                "container has runAsNonRoot and image has non-numeric user (jovyan), cannot verify user is non-root",
                'gives its user a name ("jovyan") instead of a number',
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
        assert (coming.reason, coming.sentence) == (None, "Found a machine; setting up your server.")

    @pytest.mark.parametrize(
        "reason", ["CreateContainerError", "CreateContainerConfigError", "RunContainerError"]
    )
    def test_what_the_machine_tries_again_is_told(self, reason):
        message = "failed to sync secret cache: timed out waiting for the condition"
        passing = placed(container(waiting={"reason": reason, "message": message}))
        diagnosis = diagnose(seen(passing, second=500))
        assert (diagnosis.stage, diagnosis.fatal) == (Stage.STARTING, False)
        assert "trying again" in diagnosis.sentence
        assert message in diagnosis.detail


class TestTheMachine:
    def test_that_does_not_answer_is_told_and_not_dead(self):
        lost = creating(reason="NodeLost", message="Node node-1 is unresponsive")
        assert told(lost, second=500) == (Stage.STARTING, Reason.NODE_LOST, False)
        assert told(creating(), event("NodeNotReady", "Node is not ready"))[1] is Reason.NODE_LOST

    def test_that_went_on_since_is_no_trouble(self):
        silent = event("NodeNotReady", "Node is not ready", second=2)
        assert told(creating(), silent, event("Pulled", "", second=3))[1] is None

    def test_sets_up(self):
        assert told(creating()) == (Stage.STARTING, None, False)
        assert "node-1" in diagnose(seen(creating())).detail


class TestOnTheWay:
    def test_a_step_that_runs_is_named(self):
        step = container("fix-home", running={"startedAt": "2026-07-01T12:00:03Z"})
        preparing = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[step])
        preparing["spec"]["initContainers"] = [{"name": "fix-home"}]
        assert '"fix-home"' in diagnose(seen(preparing)).sentence

    def test_a_side_container_among_the_steps_is_none(self):
        mesh = container("mesh", running={"startedAt": "2026-07-01T12:00:03Z"})
        meshed = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[mesh])
        meshed["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
        assert "mesh" not in diagnose(seen(meshed)).sentence

    def test_a_server_that_runs_but_is_not_ready(self):
        diagnosis = diagnose(seen(placed(container(running={"startedAt": "x"}), phase="Running")))
        assert (diagnosis.stage, diagnosis.sentence) == (
            Stage.RUNNING,
            "Your server is running. Waiting for its first response.",
        )

    def test_a_side_container_among_the_steps_that_does_not_start_is_named(self):
        mesh = container("mesh", running={"startedAt": "2026-07-01T12:00:03Z"}) | {"started": False}
        meshed = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[mesh])
        meshed["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
        failed = event("Unhealthy", "Startup probe failed: connection refused", second=9)
        waiting = diagnose(seen(meshed, None, failed, second=100))
        assert (waiting.reason, waiting.fatal) == (Reason.NOT_READY, False)
        assert (
            waiting.sentence
            == 'The helper container "mesh" of your server has not started yet. Your server starts after it.'
        )
        assert "connection refused" in waiting.detail
        mesh["started"] = True
        assert "mesh" not in diagnose(seen(meshed, None, failed, second=100)).sentence

    READY = container(running={"startedAt": "2026-07-01T12:00:05Z"}, ready=True)

    @pytest.mark.parametrize(
        "side",
        [
            container("mesh", running={"startedAt": "2026-07-01T12:00:05Z"}),
            container("mesh", waiting={"reason": "ContainerCreating"}),
            container(
                "mesh", waiting={"reason": "RunContainerError", "message": "context deadline exceeded"}
            ),
        ],
        ids=["not ready", "comes", "does not come"],
    )
    @pytest.mark.parametrize("order", [1, -1], ids=["after", "before"])
    def test_a_side_container_that_is_waited_for_is_named(self, side, order):
        meshed = placed(*[self.READY, side][::order], phase="Running", podIP="10.0.0.1")
        meshed["spec"]["containers"] = [{"name": "notebook"}, {"name": "mesh"}]
        waiting = diagnose(seen(meshed, second=290))
        assert '"mesh"' in waiting.sentence
        assert not waiting.fatal
        words = side["state"].get("waiting", {})
        assert words.get("message", words.get("reason", "does not say why")) in waiting.detail

    def test_what_a_probe_of_a_side_container_says_is_told_to_the_administrator(self):
        side = container("mesh", running={"startedAt": "2026-07-01T12:00:05Z"})
        meshed = placed(self.READY, side, phase="Running", podIP="10.0.0.1")
        path = {"uid": "11111111-pod", "fieldPath": "spec.containers{mesh}"}
        words = "Readiness probe failed: HTTP probe failed with statuscode: 503"
        waiting = diagnose(
            seen(meshed, None, event("Unhealthy", words, second=10, involvedObject=path), second=290)
        )
        assert (waiting.stage, waiting.reason, waiting.fatal) == (Stage.RUNNING, Reason.NOT_READY, False)
        assert words in waiting.detail
        assert at_deadline(waiting, timedelta(seconds=298)).sentence == (
            'The helper container "mesh" of your server was not ready within 4 min 58 s. '
            "Try again; if it keeps happening, contact your administrator."
        )

    @pytest.mark.parametrize(
        "side",
        [container("logs", terminated={"exitCode": 0}), container("logs", waiting=CRASH_LOOP, restarts=9)],
    )
    def test_a_side_container_that_has_ended_is_not_waited_for(self, side):
        for status in ({"podIP": "10.0.0.1"}, {}):
            both = placed(self.READY, side, phase="Running", **status)
            assert diagnose(seen(both)).sentence == "Your server is running. Waiting for its first response."

    @pytest.mark.parametrize("probe", ["Readiness", "Startup"])
    def test_a_server_whose_probe_fails_is_told_as_such_at_the_deadline(self, probe):
        running = placed(container(running={"startedAt": "2026-07-01T12:00:05Z"}), phase="Running")
        failed = event("Unhealthy", f"{probe} probe failed: connection refused", second=20)
        waiting = diagnose(seen(running, None, failed, second=100))
        assert (waiting.sentence, waiting.reason) == (
            "Your server is running. Waiting for its first response.",
            Reason.NOT_READY,
        )
        assert "connection refused" in waiting.detail
        assert (
            "did not pass the cluster's health check within 58 s"
            in at_deadline(waiting, timedelta(seconds=58)).sentence
        )
        earlier = event("Unhealthy", "Readiness probe failed", second=1)
        assert diagnose(seen(running, None, earlier, second=100)).reason is None

    def test_a_server_that_is_ready(self):
        ready = placed(container(running={}, ready=True), phase="Running", podIP="10.0.0.1")
        assert diagnose(seen(ready)).sentence == "Your server is running. Waiting for its first response."

    def test_nothing_there_yet(self):
        diagnosis = diagnose(seen())
        assert (diagnosis.stage, diagnosis.fatal) == (Stage.REQUEST, False)
