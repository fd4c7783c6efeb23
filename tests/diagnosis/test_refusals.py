"""Refusals beyond the recorded ones (test_table.py): what is left out, and what is not known."""

import json

import pytest

from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.diagnosis.refusals import (
    MESSAGE_LIMIT,
    VIEW,
    Refusal,
    diagnose_refusal,
    is_account_missing_yet,
    is_admission_not_ready,
    is_webhook_broken,
    lacks_right,
)

QUOTED = {
    "webhook": "failed calling webhook",
    "internal error": 'Internal error occurred: failed calling webhook "x"',
    "limit range": "maximum cpu usage per Pod is 1, but limit is 2",
    "no numbers": "maximum x usage per y is z, but limit is w",
    "quota": "exceeded quota: x, requested: cpu=1, used: cpu=9, limited: cpu=10",
    "no quota": "exceeded quota: a, requested: b, used: c, limited: d",
    "no quota for it": "insufficient quota to match these scopes: [{PriorityClass In [high]}]",
    "quota without status": "status unknown for quota: q, resources: limits.cpu",
    "limit ratio": "memory max limit to request ratio per Container is 2, but provided ratio is 4.000000",
    "must specify": "failed quota: q: must specify limits.memory",
    "pod security": 'violates PodSecurity "x": y',
    "namespace": 'namespaces "x" not found',
    "dying namespace": "unable to create new content in namespace x because it is being terminated",
    "account": 'error looking up service account x/default: serviceaccount "default" not found',
    "priority": "no PriorityClass with name x was found",
    "right": 'User "x" cannot create resource "pods"',
    "policy": "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: you won",
    "failed webhook": "Internal error occurred: jsonpatch add operation does not apply: x",
    "image policy": "image policy webhook backend denied one or more images: you won",
    "namespace's machines": "pod node label selector conflicts with its namespace node label selector",
    "owner": "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: x",
    "denied": 'admission webhook "x" denied the request: you won',
    "not ready": "not yet ready to handle request",
    "preamble": 'pods "x" is forbidden: exceeded quota: x, requested: cpu=1, used: cpu=9, limited: cpu=10',
}
"""What a user may type so that it is repeated where a refusal quotes it."""


def go_quoted(text):
    return json.dumps(text, ensure_ascii=False)


def refused(message: str, code: int = 403, *, kind: str = "Pod", causes=()):
    status = {"message": message, "code": code, "details": {"causes": list(causes)}}
    return diagnose_refusal(Refusal.of(status, kind, "jupyter-jane"))


def test_a_webhooks_words_reach_the_user_without_its_markup_or_secrets():
    diagnosis = refused(
        'admission webhook "gate.example.org" denied the request: image <b>not</b> scanned,\n\tpassword=hunter2x'
    )
    assert diagnosis.reason is Reason.POLICY
    assert diagnosis.sentence == (
        "A policy of the cluster refused your server: image <b>not</b> scanned, password=***. "
        "Choose something else, or contact your administrator."
    )


def test_a_webhook_without_words_says_that_it_has_none():
    diagnosis = refused('admission webhook "gate.example.org" denied the request without explanation')
    assert "refused your server: it gave no explanation. Choose" in diagnosis.sentence


def test_an_environment_variables_value_is_never_repeated():
    cause = {
        "reason": "FieldValueInvalid",
        "message": 'Invalid value: "hunter2"',
        "field": "spec.containers[0].env[3].value",
    }
    diagnosis = refused('Pod "x" is invalid: Invalid value: "hunter2"', 422, causes=[cause])
    assert "spec.containers[0].env[3].value is not valid" in diagnosis.sentence
    assert "hunter2" not in diagnosis.sentence + diagnosis.detail


def test_a_cause_that_names_no_field_is_no_field():
    diagnosis = refused("something is wrong", 422, causes=[{"message": "but where?"}])
    assert diagnosis.sentence == "The cluster refused to create your server. Contact your administrator."


def test_an_unknown_refusal_keeps_the_servers_words_for_the_administrator():
    diagnosis = refused("something new", 418)
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.REQUEST, Reason.INVALID, True)
    assert diagnosis.detail == "Pod jupyter-jane: something new"


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_refusal_that_outlasts_the_callers_retries_is_the_clusters_fault(code):
    assert refused("etcdserver: request timed out", code).reason is Reason.CLUSTER_UNAVAILABLE


def test_an_empty_body_is_no_error():
    assert diagnose_refusal(Refusal.of({}, "Service", "jupyter-jane")).sentence == (
        "The cluster refused to create the network name (Service) of your server. Contact your administrator."
    )


def test_a_view_is_not_said_to_be_created():
    assert refused("something new", 405, kind=VIEW).sentence == (
        "The cluster refused to show the hub your server. Contact your administrator."
    )


def test_a_quota_of_a_storage_class_is_read():
    diagnosis = refused(
        "exceeded quota: q, requested: fast.storageclass.storage.k8s.io/requests.storage=10Gi, "
        "used: fast.storageclass.storage.k8s.io/requests.storage=15Gi, "
        "limited: fast.storageclass.storage.k8s.io/requests.storage=20Gi",
        kind="PersistentVolumeClaim",
    )
    assert "needs 10 GiB of disk space, and 15 GiB of 20 GiB are in use" in diagnosis.sentence


def test_another_controllers_quota_is_told_in_its_own_words():
    diagnosis = refused("exceeded quota: q, requested: two seats, used: many, limited: few")
    assert diagnosis.reason is Reason.QUOTA
    assert "requested: two seats" in diagnosis.sentence


def test_the_first_of_two_bounds_is_told():
    diagnosis = refused(
        'pods "x" is forbidden: [maximum cpu usage per Container is 1500m, but limit is 2, '
        "maximum memory usage per Container is 1Gi, but limit is 2Gi]"
    )
    assert diagnosis.sentence.startswith(
        "Your server asks for 2 CPUs, but the cluster allows at most 1.5 CPUs."
    )


def test_a_limit_range_that_wants_a_limit_says_so():
    diagnosis = refused("maximum memory usage per Container is 1Gi.  No limit is specified")
    assert "must say that it uses at most 1 GiB of memory" in diagnosis.sentence


def test_the_longest_message_is_bounded():
    diagnosis = refused('admission webhook "g" denied the request: ' + "x" * 5000)
    assert len(diagnosis.sentence) <= 300
    assert diagnosis.sentence.endswith("x… Choose something else, or contact your administrator.")
    assert len(diagnosis.detail) == 1000


class TestWhatAUserHasTyped:
    @pytest.mark.parametrize("words", QUOTED.values(), ids=QUOTED)
    def test_decides_nothing_as_a_value(self, words):
        rule = "must be no more than 63 bytes"
        cause = {
            "reason": "FieldValueInvalid",
            "message": f"Invalid value: {go_quoted(words)}: {rule}",
            "field": "metadata.labels",
        }
        diagnosis = refused(
            f'Pod "jupyter-eve" is invalid: metadata.labels: {cause["message"]}', 422, causes=[cause]
        )
        assert diagnosis.reason is Reason.INVALID
        assert diagnosis.sentence.startswith("The settings of your server are not valid")
        assert rule in diagnosis.sentence

    @pytest.mark.parametrize("words", QUOTED.values(), ids=QUOTED)
    @pytest.mark.parametrize(
        "code,rest,reason",
        [
            (422, "is invalid: metadata.name: Invalid value", Reason.INVALID),
            (
                403,
                "is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
                Reason.QUOTA,
            ),
            (403, 'is forbidden: violates PodSecurity "baseline:latest": privileged', Reason.POLICY),
            (403, "is forbidden: something new", Reason.INVALID),
            (413, "is too large", Reason.INVALID),
        ],
    )
    def test_decides_nothing_as_the_objects_name(self, words, code, rest, reason):
        assert refused(f"pods {go_quoted(words)} {rest}", code).reason is reason

    @pytest.mark.parametrize("words", QUOTED.values(), ids=QUOTED)
    def test_decides_nothing_where_the_object_could_not_be_read(self, words):
        read = f'Pod in version "v1" cannot be handled as a Pod: json: unknown field {go_quoted(words)}'
        assert refused(read, 400).reason is Reason.INVALID

    @pytest.mark.parametrize("words", QUOTED.values(), ids=QUOTED)
    def test_decides_nothing_for_those_who_wait_for_the_cluster(self, words):
        for message in (
            f"pods {go_quoted(words)} is forbidden: something new",
            f'pods "x" is forbidden: something new: {words}',
        ):
            refusal = Refusal.of({"code": 403, "message": message}, "Pod", "x")
            known = (is_account_missing_yet, is_admission_not_ready, lacks_right)
            assert not any(is_it(refusal) for is_it in known)

    def test_is_bounded_where_it_is_quoted_so_that_the_rule_is_read(self):
        cause = {
            "field": "metadata.labels",
            "message": f'Invalid value: "{"v" * 4000}": must be no more than 63 bytes',
        }
        diagnosis = refused("Pod is invalid", 422, causes=[cause])
        assert diagnosis.sentence.endswith(f'Invalid value: "{"v" * 64}…": must be no more than 63 bytes')

    def test_may_be_as_long_as_they_like(self):
        """As one expression had it, 16 kB took 10 seconds of the hub, and the words decided."""
        words = "exceeded quota: a, requested: b, used: c " * 400
        for message in (
            words,
            f'Pod "{words}" is invalid: x',
            f"pods {go_quoted(words)} is forbidden: {words}",
        ):
            diagnosis = refused(message, 422, causes=[{"field": "metadata.name", "message": words}])
            assert diagnosis.reason is Reason.INVALID
            assert len(Refusal.of({"message": message}, "Pod", "x").message) <= MESSAGE_LIMIT


@pytest.mark.parametrize("code", [400, 403, 422, 429, 500, 503])
@pytest.mark.parametrize(
    "message",
    [
        'admission webhook "gate.example.org" denied the request: no scan',
        "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'scan' with binding 'scan' denied request: no scan",
    ],
    ids=["webhook", "policy"],
)
def test_a_policy_answers_with_a_code_of_its_own(code, message):
    assert refused(message, code).sentence.startswith(
        "A policy of the cluster refused your server: no scan. "
    )


@pytest.mark.parametrize(
    "message,of_code",
    [
        ('pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1', 403),
        ('pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2', 403),
        ('pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged', 403),
        ('pods "x" is forbidden: no PriorityClass with name high was found', 403),
        ('pods is forbidden: User "hub" cannot create resource "pods" in API group ""', 403),
        ('namespaces "x" not found', 404),
        ('Internal error occurred: failed calling webhook "gate": no answer', 500),
        ('pods "x" is forbidden: image policy webhook backend denied one or more images: no scan', 403),
        (
            'pods "x" is forbidden: pod node label selector conflicts with its namespace node label selector',
            403,
        ),
    ],
)
def test_words_of_another_code_decide_nothing(message, of_code):
    plain = "The cluster refused to create your server. Contact your administrator."
    assert refused(message, of_code).sentence != plain
    assert refused(message, 418).sentence == plain


@pytest.mark.parametrize("rules", ["security context constraint", "pod security policy"])
def test_security_rules_of_other_clusters_are_told(rules):
    diagnosis = refused(
        f'pods "x" is forbidden: unable to validate against any {rules}: [provider "anyuid": Forbidden]'
    )
    assert diagnosis.reason is Reason.POLICY
    assert diagnosis.sentence == (
        f"No {rules} of the cluster allows your server. Contact your administrator."
    )


@pytest.mark.parametrize(
    "words,reason,sentence",
    [
        (
            "failed quota: q: must specify limits.cpu for: notebook,side; limits.memory for: notebook",
            Reason.QUOTA,
            "The cluster requires the cpu limit and the memory limit of your server, which this hub does not set.",
        ),
        (
            "failed quota: q: must specify limits.cpu,requests.memory",
            Reason.QUOTA,
            "The cluster requires the cpu limit and the memory request of your server, which this hub does not set.",
        ),
        (
            "insufficient quota to match these scopes: [{PriorityClass In [high]}]",
            Reason.QUOTA,
            "The cluster has no quota that allows your server (PriorityClass In [high]).",
        ),
        (
            "memory max limit to request ratio per Container is 2, but provided ratio is 4.000000",
            Reason.POLICY,
            "The memory limit of your server is more than 2 times its request, which the cluster does not allow.",
        ),
        (
            "[cpu max limit to request ratio per Pod is 4, but no request is specified or request is 0, x]",
            Reason.POLICY,
            "The cpu limit of your server is more than 4 times its request, which the cluster does not allow.",
        ),
    ],
)  # fmt: skip
def test_what_quotas_and_limit_ranges_want_is_told(words, reason, sentence):
    diagnosis = refused(f'pods "jupyter-jane" is forbidden: {words}')
    assert diagnosis.reason is reason
    assert diagnosis.sentence == f"{sentence} Contact your administrator."


def test_a_rule_that_cannot_read_the_numbers_is_passed_over():
    raised = []
    status = {
        "code": 403,
        "message": 'pods "x" is forbidden: maximum cpu usage per Pod is lots, but limit is 2',
    }
    diagnosis = diagnose_refusal(
        Refusal.of(status, "Pod", "x"), on_error=lambda rule, error: raised.append((rule.__name__, error))
    )
    assert diagnosis.reason is Reason.INVALID
    assert [(name, type(error)) for name, error in raised] == [("outside_limit_range", ValueError)]


@pytest.mark.parametrize(
    "words",
    [
        'jsonpatch add operation does not apply: doc is missing path: "/spec/volumes/0"',
        'add operation does not apply: doc is missing path: "/spec/volumes/-/-": missing value',
        'jsonpatch replace operation does not apply: doc is missing key: "/spec/x"',
        'admission plugin "MutatingAdmissionWebhook" failed to complete mutation in 13s',
        'admission plugin "ValidatingAdmissionWebhook" failed to complete validation in 13s',
    ],
)
def test_a_webhook_that_fails_is_not_a_cluster_that_is_busy(words):
    status = {"code": 500, "message": f"Internal error occurred: {words}"}
    assert is_webhook_broken(Refusal.of(status, "Pod", "x"))
    assert not is_webhook_broken(Refusal.of(status | {"code": 403}, "Pod", "x"))
    diagnosis = refused(status["message"], 500)
    assert diagnosis.reason is Reason.CLUSTER_UNAVAILABLE
    assert diagnosis.sentence == (
        "A service that must approve your server failed. "
        "Try again in a few minutes; if it keeps happening, contact your administrator."
    )


@pytest.mark.parametrize(
    "code,message", [(500, "etcdserver: request timed out"), (500, "Internal error occurred: x")]
)
def test_a_cluster_that_is_busy_has_no_webhook_that_fails(code, message):
    assert not is_webhook_broken(Refusal.of({"code": code, "message": message}, "Pod", "x"))


@pytest.mark.parametrize(
    "words,reason,sentence",
    [
        (
            "image policy webhook backend denied one or more images: Denied by Attestor. Image a denied",
            Reason.POLICY,
            (
                "A policy of the cluster refused your server: Denied by Attestor. Image a denied. "
                "Choose something else, or contact your administrator."
            ),
        ),
        (
            "pod node label selector conflicts with its namespace node label selector",
            Reason.POLICY,
            (
                "Your server asks for other machines than its place in the cluster (namespace) allows. "
                "Contact your administrator."
            ),
        ),
        (
            (
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , "
                "<nil>"
            ),
            Reason.FORBIDDEN,
            (
                "The hub lacks a permission in the cluster (set finalizers on the owner of your server). "
                "Contact your administrator."
            ),
        ),
    ],
)
def test_what_the_clusters_own_admission_refuses_is_told(words, reason, sentence):
    diagnosis = refused(f'pods "x" is forbidden: {words}')
    assert (diagnosis.reason, diagnosis.sentence) == (reason, sentence)


WARDEN = (
    'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected the '
    "request because it violates one or more constraints.\nViolations details: {}\nRequested by user: "
    "'system:serviceaccount:hub:hub', groups: 'x'."
)


@pytest.mark.parametrize(
    "details,words",
    [
        (
            {"[denied by limits]": ["Max cpu is higher than the maximum of '11'.", "Memory too."]},
            "Max cpu is higher than the maximum of '11'. Memory too",
        ),
        ({"[denied by a]": ["First."], "[denied by b]": ["Second"]}, "First. Second"),
    ],
)
def test_the_violations_of_a_policy_are_read_before_its_frame(details, words):
    told = refused(WARDEN.replace("{}", json.dumps(details)), 400)
    assert told.sentence == (
        f"A policy of the cluster refused your server: {words}. "
        "Choose something else, or contact your administrator."
    )


@pytest.mark.parametrize("details", ["{no json}", "{}", '{"a": 1}'])
def test_a_policy_whose_violations_cannot_be_read_is_told_in_its_own_words(details):
    assert "GKE Warden rejected the request" in refused(WARDEN.replace("{}", details), 400).sentence


def test_what_passes_by_itself_is_known():
    def of(code, message):
        return Refusal.of({"code": code, "message": message}, "Pod", "x")

    early = 'pods "x" is forbidden: error looking up service account u/default: serviceaccount "default" not found'
    assert is_account_missing_yet(of(403, early))
    assert not is_account_missing_yet(of(403, early.replace("default", "notebook")))
    assert is_admission_not_ready(of(403, 'pods "x" is forbidden: not yet ready to handle request'))
    assert is_admission_not_ready(
        of(403, 'pods "x" is forbidden: status unknown for quota: q, resources: limits.cpu')
    )
    assert lacks_right(of(403, 'pods is forbidden: User "hub" cannot watch resource "pods" in API group ""'))
    assert lacks_right(of(401, "Unauthorized"))
