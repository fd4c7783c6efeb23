"""The hub logs unusable settings when it starts, and each user who meets one reads a sentence."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.testing.bare import bare_spawner
from devkit.testing.runs import NO_WAIT, failed_start, pods, sentence_of
from k8s_hub import KubeSpawner
from k8s_hub.claims.placement import mounted_claims
from k8s_hub.manifests.pod import PodInputs, bound_to_node
from k8s_hub.naming.ownership import with_attempt_id
from k8s_hub.naming.templates import SettingError
from k8s_hub.spawner import security
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.preflight import unusable
from k8s_hub.spawner.run_log import warn_once

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

UNUSABLE = {
    "JSON in environment": ("environment", {"A": '{"a": 1}'}, "environment['A'] has an unknown field"),
    "a list in environment": ("environment", {"A": ["x"]}, "environment['A'] must be a string"),
    "a number as a variable's name": ("environment", {5: "x"}, "environment has a number as the name of a variable"),
    "JSON in an annotation": ("extra_annotations", {"a": '{"a": 1}'}, "extra_annotations['a'] has an unknown field"),
    "JSON in a label": ("extra_labels", {"a": "{"}, "extra_labels['a'] is a malformed template"),
    "a number in a label": ("extra_labels", {"a": 1}, "extra_labels: metadata.labels['a'] must be a string"),
    "a number in common labels": ("common_labels", {"a": 1}, "common_labels: metadata.labels['a'] must be a string"),
    "true in a node selector": ("node_selector", {"gpu": True}, "node_selector: spec.nodeSelector['gpu'] must be"),
    "JSON in an init container": (
        "init_containers",
        [{"name": "a", "args": ['{"a": 1}']}],
        "init_containers[0]['args'][0] has an unknown field",
    ),
    "a text as container": ("extra_containers", ["a"], "extra_containers[0] must be a dictionary, not a string"),
    "a text as volume": ("volumes", ["a"], "volumes[0] must be a dictionary, not a string"),
    "a text as toleration": ("tolerations", ["a"], "tolerations[0] must be a dictionary, not a string"),
    "snake_case": ("container_security_context", {"run_as_user": 1}, "container_security_context has the key"),
    "snake_case of the pod": ("pod_security_context", {"fs_group": 1}, "pod_security_context has the key"),
    "a set": ("extra_pod_config", {"hostAliases": {"a"}}, "extra_pod_config has a value that is neither JSON nor"),
    "no containers": ("extra_pod_config", {"containers": []}, "extra_pod_config: spec.containers is empty"),
    "an infinite processor": ("cpu_limit", float("inf"), "cpu_limit: spec.containers[0].resources.limits.cpu is no"),
    "a malformed directory": ("working_dir", "/home/{usrname}", "working_dir has an unknown field (did you mean {username}?)"),
    "a malformed URL": ("default_url", "/{usrname}", "default_url has an unknown field (did you mean {username}?)"),
    "a malformed host": ("pod_connect_ip", "{usrname}.x", "pod_connect_ip has an unknown field"),
    "another field in a DNS name": ("dns_name_template", "{username}", "dns_name_template has an unknown field"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "fault"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_unusable_is_named_without_its_value(name, value, fault):
    (found,) = unusable(bare_spawner()._resolver, name, value)
    assert found.startswith(fault)


def test_the_defaults_are_usable():
    spawner = bare_spawner()
    for name in spawner.trait_names(config=True):
        assert list(unusable(spawner._resolver, name, getattr(spawner, name))) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (
            "environment",
            {"A": "{username}", "B": 4, "C": True, "D": None, "E": lambda spawner: "{", "F": {"value": 5}},
        ),
        ("extra_annotations", {"a": '{{"user": "{username}"}}'}),
        ("volumes", {"b": {"name": "b"}, "a": {"name": "a", "hostPath": {"path": "/{username}"}}}),
        ("uid", lambda spawner: "x"),
        ("image", "{not-a-template}"),
    ],
)
def test_what_servers_can_be_started_with_is_not_told(name, value):
    assert list(unusable(bare_spawner()._resolver, name, value)) == []


PROFILES = [
    {"display_name": "Good"},
    {
        "display_name": "Bad",
        "kubespawner_override": {"environment": {"A": '{"a": 1}'}, "mem_limit": "infG", "cpu_limitt": 2},
        "profile_options": {
            "size": {
                "display_name": "Size",
                "choices": {"s": {"display_name": "S", "kubespawner_override": {"volumes": ["x"]}}},
                "unlisted_choice": {"enabled": True, "kubespawner_override": {"imagee": "{value}"}},
            }
        },
    },
]


async def test_the_log_says_it_once_when_the_hub_starts(hub, cluster, caplog):
    warn_once.cache_clear()
    async with hub(profile_list=PROFILES, extra_annotations={"a": "{"}, users=("ada", "bob")) as hub:
        for user in ("ada", "bob"):
            await hub.start_server(user)
    told = [message for message in caplog.messages if message.startswith("KubeSpawner.")]
    assert [message.partition(" ")[0].rstrip(":") for message in told] == [
        "KubeSpawner.profile_list[1].kubespawner_override.mem_limit",
        "KubeSpawner.extra_annotations['a']",
        "KubeSpawner.profile_list[1].kubespawner_override.cpu_limitt",
        "KubeSpawner.profile_list[1].profile_options.size.unlisted_choice.kubespawner_override.imagee",
        "KubeSpawner.profile_list[1].kubespawner_override.environment['A']",
        "KubeSpawner.profile_list[1].profile_options.size.choices.s.kubespawner_override.volumes[0]",
    ]


UNKNOWN = [{"display_name": "A", "kubespawner_override": {"cpu_limitt": 2, "course": "physics"}}]


class Sized(KubeSpawner):
    course = "none"


class Late(KubeSpawner):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.course = "none"


@pytest.mark.parametrize(
    ("spawner_class", "profile_list", "unknown"),
    [
        (KubeSpawner, UNKNOWN, ["cpu_limitt", "course"]),
        (Sized, UNKNOWN, ["cpu_limitt"]),
        (Late, UNKNOWN, []),
        (KubeSpawner, lambda spawner: UNKNOWN, []),
    ],
    ids=["the class itself", "an attribute of a class", "an attribute of later", "a function"],
)
async def test_an_unknown_option_is_told_before_a_user_opens_the_form(
    hub, caplog, spawner_class, profile_list, unknown
):
    warn_once.cache_clear()
    async with hub(profile_list=profile_list, spawner_class=spawner_class) as hub:
        assert hub.app.users["ada"].spawner.name == ""
        place = "KubeSpawner.profile_list[0].kubespawner_override."
        told = [message for message in caplog.messages if message.startswith(place)]
    assert [message.removeprefix(place).partition(":")[0] for message in told] == unknown


async def test_a_misspelled_key_of_a_profile_is_told_when_the_hub_starts(hub, caplog):
    warn_once.cache_clear()
    profiles = [{"display_name": "A", "kubespawner_overide": {"image": "lab"}, "icon": "a.png"}]
    async with hub(profile_list=profiles) as hub:
        assert hub.app.users["ada"].spawner.name == ""
    told = [message for message in caplog.messages if message.startswith("KubeSpawner.")]
    place = "KubeSpawner.profile_list[0].kubespawner_overide"
    assert told == [f"{place}: is unknown, and has no effect; did you mean kubespawner_override?"]


async def test_a_profile_s_extra_claim_is_judged_with_its_place(hub, caplog):
    warn_once.cache_clear()
    scratch = {"name": "scratch", "capacity": "50 GB", "mount_path": "/scratch"}
    profiles = [{"display_name": "A", "kubespawner_override": {"extra_claims": [scratch]}}]
    async with hub(profile_list=profiles) as hub:
        assert await hub.start_server("ada") == 400
    assert (
        "KubeSpawner.profile_list[0].kubespawner_override.extra_claims[0].capacity: "
        "'50 GB' is not a Kubernetes quantity"
    ) in caplog.messages


async def test_a_dictionary_of_a_profile_is_judged_with_what_it_is_merged_into(hub, cluster, caplog):
    """A part of a volume is no volume, and need not be one."""
    home = {"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}
    read_only = {"volumes": {"home": {"persistentVolumeClaim": {"readOnly": True}}}}
    profiles = [{"display_name": "A", "kubespawner_override": read_only}]
    async with hub(volumes={"home": home}, profile_list=profiles) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert pods(cluster)[0]["spec"]["volumes"][0]["persistentVolumeClaim"]["readOnly"] is True
    assert "KubeSpawner.profile_list" not in caplog.text


async def test_a_subclass_with_templates_of_its_own_is_not_blamed(hub, cluster, caplog):
    class Course(KubeSpawner):
        def _expand_user_properties(self, template, slug_scheme=None):
            if "{course" in template:
                return template.format(course="physics")
            return super()._expand_user_properties(template, slug_scheme)

    options = {"working_dir": "/{course}", "extra_labels": {"a": "{course}{of_a_subclass}"}}
    async with hub(spawner_class=Course, **options) as hub:
        assert await hub.start_server("ada") == 400
    assert not [message for message in caplog.messages if message.startswith("KubeSpawner.")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("environment", ["OMP_NUM_THREADS=4"]),  # as Docker Compose has it
        ("extra_labels", ["course"]),
        ("extra_resource_limits", 1),
        ("image_pull_secrets", 5),
        ("secret_environment", 5),
    ],
)
async def test_a_value_of_another_type_in_a_profile_keeps_nobody_s_spawner_from_being_made(
    hub, cluster, caplog, name, value
):
    """The hub makes spawners when it starts: one such profile, and it ended itself at each start."""
    warn_once.cache_clear()
    profiles = [{"display_name": "Good"}, {"display_name": "Bad", "kubespawner_override": {name: value}}]
    async with hub(hub=NO_WAIT, profile_list=profiles) as hub:
        assert await hub.start_server("ada", options={"profile": "good"}) == 202
        await hub.wait_ready("ada")
        error = await failed_start(hub, "bob", options={"profile": "bad"})
        assert f'"Bad" gives {name} an invalid value.' in sentence_of(error)
        assert hub.failure_count == 0
    assert f"KubeSpawner.profile_list[1].kubespawner_override.{name}: " in caplog.text


@pytest.mark.parametrize(
    ("url", "options", "is_told"),
    [
        ("http://hub:8081", {"enable_user_namespaces": True}, True),
        ("http://hub:8081", {}, False),
        ("http://hub.jhub:8081", {"enable_user_namespaces": True}, False),
        ("http://10.0.0.7:8081", {"enable_user_namespaces": True}, False),
        ("http://[fd00::7]:8081", {"enable_user_namespaces": True}, False),
        (
            "http://hub:8081",
            {"enable_user_namespaces": True, "hub_connect_url": "http://hub.jhub:8081"},
            False,
        ),
        (
            "http://hub:8081",
            {
                "enable_user_namespaces": True,
                "environment": {"JUPYTERHUB_API_URL": "http://hub.jhub:8081/hub/api"},
            },
            False,
        ),
    ],
    ids=["chart", "one namespace", "Service with namespace", "IPv4", "IPv6", "of the spawner", "environment"],
)
async def test_a_hub_url_that_other_namespaces_cannot_resolve_is_told(hub, caplog, url, options, is_told):
    warn_once.cache_clear()
    async with hub(hub={"hub_connect_url": url}, **options) as hub:
        assert hub.app.users["ada"].spawner.name == ""
    told = [
        message for message in caplog.messages if message.startswith("KubeSpawner.enable_user_namespaces")
    ]
    fault = (
        "KubeSpawner.enable_user_namespaces = True, but pods outside the hub's namespace cannot resolve the host hub of "
        "the hub's URL http://hub:8081/hub/api: set JupyterHub.hub_connect_url, such as http://hub.jhub:8081 for the "
        "Service hub in the namespace jhub"
    )
    assert told == [fault] * is_told


OVERRIDES = {
    "JSON in environment": {"environment": {"TAGS": '{"team": "x"}'}},
    "JSON in an annotation": {"extra_annotations": {"example.org/tags": '{"team": "x"}'}},
    "JSON in a label": {"extra_labels": {"tags": '{"team": "x"}'}},
    "JSON in an init container": {"init_containers": [{"name": "a", "image": "b", "args": ['{"a": 1}']}]},
    "snake_case": {"container_security_context": {"run_as_user": 1000}},
    "true in a node selector": {"node_selector": {"gpu": True}},
    "a text as container": {"extra_containers": ["side"]},
    "an infinite amount": {"mem_limit": "infG"},
    "no amount": {"mem_guarantee": "nanG"},
    "another field in a DNS name": {"dns_name_template": "{username}"},
    "no containers": {"extra_pod_config": {"containers": []}},
    "a template of the Secret": {
        "secret_name_template": "{",
        "services_enabled": True,
        "dns_name_template": "{",
    },
}


QUICK = {"JSON in environment", "snake_case", "an infinite amount"}


@pytest.mark.parametrize(
    "override",
    [
        pytest.param(override, id=name, marks=[] if name in QUICK else pytest.mark.slow)
        for name, override in OVERRIDES.items()
    ],
)
async def test_five_starts_of_a_broken_profile_leave_the_hub_up(hub, cluster, override):
    """One profile with a mistake, and one user who likes it, ended the hub of all others."""
    profiles = [{"display_name": "Good"}, {"display_name": "Bad", "kubespawner_override": override}]
    async with hub(hub=NO_WAIT, profile_list=profiles, consecutive_failure_limit=3) as hub:
        for _ in range(5):
            error = await failed_start(hub, options={"profile": "bad"})
            assert error.status_code == 400
            assert "contact your administrator" in sentence_of(error).lower()
            assert hub.failure_count == 0
        await hub.start_server("ada", options={"profile": "good"})
        await hub.wait_ready("ada")
        await asyncio.sleep(3)
        assert (await hub.api("GET", "/users"))[0] == 200
        assert len(pods(cluster)) == 1


@pytest.mark.parametrize("name", [None, 5])
async def test_a_name_that_is_no_text_is_a_setting_that_is_not_valid(hub, cluster, name):
    def hook(spawner):
        spawner.pod_name = name

    async with hub(hub=NO_WAIT, pre_spawn_hook=hook) as hub:
        error = await failed_start(hub)
        assert 'a setting of this hub is not valid: "pod_name"' in sentence_of(error)
        assert hub.failure_count == 0


async def test_numbers_and_booleans_of_an_environment_are_text_in_the_pod(hub, cluster):
    """OMP_NUM_THREADS: 4 and VERBOSE: yes, as YAML has them."""
    profiles = [
        {
            "display_name": "A",
            "kubespawner_override": {"environment": {"OMP_NUM_THREADS": 4, "VERBOSE": True}},
        }
    ]
    called = {"RATIO": lambda spawner: 0.5}
    async with hub(profile_list=profiles, environment=called) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (pod,) = pods(cluster)
    env = {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}
    assert (env["OMP_NUM_THREADS"], env["VERBOSE"], env["RATIO"]) == ("4", "true", "0.5")


async def test_a_key_of_profile_options_that_is_no_text_is_one(hub, cluster):
    """Of Python or YAML; what it chose was ignored, and a wrong choice was an error of the hub's."""
    choices = {
        "a": {"kubespawner_override": {"image": "a:1"}},
        "b": {"kubespawner_override": {"image": "b:1"}},
    }
    typed = {"enabled": True, "kubespawner_override": {"extra_labels": {"typed": "{value}"}}}
    profiles = [
        {"display_name": "A", "profile_options": {1: {"choices": choices}, 2: {"unlisted_choice": typed}}}
    ]
    async with hub(hub=NO_WAIT, profile_list=profiles) as hub:
        error = await failed_start(hub, options={"1": "c"})
        assert sentence_of(error) == 'The option "1" has no choice "c"; choose one of "a" and "b".'
        error = await failed_start(hub, options={"1": "b"})
        assert sentence_of(error) == 'The option "2" needs a value.'
        assert hub.failure_count == 0
        await hub.start_server("ada", options={"1": "b", "2--unlisted-choice": "x"})
        await hub.wait_ready("ada")
        assert pods(cluster)[0]["spec"]["containers"][0]["image"] == "b:1"
        assert pods(cluster)[0]["metadata"]["labels"]["typed"] == "x"


# --- Any value in any setting ---

NAMES = st.sampled_from(
    ["name", "env", "value", "valueFrom", "ports", "containers", "metadata", "persistentVolumeClaim", "a_b"]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["", "x", "{username}", "{", '{"a": 1}', "$(A)", "\ud800", b"x", 10**400])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(NAMES | st.sampled_from([1, "x"]), inner, max_size=3)
        | st.lists(st.dictionaries(NAMES, inner, max_size=3), max_size=2)
    ),
    max_leaves=8,
)
SETTINGS = sorted(
    {*PodInputs.__dataclass_fields__, "environment", "extra_labels", "extra_annotations", "common_labels"}
    & {*KubeSpawner.class_trait_names(config=True)}
)


@pytest.mark.parametrize("hook", [None, lambda spawner, pod: pod], ids=["plain", "with a hook"])
@given(st.sampled_from(SETTINGS), VALUES)
@settings(deadline=None)
def test_any_value_of_any_setting_makes_a_pod_or_is_told(hook, name, value):
    """Nothing else is raised, which would be an error of our own that the hub counts."""
    spawner = bare_spawner(modify_pod_hook=hook)
    try:
        setattr(spawner, name, value)
    except Exception:  # noqa: BLE001 - the setting's own refusal, which a start tells whatever it is
        return
    told = list(unusable(spawner._resolver, name, getattr(spawner, name)))
    try:
        pod = asyncio.run(spawner._manifests.pod())
        security.secrets_in(pod, spawner)
        secured = security.secured(pod, security.Protection.of(spawner), spawner.api_token)
        mounted_claims(secured.pod)
        json.dumps(with_attempt_id(bound(secured.pod), "mark"), allow_nan=False)
    except (SettingError, SpawnFailed):
        assert told or hook
    else:
        assert not told


def bound(pod):
    return {**pod, "spec": {**pod["spec"], "affinity": bound_to_node(pod["spec"].get("affinity"), "node")}}
