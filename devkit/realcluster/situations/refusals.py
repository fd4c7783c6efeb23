"""Requests that the API server refuses: each answers the Status it sent."""

import secrets
from collections.abc import Mapping
from typing import Any

from devkit.realcluster.api import wait_for
from devkit.realcluster.situations.scene import POD, Scene, claim, container, pod, refusal, resources

Recorded = dict[str, Any]
POLICY = "/apis/admissionregistration.k8s.io/v1"


def quota_pods(scene: Scene) -> Recorded:
    """A second pod where the quota allows one."""
    _set_quota(scene, {"pods": "1"})
    scene.create_pod("jupyter-bob")
    return refusal(scene.create_pod)


def quota_claims(scene: Scene) -> Recorded:
    """A second claim where the quota allows one."""
    _set_quota(scene, {"persistentvolumeclaims": "1"})
    scene.create_claim("claim-bob")
    return refusal(scene.create_claim)


def quota_storage(scene: Scene) -> Recorded:
    """A claim larger than what the quota leaves."""
    _set_quota(scene, {"requests.storage": "5Gi"})
    scene.create_claim("claim-bob")
    return refusal(lambda: scene.create_claim(resources={"requests": {"storage": "10Gi"}}))


def quota_memory(scene: Scene) -> Recorded:
    """A pod that requests more memory than the quota leaves."""
    _set_quota(scene, {"requests.memory": "3Gi"})
    scene.create_pod("jupyter-bob", **resources(memory="2Gi"))
    return refusal(lambda: scene.create_pod(**resources(memory="2Gi")))


def quota_memory_and_cpu(scene: Scene) -> Recorded:
    """A pod that exceeds two quotas of one ResourceQuota at once."""
    _set_quota(scene, {"requests.memory": "1Gi", "requests.cpu": "1"})
    return refusal(lambda: scene.create_pod(**resources(memory="2Gi", cpu="2")))


def quota_gpu(scene: Scene) -> Recorded:
    """A pod that requests a GPU where the quota gives none."""
    _set_quota(scene, {"requests.nvidia.com/gpu": "0"})
    gpu = {"nvidia.com/gpu": "1"}
    return refusal(lambda: scene.create_pod(**resources(limits=gpu, **gpu)))


def quota_needs_request(scene: Scene) -> Recorded:
    """A pod without a memory request where a quota counts memory."""
    _set_quota(scene, {"requests.memory": "3Gi", "limits.memory": "3Gi"})
    return refusal(scene.create_pod)


def pod_security_restricted(scene: Scene) -> Recorded:
    """A plain pod in a namespace that enforces the restricted standard."""
    _set_pod_security(scene, "restricted")
    return refusal(scene.create_pod)


def pod_security_baseline(scene: Scene) -> Recorded:
    """A privileged pod in a namespace that enforces the baseline standard."""
    _set_pod_security(scene, "baseline")
    privileged = container(securityContext={"privileged": True})
    return refusal(lambda: scene.create_pod(containers=[privileged]))


def limit_range_maximum(scene: Scene) -> Recorded:
    """A container above the maximum of a LimitRange."""
    _set_limits(scene, {"max": {"memory": "1Gi"}})
    return refusal(lambda: scene.create_pod(**resources(memory="2Gi", limits={"memory": "2Gi"})))


def limit_range_minimum(scene: Scene) -> Recorded:
    """A container below the minimum of a LimitRange."""
    _set_limits(scene, {"min": {"cpu": "500m"}})
    return refusal(lambda: scene.create_pod(**resources(cpu="100m", limits={"cpu": "100m"})))


def limit_range_storage(scene: Scene) -> Recorded:
    """A claim above the maximum of a LimitRange."""
    limit = {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}
    scene.admin.create(
        f"{scene.core}/limitranges", {"metadata": {"name": "limits"}, "spec": {"limits": [limit]}}
    )
    return refusal(lambda: scene.create_claim(resources={"requests": {"storage": "10Gi"}}))


def invalid_name(scene: Scene) -> Recorded:
    """A pod whose name has capitals and an underscore."""
    return refusal(lambda: scene.create_pod("jupyter_Alice"))


def invalid_label(scene: Scene) -> Recorded:
    """A pod with a label value that no label may have."""
    return refusal(
        lambda: scene.admin.create(f"{scene.core}/pods", pod(labels={"user": "alice@example.test"}))
    )


def invalid_quantity(scene: Scene) -> Recorded:
    """A memory request that is no quantity; refused while decoding, with 400."""
    return refusal(lambda: scene.create_pod(**resources(memory="2 GB")))


def invalid_field_type(scene: Scene) -> Recorded:
    """A number where Kubernetes wants a string; refused while decoding, with 400."""
    broken = container(env=[{"name": "LIMIT", "value": 5}])
    return refusal(lambda: scene.create_pod(containers=[broken]))


def invalid_request_above_limit(scene: Scene) -> Recorded:
    """A request above its own limit."""
    return refusal(lambda: scene.create_pod(**resources(memory="2Gi", limits={"memory": "1Gi"})))


def invalid_mount(scene: Scene) -> Recorded:
    """A volume mount without its volume, and another field that is wrong too: two causes."""
    broken = container(volumeMounts=[{"name": "data", "mountPath": "/data"}], imagePullPolicy="Sometimes")
    return refusal(lambda: scene.create_pod(containers=[broken]))


def invalid_claim(scene: Scene) -> Recorded:
    """A claim with an access mode that does not exist."""
    return refusal(lambda: scene.create_claim(accessModes=["ReadWriteSometimes"]))


def priority_class_unknown(scene: Scene) -> Recorded:
    """A pod of a priority class that nobody made."""
    return refusal(lambda: scene.create_pod(priorityClassName="jhub-default-priority"))


def service_account_unknown(scene: Scene) -> Recorded:
    """A pod that runs as a ServiceAccount that nobody made."""
    return refusal(lambda: scene.create_pod(serviceAccountName="notebook"))


def runtime_class_unknown(scene: Scene) -> Recorded:
    """A pod of a runtime class that nobody made."""
    return refusal(lambda: scene.create_pod(runtimeClassName="nvidia"))


def forbidden(scene: Scene) -> Recorded:
    """The hub's account asks for something in a namespace that is not its own."""
    hub = scene.plane.api(scene.plane.make_hub_account(scene.namespace))
    return refusal(lambda: hub.create("/api/v1/namespaces/default/pods", pod()))


def unauthorized(scene: Scene) -> Recorded:
    """A token that nobody has."""
    return refusal(lambda: scene.plane.api(secrets.token_hex(8)).get(f"{scene.core}/pods"))


def not_found(scene: Scene) -> Recorded:
    """A pod that is not there."""
    return refusal(scene.pod)


def conflict_uid(scene: Scene) -> Recorded:
    """A deletion meant for another pod of the same name."""
    scene.create_pod()
    other = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    return refusal(lambda: scene.admin.delete(f"{scene.core}/pods/{POD}", other))


def already_exists(scene: Scene) -> Recorded:
    """A pod whose name is taken."""
    scene.create_pod()
    return refusal(scene.create_pod)


def namespace_missing(scene: Scene) -> Recorded:
    """A pod for a namespace that is not there."""
    return refusal(lambda: scene.admin.create("/api/v1/namespaces/jhub-alice/pods", pod()))


def namespace_terminating(scene: Scene) -> Recorded:
    """A claim for a namespace that is being deleted."""
    holding = {"metadata": {"name": "held", "finalizers": ["k8s-hub.test/hold"]}}
    scene.admin.create(f"{scene.core}/configmaps", holding)
    scene.admin.delete(scene.core)
    answer = refusal(lambda: scene.admin.create(f"{scene.core}/persistentvolumeclaims", claim()))
    scene.admin.patch(f"{scene.core}/configmaps/held", {"metadata": {"finalizers": None}})
    return answer


def admission_policy(scene: Scene) -> Recorded:
    """An administrator's ValidatingAdmissionPolicy that allows images of one registry only."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    check = {
        "expression": "object.spec.containers.all(c, c.image.startsWith('images.example.test/'))",
        "message": "images must come from images.example.test",
    }
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [check]}
    scene.admin.create(
        f"{POLICY}/validatingadmissionpolicies", {"metadata": {"name": "trusted-images"}, "spec": spec}
    )
    selector = {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}}
    binding = {
        "policyName": "trusted-images",
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    scene.admin.create(
        f"{POLICY}/validatingadmissionpolicybindings",
        {"metadata": {"name": "trusted-images"}, "spec": binding},
    )
    wait_for(lambda: _is_denied_by_policy(scene), "the admission policy in force")
    return refusal(scene.create_pod)


def webhook_away(scene: Scene) -> Recorded:
    """An administrator's admission webhook that does not answer and may not be passed over; code 500."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook = {
        "name": "policy.example.test",
        "rules": [rule],
        "clientConfig": {"url": "https://127.0.0.1:1/validate"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
    }
    hooks = f"{POLICY}/validatingwebhookconfigurations"
    scene.admin.create(hooks, {"metadata": {"name": "policy"}, "webhooks": [webhook]})

    def answer() -> Recorded | None:
        name = f"probe-{secrets.token_hex(4)}"
        try:
            return refusal(lambda: scene.create_pod(name))
        except AssertionError:  # not yet in force
            return None

    wait_for(answer, "the webhook in force")
    return refusal(scene.create_pod)


def gone_list(scene: Scene) -> Recorded:
    """The second page of a list whose history was compacted away between the pages."""
    for name in ("jupyter-bob", "jupyter-carol"):
        scene.create_pod(name)
    page = scene.admin.get(f"{scene.core}/pods", limit="1")
    scene.create_pod()
    scene.plane.forget_history()
    following = page["metadata"]["continue"]
    return refusal(lambda: scene.admin.get(f"{scene.core}/pods", **{"limit": "1", "continue": following}))


def gone_watch(scene: Scene) -> Recorded:
    """A watch from a version that was compacted away: HTTP 200, and the Status is the ERROR event's object."""
    version = scene.admin.get(f"{scene.core}/pods")["metadata"]["resourceVersion"]
    scene.create_pod()
    scene.plane.forget_history()
    event = scene.admin.get(f"{scene.core}/pods", watch="true", resourceVersion=version, timeoutSeconds="1")
    assert event["type"] == "ERROR"
    return {"status": event["object"]}


def _is_denied_by_policy(scene: Scene) -> bool:
    name = f"probe-{secrets.token_hex(4)}"
    try:
        return "ValidatingAdmissionPolicy" in refusal(lambda: scene.create_pod(name))["status"]["message"]
    except AssertionError:  # not yet in force
        return False


def _set_quota(scene: Scene, hard: Mapping[str, str]) -> None:
    quotas = f"{scene.core}/resourcequotas"
    scene.admin.create(quotas, {"metadata": {"name": "jhub-quota"}, "spec": {"hard": hard}})
    wait_for(
        lambda: scene.admin.get(f"{quotas}/jhub-quota")["status"].get("used"),
        f"the quota of {scene.namespace} counted",
    )


def _set_limits(scene: Scene, limit: Mapping[str, Any]) -> None:
    body = {"metadata": {"name": "limits"}, "spec": {"limits": [{"type": "Container"} | dict(limit)]}}
    scene.admin.create(f"{scene.core}/limitranges", body)


def _set_pod_security(scene: Scene, level: str) -> None:
    label = {"pod-security.kubernetes.io/enforce": level}
    scene.admin.patch(scene.core, {"metadata": {"labels": label}})


REFUSALS = (
    quota_pods,
    quota_claims,
    quota_storage,
    quota_memory,
    quota_memory_and_cpu,
    quota_gpu,
    quota_needs_request,
    pod_security_restricted,
    pod_security_baseline,
    limit_range_maximum,
    limit_range_minimum,
    limit_range_storage,
    invalid_name,
    invalid_label,
    invalid_quantity,
    invalid_field_type,
    invalid_request_above_limit,
    invalid_mount,
    invalid_claim,
    priority_class_unknown,
    service_account_unknown,
    runtime_class_unknown,
    forbidden,
    unauthorized,
    not_found,
    conflict_uid,
    already_exists,
    namespace_missing,
    namespace_terminating,
    admission_policy,
    webhook_away,
    gone_list,
    gone_watch,
)
