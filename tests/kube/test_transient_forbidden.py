"""A restarted API server refuses for a moment what it allowed before; that is no answer yet."""

import asyncio

import pytest

from devkit.minicluster.faults import FaultRule, refuse
from devkit.minicluster.statuses import status_body
from k8s_hub.kube.api import FORBIDDEN_GRACE, UNAUTHORIZED_GRACE
from k8s_hub.kube.core.errors import Forbidden, Unavailable
from k8s_hub.kube.core.resources import CLAIMS, PODS
from k8s_hub.kube.event_subscription import EventWatch, Involved
from tests.kube.samples import NAMESPACE, key, pod

pytestmark = pytest.mark.looptime

NO_ROLE = status_body(
    403,
    "Forbidden",
    'pods is forbidden: User "hub" cannot create resource "pods" in API group "" in the namespace "x": '
    'RBAC: role.rbac.authorization.k8s.io "hub" not found',
    {},
)
NOT_READY = status_body(403, "Forbidden", 'pods "x" is forbidden: not yet ready to handle request', {})
NO_ACCOUNT = status_body(401, "Unauthorized", "Unauthorized", {})
QUOTA = status_body(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: few', {})


@pytest.fixture
def refused(cluster):
    """A function that has everything refused from now on; its result ends that."""

    def plant(status):
        rule = cluster.faults.add(FaultRule(effect=refuse(status)))
        return lambda: cluster.faults.remove(rule)

    return plant


@pytest.mark.parametrize(
    ("status", "grace"),
    [(NO_ROLE, FORBIDDEN_GRACE), (NO_ACCOUNT, UNAUTHORIZED_GRACE)],
    ids=["role", "account"],
)
async def test_what_was_allowed_before_is_unavailable_at_first_and_forbidden_in_the_end(
    api, refused, status, grace
):
    await api.create(PODS, NAMESPACE, pod("one"))
    allow = refused(status)
    with pytest.raises(Unavailable):
        await api.create(PODS, NAMESPACE, pod("two"))
    await asyncio.sleep(grace - 1)
    with pytest.raises(Unavailable):
        await api.create(PODS, NAMESPACE, pod("two"))
    await asyncio.sleep(1)
    with pytest.raises(Forbidden):
        await api.create(PODS, NAMESPACE, pod("two"))

    allow()
    await api.create(PODS, NAMESPACE, pod("two"))
    refused(status)
    with pytest.raises(Unavailable):
        await api.create(PODS, NAMESPACE, pod("three"))


async def test_credentials_that_were_accepted_may_be_refused_for_what_was_not_asked_before(api, refused):
    """A request that is new, long after the last one: the token is being renewed, whatever it is for."""
    await api.create(PODS, NAMESPACE, pod("one"))
    await asyncio.sleep(2 * UNAUTHORIZED_GRACE)
    refused(NO_ACCOUNT)

    with pytest.raises(Unavailable):
        await api.get(CLAIMS, key("home"))


async def test_a_forbidden_says_that_the_credentials_are_accepted_again(api, refused):
    await api.create(PODS, NAMESPACE, pod("one"))
    accept = refused(NO_ACCOUNT)
    with pytest.raises(Unavailable):
        await api.create(PODS, NAMESPACE, pod("two"))
    await asyncio.sleep(UNAUTHORIZED_GRACE - 1)
    accept()
    allow = refused(QUOTA)
    with pytest.raises(Forbidden):
        await api.create(PODS, NAMESPACE, pod("two"))
    allow()
    refused(NO_ACCOUNT)
    await asyncio.sleep(10)

    with pytest.raises(Unavailable):
        await api.create(PODS, NAMESPACE, pod("two"))


async def test_what_was_never_allowed_is_forbidden(api, refused):
    await api.create(PODS, NAMESPACE, pod("one"))
    refused(NO_ROLE)
    with pytest.raises(Forbidden):
        await api.get(PODS, key("one"))
    with pytest.raises(Forbidden):
        await api.create(PODS, "other", pod("one"))
    with pytest.raises(Forbidden):
        await api.create(CLAIMS, NAMESPACE, pod("one"))


async def test_a_quota_is_an_answer(api, refused):
    await api.create(PODS, NAMESPACE, pod("one"))
    refused(QUOTA)
    with pytest.raises(Forbidden):
        await api.create(PODS, NAMESPACE, pod("two"))


async def test_admission_that_is_not_ready_is_never_an_answer(api, refused):
    refused(NOT_READY)
    with pytest.raises(Unavailable):
        await api.create(PODS, NAMESPACE, pod("one"))


async def test_a_view_is_fresh_soon_after_a_restart(informer, cluster, refused, soon):
    """Without the grace it would be asked again after up to half a minute."""
    await informer.start()
    await informer.wait_synced(deadline=soon())
    await asyncio.sleep(10)
    allow = refused(NO_ROLE)
    await cluster.go_away()
    await cluster.come_back()
    await asyncio.sleep(20)
    allow()
    await asyncio.sleep(5)
    assert informer.is_watching


async def test_events_are_watched_again_after_a_restart(api, cluster, refused):
    watch = EventWatch(api, NAMESPACE)
    async with watch.subscribe(Involved("Pod", key())):
        allow = refused(NO_ROLE)
        await cluster.go_away()
        await cluster.come_back()
        await asyncio.sleep(10)
        allow()
        await asyncio.sleep(10)
        assert [task.done() for task in watch._tasks] == [False]
    await watch.close()
