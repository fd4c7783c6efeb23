"""Values that do not fit: one to a case. Refused by both, or by one for a listed reason."""

from typing import Any

from hypothesis import strategies as st

from devkit.differential import recipes
from devkit.differential.drawing import TRAITS, servernames, usernames

_BAD_TEMPLATES = (
    "{nothing-so}",
    "{user_name}",
    "{",
    "}",
    "{}",
    "{0}",
    "{username.x}",
    "{username[x]}",
    "{userid:s}",
)
_TEMPLATES = (
    "pod_name_template",
    "pvc_name_template",
    "secret_name_template",
    "user_namespace_template",
    "dns_name_template",
    "pod_connect_ip",
    "working_dir",
    "service_account",
)
_DICTS_OF_TEMPLATES = (
    "extra_labels",
    "extra_annotations",
    "environment",
    "storage_extra_labels",
    "storage_extra_annotations",
    "storage_selector",
)
_OBJECTS = (
    "volumes",
    "volume_mounts",
    "init_containers",
    "extra_containers",
    "tolerations",
    "node_affinity_preferred",
    "node_affinity_required",
    "pod_affinity_preferred",
    "pod_affinity_required",
    "pod_anti_affinity_preferred",
    "pod_anti_affinity_required",
)

VALUES: list[tuple[str, Any]] = [
    *((trait, template) for trait in _TEMPLATES for template in _BAD_TEMPLATES),
    *((trait, {"A": template}) for trait in _DICTS_OF_TEMPLATES for template in _BAD_TEMPLATES),
    *(
        (trait, [{"name": template}])
        for trait in ("volumes", "init_containers")
        for template in _BAD_TEMPLATES
    ),
    ("extra_pod_config", {"hostname": "{nothing-so}"}),
    *((trait, [{"name": "x", "nothing_so": 1}]) for trait in _OBJECTS),
    *((trait, ["text"]) for trait in _OBJECTS),
    *((trait, [None]) for trait in _OBJECTS),
    *((trait, "text") for trait in _OBJECTS),
    *((trait, [{}]) for trait in _OBJECTS),
    *((trait, {"a": None}) for trait in _OBJECTS),
    *((trait, None) for trait in sorted(TRAITS)),
    *((trait, "text") for trait in ("uid", "gid", "fs_gid", "port", "privileged", "cpu_limit", "debug")),
    *((trait, {recipes.FUNCTION: "text"}) for trait in ("uid", "gid", "fs_gid", "supplemental_gids")),
    *((trait, {recipes.FUNCTION: "7"}) for trait in ("uid", "gid", "fs_gid", "supplemental_gids")),
    *((trait, {recipes.FUNCTION: 7}) for trait in ("container_security_context", "pod_security_context")),
    *((trait, {"run_as_user": 1}) for trait in ("container_security_context", "pod_security_context")),
    ("supplemental_gids", ["text"]),
    ("supplemental_gids", ["7"]),
    ("environment", {"A": 5}),
    ("environment", {"A": True}),
    ("environment", {"A": {"value": 5}}),
    ("environment", {"A": {"nothing_so": "x"}}),
    ("environment", {"A": ["x"]}),
    ("environment", {"A": {recipes.FUNCTION: 5}}),
    ("extra_container_config", {"nothing_so": 1}),
    ("extra_container_config", {"nothingSo": 1}),
    ("extra_pod_config", {"nothing_so": 1}),
    ("extra_pod_config", {"containers": None}),
    ("lifecycle_hooks", {"nothing_so": {}}),
    ("image_pull_secrets", "regcred"),
    ("image_pull_secrets", [{"nothing": "x"}]),
    ("image_pull_secrets", [5]),
    ("mem_limit", "lots"),
    ("mem_limit", "1Gi"),
    ("storage_capacity", "lots"),
    ("storage_capacity", ""),
    ("storage_capacity", "{username}"),
    ("slow_spawn_message", "{username}"),
    ("slow_spawn_message", "{"),
    ("slug_scheme", "snake"),
    ("extra_labels", {"a": 5}),
    ("extra_annotations", {"a": None}),
    ("common_labels", {"a": True}),
    ("node_selector", {"a": 5}),
    ("profile_list", "text"),
    ("profile_list", ["text"]),
    ("profile_list", [{}]),
    ("profile_list", [{"display_name": "A"}, {"display_name": "a"}]),
    ("profile_list", [{"display_name": "A", "profile_options": {"o": {"display_name": "O"}}}]),
    ("profile_list", [{"display_name": "A", "kubespawner_override": {"mem_limit": "lots"}}]),
    ("profile_list", [{"display_name": "A", "kubespawner_override": {"nothing_so": 1}}]),
    ("profile_list", [{"display_name": "A", "kubespawner_override": {"uid": {recipes.FUNCTION: "text"}}}]),
    ("cmd", ""),
    ("cmd", [5]),
    ("args", "text"),
]

unfit_cases = st.builds(
    lambda username, servername, traits, unfit: {
        "username": username,
        "servername": servername,
        "traits": {**traits, unfit[0]: unfit[1]},
        "unfit": unfit[0],
    },
    usernames,
    servernames,
    st.fixed_dictionaries(
        {}, optional={name: TRAITS[name] for name in ("slug_scheme", "namespace", "extra_labels")}
    ),
    st.sampled_from(VALUES),
)
