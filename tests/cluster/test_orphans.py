"""Two hubs of one namespace of the real API server look for objects without a server; each has its own release.

ORPHANS=500 plants so many, beside four good servers for each.
"""

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import pytest

from devkit.testing.eventually import eventually
from k8s_hub.clock import utcnow
from k8s_hub.diagnosis.projection import project_pod
from k8s_hub.kube.configuration import ConnectionSettings
from k8s_hub.kube.core.resources import PODS, SECRETS, SERVICES
from k8s_hub.kube.pool import InformerPool
from k8s_hub.naming.ownership import ATTEMPT_ANNOTATION, SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.orphans import reconciler
from k8s_hub.orphans.plan import GRACE
from tests.orphans.objects import hub

pytestmark = pytest.mark.cluster

ORPHANS = int(os.environ.get("ORPHANS", "20"))
SERVERS = [f"u{n}" for n in range(4 * ORPHANS)]
AT_ONCE = 20


async def nothing_runs():
    return frozenset()


@pytest.fixture
def without_pauses(monkeypatch):
    """The reconciler's clock is ahead of the cluster's, and it looks each second."""
    monkeypatch.setattr(reconciler, "utcnow", lambda: utcnow() + GRACE + timedelta(seconds=1))
    for constant in ("INTERVAL", "SECOND_LOOK"):
        monkeypatch.setattr(reconciler, constant, 1.0)


@pytest.fixture
async def open_hub(control_plane, fresh_namespace, tmp_path, monkeypatch, without_pauses):
    """A function that opens a hub's search; the hub knows these running servers and has the chart's rights."""
    token = control_plane.make_hub_account(fresh_namespace)
    control_plane.write_kubeconfig(tmp_path / "kubeconfig", token=token, namespace=fresh_namespace)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    pool, settings = InformerPool.for_current_loop(), ConnectionSettings()

    @asynccontextmanager
    async def opened(release, known):
        await pool.informer(settings, PODS, fresh_namespace, project=project_pod)
        search = reconciler.Reconciler(
            api=await pool.api(settings),
            pods=lambda: pool.informers_of(settings, PODS),
            owned=[(SECRETS, fresh_namespace), (SERVICES, fresh_namespace)],
            hub=lambda: known,
            running=nothing_runs,
            options=reconciler.OrphanOptions(
                release_labels={"release": release}, removes_all=True, removes_ended=True
            ),
        )
        task = asyncio.create_task(search.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    yield opened
    await pool.close()


@pytest.fixture
async def plant(control_plane, fresh_namespace):
    """A function that creates objects as spawners make them: for each name a pod, a Secret or a Service."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def create(plural, name, user, release, spec):
        metadata = {
            "name": name,
            "labels": {
                "component": "singleuser-server",
                "release": release,
                "hub.jupyter.org/username": user,
            },
            "annotations": {
                USERNAME_ANNOTATION: user,
                SERVERNAME_ANNOTATION: "",
                ATTEMPT_ANNOTATION: "a1",
            },
        }
        async with at_once:
            path = f"/api/v1/namespaces/{fresh_namespace}/{plural}"
            await asyncio.to_thread(control_plane.admin.create, path, {"metadata": metadata, **spec})

    async def planted(plural, names, *, user=None, release):
        spec = {
            "pods": {"spec": {"containers": [{"name": "notebook", "image": "example.test/notebook:1"}]}},
            "secrets": {},
            "services": {"spec": {"ports": [{"port": 1}]}},
        }[plural]
        await asyncio.gather(*(create(plural, name, user or name, release, spec) for name in names))

    return planted


async def test_each_hub_removes_its_own_objects_without_a_server_and_no_other(open_hub, plant, objects):
    await plant("pods", SERVERS, release="jhub")
    await plant("pods", [f"orphan-{n}" for n in range(ORPHANS)], user="bob", release="jhub")
    await plant("pods", [f"elsewhere-{n}" for n in range(ORPHANS)], user="bob", release="other")
    for plural in ("secrets", "services"):
        await plant(plural, [f"orphan-{plural}"], user="bob", release="jhub")
        await plant(plural, [f"elsewhere-{plural}"], user="bob", release="other")

    def left(prefix):
        return sorted(
            name
            for kind in ("pods", "secrets", "services")
            for name in objects(kind)
            if name.startswith(prefix)
        )

    async with AsyncExitStack() as hubs:
        await hubs.enter_async_context(open_hub("jhub", hub(*SERVERS, users=["bob"])))
        await hubs.enter_async_context(open_hub("other", hub("bob", users=["u0"])))
        await eventually(lambda: not left("orphan"), seconds=60 + ORPHANS)

    assert len(left("u")) == len(SERVERS)
    assert len(left("elsewhere")) == ORPHANS + 2


async def test_a_hub_that_knows_nobody_removes_nothing(open_hub, plant, objects, caplog):
    await plant("pods", SERVERS, release="jhub")
    async with open_hub("jhub", hub(users=[])):
        await eventually(lambda: "orphans: nothing is removed" in caplog.text, seconds=60)
    assert sorted(objects("pods")) == sorted(SERVERS)
