"""Subclasses as administrators write them: names they use either work or say what to use instead."""

import asyncio
import base64
import logging
from functools import partial

import pytest
from jupyterhub.spawner import Spawner
from jupyterhub.utils import exponential_backoff
from kubernetes_asyncio.client import (
    ApiClient,
    CoreV1Api,
    CustomObjectsApi,
    V1Container,
    V1ObjectMeta,
    V1Secret,
)
from kubernetes_asyncio.client.rest import ApiException
from tornado import gen, web
from traitlets import Bool, Unicode, default
from traitlets.config import Config, Configurable

from devkit.minicluster.resources import CLAIMS, PODS, SECRETS
from devkit.testing.bare import bare_spawner
from devkit.testing.eventually import eventually
from devkit.testing.runs import Run, takes
from k8s_hub import KubeSpawner
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.objects.keys import annotations_of
from k8s_hub.spawner.compat.models import to_json
from k8s_hub.spawner.compat.removed_names import CALLED_BY_OTHERS, INSTEAD
from k8s_hub.spawner.run_log import warn_once
from tests.spawner.conftest import NAMESPACE

in_a_hub = [pytest.mark.looptime, pytest.mark.hub]


@pytest.fixture(autouse=True)
def nothing_was_told():
    warn_once.cache_clear()


def only(cluster, resource):
    (one,) = cluster.database.all(resource, NAMESPACE)
    return one


async def started(hub, name="ada"):
    await hub.start_server(name)
    await hub.wait_ready(name)
    return hub.spawner(name)


# --- Overridden: names, labels, environment ---


class WithWorkspace(KubeSpawner):
    """Adds a field to all templates."""

    workspace = Unicode("physics", config=True, help="The workspace.")

    def _expand_user_properties(self, template, slug_scheme=None):
        return super()._expand_user_properties(template.replace("{workspace}", self.workspace), slug_scheme)


class OneArgument(KubeSpawner):
    """Written before there were two slug schemes."""

    def _expand_user_properties(self, template):
        return super()._expand_user_properties(template.replace("{room}", "42"))


@pytest.mark.parametrize(
    ("spawner_class", "field", "value"),
    [(WithWorkspace, "workspace", "physics"), (OneArgument, "room", "42")],
)
async def test_a_field_that_a_subclass_adds_is_filled_in_everywhere(spawner_class, field, value):
    template = f"{{{field}}}-{{username}}"
    spawner = bare_spawner(
        spawner_class=spawner_class,
        pod_name_template=f"jupyter-{template}",
        pvc_name_template=f"claim-{template}",
        working_dir=f"/{template}",
        pod_connect_ip=f"{template}.pods",
        extra_labels={"label": template},
        extra_annotations={"annotation": template},
        environment={"VARIABLE": template},
        volumes=[{"name": template, "emptyDir": {}}],
        storage_extra_labels={"label": template},
        storage_capacity="1Gi",
    )

    pod, claim = await spawner.get_pod_manifest(), spawner.get_pvc_manifest()

    expected = f"{value}-ada"
    assert (pod.metadata.name, claim.metadata.name) == (f"jupyter-{expected}", f"claim-{expected}")
    assert pod.spec.containers[0].working_dir == f"/{expected}"
    assert pod.metadata.labels["label"] == claim.metadata.labels["label"] == expected
    assert pod.metadata.annotations["annotation"] == expected
    assert {"VARIABLE": expected}.items() <= {
        each.name: each.value for each in pod.spec.containers[0].env
    }.items()
    assert pod.spec.volumes[0].name == expected
    assert spawner._get_pod_url({"spec": {"containers": []}, "status": {}}) == f"http://{expected}.pods:8888"


class WithoutUsernames(KubeSpawner):
    """Keeps user names out of labels."""

    def _build_common_labels(self, extra_labels):
        labels = super()._build_common_labels(extra_labels)
        del labels["hub.jupyter.org/username"]
        return labels

    def _build_pod_labels(self, extra_labels):
        return {**super()._build_pod_labels(extra_labels), "kind-of": "pod"}

    def _build_common_annotations(self, extra_annotations):
        return {**super()._build_common_annotations(extra_annotations), "by": "us"}


def test_each_class_has_its_own_options_in_the_configuration():
    bare_spawner().traits(config=True).clear()  # a copy

    class Flavoured(KubeSpawner):
        flavour = Unicode(config=True)

    spawner = bare_spawner(spawner_class=Flavoured, config=Config({"Flavoured": {"flavour": "vanilla"}}))
    assert spawner.flavour == "vanilla"
    spawner.add_traits(topping=Unicode().tag(config=True))
    assert "topping" in spawner.traits(config=True)
    assert bare_spawner().traits(config=True) == KubeSpawner.class_traits(config=True)


async def test_labels_and_annotations_are_those_that_a_subclass_builds():
    spawner = bare_spawner(spawner_class=WithoutUsernames, storage_capacity="1Gi")

    pod, claim = await spawner.get_pod_manifest(), spawner.get_pvc_manifest()

    assert "hub.jupyter.org/username" not in pod.metadata.labels | claim.metadata.labels
    assert pod.metadata.labels["component"] == "singleuser-server"
    assert pod.metadata.labels["kind-of"] == "pod"
    assert "kind-of" not in claim.metadata.labels
    assert pod.metadata.annotations["by"] == claim.metadata.annotations["by"] == "us"


async def test_a_subclass_builds_objects_of_its_own_with_the_spawner_s_parts():
    spawner = bare_spawner(servername="gpu", namespace="labs")

    assert spawner._expand_all([{"{username}": "{user_server}"}, 1]) == [{"{username}": "ada--gpu"}, 1]
    assert spawner._expand_env({"A": "{username}", "B": 1, "C": print}) == {"A": "ada"}
    assert spawner._expand_user_properties("{username}", slug_scheme="escape") == "ada"
    assert spawner._build_common_labels({"x": "y"})["x"] == "y"
    assert spawner._build_common_annotations({})["hub.jupyter.org/servername"] == "gpu"
    assert spawner._sorted_dict_values({"b": 1, "a": 2}) == [2, 1]
    assert spawner._sorted_dict_values([1]) == [1]
    assert {"a", "z", "0"} < spawner.safe_chars
    assert not spawner.safe_chars & {"-", "A"}
    assert (spawner.pod_name, spawner.pvc_name) == ("jupyter-ada--gpu", "claim-ada--gpu")
    assert spawner.dns_name.startswith("jupyter-ada--gpu.labs.")
    assert spawner.secret_name == "jupyter-ada--gpu"
    assert spawner._get_pod_port({"spec": {"containers": []}}) == 8888


class PlainAttributes(KubeSpawner):
    """Replaces options by values of the class."""

    image = "registry/ours:1"
    notebook_dir = "/home/jovyan/work"
    extra_labels = extra_annotations = common_labels = storage_extra_labels = ()
    extra_pod_config = extra_container_config = extra_resource_limits = None
    image_pull_policy = Unicode("Always", config=True, help="When the image is pulled.")

    @default("uid")
    def _uid(self):
        return 4321

    def get_env(self):
        return {**super().get_env(), "WORKSPACE": self.user.name}


async def test_options_may_be_replaced_by_attributes_of_a_subclass():
    spawner = bare_spawner(spawner_class=PlainAttributes)
    (container,) = (await spawner.get_pod_manifest()).spec.containers

    assert "hub.jupyter.org/username" in spawner.get_pvc_manifest().metadata.labels
    assert (container.image, container.image_pull_policy) == ("registry/ours:1", "Always")
    assert container.security_context["runAsUser"] == 4321
    assert {"WORKSPACE": "ada"}.items() <= {each.name: each.value for each in container.env}.items()


# --- Overridden: the start ---


class MixedIn(Configurable):
    """A mixin that makes any spawner of containers start what the API asks for."""

    auth_enabled = Bool(False, config=True, help="Whether users log in.")

    def get_args(self):
        return super().get_args() if self.auth_enabled else [f"--port={self.port}", *self.args]

    def start(self):
        if "image" not in self.user_options:
            raise web.HTTPError(400, "image required")
        self.image = self.user_options["image"]
        return super().start()

    def get_env(self):
        return {**super().get_env(), "REPO_URL": self.user_options["repo_url"]}


class AnyImage(MixedIn, KubeSpawner):
    cmd = ("jupyter-lab",)


@pytest.mark.looptime
@pytest.mark.hub
async def test_a_mixin_decides_from_the_user_s_options(hub, cluster):
    async with hub(spawner_class=AnyImage) as hub:
        await hub.start_server(
            "ada", options={"image": "registry/theirs:2", "repo_url": "https://example.org"}
        )
        await hub.wait_ready("ada")
        (container,) = only(cluster, PODS)["spec"]["containers"]

    assert container["image"] == "registry/theirs:2"
    assert container["args"] == ["jupyter-lab", "--port=8888"]
    assert {"name": "REPO_URL", "value": "https://example.org"} in container["env"]


class ChosenAtStart(KubeSpawner):
    """Sets options in a coroutine of the old kind."""

    @gen.coroutine
    def start(self):
        self.environment = {"SHARD": (yield gen.maybe_future("7"))}
        return (yield super().start())


class BelowTheStart(KubeSpawner):
    """Overrides what KubeSpawner's start calls."""

    async def _start(self):
        self.environment = {"SHARD": "7"}
        return await super()._start()


class FromTheApi(KubeSpawner):
    """Has options of its own beside profiles."""

    async def load_user_options(self):
        await super().load_user_options()
        self.environment = {"SHARD": self.user_options.get("shard", "7")}


class AtOnce(KubeSpawner):
    """Has hooks as methods, and a manifest that is not awaited."""

    async def pre_spawn_hook(self, spawner):
        assert spawner is self
        self.environment = {"SHARD": "7"}

    def get_pod_manifest(self):
        return super().get_pod_manifest()


@pytest.mark.looptime
@pytest.mark.hub
@pytest.mark.parametrize("spawner_class", [ChosenAtStart, BelowTheStart, FromTheApi, AtOnce])
async def test_what_a_subclass_sets_before_the_pod_is_made_counts(hub, cluster, spawner_class):
    async with hub(spawner_class=spawner_class) as hub:
        await started(hub)
        (container,) = only(cluster, PODS)["spec"]["containers"]

    assert {"name": "SHARD", "value": "7"} in container["env"]


class KeepsToken(KubeSpawner):
    """Keeps a user's token in a Secret of its own, and chooses the claim by itself."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.token_name = self._expand_user_properties("access-token-{userid}")
        self.volumes = [*self.volumes, {"name": "token", "secret": {"secretName": self.token_name}}]

    async def pre_spawn_hook(self, spawner):
        claims = await self.api.list_namespaced_persistent_volume_claim(namespace=self.namespace)
        self.pvc_name = next((claim.metadata.name for claim in claims.items), "chosen-by-us")
        try:
            await self.api.read_namespaced_secret(self.token_name, self.namespace)
        except ApiException as error:
            if error.status != 404:
                raise
        secret = V1Secret(
            metadata=V1ObjectMeta(name=self.token_name, labels=self._build_common_labels({})),
            data={"token": base64.b64encode(b"secret").decode()},
        )
        await self.api.create_namespaced_secret(namespace=self.namespace, body=secret)


@pytest.mark.looptime
@pytest.mark.hub
async def test_a_subclass_makes_calls_of_its_own(hub, cluster):
    async with hub(spawner_class=KeepsToken) as hub:
        spawner = await started(hub)
        with pytest.raises(ApiException):
            await CustomObjectsApi(spawner.api.api_client).list_namespaced_custom_object(
                "example.org", "v1", NAMESPACE, "widgets"
            )

    assert only(cluster, SECRETS)["metadata"]["labels"]["hub.jupyter.org/username"] == "ada"
    assert only(cluster, CLAIMS)["metadata"]["name"] == "chosen-by-us"


class Narrator(KubeSpawner):
    """Tells more on the progress page, and keeps more in the state."""

    note = ""

    async def progress(self):
        yield {"progress": 1, "message": "Hello."}
        async for event in super().progress():
            yield event

    def get_state(self):
        return {**super().get_state(), "note": self.note}

    def load_state(self, state):
        super().load_state(state)
        self.note = state.get("note", "")

    def clear_state(self):
        super().clear_state()
        self.note = ""

    async def start(self):
        self.note = "kept"
        return await super().start()


@pytest.mark.looptime
@pytest.mark.hub
async def test_progress_and_state_may_be_extended(hub, cluster):
    async with hub(spawner_class=Narrator) as hub:
        await hub.start_server("ada")
        told = [event async for event in hub.spawner("ada").progress()]
        await hub.wait_ready("ada")
        await hub.restart()

        assert hub.spawner("ada").note == "kept"

    assert told[0]["message"] == "Hello."
    assert len(told) > 1


@pytest.mark.looptime
@pytest.mark.hub
async def test_a_spawner_knows_its_pod_and_what_kubernetes_says_about_it_while_it_starts(hub, cluster):
    heard = []

    async def listen(spawner, pod):
        assert spawner.pod_id == pod["metadata"]["uid"]
        await eventually(lambda: spawner.events)
        heard.extend(spawner.events)

    async with hub(after_pod_created_hook=listen) as hub:
        spawner = await started(hub)

        assert {event["involvedObject"]["uid"] for event in heard} == {spawner.pod_id}
        assert spawner.events == []


# --- Called: what KubeSpawner's own methods did ---


class CopiedProgress(KubeSpawner):
    """Written after the example of KubeSpawner's own method, as administrators do to change its words."""

    async def progress(self):
        if not self.events_enabled:
            return
        await self._start_watching_pods()
        await self._start_watching_events(replace=True)
        future, told = self._start_future, 0
        while True:
            future = future or self._start_future
            is_last_round = future is not None and future.done()
            for event in self.events[told:]:
                told += 1
                when = event["lastTimestamp"] or event["eventTime"]
                yield {"progress": 50, "message": f"{when} [{event['type']}] {event['message']}"}
            if is_last_round:
                return
            await asyncio.sleep(1)


@pytest.mark.looptime
@pytest.mark.hub
@pytest.mark.parametrize("events_enabled", [True, False])
async def test_a_copy_of_kubespawners_progress_tells_and_ends_with_the_start(
    hub, cluster, caplog, events_enabled
):
    takes(cluster, schedule=5, pull=5, start=5)
    settings = {"tornado_settings": {"slow_spawn_timeout": 0}}
    async with hub(spawner_class=CopiedProgress, events_enabled=events_enabled, hub=settings) as hub:
        for _ in range(2):  # the future of the first start must not end the second one's page
            await hub.start_server("ada")
            told = [event["message"] async for event in hub.spawner("ada").progress()]
            await hub.wait_ready("ada", seconds=30)
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")

            assert bool(told) is events_enabled
            assert not told or "[Normal] Successfully assigned" in told[0]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.looptime
async def test_the_future_of_a_start_is_the_starts_and_gone_before_the_next(cluster):
    takes(cluster, schedule=60)
    run = Run(start_timeout=20)
    assert run.spawner._start_future is None
    task = asyncio.create_task(run.starting())
    await eventually(lambda: run.spawner._start_future)
    assert run.spawner._start_future is task
    with pytest.raises(web.HTTPError):
        await task

    run.spawner.clear_state()
    assert run.spawner._start_future is None


def db_claim(spawner):
    claim = spawner.get_pvc_manifest()
    claim.metadata.name = f"db-{spawner.user.name}"
    return claim


def as_dict(spawner):
    claim = to_json(spawner.get_pvc_manifest())
    return {**claim, "metadata": {**claim["metadata"], "name": f"db-{spawner.user.name}"}}


@pytest.mark.looptime
@pytest.mark.hub
@pytest.mark.parametrize("made", [db_claim, as_dict])
async def test_a_hook_creates_one_more_claim_as_with_kubespawner_and_the_home_is_another(hub, cluster, made):
    async def ensure(spawner):
        ask = partial(spawner._make_create_pvc_request, made(spawner), spawner.k8s_api_request_timeout)
        await exponential_backoff(ask, "no claim", timeout=spawner.k8s_api_request_retry_timeout)

    async with hub(pre_spawn_hook=ensure) as hub:
        for _ in range(2):
            await started(hub)
            names = {claim["metadata"]["name"] for claim in cluster.database.all(CLAIMS, NAMESPACE)}
            (volume,) = only(cluster, PODS)["spec"]["volumes"]
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")

            assert names == {"db-ada", "claim-ada"}
            assert volume["persistentVolumeClaim"]["claimName"] == "claim-ada"


class OneHomeForAll(KubeSpawner):
    """Names the claim in its manifest only; the first user's start creates it."""

    def get_pvc_manifest(self):
        claim = super().get_pvc_manifest()
        claim.metadata.name = "of-the-course"
        return claim


@pytest.mark.looptime
@pytest.mark.hub
async def test_a_subclass_names_a_claim_that_exists(hub, cluster):
    async with hub(spawner_class=OneHomeForAll) as hub:
        for user in ("ada", "bob", "bob"):
            await started(hub, user)
            (volume,) = only(cluster, PODS)["spec"]["volumes"]
            await hub.stop_server(user)
            await hub.wait_stopped(user)

            assert only(cluster, CLAIMS)["metadata"]["name"] == "of-the-course"
            assert volume["persistentVolumeClaim"]["claimName"] == "of-the-course"


@pytest.mark.looptime
@pytest.mark.hub
async def test_a_hook_makes_the_home_itself_and_further_objects(hub, cluster):
    async def prepare(spawner):
        assert await spawner._make_create_pvc_request(spawner.get_pvc_manifest(), 3)
        secret = {"metadata": {"name": "of-the-lab"}, "stringData": {"a": "b"}}
        assert await spawner._make_create_resource_request("secret", secret)
        assert await spawner._make_create_resource_request("secret", secret)
        assert await spawner._ensure_not_exists("secret", "of-the-lab")
        assert await spawner._ensure_not_exists("secret", "of-the-lab")
        service = {"metadata": {"name": "of-the-lab"}, "spec": {"ports": [{"port": 80}]}}
        assert await spawner._make_create_resource_request("service", service)

    async with hub(pre_spawn_hook=prepare) as hub:
        await started(hub)

    assert only(cluster, CLAIMS)["metadata"]["name"] == "claim-ada"
    assert EXTRA_CLAIM_ANNOTATION not in annotations_of(only(cluster, CLAIMS))
    assert not list(cluster.database.all(SECRETS, NAMESPACE))


async def by_a_client_of_its_own(spawner):
    async with ApiClient() as api:
        return await CoreV1Api(api).list_namespaced_secret(spawner.namespace)


async def by_shared_client(spawner):
    from kubespawner.clients import shared_client

    return await shared_client("CoreV1Api").list_namespaced_secret(spawner.namespace)


async def by_the_spawner(spawner):
    return await spawner.api.list_namespaced_secret(spawner.namespace)


@pytest.mark.looptime
@pytest.mark.hub
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ask", [by_a_client_of_its_own, by_shared_client, by_the_spawner])
@pytest.mark.parametrize("hook", ["pre_spawn_hook", "modify_pod_hook", "profile_list"])
async def test_a_hook_asks_the_cluster_by_whatever_client(hub, cluster, ask, hook):
    """The library's clients are configured for the process as soon as there is a spawner, before any start."""
    seen = []

    async def code(spawner, *pod):
        seen.append((await ask(spawner)).items)
        return pod[0] if pod else []

    async with hub(**{hook: code}) as hub:
        await started(hub)

    assert seen[0] == []


# --- Returned values ---


class ForgetsToReturn(KubeSpawner):
    async def get_pod_manifest(self):
        (await super().get_pod_manifest()).metadata.labels["course"] = "maths"


class ForgetsClaim(KubeSpawner):
    def get_pvc_manifest(self):
        super().get_pvc_manifest()


class ForgetsService(KubeSpawner):
    def get_service_manifest(self, owner_reference, port):
        super().get_service_manifest(owner_reference, port)


def hook_without_return(spawner, pod):
    pod.metadata.labels["course"] = "maths"


async def async_url(spawner, pod):
    return "http://127.0.0.1"


@pytest.mark.slow
@pytest.mark.looptime
@pytest.mark.hub
@pytest.mark.parametrize(
    ("options", "what"),
    [
        (
            {"spawner_class": ForgetsToReturn},
            "ForgetsToReturn.get_pod_manifest returned None, and not the object",
        ),
        ({"spawner_class": ForgetsClaim}, "ForgetsClaim.get_pvc_manifest returned None, and not the object"),
        (
            {"spawner_class": ForgetsService, "services_enabled": True},
            "ForgetsService.get_service_manifest returned None, and not the object",
        ),
        (
            {"modify_pod_hook": hook_without_return},
            "KubeSpawner.modify_pod_hook returned None, and not the object",
        ),
        (
            {"modify_pod_hook": lambda *_: "pod"},
            "KubeSpawner.modify_pod_hook returned a str, and not the object",
        ),
        ({"get_pod_url": async_url}, "KubeSpawner.get_pod_url returned a coroutine, and not a URL"),
        ({"get_pod_url": lambda *_: None}, "KubeSpawner.get_pod_url returned None, and not a URL"),
    ],
)
async def test_code_that_does_not_return_what_it_must_is_named(hub, cluster, options, what):
    async with hub(**options) as hub:
        await hub.start_server("ada")
        with pytest.raises(web.HTTPError) as failure:
            await hub.wait_ready("ada")

        assert what in str(failure.value.log_message)
        assert "Contact your administrator" in failure.value.jupyterhub_message
        assert not list(cluster.database.all(PODS, NAMESPACE))


async def test_a_hook_may_mix_models_and_dicts():
    def add_containers(spawner, pod):
        pod.spec.init_containers = pod.spec.init_containers or []
        pod.spec.init_containers += [
            {"name": "first", "image": "busybox", "securityContext": {"runAsUser": 0}},
            V1Container(name="second", image="busybox"),
        ]
        pod.spec.containers[0].volume_mounts += [{"name": "home", "mountPath": "/home"}]
        return pod

    manifest = await bare_spawner(modify_pod_hook=add_containers)._manifests.pod()

    assert [each["name"] for each in manifest["spec"]["initContainers"]] == ["first", "second"]
    assert manifest["spec"]["initContainers"][0]["securityContext"] == {"runAsUser": 0}
    assert manifest["spec"]["containers"][0]["volumeMounts"] == [{"name": "home", "mountPath": "/home"}]


# --- What is not here ---


@pytest.mark.parametrize("name", INSTEAD)
async def test_a_name_that_is_not_here_says_what_to_use_instead(name):
    with pytest.raises(AttributeError, match=f"KubeSpawner.{name} is not part of k8s_hub; use "):
        getattr(bare_spawner(), name)
    assert not hasattr(Spawner, name)


@pytest.mark.parametrize("name", CALLED_BY_OTHERS)
async def test_what_others_call_is_there(name):
    assert hasattr(KubeSpawner, name)
    assert not hasattr(Spawner, name)


async def test_a_method_that_nothing_calls_is_told_once(caplog):
    class Old(KubeSpawner):
        async def _make_create_pod_request(self, pod, request_timeout):
            return await super()._make_create_pod_request(pod, request_timeout)

        def is_pod_running(self, pod):
            return True

        async def _start_watching_events(self, replace=False):
            return None

    class Older(Old):
        pass

    for _ in range(2):
        spawner = bare_spawner(spawner_class=Old)
    bare_spawner(spawner_class=Older)

    assert [message.split(",")[0] for message in caplog.messages] == [
        "Old defines _make_create_pod_request",
        "Old defines is_pod_running",
        "Old defines _start_watching_events",
        "Older defines _make_create_pod_request",
        "Older defines is_pod_running",
        "Older defines _start_watching_events",
    ]
    with pytest.raises(AttributeError, match=r"use get_pod_manifest or get_pvc_manifest"):
        await spawner._make_create_pod_request({}, 3)
    assert spawner.is_pod_running({})


@pytest.mark.parametrize(
    "spawner_class", [WithWorkspace, OneArgument, AnyImage, KeepsToken, Narrator, AtOnce]
)
async def test_an_ordinary_subclass_is_not_commented_on(spawner_class, caplog):
    caplog.set_level(logging.INFO)

    bare_spawner(spawner_class=spawner_class, config=Config())

    assert caplog.messages == []


def test_labels_by_default_may_have_the_pods_name():
    """A spawner is named before anything asks for its labels."""

    class Labels(KubeSpawner):
        @default("common_labels")
        def _with_pod(self):
            return {"pod": self.pod_name}

    assert bare_spawner(spawner_class=Labels).common_labels == {"pod": "jupyter-ada"}
