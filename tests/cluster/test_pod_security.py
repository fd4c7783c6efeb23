"""The API server's own Pod Security admission agrees with what is called restricted here, in both directions."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devkit.realcluster.api import RefusedError
from devkit.realcluster.build import other_version
from k8s_hub.manifests.restricted import contradictions, restricted
from tests.manifests.pod_security import AGAINST, WITHIN, Case, pod_with

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        bool(other_version(os.environ)), reason="the rules are those of the pinned Kubernetes"
    ),
]

EXAMPLES = 300


@pytest.fixture(scope="module")
def refusal(control_plane):
    """A function that returns why a namespace that enforces the standard would not take a pod; None if it would."""
    namespace = control_plane.make_namespace()
    path = f"/api/v1/namespaces/{namespace}"
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    control_plane.admin.patch(path, {"metadata": {"labels": enforced}})

    def ask(pod):
        try:
            control_plane.admin.create(f"{path}/pods?dryRun=All", pod)
        except RefusedError as error:
            return error
        return None

    yield ask
    control_plane.admin.delete(path)


def test_a_pod_that_says_nothing_is_refused_without_what_is_filled_in(refusal):
    assert "violates PodSecurity" in str(refusal(pod_with()))


@pytest.mark.parametrize("case", AGAINST, ids=str)
def test_what_is_refused_here_is_refused_there(refusal, case: Case):
    """Some of it is not even valid; what is, is refused for the standard."""
    error = refusal(restricted(case.pod))
    assert error is not None
    assert error.code == 422 or "violates PodSecurity" in str(error)


@pytest.mark.parametrize("case", WITHIN, ids=str)
def test_what_passes_here_passes_there(refusal, case: Case):
    assert refusal(restricted(case.pod)) is None


PROFILES = st.sampled_from(
    [
        None,
        {"type": "RuntimeDefault"},
        {"type": "Localhost", "localhostProfile": "strict"},
        {"type": "Unconfined"},
    ]
)
USERS = st.sampled_from([None, 0, 1000])
YES_NO = st.sampled_from([None, True, False])
SELINUX = st.sampled_from([None, {"type": "container_t"}, {"type": "spc_t"}, {"level": "s0"}])
CAPABILITIES = st.fixed_dictionaries(
    {},
    optional={
        "add": st.lists(st.sampled_from(["NET_BIND_SERVICE", "CHOWN"]), max_size=2, unique=True),
        "drop": st.lists(st.sampled_from(["ALL", "NET_RAW"]), max_size=2, unique=True),
    },
)
CONTEXTS = {
    "runAsNonRoot": YES_NO,
    "runAsUser": USERS,
    "seccompProfile": PROFILES,
    "seLinuxOptions": SELINUX,
}
CONTAINER = st.fixed_dictionaries(
    {},
    optional={
        **CONTEXTS,
        "allowPrivilegeEscalation": YES_NO,
        "capabilities": CAPABILITIES,
        "privileged": YES_NO,
    },
)
VOLUMES = st.sampled_from([{"emptyDir": {}}, {"secret": {"secretName": "key"}}, {"hostPath": {"path": "/"}}])


@st.composite
def pods(draw):
    """A pod with most of it left open, or few pods would pass."""
    container = st.one_of(st.just({}), CONTAINER)
    containers, before = (
        [
            {"name": f"{kind}-{index}", "image": "any", "securityContext": context}
            for index, context in enumerate(draw(st.lists(container, min_size=least, max_size=2)))
        ]
        for kind, least in (("main", 1), ("init", 0))
    )
    return pod_with(
        containers=containers,
        initContainers=before,
        context=draw(st.one_of(st.just({}), st.fixed_dictionaries({}, optional=CONTEXTS))),
        volumes=[{"name": "data", **draw(VOLUMES)}] if draw(st.booleans()) else [],
        hostUsers=draw(YES_NO),
        hostPID=draw(st.sampled_from([None, None, None, True])),
    )


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pod=pods())
def test_both_agree_on_any_pod(refusal, pod):
    found, error = contradictions(pod), refusal(restricted(pod))
    assert (error is None) == (not found), (found, error)
