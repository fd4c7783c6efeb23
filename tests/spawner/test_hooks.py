"""An administrator's own code: hooks and overridden methods, in the forms that KubeSpawner accepts."""

import asyncio
import sys
from types import MethodType

import pytest
from kubernetes_asyncio import client
from tornado.web import HTTPError

from devkit.minicluster.resources import CLAIMS, PODS
from devkit.testing.runs import NO_WAIT, failed_start, pods, sentence_of
from k8s_hub import KubeSpawner
from k8s_hub.spawner.manifest_builder import ManifestBuilder
from tests.spawner.conftest import NAMESPACE

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


def the_pod(cluster):
    (pod,) = cluster.database.all(PODS, NAMESPACE)
    return pod


async def test_modify_pod_hook_gets_a_v1pod_and_its_changes_are_created(hub, cluster):
    async def add_label(spawner, pod):
        assert isinstance(pod, client.V1Pod)
        pod.metadata.labels["course"] = spawner.user.name
        return pod

    async with hub(modify_pod_hook=add_label) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        assert the_pod(cluster)["metadata"]["labels"]["course"] == "ada"


async def test_after_pod_created_hook_gets_the_created_pod_as_a_dict(hub, cluster):
    seen = []

    async def note(spawner, pod):
        seen.append((spawner.user.name, pod["metadata"]["uid"], pod["spec"]["containers"][0]["name"]))

    async with hub(after_pod_created_hook=note) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        assert seen == [("ada", the_pod(cluster)["metadata"]["uid"], "notebook")]


async def test_an_exception_in_after_pod_created_hook_ends_the_start_and_leaves_no_pod(hub, cluster):
    def fail(spawner, pod):
        raise RuntimeError("no licence left")

    async with hub(after_pod_created_hook=fail) as hub:
        error = await failed_start(hub)

        assert "a function of this hub failed" in sentence_of(error)
        assert not list(cluster.database.all(PODS, NAMESPACE))


async def test_get_pod_url_decides_where_the_hub_looks(hub, cluster):
    def address(spawner, pod):
        return f"http://{pod['status']['podIP']}:8888"

    async with hub(get_pod_url=address) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        assert the_pod(cluster)["status"]["podIP"] in hub.spawner("ada").server.url


class Overriding(KubeSpawner):
    """A subclass as administrators write them."""

    async def get_pod_manifest(self):
        pod = await super().get_pod_manifest()
        pod.metadata.annotations["cost-centre"] = "physics"
        return pod

    def get_pvc_manifest(self):
        claim = super().get_pvc_manifest()
        claim.metadata.labels["backup"] = "daily"
        return claim


async def test_a_subclass_overrides_the_manifests(hub, cluster):
    async with hub(spawner_class=Overriding) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (claim,) = cluster.database.all(CLAIMS, NAMESPACE)

        assert the_pod(cluster)["metadata"]["annotations"]["cost-centre"] == "physics"
        assert claim["metadata"]["labels"]["backup"] == "daily"


async def test_a_hook_replaces_methods_of_its_spawner(hub, cluster):
    async def pod_of_the_course(spawner):
        pod = await KubeSpawner.get_pod_manifest(spawner)
        pod.metadata.labels["course"] = spawner.user.name
        return pod

    def replace(spawner):
        spawner.get_pod_manifest = MethodType(pod_of_the_course, spawner)
        spawner.get_pvc_manifest = lambda: home(spawner)

    def home(spawner):
        claim = KubeSpawner.get_pvc_manifest(spawner)
        claim.metadata.labels["backup"] = "daily"
        return claim

    async with hub(pre_spawn_hook=replace) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (claim,) = cluster.database.all(CLAIMS, NAMESPACE)

        assert the_pod(cluster)["metadata"]["labels"]["course"] == "ada"
        assert claim["metadata"]["labels"]["backup"] == "daily"


async def test_a_pre_spawn_hook_may_name_the_claim(hub, cluster):
    """A claim that a hook names is used, and found again when the hook is gone."""

    def shared_home(spawner):
        spawner.pvc_name = "claim-of-the-course"

    async with hub(pre_spawn_hook=shared_home) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

    (claim,) = cluster.database.all(CLAIMS, NAMESPACE)
    assert claim["metadata"]["name"] == "claim-of-the-course"


async def test_an_administrator_s_code_takes_part_in_this_order(hub, cluster):
    order = []

    class InOrder(KubeSpawner):
        async def load_user_options(self):
            order.append("load_user_options")
            await super().load_user_options()

        def get_pvc_manifest(self):
            order.append("get_pvc_manifest")
            return super().get_pvc_manifest()

        async def get_pod_manifest(self):
            order.append("get_pod_manifest")
            return await super().get_pod_manifest()

    def noting(name, result=lambda *_: None):
        def hook(*given):
            order.append(name)
            return result(*given)

        return hook

    hooks = {
        "auth_state_hook": noting("auth_state_hook"),
        "pre_spawn_hook": noting("pre_spawn_hook"),
        "modify_pod_hook": noting("modify_pod_hook", lambda _, pod: pod),
        "after_pod_created_hook": noting("after_pod_created_hook"),
        "get_pod_url": noting("get_pod_url", lambda _, pod: f"http://{pod['status']['podIP']}:8888"),
        "post_stop_hook": noting("post_stop_hook"),
    }
    async with hub(spawner_class=InOrder, **hooks) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")

    assert order == [
        "auth_state_hook",
        "pre_spawn_hook",
        "load_user_options",
        "get_pvc_manifest",
        "get_pod_manifest",
        "modify_pod_hook",
        "after_pod_created_hook",
        "get_pod_url",
        "get_pod_url",  # by the poll before the stop
        "post_stop_hook",
    ]


async def test_a_hook_sees_the_claim_that_will_be_used(hub, cluster):
    """Hooks run when the home claim exists, so that they may mount it."""
    seen = []

    def look(spawner, pod):
        seen.append(
            (
                spawner.pvc_name,
                [claim["metadata"]["name"] for claim in cluster.database.all(CLAIMS, NAMESPACE)],
            )
        )
        return pod

    async with hub(modify_pod_hook=look) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

    assert seen == [("claim-ada", ["claim-ada"])]


async def test_an_exception_in_modify_pod_hook_ends_the_start_before_there_is_a_pod(hub, cluster):
    async def fail(spawner, pod):
        raise RuntimeError("no licence left")

    async with hub(modify_pod_hook=fail) as hub:
        error = await failed_start(hub)

        assert "a function of this hub failed" in sentence_of(error)
        assert not list(cluster.database.all(PODS, NAMESPACE))


# --- Code that fails ---


def broken(*_, **__):
    raise LookupError("no licence left")


async def broken_later(*_, **__):
    await asyncio.sleep(0)
    raise LookupError("no licence left")


def without_arguments():
    return None


class BrokenMethods(KubeSpawner):
    """Raises in the method of this name."""

    broken = ""

    def _maybe(self, name):
        if self.broken == name:
            raise LookupError("no licence left")

    def get_env(self):
        self._maybe("get_env")
        return super().get_env()

    def get_args(self):
        self._maybe("get_args")
        return super().get_args()

    async def load_user_options(self):
        self._maybe("load_user_options")
        await super().load_user_options()

    async def get_pod_manifest(self):
        self._maybe("get_pod_manifest")
        return await super().get_pod_manifest()

    def get_pvc_manifest(self):
        self._maybe("get_pvc_manifest")
        return super().get_pvc_manifest()

    def get_service_manifest(self, owner_reference, port):
        self._maybe("get_service_manifest")
        return super().get_service_manifest(owner_reference, port)

    def _expand_all(self, src):
        self._maybe("_expand_all")
        return super()._expand_all(src)

    def _build_common_labels(self, extra_labels):
        self._maybe("_build_common_labels")
        return super()._build_common_labels(extra_labels)

    def _get_pod_url(self, pod):
        self._maybe("_get_pod_url")
        return super()._get_pod_url(pod)


class FindsNothing(KubeSpawner):
    """Of what leaves a coroutine so, Python makes a RuntimeError without these lines in its traceback."""

    def get_args(self):
        return next(argument for argument in () if argument)


async def waits_for_what_was_cancelled(*_):
    other = asyncio.create_task(asyncio.sleep(1))
    other.cancel()
    await other


PROFILE = {"display_name": "A"}
FAILING = {
    "next() of nothing": {"spawner_class": FindsNothing},
    "a task of modify_pod_hook that was cancelled": {"modify_pod_hook": waits_for_what_was_cancelled},
    "a task of pre_spawn_hook that was cancelled": {"pre_spawn_hook": waits_for_what_was_cancelled},
    "exit() in pre_spawn_hook": {"pre_spawn_hook": lambda spawner: sys.exit()},
    "pre_spawn_hook": {"pre_spawn_hook": broken},
    "async pre_spawn_hook": {"pre_spawn_hook": broken_later},
    "auth_state_hook": {"auth_state_hook": broken},
    "async auth_state_hook": {"auth_state_hook": broken_later},
    "group_overrides": {"group_overrides": broken},
    "async group_overrides": {"group_overrides": broken_later},
    "group_overrides without groups": {"group_overrides": {"a": {}}},
    "modify_pod_hook": {"modify_pod_hook": broken},
    "async modify_pod_hook": {"modify_pod_hook": broken_later},
    "modify_pod_hook with other arguments": {"modify_pod_hook": without_arguments},
    "after_pod_created_hook": {"after_pod_created_hook": broken},
    "async after_pod_created_hook": {"after_pod_created_hook": broken_later},
    "get_pod_url": {"get_pod_url": broken},
    "uid": {"uid": broken},
    "async gid": {"gid": broken_later},
    "a built-in function as fs_gid": {"fs_gid": int},
    "container_security_context": {"container_security_context": broken},
    "a variable": {"environment": {"A": broken}},
    "a variable with other arguments": {"environment": {"A": without_arguments}},
    "profile_list": {"profile_list": broken},
    "async profile_list": {"profile_list": broken_later},
    "a value of a profile": {"profile_list": [{**PROFILE, "kubespawner_override": {"mem_limit": broken}}]},
    "an async value of a profile": {
        "profile_list": [{**PROFILE, "kubespawner_override": {"mem_limit": broken_later}}]
    },
    **{
        f"an overridden {name}": {"spawner_class": type("Broken", (BrokenMethods,), {"broken": name})}
        for name in (
            "get_env",
            "get_args",
            "load_user_options",
            "get_pod_manifest",
            "get_pvc_manifest",
            "get_service_manifest",
            "_expand_all",
            "_build_common_labels",
            "_get_pod_url",
        )
    },
}


QUICK = {
    "next() of nothing",
    "a task of modify_pod_hook that was cancelled",
    "pre_spawn_hook",
    "modify_pod_hook",
    "async auth_state_hook",
    "group_overrides",
    "a built-in function as fs_gid",
    "a variable",
    "profile_list",
    "an overridden get_env",
}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(options, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, options in FAILING.items()
    ],
)
async def test_code_that_fails_does_not_count_and_the_user_has_a_reference(hub, cluster, caplog, options):
    """KubeSpawner's hub ends itself after five, and each user reads the exception, or 500."""
    common = {"services_enabled": True, "get_pod_url": own_address}
    if "spawner_class" in options:
        del common["get_pod_url"]
    async with hub(hub=NO_WAIT, **{**common, **options}) as hub:
        error = await failed_start(hub)
        assert hub.failure_count == 0
        sentence = sentence_of(error)
        assert "because a function of this hub failed (reference " in sentence
        assert sentence.endswith("Give your administrator this reference.")
        assert f"reference {sentence.partition('(reference ')[2][:8]}: Traceback" in caplog.text
        assert pods(cluster) == []


def own_address(spawner, pod):
    return f"http://{pod['status']['podIP']}:8888"


@pytest.mark.parametrize(
    ("hook", "status"), [("pre_spawn_hook", 503), ("auth_state_hook", 403), ("modify_pod_hook", 503)]
)
async def test_what_a_hook_says_to_the_user_is_told_as_it_is_and_does_not_count(hub, cluster, hook, status):
    def refuse(*_):
        error = HTTPError(status)
        error.jupyterhub_message = "There is no licence left."
        raise error

    async with hub(hub=NO_WAIT, **{hook: refuse}) as hub:
        error = await failed_start(hub)
        assert error.status_code == status
        assert sentence_of(error) == "There is no licence left."
        assert hub.failure_count == 0


class FailsBefore(KubeSpawner):
    async def start(self):
        raise LookupError("no licence left")


class FailsAfter(KubeSpawner):
    async def start(self):
        await super().start()
        raise LookupError("no licence left")


class FailsAtOnce(KubeSpawner):
    def start(self):
        raise LookupError("no licence left")


class Licence:
    async def start(self):
        url = await super().start()
        await asyncio.wait_for(asyncio.sleep(10), 1)
        return url


class FailsInAMixin(Licence, KubeSpawner):
    pass


class FailsFurtherDown(FailsAfter):
    async def start(self):
        return await super().start()


@pytest.mark.parametrize(
    "spawner_class",
    [
        FailsBefore,
        FailsAfter,
        pytest.param(FailsAtOnce, marks=pytest.mark.slow),
        pytest.param(FailsInAMixin, marks=pytest.mark.slow),
        pytest.param(FailsFurtherDown, marks=pytest.mark.slow),
    ],
)
async def test_a_subclass_that_fails_around_the_start_does_not_count(hub, cluster, caplog, spawner_class):
    async with hub(hub=NO_WAIT, spawner_class=spawner_class) as hub:
        error = await failed_start(hub)
        assert "because a function of this hub failed (reference " in sentence_of(error)
        assert hub.failure_count == 0
        assert pods(cluster) == []
    assert caplog.text.count("failed, reference ") == 1


async def test_a_subclass_that_tries_again_counts_what_is_ours(hub, cluster, monkeypatch):
    class Tries(KubeSpawner):
        async def start(self):
            try:
                return await super().start()
            except HTTPError:
                return await super().start()

    monkeypatch.setattr(ManifestBuilder, "owned_objects", None)
    async with hub(hub=NO_WAIT, spawner_class=Tries) as hub:
        error = await failed_start(hub)
        assert "because of an error in the hub" in sentence_of(error)
        assert hub.failure_count == 1


CONFIGURATION_FILE = {}
exec("def scopes(spawner):\n    return {}['no such key']", CONFIGURATION_FILE)


async def test_a_function_that_the_hub_itself_calls_does_not_count_either(hub, cluster):
    scopes = CONFIGURATION_FILE["scopes"]
    async with hub(hub=NO_WAIT, oauth_client_allowed_scopes=scopes) as hub:
        error = await failed_start(hub)
        assert isinstance(error, KeyError)
        assert hub.failure_count == 0


async def test_a_subclass_that_runs_the_hook_without_awaiting_it_still_runs_it(hub, cluster):
    ran = []

    class Impatient(KubeSpawner):
        def run_pre_spawn_hook(self):
            super().run_pre_spawn_hook()

    async with hub(spawner_class=Impatient, pre_spawn_hook=ran.append) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
    assert len(ran) == 1
