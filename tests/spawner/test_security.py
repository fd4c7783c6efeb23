"""The effects of `security_profile`, `api_token_in_secret` and `secret_environment` on a server, through a hub."""

from base64 import b64decode

import pytest
from kubernetes_asyncio.client import V1Container, V1Pod, V1SecurityContext
from traitlets import TraitError
from traitlets.config import Config

from devkit.minicluster.resources import SECRETS
from devkit.testing.bare import bare_spawner
from devkit.testing.runs import NAMESPACE, NO_WAIT, Run, failed_start, pods, restart_process, sentence_of
from k8s_hub.manifests.restricted import contradictions, restricted
from k8s_hub.objects.keys import metadata_of, uid_of
from k8s_hub.spawner.run_log import warn_once

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

RESTRICTED = {"security_profile": "restricted"}
IN_SECRET = {"api_token_in_secret": True}
HIDDEN = {"secret_environment": ["DB_PASSWORD"], "environment": {"DB_PASSWORD": "hunter2", "COURSE": "physics"}}  # fmt: skip


def the_pod(cluster):
    (pod,) = pods(cluster)
    return pod


def environment(pod, container="notebook"):
    (found,) = (each for each in pod["spec"]["containers"] if each["name"] == container)
    return {entry["name"]: entry for entry in found["env"]}


def secrets(cluster):
    """The content of all Secrets, by name."""
    return {
        metadata_of(each)["name"]: {
            key: b64decode(value).decode() for key, value in (each.get("data") or {}).items()
        }
        for each in cluster.database.all(SECRETS, NAMESPACE)
    }


class TestProfile:
    async def test_nothing_changes_without_one(self, hub, cluster):
        async with hub(privileged=True) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            pod = the_pod(cluster)
        assert contradictions(pod)
        assert not pod["spec"].get("securityContext")

    async def test_every_container_keeps_it_whoever_has_added_it(self, hub, cluster):
        def add_a_container(spawner, pod):
            pod.spec.containers.append(V1Container(name="hooked", image="any"))
            return pod

        config = {
            "init_containers": [V1Container(name="prepare", image="any")],
            "extra_containers": [{"name": "proxy", "image": "any"}],
            "modify_pod_hook": add_a_container,
        }
        async with hub(**RESTRICTED, **config) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            pod = the_pod(cluster)
        spec = pod["spec"]
        containers = [*spec["initContainers"], *spec["containers"]]
        assert [each["name"] for each in containers] == ["prepare", "notebook", "proxy", "hooked"]
        assert restricted(pod) == pod
        assert contradictions(pod) == []

    async def test_containers_that_a_config_appends_keep_it_too(self):
        config = Config({"KubeSpawner": RESTRICTED})
        config.KubeSpawner.init_containers.append(
            V1Container(name="block", security_context=V1SecurityContext(privileged=True))
        )
        with pytest.raises(TraitError, match=r"init_containers contradicts .*\[block\].*privileged = True"):
            bare_spawner(config=config)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"privileged": True}, "privileged = True"),
            ({"uid": 0}, "uid = 0"),
            ({"allow_privilege_escalation": True}, "allow_privilege_escalation = True"),
            (
                {"container_security_context": {"capabilities": {"add": ["NET_ADMIN"]}}},
                "container_security_context",
            ),
            ({"pod_security_context": {"seccompProfile": {"type": "Unconfined"}}}, "pod_security_context"),
            ({"volumes": [{"name": "data", "hostPath": {"path": "/"}}]}, "volumes"),
            ({"volumes": {"data": {"name": "data", "host_path": {"path": "/"}}}}, "volumes"),
            (
                {"init_containers": [{"name": "block", "securityContext": {"runAsUser": 0}}]},
                "init_containers",
            ),
            ({"extra_containers": [{"name": "proxy", "ports": [{"hostPort": 80}]}]}, "extra_containers"),
            ({"extra_container_config": {"security_context": {"privileged": True}}}, "extra_container_config"),
            ({"extra_pod_config": {"hostNetwork": True}}, "extra_pod_config"),
            ({"extra_pod_config": {"host_ipc": True}}, "extra_pod_config"),
            ({"lifecycle_hooks": {"postStart": {"httpGet": {"host": "10.0.0.1"}}}}, "lifecycle_hooks"),
            (
                {
                    "extra_annotations": {
                        "container.apparmor.security.beta.kubernetes.io/notebook": "unconfined"
                    }
                },
                "extra_annotations",
            ),
        ],
    )  # fmt: skip
    async def test_an_option_that_contradicts_it_is_an_error_with_its_name(self, options, words):
        bare_spawner(**options)
        with pytest.raises(
            TraitError, match=rf'KubeSpawner\.{words} contradicts security_profile = "restricted"'
        ):
            bare_spawner(**RESTRICTED, **options)

    async def test_each_contradiction_is_told_with_its_value(self):
        with pytest.raises(TraitError) as refused:
            bare_spawner(
                **RESTRICTED, uid=0, privileged=True, extra_pod_config={"hostPID": True, "hostIPC": False}
            )
        assert str(refused.value).split("; ") == [
            'KubeSpawner.uid = 0 contradicts security_profile = "restricted"',
            'KubeSpawner.privileged = True contradicts security_profile = "restricted"',
            'KubeSpawner.extra_pod_config contradicts security_profile = "restricted": spec.hostPID = True',
        ]

    @pytest.mark.parametrize(
        "options",
        [
            {"uid": 1000, "gid": 0, "fs_gid": 100},
            {"uid": 0, "container_security_context": {"runAsUser": 1000}},
            {"uid": 0, "extra_pod_config": {"hostUsers": False}},
            {"allow_privilege_escalation": None},
            {"uid": lambda spawner: 0},
        ],
    )
    async def test_what_does_not_contradict_it_in_the_end_is_no_error(self, options):
        bare_spawner(**RESTRICTED, **options)

    async def test_another_name_of_a_profile_is_an_error(self):
        with pytest.raises(TraitError, match="security_profile"):
            bare_spawner(security_profile="strict")

    async def test_a_hub_with_servers_does_not_start_with_settings_that_contradict_it(self, hub, cluster):
        async with hub(privileged=True) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            await hub.kill()
            hub.config.KubeSpawner.security_profile = "restricted"
            with pytest.raises(TraitError, match=r"KubeSpawner.privileged = True contradicts"):
                await hub.boot()
        assert len(pods(cluster)) == 1

    async def test_a_hub_without_servers_refuses_the_first_that_is_asked_for(self, hub, cluster, caplog):
        async with hub(privileged=True, **RESTRICTED) as hub:
            assert await hub.start_server("ada") == 500
            assert hub.failure_count == 0
        assert 'KubeSpawner.privileged = True contradicts security_profile = "restricted"' in caplog.text
        assert pods(cluster) == []

    @pytest.mark.parametrize(
        "options",
        [
            {"uid": lambda spawner: 0},
            {"modify_pod_hook": lambda spawner, pod: rooted(pod)},
            {"pre_spawn_hook": lambda spawner: setattr(spawner, "uid", 0)},
        ],
        ids=["callable", "modify_pod_hook", "pre_spawn_hook"],
    )
    async def test_a_pod_that_contradicts_it_is_not_created_and_does_not_count(
        self, hub, cluster, caplog, options
    ):
        async with hub(hub=NO_WAIT, consecutive_failure_limit=2, **RESTRICTED, **options) as hub:
            for _ in range(3):
                error = await failed_start(hub)
            assert hub.failure_count == 0
        sentence = sentence_of(error)
        assert "does not allow your server" in sentence
        assert "containers[notebook].securityContext.runAsUser = 0" in sentence
        assert "[policy] security_profile" in caplog.text
        assert pods(cluster) == []

    async def test_a_profile_that_contradicts_it_is_refused_when_it_is_chosen(self, hub, cluster):
        profiles = [
            {"display_name": "Plain", "slug": "plain", "default": True},
            {"display_name": "Root", "slug": "root", "kubespawner_override": {"uid": 0}},
        ]
        async with hub(hub=NO_WAIT, profile_list=profiles, **RESTRICTED) as hub:
            error = await failed_start(hub, options={"profile": "root"})
            assert "runAsUser = 0" in sentence_of(error)
            await hub.start_server("ada", options={"profile": "plain"})
            await hub.wait_ready("ada")
            assert len(pods(cluster)) == 1

    async def test_no_profile_and_no_choice_switches_it_off(self, hub, cluster, caplog):
        """Neither as a fixed value, nor as one of a function, nor as what a user types."""
        typed = {"enabled": True, "kubespawner_override": {"security_profile": "{value}", "uid": 0}}
        off = {"security_profile": ""}
        profiles = [
            {"display_name": "Plain"},
            {"display_name": "Off", "kubespawner_override": off},
            {"display_name": "Root", "kubespawner_override": {**off, "uid": 0, "privileged": True}},
            {"display_name": "Called", "kubespawner_override": {"security_profile": lambda spawner: ""}},
            {
                "display_name": "Option",
                "profile_options": {"o": {"choices": {"off": {"kubespawner_override": off}}}},
            },
            {"display_name": "Typed", "profile_options": {"o": {"unlisted_choice": typed}}},
        ]
        choices = [
            {"profile": "off"},
            {"profile": "root"},
            {"profile": "called"},
            {"profile": "option", "o": "off"},
            {"profile": "typed", "o--unlisted-choice": "none"},
        ]
        warn_once.cache_clear()
        async with hub(hub=NO_WAIT, profile_list=profiles, **RESTRICTED) as hub:
            for options in choices:
                error = await failed_start(hub, options=options)
                assert "Choose something else, or contact your administrator." in sentence_of(error)
                assert hub.failure_count == 0
            assert pods(cluster) == []
            await hub.start_server("ada", options={"profile": "plain"})
            await hub.wait_ready("ada")
            assert restricted(the_pod(cluster)) == the_pod(cluster)
        said = "KubeSpawner.profile_list[1].kubespawner_override.security_profile protects the cluster"
        assert caplog.text.count(said) == 1
        assert "profiles and user options cannot weaken security_profile" in caplog.text

    async def test_apply_user_options_does_not_switch_it_off_either(self, hub, cluster):
        mapped = {"apply_user_options": {"profile": "security_profile"}}
        async with hub(hub=NO_WAIT, **RESTRICTED, **mapped) as hub:
            error = await failed_start(hub, options={"profile": ""})
            assert "would turn off a protection of this hub" in sentence_of(error)
            assert hub.failure_count == 0
        assert pods(cluster) == []

    async def test_a_profile_may_switch_it_on(self, hub, cluster):
        profiles = [{"display_name": "Safe", "kubespawner_override": RESTRICTED}]
        async with hub(profile_list=profiles) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            assert restricted(the_pod(cluster)) == the_pod(cluster)

    @pytest.mark.parametrize(
        "options",
        [
            {"group_overrides": {"a": {"groups": ["staff"], "spawner_override": {"security_profile": ""}}}},
            {"pre_spawn_hook": lambda spawner: setattr(spawner, "security_profile", "")},
            {"auth_state_hook": lambda spawner, _: setattr(spawner, "security_profile", "")},
        ],
        ids=["group_overrides", "pre_spawn_hook", "auth_state_hook"],
    )
    async def test_what_the_administrator_says_of_groups_and_in_hooks_counts(self, hub, cluster, options):
        async with hub(**RESTRICTED, **options) as hub:
            await hub.api("POST", "/groups/staff")
            await hub.api("POST", "/groups/staff/users", json={"users": ["ada"]})
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            assert contradictions(the_pod(cluster)) == []
            assert not the_pod(cluster)["spec"].get("securityContext")

    @pytest.mark.parametrize(
        ("configured", "override"),
        [
            (IN_SECRET, {"api_token_in_secret": False}),
            (HIDDEN, {"secret_environment": []}),
            (HIDDEN, {"secret_environment": ["COURSE"]}),
            ({}, {"user_namespace_allow_existing": True}),
        ],
    )
    async def test_other_protections_cannot_be_taken_away_either(self, hub, cluster, configured, override):
        profiles = [{"display_name": "Off", "kubespawner_override": override}]
        async with hub(hub=NO_WAIT, profile_list=profiles, **configured) as hub:
            error = await failed_start(hub)
            assert "would turn off a protection of this hub" in sentence_of(error)
        assert pods(cluster) == []

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "override",
        [
            {"api_token_in_secret": True},
            {"secret_environment": ["COURSE", "DB_PASSWORD"]},
            {"environment": {"DB_PASSWORD": "hunter3"}},
        ],
    )
    async def test_a_profile_may_protect_more(self, hub, cluster, override):
        profiles = [{"display_name": "More", "kubespawner_override": override}]
        async with hub(profile_list=profiles, **HIDDEN) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            assert "hunter" not in str(the_pod(cluster))


def rooted(pod: V1Pod) -> V1Pod:
    pod.spec.containers[0].security_context = {"runAsUser": 0}
    return pod


class TestTokenInSecret:
    async def test_by_default_there_is_no_secret(self, hub, cluster):
        async with hub() as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            token = hub.spawner("ada").api_token
            assert environment(the_pod(cluster))["JUPYTERHUB_API_TOKEN"]["value"] == token
        assert secrets(cluster) == {}

    async def test_the_pod_refers_to_a_secret_of_its_own(self, hub, cluster):
        async with hub(**IN_SECRET) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            token = hub.spawner("ada").api_token

            pod = the_pod(cluster)
            assert token not in str(pod)
            assert environment(pod)["JUPYTERHUB_API_TOKEN"]["valueFrom"] == {
                "secretKeyRef": {"name": "jupyter-ada.env", "key": "JUPYTERHUB_API_TOKEN"}
            }
            assert secrets(cluster) == {
                "jupyter-ada.env": {"JUPYTERHUB_API_TOKEN": token, "JPY_API_TOKEN": token}
            }
            (secret,) = cluster.database.all(SECRETS, NAMESPACE)
            (owner,) = metadata_of(secret)["ownerReferences"]
            assert owner["uid"] == uid_of(pod)

            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
        assert secrets(cluster) == {}

    async def test_hooks_see_the_environment_as_ever_and_what_they_add_is_hidden_too(self, hub, cluster):
        seen = []

        def add_a_container(spawner, pod):
            seen.append({entry.name: entry.value for entry in pod.spec.containers[0].env})
            header = {"name": "HEADER", "value": f"token {spawner.api_token}"}
            pod.spec.containers.append(V1Container(name="proxy", image="any", env=[header]))
            return pod

        async with hub(modify_pod_hook=add_a_container, **IN_SECRET) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            token = hub.spawner("ada").api_token

            assert seen[0]["JUPYTERHUB_API_TOKEN"] == token
            assert token not in str(the_pod(cluster))
            assert secrets(cluster)["jupyter-ada.env"]["HEADER"] == f"token {token}"

    async def test_references_to_the_token_stay(self, hub, cluster):
        variables = {"HEADER": "token $(JUPYTERHUB_API_TOKEN)"}
        async with hub(environment=variables, **IN_SECRET) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            variables = environment(the_pod(cluster))
        names = list(variables)
        assert names.index("JUPYTERHUB_API_TOKEN") < names.index("HEADER")
        assert variables["HEADER"]["value"] == "token $(JUPYTERHUB_API_TOKEN)"

    async def test_other_variables_may_be_secret_too(self, hub, cluster):
        async with hub(**HIDDEN) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            pod = the_pod(cluster)
            assert secrets(cluster) == {"jupyter-ada.env": {"DB_PASSWORD": "hunter2"}}
        assert "hunter2" not in str(pod)
        assert environment(pod)["COURSE"]["value"] == "physics"

    async def test_a_variable_that_cannot_be_secret_is_told_by_name_and_does_not_count(
        self, hub, cluster, caplog
    ):
        options = {**HIDDEN, "environment": {"DB_PASSWORD": "hunter2@$(HOST)"}}
        async with hub(hub=NO_WAIT, **options) as hub:
            error = await failed_start(hub)
            assert hub.failure_count == 0
        assert sentence_of(error).endswith("Contact your administrator.")
        assert "environment['DB_PASSWORD'] is secret and refers to other variables" in caplog.text
        assert "hunter2" not in caplog.text

    async def test_after_a_restart_of_the_hub_the_server_runs_on_and_its_secret_goes_with_it(
        self, hub, cluster
    ):
        async with hub(**IN_SECRET) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            before = the_pod(cluster)
            await hub.kill()
            await restart_process()
            await hub.boot()
            assert hub.spawner("ada").ready
            assert the_pod(cluster) == before
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
        assert pods(cluster) == []
        assert secrets(cluster) == {}

    async def test_a_secret_that_an_earlier_pod_left_makes_room(self, hub, cluster):
        async with hub(**IN_SECRET) as hub:
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            (left,) = cluster.database.all(SECRETS, NAMESPACE)
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
            metadata = {name: metadata_of(left)[name] for name in ("name", "namespace", "annotations")}
            cluster.database.create(SECRETS, {**left, "metadata": metadata})
            await hub.start_server("ada")
            await hub.wait_ready("ada")
            token = hub.spawner("ada").api_token
            assert secrets(cluster)["jupyter-ada.env"]["JUPYTERHUB_API_TOKEN"] == token

    async def test_the_secret_of_a_long_name_is_valid(self, cluster):
        run = Run(pod_name_template="x" * 253, **IN_SECRET)
        start = run.starting()
        run.spawner.api_token = "0123456789abcdef"
        await start
        (name,) = secrets(cluster)
        assert len(name) <= 253
        await run.stop()
