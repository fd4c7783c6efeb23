"""Each user's pods and claims are in the user's own namespace."""

import asyncio

import pytest

from devkit.minicluster.controllers import delete
from devkit.minicluster.faults import FaultRule, Refuse, Slow, refuse
from devkit.minicluster.resources import CLAIMS, NAMESPACES, PODS
from devkit.minicluster.statuses import conflict, status_body
from devkit.testing.bare import bare_spawner
from devkit.testing.eventually import eventually
from devkit.testing.runs import (
    NO_WAIT,
    Run,
    failed_start,
    restart_process,
    sentence_of,
    sentences,
    struck,
    takes,
)
from k8s_hub.clock import utcnow
from k8s_hub.kube.pool import InformerPool
from k8s_hub.objects.keys import Key, key_of, uid_of

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

OWN = {"enable_user_namespaces": True}


def forbidden(verb, plural, namespace=""):
    """What an API server says to an account without a role."""
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    message = f'{plural} is forbidden: User "hub" cannot {verb} resource "{plural}" in API group ""{where}'
    return Refuse(code=403, body=status_body(403, "Forbidden", message))


def tasks():
    return {task.get_name() for task in asyncio.all_tasks()}


def informers():
    """The names of the namespaces that are watched now."""
    watched = (name.partition(" in ") for name in tasks())
    return sorted({where for what, _, where in watched if what.startswith(("informer of", "events"))})


def keys(cluster, kind):
    return {str(key_of(obj)) for obj in cluster.database.all(kind)}


def namespace(cluster, name):
    return cluster.database.get(NAMESPACES, Key("", name))


def prepare(cluster, name, **metadata):
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, **metadata},
        "status": {"phase": "Active"},
    }
    return cluster.database.create(NAMESPACES, body).obj


async def test_a_user_has_a_namespace_with_pod_and_claim(hub, cluster):
    options = {
        "user_namespace_labels": {"user": "{username}"},
        "user_namespace_annotations": {"id": "u-{userid}"},
    }
    async with hub(**OWN, **options) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert keys(cluster, PODS) == {"user-ada/jupyter-ada"}
        assert keys(cluster, CLAIMS) == {"user-ada/claim-ada"}
        metadata = namespace(cluster, "user-ada")["metadata"]
        assert metadata["labels"]["user"] == "ada"
        assert metadata["annotations"] == {"id": f"u-{hub.spawner('ada').user.id}"}


async def test_only_namespaces_with_a_server_are_watched_and_none_is_listed_as_a_whole(hub, cluster, witness):
    async with hub(**OWN) as hub:
        for user in ("ada", "bob"):
            await hub.start_server(user)
            await hub.wait_ready(user)
        await hub.start_server("ada", "gpu")
        await hub.wait_ready("ada", "gpu")
        assert informers() == ["user-ada", "user-bob"]

        await hub.stop_server("bob")
        await hub.wait_stopped("bob")
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert informers() == ["user-ada"]
        assert await hub.spawner("ada", "gpu").poll() is None

        await hub.stop_server("ada", "gpu")
        await hub.wait_stopped("ada", "gpu")
        assert informers() == []

        await hub.start_server("bob")
        await hub.wait_ready("bob")
        assert keys(cluster, CLAIMS) == {
            "user-ada/claim-ada",
            "user-ada/claim-ada--gpu",
            "user-bob/claim-bob",
        }
    assert {call.namespace for call in witness.calls if call.resource != "namespaces"} == {
        "user-ada",
        "user-bob",
    }
    assert {call.verb for call in witness.calls if call.resource == "namespaces"} == {"create", "get"}


async def test_a_server_that_ends_by_itself_is_watched_no_longer(hub, cluster):
    async with hub(**OWN, poll_interval=1) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        cluster.database.remove(PODS, Key("user-ada", "jupyter-ada"))
        await hub.wait_stopped("ada")
        await eventually(lambda: informers() == [])


async def test_a_restarted_hub_finds_servers_in_many_namespaces(hub, cluster):
    users = [f"user{number}" for number in range(10)]
    async with hub(users=users, **OWN) as hub:
        for user in users:
            await hub.start_server(user)
            await hub.wait_ready(user)
        hub.config["KubeSpawner"]["user_namespace_template"] = "other-{username}"
        await hub.kill()
        await InformerPool.for_current_loop().close()
        await hub.boot()
        for user in users:
            assert hub.spawner(user).ready
            assert hub.spawner(user).namespace == f"user-{user}"
        assert informers() == [f"user-{user}" for user in users]
        for user in users:
            await hub.stop_server(user)
            await hub.wait_stopped(user)
        assert not list(cluster.database.all(PODS))
        assert informers() == []


async def test_a_hub_that_may_not_create_namespaces_uses_those_that_are_prepared(hub, cluster):
    prepare(cluster, "user-ada")
    with struck(cluster, forbidden("create", "namespaces"), verb="create", resource="namespaces"):
        async with hub(**OWN) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            assert keys(cluster, PODS) == {"user-ada/jupyter-ada"}


async def test_a_hub_that_may_not_even_see_namespaces_uses_those_that_are_prepared(hub, cluster):
    prepare(cluster, "user-ada")
    with struck(cluster, forbidden("any", "namespaces"), resource="namespaces"):
        async with hub(**OWN) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")


# --- Namespaces that are there already ---

OTHERS = [
    {},
    {"labels": {"app.kubernetes.io/name": "prometheus"}},
    {
        "labels": {
            "hub.jupyter.org/username": "ada",
            "app.kubernetes.io/instance": "other",
            "release": "other",
        }
    },
    {"annotations": {"hub.jupyter.org/username": "ada"}, "labels": {"release": "other"}},
]
OF_RELEASE = {"common_labels": {"app.kubernetes.io/instance": "jhub", "release": "jhub"}}


@pytest.mark.parametrize("metadata", OTHERS, ids=str)
async def test_a_namespace_that_is_not_known_to_be_the_hubs_is_refused(hub, cluster, caplog, metadata):
    """A user called "system" does not come into kube-system by a template such as "kube-{username}"."""
    prepare(cluster, "kube-system", **metadata)
    options = {"user_namespace_template": "kube-{username}", **OF_RELEASE}
    async with hub(hub=NO_WAIT, users=("system",), **OWN, **options) as hub:
        for _ in range(2):  # the first must not make the second believe that the server had been there
            error = await failed_start(hub, "system")
            assert '(namespace "kube-system") already existed' in sentence_of(error)
            assert hub.failure_count == 0
        await hub.kill()
        await InformerPool.for_current_loop().close()
        await hub.boot()
        await failed_start(hub, "system")
    assert keys(cluster, PODS) == keys(cluster, CLAIMS) == set()
    assert "KubeSpawner.user_namespace_allow_existing" in caplog.text


async def test_a_start_that_failed_before_the_namespace_was_looked_at_makes_it_no_more_known(hub, cluster):
    prepare(cluster, "user-ada")
    profiles = [{"display_name": "A"}]
    async with hub(hub=NO_WAIT, **OWN, profile_list=profiles) as hub:
        error = await failed_start(hub, options={"profile": "none"})
        assert "There is no profile" in sentence_of(error)
        error = await failed_start(hub, options={"profile": "a"})
        assert '(namespace "user-ada") already existed' in sentence_of(error)


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"hub.jupyter.org/username": "somebody"}},
        {"annotations": {"hub.jupyter.org/username": "somebody"}},
        {"labels": {"hub.jupyter.org/username": "ada", "release": "jhub"}},
    ],
    ids=str,
)
async def test_a_namespace_that_says_it_is_a_hubs_is_used(hub, cluster, metadata):
    prepare(cluster, "user-ada", **metadata)
    async with hub(**OWN, **OF_RELEASE) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_namespace_is_used_where_the_administrator_says_so(hub, cluster):
    prepare(cluster, "user-ada")
    async with hub(**OWN, user_namespace_allow_existing=True) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_namespace_that_the_hub_has_made_is_used_again_whatever_is_left_in_it(hub, cluster):
    async with hub(**OWN, storage_pvc_ensure=False, volumes=[], volume_mounts=[]) as hub:
        for _ in range(2):
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
            assert namespace(cluster, "user-ada")["metadata"]["labels"]["hub.jupyter.org/username"] == "ada"
        await hub.api("DELETE", "/users/ada")
        await hub.api("POST", "/users/ada")
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_namespace_of_kubespawner_is_used_because_a_server_was_in_it(cluster):
    """Its namespaces say nothing; its saved state does."""
    prepare(cluster, "user-ada")
    state = {
        "kubespawner_version": "7.1.0",
        "pod_name": "jupyter-ada",
        "namespace": "user-ada",
        "dns_name": "x",
    }
    await Run(**OWN, state=state).start()
    assert keys(cluster, PODS) == {"user-ada/jupyter-ada"}


async def test_a_namespace_of_kubespawner_is_used_because_another_server_of_the_user_was_in_it(hub, cluster):
    prepare(cluster, "user-ada")
    async with hub(**OWN) as hub:
        await hub.api("POST", "/users/ada/servers/gpu")
        row = hub.app.users["ada"].orm_spawners["gpu"]
        row.state = {"kubespawner_version": "7.1.0", "pod_name": "jupyter-ada--gpu", "namespace": "user-ada"}
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_namespace_of_kubespawner_is_used_because_a_home_is_in_it(hub, cluster):
    """Of a hub whose database was lost, or of another user where one template names one namespace for all."""
    prepare(cluster, "team")
    home = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "claim-eve",
            "namespace": "team",
            "annotations": {"hub.jupyter.org/username": "eve"},
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Bound"},
    }
    cluster.database.create(CLAIMS, home)
    async with hub(**OWN, user_namespace_template="team") as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_hub_that_may_create_namespaces_and_not_look_at_them_refuses_what_it_does_not_know(
    hub, cluster
):
    prepare(cluster, "user-ada")
    with struck(cluster, forbidden("get", "namespaces"), verb="get", resource="namespaces"):
        async with hub(hub=NO_WAIT, **OWN) as hub:
            error = await failed_start(hub)
            assert '(namespace "user-ada") already existed' in sentence_of(error)
            await hub.start_server("bob")
            await hub.wait_ready("bob")
            await hub.stop_server("bob")
            await hub.wait_stopped("bob")
            await hub.start_server("bob")
            await hub.wait_ready("bob")


async def test_a_hub_without_need_of_secrets_asks_for_none(hub, cluster, witness):
    async with hub(**OWN, services_enabled=True, get_pod_url=own_address) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
    assert not [call for call in witness.calls if call.resource == "secrets"]
    assert [call for call in witness.calls if call.resource == "services"]


def own_address(spawner, pod):
    return f"http://{pod['status']['podIP']}:8888"


async def test_a_missing_namespace_that_the_hub_may_not_create_is_one_sentence(hub, cluster, caplog):
    with struck(cluster, forbidden("create", "namespaces"), verb="create", resource="namespaces"):
        async with hub(**OWN) as hub:
            await hub.start_server("ada")
            with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
                await hub.wait_ready("ada")
            assert "The hub lacks a permission in the cluster (create namespaces)." in sentence_of(
                failure.value
            )
            assert hub.failure_count == 0
        await eventually(lambda: informers() == [])
    assert 'cannot create resource "namespaces"' in caplog.text
    assert "Namespace user-ada" in caplog.text


async def test_a_namespace_without_any_rights_is_one_sentence_and_leaves_nothing_to_do(hub, cluster):
    """Not even a search for a pod that cannot be there: the searches of each vain start would never end."""
    with (
        struck(cluster, forbidden("any", "namespaces"), resource="namespaces"),
        struck(cluster, forbidden("list", "pods", "user-ada"), resource="*"),
    ):
        async with hub(**OWN) as hub:
            await hub.start_server("ada")
            with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
                await hub.wait_ready("ada")
            assert "The hub lacks a permission in the cluster (list pods)." in sentence_of(failure.value)
            assert hub.failure_count == 0
            await eventually(lambda: "pending deletes" not in tasks(), seconds=120)


async def test_a_namespace_that_is_being_deleted_is_waited_for(hub, cluster):
    """The user reads why; then there is a new one."""
    async with hub(**OWN) as hub:
        await hub.start_server("ada", "gpu")
        await hub.wait_ready("ada", "gpu")
        old = namespace(cluster, "user-ada")
        takes(cluster, stop=20)
        delete(cluster.database, NAMESPACES, old, utcnow())
        await hub.start_server("ada")
        await hub.wait_ready("ada", seconds=60)
        said = [event["message"] async for event in hub.spawner("ada").progress()]
    assert '(namespace "user-ada") is being deleted.' in " ".join(said)
    assert uid_of(namespace(cluster, "user-ada")) != uid_of(old)


NO_ACCOUNT = Refuse(
    code=403,
    body=status_body(
        403,
        "Forbidden",
        'pods "jupyter-ada" is forbidden: error looking up service account user-ada/default: '
        'serviceaccount "default" not found',
    ),
)


async def test_a_namespace_whose_create_lost_a_race_is_asked_for_again(cluster):
    """It is not there, so that it cannot be looked at instead."""
    run = Run(**OWN)
    lost = refuse(conflict("resourcequotas", "users", "the object has been modified").body)
    with struck(cluster, lost, verb="create", resource="namespaces", count=3):
        await run.start()
    assert namespace(cluster, "user-ada")
    assert "The cluster is busy. Your server is waiting for its turn." in await sentences(run)


async def test_a_new_namespace_is_given_the_time_to_get_its_service_account(hub, cluster):
    rule = cluster.faults.add(FaultRule(effect=NO_ACCOUNT, verb="create", resource="pods"))
    asyncio.get_running_loop().call_later(3, cluster.faults.remove, rule)
    async with hub(**OWN) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")


async def test_a_namespace_that_never_gets_a_service_account_fails_with_the_reason(hub, cluster):
    with struck(cluster, NO_ACCOUNT, verb="create"):
        async with hub(**OWN) as hub:
            await hub.start_server("ada")
            with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
                await hub.wait_ready("ada", seconds=20)
            assert 'needs the service account "default"' in sentence_of(failure.value)


async def test_two_users_whose_namespaces_have_one_name_do_not_share_objects(hub, cluster):
    shared = {
        "user_namespace_template": "team",
        "pod_name_template": "server",
        "pvc_name_template": "home-{username}",
    }
    async with hub(**OWN, **shared) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await hub.start_server("bob")
        with pytest.raises(Exception) as failure:  # noqa: PT011 - of either version of the hub
            await hub.wait_ready("bob")
        assert 'user "ada" already uses the name "server"' in sentence_of(failure.value)
        assert await hub.spawner("ada").poll() is None


async def test_one_claim_name_in_every_namespace_is_nobody_elses(hub, cluster):
    async with hub(**OWN, pvc_name_template="home") as hub:
        for user in ("ada", "bob"):
            await hub.start_server(user)
            await hub.wait_ready(user)
        assert keys(cluster, CLAIMS) == {"user-ada/home", "user-bob/home"}


@pytest.mark.parametrize("username", ["ada", "a" * 200, "jane.doe@example.org", "用户", "9"])
@pytest.mark.parametrize("slug_scheme", ["safe", "escape"])
def test_every_user_has_a_namespace_with_a_valid_name(username, slug_scheme):
    spawner = bare_spawner(username, slug_scheme=slug_scheme, user_namespace_template="{username}", **OWN)
    assert len(spawner.namespace) <= 63
    assert spawner.namespace.replace("-", "").isalnum()
    assert spawner.namespace.isascii()
    assert spawner.namespace[0].isalnum()
    assert spawner.namespace[-1].isalnum()


async def test_a_page_that_asks_for_the_server_just_before_its_start_takes_no_view_from_it(cluster):
    """The answer comes while the start waits for the same lists, which it needs until its pod runs."""
    run = Run(**OWN, start_timeout=60)
    with struck(cluster, Slow(seconds=1), verb="list", resource="pods"):
        asked = asyncio.create_task(run.spawner.poll())
        await asyncio.sleep(0.5)
        await run.start()
    assert await asked is not None
    assert await run.spawner.poll() is None
    await run.stop()
    assert informers() == []


@pytest.mark.parametrize("has_other", [False, True], ids=["no server left", "another server is known"])
async def test_a_server_that_the_database_has_lost_is_replaced_and_not_adopted(
    hub, cluster, has_other, caplog
):
    """Users may create pods in a namespace of their own: what a pod there says of itself proves nothing."""
    async with hub(**OWN) as hub:
        if has_other:
            await hub.start_server("ada", "gpu")
            await hub.wait_ready("ada", "gpu")
        assert await hub.api("GET", "/users/ada")  # the copy has the test's token
        copy = hub.copy_database()
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        lost = cluster.database.get(PODS, Key("user-ada", "jupyter-ada"))
        await hub.kill()
        await restart_process()
        hub.restore_database(copy)
        await hub.boot()
        await asyncio.sleep(60)
        assert cluster.database.get(PODS, Key("user-ada", "jupyter-ada")) == lost
        assert not (hub.spawner("ada") and hub.spawner("ada").active)
        assert "adopted" not in caplog.text

        await hub.start_server("ada")
        await hub.wait_ready("ada")
        new = cluster.database.get(PODS, Key("user-ada", "jupyter-ada"))
        assert uid_of(new) != uid_of(lost)
        assert len(keys(cluster, PODS)) == 1 + has_other
        assert keys(cluster, CLAIMS) >= {"user-ada/claim-ada"}
        assert len(keys(cluster, CLAIMS)) == 1 + has_other
        assert await hub.stop_server("ada") == 204
