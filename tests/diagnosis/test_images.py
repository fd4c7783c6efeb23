"""Rules about images: the texts are those of containerd 1.7 and 2.x, CRI-O, and the registries they quote."""

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import container, creating, event, placed, seen

IMAGE = "example.org/lab:1"
REFUSAL = 'failed to pull and unpack image "docker.io/a/b:1": failed to resolve reference "docker.io/a/b:1"'


def failing(message: str = "", reason: str = "ErrImagePull", **state):
    return placed(container(waiting={"reason": reason, "message": message}, **state))


NOT_FOUND = [
    f"rpc error: code = NotFound desc = {REFUSAL}: docker.io/a/b:1: not found",
    f'Back-off pulling image "{IMAGE}": ErrImagePull: {REFUSAL}: docker.io/a/b:1: not found',
    "reading manifest 1 in docker.io/a/b: manifest unknown",
    "Error response from daemon: manifest for a/b:1 not found: manifest unknown",
    "reading manifest 1 in quay.io/a/b: name unknown: repository not found",
]
DENIED = [
    (
        f"{REFUSAL}: pull access denied, repository does not exist or may require authorization: "
        "server message: insufficient_scope: authorization failed"
    ),
    (
        f"{REFUSAL}: failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
        "https://ghcr.io/token?scope=x: 401 Unauthorized"
    ),
    f"{REFUSAL}: unexpected status from HEAD request to https://gcr.io/v2/a/b/manifests/1: 403 Forbidden",
    "reading manifest 1 in docker.io/a/b: requested access to the resource is denied",
    "reading manifest 1 in quay.io/a/b: unauthorized: access to the requested resource is not authorized",
    (
        f"{REFUSAL}: pulling from host 1.dkr.ecr.aws.com failed with status code [manifests 1]: 401 Unauthorized; "
        "no basic auth credentials"
    ),
]
NO_PLATFORM = ["no match for platform in manifest: not found", "no image found in manifest list for arm64"]
PASSING = [
    f"{REFUSAL}: failed to do request: Head https://docker.io/: dial tcp: lookup docker.io: no such host",
    f"{REFUSAL}: failed to do request: Head https://docker.io/: dial tcp 1.2.3.4:443: i/o timeout",
    f"{REFUSAL}: unexpected status from HEAD request to https://docker.io/: 429 Too Many Requests",
    f"{REFUSAL}: unexpected status from HEAD request to https://docker.io/: 503 Service Unavailable",
    'exec: "docker-credential-gcr": executable file not found in $PATH',
    "failed to extract layer: no space left on device",
    "",
]


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize(
    "message,expected",
    [(text, Reason.IMAGE_NOT_FOUND) for text in [*NOT_FOUND, *NO_PLATFORM]]
    + [(text, Reason.IMAGE_DENIED) for text in DENIED],
)
def test_a_registry_that_says_no_ends_the_start_at_once(message, expected, reason):
    diagnosis = diagnose(seen(failing(message, reason), second=1))
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.PULLING, expected, True)
    assert f'"{IMAGE}"' in diagnosis.message


@pytest.mark.parametrize("message", PASSING)
def test_a_pull_that_may_succeed_yet_is_given_120_seconds(message):
    assert diagnose(seen(failing(message), second=120.9)).fatal is False
    diagnosis = diagnose(seen(failing(message), second=121))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.IMAGE_PULL, True)


def test_the_time_of_a_failing_pull_counts_from_its_first_failure():
    failed = event("Failed", f'Failed to pull image "{IMAGE}": i/o timeout', second=40)
    assert diagnose(seen(failing(), None, failed, second=159.9)).fatal is False
    assert diagnose(seen(failing(), None, failed, second=160)).fatal is True


def test_an_image_for_other_processors_is_told_as_such():
    assert "processor" in diagnose(seen(failing(NO_PLATFORM[0]))).message


def test_older_kubelets_give_the_registrys_words_in_an_event_only():
    back_off = failing(f'Back-off pulling image "{IMAGE}"', "ImagePullBackOff")
    words = event("Failed", f'Failed to pull image "{IMAGE}": {NOT_FOUND[0]}')
    assert diagnose(seen(back_off, None, words)).reason is Reason.IMAGE_NOT_FOUND


def test_what_was_said_of_another_containers_image_does_not_count():
    back_off = failing(f'Back-off pulling image "{IMAGE}"', "ImagePullBackOff")
    path = {"uid": "11111111-pod", "fieldPath": "spec.containers{other}"}
    words = event("Failed", f"Failed to pull image: {NOT_FOUND[0]}", involvedObject=path)
    assert diagnose(seen(back_off, None, words)).reason is Reason.IMAGE_PULL


@pytest.mark.parametrize(
    "reason,expected",
    [("InvalidImageName", Reason.IMAGE_NAME), ("ErrImageNeverPull", Reason.IMAGE_NOT_FOUND)],
)
def test_an_image_that_nobody_needs_to_be_asked_for_ends_the_start_at_once(reason, expected):
    diagnosis = diagnose(seen(failing("", reason), second=1))
    assert (diagnosis.reason, diagnosis.fatal) == (expected, True)
    assert f'"{IMAGE}"' in diagnosis.message


def test_the_image_of_a_step_before_the_server_counts_too():
    init = container("fix-home", waiting={"reason": "ErrImagePull", "message": NOT_FOUND[0]})
    broken = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[init])
    broken["spec"]["initContainers"] = [{"name": "fix-home", "image": "example.org/fix:9"}]
    diagnosis = diagnose(seen(broken))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.IMAGE_NOT_FOUND, True)
    assert '"example.org/fix:9"' in diagnosis.message


def test_the_servers_image_is_named_also_behind_a_step_that_is_done():
    done = container("fix-home", terminated={"exitCode": 0})
    broken = failing(NOT_FOUND[0])
    broken["status"]["initContainerStatuses"] = [done]
    broken["spec"]["initContainers"] = [{"name": "fix-home", "image": "example.org/fix:9"}]
    assert f'"{IMAGE}"' in diagnose(seen(broken)).message


def test_credentials_in_a_registrys_words_are_not_repeated():
    leaky = "failed to do request: Get https://user:hunter2@example.org/v2/?token=abc123def: i/o timeout"
    assert "hunter2" not in diagnose(seen(failing(leaky))).detail
    assert "abc123def" not in diagnose(seen(failing(leaky))).detail


class TestWhileItIsPulled:
    PULLING = event("Pulling", f'Pulling image "{IMAGE}"', second=2)

    def test_the_user_reads_which_and_for_how_long(self):
        diagnosis = diagnose(seen(creating(), None, self.PULLING, second=45))
        assert (diagnosis.stage, diagnosis.fatal, diagnosis.reason) == (Stage.PULLING, False, None)
        assert diagnosis.message == f'Downloading the image "{IMAGE}" (40 seconds so far).'

    @pytest.mark.parametrize("end", ["Pulled", "Failed"])
    def test_until_it_is_pulled_or_failed(self, end):
        ended = event(end, "", second=9)
        assert diagnose(seen(creating(), None, self.PULLING, ended, second=10)).stage is Stage.STARTING

    def test_and_again_when_the_next_image_comes(self):
        init = event("Pulled", "", second=1)
        assert diagnose(seen(creating(), None, init, self.PULLING)).stage is Stage.PULLING

    def test_not_when_the_container_runs_although_an_event_is_missing(self):
        running = placed(container(running={"startedAt": "2026-07-01T12:00:03Z"}))
        assert diagnose(seen(running, None, self.PULLING)).stage is Stage.RUNNING

    def test_a_digest_is_shortened(self):
        digest = "0123456789abcdef" * 4
        pulling = event("Pulling", f'Pulling image "example.org/lab@sha256:{digest}"')
        assert (
            diagnose(seen(creating(), None, pulling)).message
            == 'Downloading the image "example.org/lab@sha256:0123456789ab".'
        )
