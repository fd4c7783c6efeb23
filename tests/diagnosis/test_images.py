"""Rules about images: the texts are those of containerd 1.7 and 2.x, CRI-O, and the registries they quote."""

from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage, at_deadline
from k8s_hub.diagnosis.rules import diagnose
from tests.diagnosis.samples import STARTED, container, creating, event, placed, seen

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
    f'failed to pull and unpack image \\"{IMAGE}\\": failed to resolve reference \\"{IMAGE}\\": {IMAGE}: not found',
    'failed to resolve image "docker.io/a/b:1": no available registry endpoint: docker.io/a/b:1 not found',
    (
        "reading manifest 1 in 1.dkr.ecr.eu-west-1.amazonaws.com/b: name unknown: The repository with name 'b' does not "
        "exist in the registry with id '1'"
    ),
    "reading manifest 1 in quay.io/a/b: unknown: Tag 1 was deleted or has expired. To pull, revive via time machine",
    "Error response from daemon: unknown: artifact library/b:1 not found",
    f"{REFUSAL}: unexpected status from HEAD request to https://mirror.example.org/v2/a/b/manifests/1?ns=docker.io: 404 Not Found",
    f"{REFUSAL}: unexpected status from HEAD request to https://mirror.example.org/v2/a/b/manifests/sha256:0123: 404 Not Found",
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
    (
        f"{REFUSAL}: failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
        "https://ghcr.io/token?scope=repository%3Aa%2Fb%3Apull&service=ghcr.io: 400 Bad Request"
    ),
    (
        'reading manifest 1 in europe-docker.pkg.dev/p/r/b: denied: Permission "artifactregistry.repositories.'
        'downloadArtifacts" denied on resource "projects/p" (or it may not exist)'
    ),
    "reading manifest 1 in 1.dkr.ecr.aws.com/b: denied: User: arn:aws:iam::1:user/u is not authorized to perform: x",
    "rpc error: code = PermissionDenied desc = the registry wants another account",
]
NO_PLATFORM = [
    "no match for platform in manifest: not found",
    "no image found in manifest list for arm64",
    'no image found in image index for architecture "arm64", variant "v8", OS "linux"',
    "Error response from daemon: no matching manifest for linux/arm64/v8 in the manifest list entries",
    'Error response from daemon: image operating system "windows" cannot be used on this platform',
]
LIMITED = {
    "docker hub": (
        "failed to copy: httpReadSeeker: failed open: unexpected status code "
        "https://registry-1.docker.io/v2/a/b/manifests/sha256:0123: 429 Too Many Requests - Server message: "
        "toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
    ),
    "docker hub, cri-o": (
        "initializing source docker://a/b:1: reading manifest 1 in docker.io/a/b: toomanyrequests: You have reached your "
        "pull rate limit. You may increase the limit by authenticating and upgrading"
    ),
    "ecr": "denied: ThrottlingException: Rate exceeded",
    "ecr public": "reading manifest 1 in public.ecr.aws/a/b: toomanyrequests: Data limit exceeded",
    "ghcr": "reading manifest 1 in ghcr.io/a/b: toomanyrequests: retry-after: 796.9µs, allowed: 44000/minute",
    "quay": "unexpected status from HEAD request to https://quay.io/v2/a/b/manifests/1: 429 TOO MANY REQUESTS",
    "quay, cri-o": "too many requests to registry",
    "artifact registry": (
        "unauthorized: Quota exceeded for quota metric 'Requests per project per region' and limit 'Requests per project "
        "per region per minute per region' of service 'artifactregistry.googleapis.com'"
    ),
    "gcr": "rpc error: code = Unknown desc = RESOURCE_EXHAUSTED: denied for now",
    "acr": 'failed to fetch oauth token: {"errors":[{"code":"TOOMANYREQUESTS","message":"unauthorized for a while"}]}',
    "gitlab": "denied: Retry later: this endpoint has been requested too many times: rate limit reached",
    "kubelet": "pull QPS exceeded",
}
DAMAGED = {
    "content store": (
        f"rpc error: code = NotFound desc = {REFUSAL.split(': ', maxsplit=1)[0]}: failed to extract layer sha256:00: "
        "failed to get reader from content store: content digest sha256:11: not found"
    ),
    "unpack": "failed to unpack image on snapshotter overlayfs: failed to prepare snapshot: parent snapshot sha256:00 does not exist: not found",
    "unexpected media type": "failed to unpack image on snapshotter overlayfs: unexpected media type text/html for sha256:00: not found",
    "lease": 'failed to copy: lease "1234": not found',
    "get image": 'failed to get image from containerd "sha256:00": image "sha256:00": not found',
    "blob of a mirror": (
        "failed to copy: httpReadSeeker: failed open: content at https://mirror.example.org/v2/a/b/blobs/sha256:00 not "
        "found: not found"
    ),
    "mkdir": "failed to extract layer sha256:00: mkdir /var/lib/containerd/x: permission denied: unknown",
    "cri-o layer": "copying system image from manifest list: writing blob: adding layer with blob: layer not known",
    "cri-o image": 'locating image with ID "00": image not known',
    "docker": "failed to register layer: Error processing tar file(exit status 1): layer does not exist",
    "disk": "failed to extract layer sha256:00: write /var/lib/containerd/x: disk quota exceeded",
    "bucket": 'failed to create snapshot: missing parent "k8s.io/1/sha256:00" bucket: not found',
}
FOREVER = {
    "short name": (
        (
            'Failed to inspect image "lab:1": rpc error: code = Unknown desc = short-name "lab:1" did not resolve to an '
            'alias and no unqualified-search registries are defined in "/etc/containers/registries.conf"'
        ),
        Reason.IMAGE_NAME,
    ),
    "short name, cri-o 1.34": (
        (
            'Failed to inspect image "": rpc error: code = Unknown desc = short name mode is enforcing, but image name '
            "a/lab:1 returns ambiguous list"
        ),
        Reason.IMAGE_NAME,
    ),
    "signature": (
        "copying system image from manifest list: Source image rejected: A signature was required, but no signature exists",
        Reason.POLICY,
    ),
    "signature, policy": (
        "Source image rejected: Running image docker://a/b:1 is rejected by policy.",
        Reason.POLICY,
    ),
    "signature, kubelet": (
        (
            "image pull failed for quay.io/crio/signed because the signature validation failed: Source image rejected: "
            "Required email wrong@example.com not found (got ...)"
        ),
        Reason.POLICY,
    ),
    "signature, containerd": (
        (
            f"{REFUSAL}: image verifier bindir blocked pull of docker.io/a/b:1 with digest sha256:00 for reason: verifier "
            "cosign rejected image (exit code 1)"
        ),
        Reason.POLICY,
    ),
    "schema 1": (
        (
            'failed to pull and unpack image "docker.io/bobrik/socat:latest": not implemented: media type "application/vnd.'
            'docker.distribution.manifest.v1+prettyjws" is no longer supported since containerd v2.1, please rebuild'
        ),
        Reason.IMAGE_NOT_FOUND,
    ),
    "schema 1, docker": (
        (
            "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is disabled by "
            "default and will be removed in an upcoming release."
        ),
        Reason.IMAGE_NOT_FOUND,
    ),
}
PASSING = [
    "Source image rejected: reading signatures: Get https://sigstore.example.org: dial tcp 1.2.3.4:443: i/o timeout",
    f"{REFUSAL}: failed to do request: Head https://docker.io/: dial tcp: lookup docker.io: no such host",
    f"{REFUSAL}: failed to do request: Head https://docker.io/: dial tcp 1.2.3.4:443: i/o timeout",
    f"{REFUSAL}: unexpected status from HEAD request to https://docker.io/: 503 Service Unavailable",
    'exec: "docker-credential-gcr": executable file not found in $PATH',
    f"{REFUSAL}: failed to do request: Head https://docker.io/: Proxy Authentication Required",
    f"{REFUSAL}: failed to authorize: failed to fetch anonymous token: Get https://auth.docker.io/token: i/o timeout",
    "failed to extract layer: no space left on device",
    "",
]


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize("message", [*NOT_FOUND, *NO_PLATFORM])
def test_a_registry_that_says_no_ends_the_start_at_once(message, reason):
    diagnosis = diagnose(seen(failing(message, reason), second=1))
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (
        Stage.PULLING,
        Reason.IMAGE_NOT_FOUND,
        True,
    )
    assert f'"{IMAGE}"' in diagnosis.sentence


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize("message", DENIED)
def test_a_registry_that_denies_an_image_is_asked_once_more(message, reason):
    first = diagnose(seen(failing(message, reason), second=20.9))
    assert (first.stage, first.reason, first.fatal) == (Stage.PULLING, Reason.IMAGE_DENIED, False)
    assert first.sentence == (
        f'The image "{IMAGE}" may not exist, or this hub may not download it. The machine is trying again.'
    )
    diagnosis = diagnose(seen(failing(message, reason), second=21))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.IMAGE_DENIED, True)
    assert at_deadline(first, timedelta(minutes=1)).sentence == diagnosis.sentence


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImageInspectError", "SignatureValidationFailed"])
@pytest.mark.parametrize("message,expected", FOREVER.values(), ids=FOREVER)
def test_an_image_that_the_machine_never_takes_ends_the_start_at_once(message, expected, reason):
    told = diagnose(seen(failing(message, reason), second=1))
    assert (told.reason, told.fatal) == (expected, True)
    assert "Try again" not in told.sentence


@pytest.mark.parametrize(
    "image,full", [("lab:1", "docker.io/library/lab:1"), ("kicbase/echo:1", "docker.io/kicbase/echo:1")]
)
def test_a_name_without_a_registry_is_told_with_one(image, full):
    short = failing(FOREVER["short name"][0].replace("lab:1", image), "ImageInspectError")
    short["spec"]["containers"][0]["image"] = image
    assert diagnose(seen(short)).sentence == (
        f'The name of the image "{image}" does not say which registry has it. '
        f'Choose its full name, such as "{full}", or contact your administrator.'
    )


@pytest.mark.parametrize(
    "words",
    [
        '{"message":"Get https://10.78.0.228:5000/v1/_ping: x509: certificate signed by unknown authority"}',
        f"{REFUSAL}: failed to do request: tls: failed to verify certificate: x509: certificate has expired",
    ],
)
def test_a_registry_that_the_machine_does_not_trust_is_the_administrators_matter(words):
    first = diagnose(seen(failing(words)))
    assert (first.reason, first.fatal) == (Reason.IMAGE_PULL, False)
    assert first.sentence.startswith("The machine does not trust the registry of the image")
    told = diagnose(seen(failing(words), second=121))
    assert told.fatal
    assert told.sentence.endswith(f'the image "{IMAGE}". Contact your administrator.')


def pulls(*words, second=2, container="notebook"):
    """The events of several tries, 15 s from one to the next; an empty text is a try that goes on."""
    path = {"uid": "11111111-pod", "fieldPath": f"spec.containers{{{container}}}"}
    events = []
    for number, each in enumerate(words):
        begin = second + 15 * number
        events.append(event("Pulling", f'Pulling image "{IMAGE}"', second=begin, involvedObject=path))
        if each:
            failed = f'Failed to pull image "{IMAGE}": {each}'
            events.append(event("Failed", failed, second=begin + 1, involvedObject=path))
    return events


def test_the_time_of_a_denial_counts_from_the_first_one():
    events = pulls(PASSING[1], PASSING[1], DENIED[0])  # at 3, 18 and 33 s
    assert diagnose(seen(failing(DENIED[0]), None, *events, second=52.9)).fatal is False
    assert diagnose(seen(failing(DENIED[0]), None, *events, second=53)).fatal is True


@pytest.mark.parametrize("message", [DENIED[0], PASSING[1], LIMITED["quay"]])
def test_a_try_that_goes_on_is_waited_for(message):
    """The image may be large. Until the try ends, the container's state tells of the one before."""
    downloading = pulls(message, "")
    assert diagnose(seen(failing(message), None, *downloading, second=200)).fatal is False
    failed_again = pulls(message, message)
    assert diagnose(seen(failing(message), None, *failed_again, second=200)).fatal is True
    another = [*failed_again, *pulls("", second=60, container="mesh")]
    assert diagnose(seen(failing(message), None, *another, second=200)).fatal is True


SEVERAL = "rpc error: code = Unknown desc = Error response from daemon: Get https://x.azurecr.io/v2/: "
UNAUTHORIZED = f"{SEVERAL}unauthorized: authentication required"


@pytest.mark.parametrize(
    "answers,reason",
    [
        ((f"{SEVERAL}received unexpected HTTP status: 500 Internal Server Error", UNAUTHORIZED), "pull"),
        ((UNAUTHORIZED, f"{REFUSAL}: failed to do request: Head https://docker.io/: EOF"), "pull"),
        ((NOT_FOUND[0], f"{SEVERAL}toomanyrequests: slow down"), "pull"),
        ((UNAUTHORIZED, f"{REFUSAL}: docker.io/a/b:1: not found"), "denied"),
        ((UNAUTHORIZED, UNAUTHORIZED), "denied"),
        ((NOT_FOUND[0], f"{REFUSAL}: docker.io/a/b:1: not found"), "not_found"),
    ],
)
@pytest.mark.parametrize("begin", ["", f'Back-off pulling image "{IMAGE}": ErrImagePull: '])
def test_of_several_credentials_one_that_may_still_work_is_enough(answers, reason, begin):
    told = diagnose(seen(failing(f"{begin}[{', '.join(answers)}]")))
    assert (told.reason, told.fatal) == (f"image_{reason}", reason == "not_found")


AWAY = "registry.redhat.io/o/x@sha256:ea9f: pinging container registry registry.redhat.io: i/o timeout"
MIRROR = "[registry.example.com:5000/o/x@sha256:ea9f: reading manifest sha256:ea9f: manifest unknown]"


@pytest.mark.parametrize(
    "mirrors,primary,reason",
    [
        (MIRROR, AWAY, Reason.IMAGE_PULL),
        (f"{MIRROR}\n[mirror.example.org/o/x: unauthorized: access denied]", AWAY, Reason.IMAGE_PULL),
        (MIRROR, "quay.io/o/r@sha256:f015: reading manifest sha256:f015: unauthorized", Reason.IMAGE_DENIED),
        ("[mirror.example.org/o/x: i/o timeout]", "quay.io/o/r:1: manifest unknown", Reason.IMAGE_NOT_FOUND),
    ],
)
def test_what_mirrors_say_does_not_count(mirrors, primary, reason):
    words = f"initializing source docker://quay.io/o/r: (Mirrors also failed: {mirrors}): {primary}"
    told = diagnose(seen(failing(words)))
    assert told.reason is reason
    assert "Mirrors also failed" in told.detail


DIGEST = "sha256:2204e6cc1bbcc3c5587aaada2c59819599847f1dbe5876dc21eba6764aa795ef"


@pytest.mark.parametrize("what", ["artifact", "repository"])
def test_a_proxy_that_is_still_fetching_an_image_has_it(what):
    """Harbor translates the tag into a digest, and has not got that yet."""
    words = f"Error response from daemon: unknown: {what} proxy/nginx@{DIGEST} not found"
    assert diagnose(seen(failing(words))).reason is Reason.IMAGE_PULL
    by_digest = failing(words)
    by_digest["spec"]["containers"][0]["image"] = f"harbor.dev/proxy/nginx@{DIGEST}"
    assert diagnose(seen(by_digest)).reason is Reason.IMAGE_NOT_FOUND


@pytest.mark.parametrize("message", PASSING)
def test_a_pull_that_may_succeed_yet_is_given_120_seconds(message):
    assert diagnose(seen(failing(message), second=120.9)).fatal is False
    diagnosis = diagnose(seen(failing(message), second=121))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.IMAGE_PULL, True)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize("message", LIMITED.values(), ids=LIMITED)
def test_a_registry_that_wants_fewer_downloads_has_the_image(message, reason):
    for words in (message, f"{REFUSAL}: {message}"):
        limited = seen(failing(words, reason), second=3)
        told = diagnose(limited)
        assert (told.reason, told.fatal) == (Reason.IMAGE_PULL, False)
        assert "allows no more downloads for now" in told.sentence
        assert "does not exist" not in at_deadline(told, timedelta(seconds=58)).sentence
        assert diagnose(replace(limited, now=STARTED + timedelta(seconds=121))).fatal


@pytest.mark.parametrize("message", DAMAGED.values(), ids=DAMAGED)
def test_a_machine_whose_own_store_is_damaged_says_nothing_of_the_image(message):
    for words in (message, f'failed to pull and unpack image "{IMAGE}": {message}'):
        told = diagnose(seen(failing(words), second=3))
        assert (told.reason, told.fatal) == (Reason.IMAGE_PULL, False)


@pytest.mark.parametrize(
    "image", ["example.org/denied:429", "toomanyrequests:1", "example.org/unauthorized/lab:MANIFEST_UNKNOWN"]
)
def test_an_image_that_is_called_like_a_trouble_has_none(image):
    words = (
        f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to do request: '
        f"Head https://example.org/v2/{image}/manifests/429: dial tcp: i/o timeout; {image}"
    )
    called = failing(words)
    called["spec"]["containers"][0]["image"] = image
    told = diagnose(seen(called, second=3))
    assert (told.reason, told.fatal) == (Reason.IMAGE_PULL, False)
    assert told.sentence == f'The machine could not download the image "{image}". It is trying again.'


def test_what_the_registry_said_last_is_right():
    back_off = failing(f'Back-off pulling image "{IMAGE}"', "ImagePullBackOff")
    limited = event("Failed", f'Failed to pull image "{IMAGE}": 429 Too Many Requests', second=2)
    missing = event("Failed", f'Failed to pull image "{IMAGE}": {NOT_FOUND[0]}', second=14)
    assert diagnose(seen(back_off, None, limited, missing, second=15)).reason is Reason.IMAGE_NOT_FOUND
    assert (
        diagnose(seen(failing("429 Too Many Requests"), None, missing, second=15)).reason is Reason.IMAGE_PULL
    )


def test_a_secret_for_the_registry_that_is_missing_is_told_to_the_administrator():
    words = (
        "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed."
    )
    told = diagnose(seen(failing(DENIED[0]), None, event("FailedToRetrieveImagePullSecret", words)))
    assert told.reason is Reason.IMAGE_DENIED
    assert "regcred" in told.detail


def test_at_the_deadline_a_pull_is_told_as_what_failed():
    told = at_deadline(diagnose(seen(failing(PASSING[0]))), timedelta(seconds=58))
    assert told.sentence == (
        f'The machine could not download the image "{IMAGE}". Try again later, or contact your administrator.'
    )


def test_the_time_of_a_failing_pull_counts_from_its_first_failure():
    failed = event("Failed", f'Failed to pull image "{IMAGE}": i/o timeout', second=40)
    assert diagnose(seen(failing(), None, failed, second=159.9)).fatal is False
    assert diagnose(seen(failing(), None, failed, second=160)).fatal is True


def test_an_image_for_other_processors_is_told_as_such():
    assert "processor" in diagnose(seen(failing(NO_PLATFORM[0]))).sentence


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
    assert f'"{IMAGE}"' in diagnosis.sentence


def test_the_image_of_a_step_before_the_server_counts_too():
    init = container("fix-home", waiting={"reason": "ErrImagePull", "message": NOT_FOUND[0]})
    broken = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[init])
    broken["spec"]["initContainers"] = [{"name": "fix-home", "image": "example.org/fix:9"}]
    diagnosis = diagnose(seen(broken))
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.IMAGE_NOT_FOUND, True)
    assert '"example.org/fix:9"' in diagnosis.sentence


@pytest.mark.parametrize(
    "message", [NOT_FOUND[0], DENIED[0], NO_PLATFORM[0], *LIMITED.values()], ids=lambda message: message[-30:]
)
@pytest.mark.parametrize("kind", ["step", "beside"])
def test_nobody_is_asked_to_choose_another_image_than_their_own(kind, message):
    waiting = container("mesh", waiting={"reason": "ErrImagePull", "message": message})
    if kind == "step":
        broken = placed(container(waiting={"reason": "PodInitializing"}), initContainerStatuses=[waiting])
        broken["spec"]["initContainers"] = [{"name": "mesh", "image": "example.org/mesh:9"}]
    else:
        broken = placed(container(running={}), waiting)
        broken["spec"]["containers"] = [{"name": "notebook"}, {"name": "mesh", "image": "example.org/mesh:9"}]
    told = diagnose(seen(broken, second=121))
    assert told.fatal
    assert '"example.org/mesh:9" of the ' in told.sentence
    assert told.sentence.endswith(". Contact your administrator.")


def test_a_native_side_container_that_has_started_once_keeps_no_server_waiting():
    """Its image is asked for again at each of its restarts."""
    again = container("mesh", waiting={"reason": "ErrImagePull", "message": NOT_FOUND[0]}, restarts=1)
    fine = placed(container(running={"startedAt": "2026-07-01T12:00:03Z"}), initContainerStatuses=[again])
    fine["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
    assert diagnose(seen(fine)).reason is None


def test_the_servers_image_is_named_also_behind_a_step_that_is_done():
    done = container("fix-home", terminated={"exitCode": 0})
    broken = failing(NOT_FOUND[0])
    broken["status"]["initContainerStatuses"] = [done]
    broken["spec"]["initContainers"] = [{"name": "fix-home", "image": "example.org/fix:9"}]
    assert f'"{IMAGE}"' in diagnose(seen(broken)).sentence


def test_credentials_in_a_registrys_words_are_not_repeated():
    leaky = "failed to do request: Get https://user:hunter2@example.org/v2/?token=abc123def: i/o timeout"
    assert "hunter2" not in diagnose(seen(failing(leaky))).detail
    assert "abc123def" not in diagnose(seen(failing(leaky))).detail


class TestWhileItIsPulled:
    PULLING = event("Pulling", f'Pulling image "{IMAGE}"', second=2)

    def test_the_user_reads_which(self):
        diagnosis = diagnose(seen(creating(), None, self.PULLING, second=45))
        assert (diagnosis.stage, diagnosis.fatal, diagnosis.reason) == (Stage.PULLING, False, None)
        assert diagnosis.sentence == f'Downloading the image "{IMAGE}".'

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
            diagnose(seen(creating(), None, pulling)).sentence
            == 'Downloading the image "example.org/lab@sha256:0123456789ab".'
        )
