"""What hypothesis draws: cases of odd but valid configurations, users and servers.

Values that a spawner must refuse are drawn apart (`unfit.py`), one to a case, so that they hide nothing else.
"""

from typing import Any

from hypothesis import strategies as st

from devkit.differential import recipes

Drawn = st.SearchStrategy[Any]

FIELDS = (
    "userid",
    "unescaped_username",
    "unescaped_servername",
    "hubnamespace",
    "username",
    "servername",
    "user_server",
    "safe_username",
    "safe_servername",
    "safe_user_server",
    "escaped_username",
    "escaped_servername",
    "escaped_user_server",
    "legacy_escape_username",
    "pod_name",
    "pvc_name",
    "namespace",
)

# --- Names ---

# Beyond letters: what cannot stand in a label, letters that become others or longer in lower case, dashes.
_IN_NAMES = st.one_of(
    st.sampled_from("abcXYZ0189"),
    st.sampled_from("---_.@ +'\"/\\{}%$\n\t\x7f"),
    st.sampled_from("\u212a\u017f\u0130\u00df\u01c5\u0661\u00fc\u7528\u6237\U0001f600\u0301\u200d"),
    st.characters(exclude_categories=["Cs"]),
)
_ODD_NAMES = [
    "ada",
    "user-1",
    "user--1",
    "User",
    "jane.doe@example.org",
    "9user",
    "\u00fcser",
    "\u7528\u6237",
    "user_name",
    "a.b",
    "user-",
    "-user",
    "a" * 46,
    "a" * 47,
    "a" * 48,
    "a" * 49,
    "a" * 63,
    "a" * 64,
    "a" * 70,
    "A" * 32,
    "x" * 250,
    "ada---12345678",
    "a\u212ab",
    "a\u017fb",
    "abc\n",
    "Abc\n",
    "0",
    "-",
    "--",
    "_",
]
_names_at_limits = st.sampled_from([46, 47, 48, 49, 62, 63, 64, 65]).map(lambda length: "a" * length)
"""Names that need a hash only because of their length: the limits of slugs and labels are here."""
usernames = st.one_of(
    st.sampled_from(_ODD_NAMES),
    _names_at_limits,
    st.text("abcdefghij-0123456789", min_size=1, max_size=20),
    st.text("abcABC019-._@", min_size=1, max_size=70),
    st.text(_IN_NAMES, min_size=1, max_size=30),
    st.builds(
        lambda part, times: (part * times)[:230],
        st.text(_IN_NAMES, min_size=1, max_size=9),
        st.integers(4, 60),
    ),
)
servernames = st.one_of(
    st.just(""),
    st.sampled_from([*_ODD_NAMES, "gpu", "Some Name", "server-name"]),
    _names_at_limits,
    st.text("abcABC019-._ ", max_size=60),
    st.text(_IN_NAMES, max_size=40),
)
userids = st.integers(1, 10**7)

# --- Strings ---

_PIECES = st.one_of(
    st.sampled_from(
        ["home", "a-b", "x_y", "/", ".", "-", "--", "0", "\u00c4", "$(HOME)", "$$(A)", " ", "true", "null"]
    ),
    st.text("abcXYZ019-._/ ", max_size=6),
)
_FIELD = st.one_of(
    st.sampled_from(FIELDS).map(lambda name: "{" + name + "}"),
    st.sampled_from(
        ["{username!r}", "{userid:08d}", "{username:.5}", "{user_server:>60}", "{{", "}}", "{{username}}"]
    ),
)
templates = st.lists(st.one_of(_FIELD, _FIELD, _PIECES), max_size=4).map("".join)
"""Templates as admins write them: any field anywhere, conversions, literal braces."""
words = st.one_of(
    st.sampled_from(["", "home", "{username}", "{", "}", "{{x}}", "a\nb", "\u00e9", "default", "None", "~"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
"""Strings that are no templates."""
_keys = st.one_of(
    st.sampled_from(["a", "b", "example.org/key", "{username}", "UPPER", "app", "release", "component"]),
    st.text("abc/._-", max_size=5),
)
names_template = st.one_of(
    st.sampled_from(
        [
            "jupyter-{user_server}",
            "jupyter-{username}--{servername}",
            "claim-{username}{servername}",
            "{username}-{servername}-",
            "claim-{escaped_user_server}",
            "jupyter-{userid}",
            "shared",
        ]
    ),
    templates,
)


def dicts(keys: Drawn, values: Drawn, max_size: int = 3) -> Drawn:
    return st.dictionaries(keys, values, max_size=max_size)


def optional(strategy: Drawn) -> Drawn:
    return st.none() | strategy


def may_be_called(strategy: Drawn) -> Drawn:
    return st.one_of(
        strategy,
        strategy.map(lambda value: {recipes.FUNCTION: value}),
        strategy.map(lambda value: {recipes.COROUTINE: value}),
    )


labels = dicts(_keys, templates)
plain_labels = dicts(_keys, words)

# --- Objects of the Kubernetes API ---


def objects(
    required: dict[str, Drawn], either: list[tuple[str, str, Drawn]], model: str | None = None
) -> Drawn:
    """Return objects with these fields, each of the others in snake_case or camelCase or left out.

    With a model's name, some of them are objects of this class.
    """

    @st.composite
    def draw_object(draw: Any) -> Any:
        fields = {name: draw(strategy) for name, strategy in required.items()}
        chosen = (
            draw(st.lists(st.sampled_from(either), max_size=4, unique_by=lambda field: field[0]))
            if either
            else []
        )
        as_model = model is not None and draw(st.integers(0, 4)) == 0
        for snake, camel, strategy in chosen:
            name = snake if as_model or draw(st.booleans()) else camel
            fields[name] = draw(strategy) if draw(st.integers(0, 9)) else None
        return {recipes.MODEL: model, "fields": fields} if as_model else fields

    return draw_object()


def listed(strategy: Drawn, *, lazy: bool = True) -> Drawn:
    """Return lists, dicts whose keys give the order, and lists that the configuration appends to."""
    as_list = st.lists(strategy, max_size=3)
    as_dict = dicts(st.sampled_from(["10-a", "2-b", "b", "A", "\u00fc", "01"]), strategy)
    if not lazy:
        return as_list | as_dict
    as_lazy = st.one_of(
        strategy.map(lambda item: [["append", item]]),
        as_list.map(lambda items: [["extend", items]]),
        st.tuples(strategy, strategy).map(lambda pair: [["append", pair[0]], ["insert_first", pair[1]]]),
    ).map(lambda calls: {recipes.LAZY: [["append" if m == "insert_first" else m, a] for m, a in calls]})
    return st.one_of(as_list, as_list, as_dict, as_lazy)


_volume_names = st.sampled_from(["home", "data", "volume-{username}", "v{{1}}", "jupyterhub-internal-certs"])
_resources = st.sampled_from(
    [{}, {"limits": {"cpu": 1}}, {"requests": {"memory": "1Gi", "cpu": None}}, {"limits": None}]
)
volumes = objects(
    {"name": _volume_names},
    [
        (
            "persistent_volume_claim",
            "persistentVolumeClaim",
            st.builds(lambda name: {"claimName": name}, templates),
        ),
        ("empty_dir", "emptyDir", st.sampled_from([{}, {"medium": "Memory"}, {"sizeLimit": None}])),
        ("config_map", "configMap", st.builds(lambda name: {"name": name, "optional": True}, templates)),
        ("host_path", "hostPath", st.builds(lambda path: {"path": path}, templates)),
        ("secret", "secret", st.builds(lambda name: {"secretName": name, "defaultMode": 0o400}, templates)),
        ("nfs", "nfs", st.just({"server": "nfs", "path": "/{username}", "read_only": True})),
        ("downward_api", "downwardAPI", st.just({"items": [{"path": "labels"}]})),
        ("scale_io", "scaleIO", st.just({"gateway": "{username}"})),
        ("aws_elastic_block_store", "awsElasticBlockStore", st.just({"volumeID": "{userid}"})),
        ("csi", "csi", st.just({"driver": "d", "volumeAttributes": {"a": "{pvc_name}"}})),
    ],
    "V1Volume",
)
volume_mounts = objects(
    {"name": _volume_names},
    [
        ("sub_path", "subPath", templates),
        ("sub_path_expr", "subPathExpr", st.just("$(HOME)")),
        ("read_only", "readOnly", st.booleans()),
        ("mount_propagation", "mountPropagation", st.just("None")),
    ],
).flatmap(
    lambda mount: st.builds(
        lambda path, snake: {**mount, ("mount_path" if snake else "mountPath"): path},
        templates,
        st.booleans(),
    )
) | st.builds(
    lambda path: {recipes.MODEL: "V1VolumeMount", "fields": {"name": "home", "mount_path": path}}, templates
)
environment_entry = st.one_of(
    st.builds(lambda name, value: {"name": name, "value": value}, st.sampled_from("ABC"), templates),
    st.just({"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
)
containers = objects(
    {"name": st.sampled_from(["notebook", "side", "init-{username}", "c{{}}"])},
    [
        ("image", "image", templates),
        ("image_pull_policy", "imagePullPolicy", st.just("Always")),
        ("command", "command", st.lists(templates, max_size=2)),
        ("args", "args", st.lists(templates, max_size=2)),
        ("env", "env", st.lists(environment_entry, max_size=2)),
        ("env_from", "envFrom", st.just([{"configMapRef": {"name": "{username}"}}])),
        (
            "volume_mounts",
            "volumeMounts",
            st.just([{"name": "home", "mountPath": "/{username}", "subPath": None}]),
        ),
        (
            "security_context",
            "securityContext",
            st.sampled_from([{"runAsUser": 0}, {}, {"privileged": True}]),
        ),
        ("resources", "resources", _resources),
        ("ports", "ports", st.just([{"containerPort": 80, "name": "http"}])),
        ("working_dir", "workingDir", templates),
        ("tty", "tty", st.booleans()),
        ("restart_policy", "restartPolicy", st.just("Always")),
        ("liveness_probe", "livenessProbe", st.just({"httpGet": {"path": "/{username}", "port": 80}})),
    ],
    "V1Container",
)
tolerations = objects(
    {},
    [
        ("key", "key", words),
        ("operator", "operator", st.sampled_from(["Exists", "Equal"])),
        ("value", "value", words),
        ("effect", "effect", st.sampled_from(["NoSchedule", ""])),
        ("toleration_seconds", "tolerationSeconds", st.integers(0, 300)),
    ],
    "V1Toleration",
)
_expressions = st.lists(
    st.fixed_dictionaries({"key": words, "operator": st.just("In"), "values": st.lists(words, max_size=2)}),
    max_size=2,
)
node_terms = objects(
    {},
    [("match_expressions", "matchExpressions", _expressions), ("match_fields", "matchFields", _expressions)],
    "V1NodeSelectorTerm",
)
preferred_nodes = objects(
    {"weight": st.integers(1, 100), "preference": st.builds(lambda e: {"matchExpressions": e}, _expressions)},
    [],
    "V1PreferredSchedulingTerm",
)
_pod_term = {
    "labelSelector": {"matchLabels": {"app": "{username}"}},
    "topologyKey": "kubernetes.io/hostname",
    "namespaces": None,
}
required_pods = st.one_of(
    st.builds(lambda key: {**_pod_term, "topologyKey": key}, words),
    st.builds(lambda key: {"topology_key": key, "label_selector": {"matchLabels": {}}}, words),
    st.just({recipes.MODEL: "V1PodAffinityTerm", "fields": {"topology_key": "zone", "namespaces": ["a"]}}),
)
preferred_pods = st.builds(
    lambda weight, snake: {
        "weight": weight,
        ("pod_affinity_term" if snake else "podAffinityTerm"): _pod_term,
    },
    st.integers(1, 100),
    st.booleans(),
)
_handler = st.sampled_from(
    [{"exec": {"command": ["sh", "-c", "echo {username}"]}}, {"httpGet": {"path": "/", "port": 80}}, None]
)
lifecycle_hooks = objects({}, [("post_start", "postStart", _handler), ("pre_stop", "preStop", _handler)])
container_config = objects(
    {},
    [
        ("env_from", "envFrom", st.just([{"configMapRef": {"name": "{username}"}}])),
        ("env", "env", st.lists(environment_entry, max_size=2)),
        ("image", "image", words),
        ("args", "args", st.lists(words, max_size=2)),
        ("command", "command", st.lists(words, max_size=2)),
        ("working_dir", "workingDir", words),
        ("security_context", "securityContext", st.sampled_from([{"runAsUser": 5}, {}])),
        ("volume_mounts", "volumeMounts", st.just([{"name": "x", "mountPath": "/x"}])),
        ("volume_devices", "volumeDevices", st.just([{"name": "x", "devicePath": "/x"}])),
        ("resources", "resources", _resources),
        ("stdin_once", "stdinOnce", st.booleans()),
        ("termination_message_path", "terminationMessagePath", words),
        ("ports", "ports", st.just([{"containerPort": 8888, "name": "notebook-port"}])),
        ("startup_probe", "startupProbe", st.just({"exec": {"command": ["a"]}})),
    ],
)
pod_config = objects(
    {},
    [
        ("host_network", "hostNetwork", st.booleans()),
        ("host_pid", "hostPID", st.booleans()),
        ("host_ipc", "hostIPC", st.booleans()),
        ("dns_policy", "dnsPolicy", templates),
        ("dns_config", "dnsConfig", st.just({"searches": ["{username}.local"]})),
        ("restart_policy", "restartPolicy", st.sampled_from(["Always", "Never"])),
        ("termination_grace_period_seconds", "terminationGracePeriodSeconds", st.integers(0, 60)),
        ("host_aliases", "hostAliases", st.just([{"ip": "10.0.0.1", "hostnames": ["{username}"]}])),
        ("hostname", "hostname", templates),
        ("node_selector", "nodeSelector", st.builds(lambda value: {"a": value}, templates)),
        ("service_account", "serviceAccount", templates),
        ("service_account_name", "serviceAccountName", templates),
        ("runtime_class_name", "runtimeClassName", templates),
        ("tolerations", "tolerations", st.just([{"key": "{username}", "operator": "Exists"}])),
        ("volumes", "volumes", st.just([{"name": "only", "emptyDir": {}}])),
        ("init_containers", "initContainers", st.just([{"name": "one", "image": "{username}"}])),
        ("affinity", "affinity", st.just({"nodeAffinity": {}})),
        ("security_context", "securityContext", st.just({"fsGroup": 1})),
        ("set_hostname_as_fqdn", "setHostnameAsFQDN", st.booleans()),
        ("topology_spread_constraints", "topologySpreadConstraints", st.just([{"maxSkew": 1}])),
        ("share_process_namespace", "shareProcessNamespace", st.booleans()),
        ("enable_service_links", "enableServiceLinks", st.booleans()),
        ("automount_service_account_token", "automountServiceAccountToken", st.booleans()),
        ("image_pull_secrets", "imagePullSecrets", st.just([{"name": "s-{username}"}])),
    ],
)
security_contexts = dicts(
    st.sampled_from(
        ["runAsUser", "runAsNonRoot", "fsGroup", "supplementalGroups", "capabilities", "privileged"]
    ),
    st.sampled_from([0, 1000, True, None, {"drop": ["ALL"]}, [1, 2]]),
)

# --- Environment ---

_variable_names = st.sampled_from(
    ["A", "B", "C", "D", "PATH", "a", "Z_9", "JUPYTERHUB_API_URL", "JUPYTERHUB_USER"]
)
_references = st.lists(
    st.one_of(
        _variable_names.map(lambda name: f"$({name})"),
        st.sampled_from(["x", "$$(A)", "$(", "{username}", ")"]),
    ),
    max_size=3,
).map("".join)
_variables = st.one_of(templates, _references)
environments = st.dictionaries(_variable_names, _references, min_size=3, max_size=6) | dicts(
    _variable_names,
    st.one_of(
        _variables,
        _references,
        st.none(),
        st.builds(lambda value: {"value": value}, _variables),
        st.builds(lambda name, value: {"name": name, "value": value}, _variable_names, _variables),
        st.just({"valueFrom": {"secretKeyRef": {"name": "{username}", "key": "k"}}}),
        st.just({"name": "FROM", "value_from": {"fieldRef": {"fieldPath": "metadata.{username}"}}}),
        words.map(lambda value: {recipes.FUNCTION: value}),
    ),
    max_size=6,
)

# --- Traits ---

_ids = may_be_called(st.one_of(st.none(), st.just(0), st.integers(0, 2**31))) | st.integers(0, 9).map(
    lambda n: {recipes.OF_USER: n}
)
_seconds = st.integers(0, 600)
_memory = st.sampled_from([None, 0, 1024, "1G", "512M", "1.5G", "2T", 1073741824])
_cores = st.sampled_from([None, 0, 0.5, 1, 2.0, 1.25])
_extra_resources = dicts(
    st.sampled_from(["nvidia.com/gpu", "cpu", "memory", "ephemeral-storage"]),
    st.sampled_from(["1", 1, "10Gi", 0, "{username}", None]),
)
TRAITS: dict[str, Drawn] = {
    "additional_profile_form_template_paths": st.just([]),
    "allow_privilege_escalation": st.booleans(),
    "args": st.lists(words, max_size=3),
    "automount_service_account_token": optional(st.booleans()),
    "cmd": st.one_of(st.none(), words, st.lists(words, max_size=3)),
    "common_labels": plain_labels,
    "component_label": words,
    "container_security_context": may_be_called(security_contexts),
    "cpu_guarantee": _cores,
    "cpu_limit": _cores,
    "consecutive_failure_limit": st.integers(0, 5),
    "debug": st.booleans(),
    "delete_grace_period": _seconds,
    "delete_pvc": st.booleans(),
    "delete_stopped_pods": st.booleans(),
    "default_url": st.sampled_from(["", "/lab", "/user/{username}/tree", "{base_url}x"]),
    "disable_user_config": st.booleans(),
    "dns_name_template": st.lists(
        st.one_of(st.sampled_from(["{name}", "{namespace}", ".svc", "-", "{{x}}", "{name:.9}"]), _PIECES),
        max_size=4,
    ).map("".join),
    "enable_user_namespaces": st.booleans(),
    "env_keep": st.lists(st.sampled_from(["PATH", "NOT_THERE", "HOME"]), max_size=2),
    "environment": environments,
    "events_enabled": st.booleans(),
    "extra_annotations": labels,
    "extra_container_config": container_config,
    "extra_containers": listed(containers),
    "extra_labels": labels,
    "extra_pod_config": pod_config,
    "extra_resource_guarantees": _extra_resources,
    "extra_resource_limits": _extra_resources,
    "fs_gid": _ids,
    "get_pod_url": words.map(lambda value: {recipes.POD_URL: value}),
    "gid": _ids,
    "handle_legacy_names": st.booleans(),
    "http_timeout": _seconds,
    "hub_connect_ip": optional(st.sampled_from(["", "hub"])),
    "hub_connect_port": st.sampled_from([0, 8081]),
    "hub_connect_url": optional(st.sampled_from(["http://hub.example.org:8081", "https://other/x"])),
    "image": words,
    "image_pull_policy": optional(st.sampled_from(["Always", "IfNotPresent", "Never", "", "{username}"])),
    "image_pull_secrets": st.one_of(
        st.lists(st.one_of(words, st.builds(lambda name: {"name": name}, words)), max_size=3),
        words.map(lambda name: [{recipes.MODEL: "V1LocalObjectReference", "fields": {"name": name}}]),
    ),
    "init_containers": listed(containers),
    "ip": st.sampled_from(["", "0.0.0.0", "::", "127.0.0.1", "host.example.org"]),
    "k8s_api_request_retry_timeout": _seconds,
    "k8s_api_request_timeout": st.integers(1, 60),
    "lifecycle_hooks": lifecycle_hooks,
    "mem_guarantee": _memory,
    "mem_limit": _memory,
    "modify_pod_hook": words.map(lambda value: {recipes.POD_HOOK: value}),
    "namespace": st.sampled_from(["default", "hub", "", "jupyter-users"]),
    "node_affinity_preferred": listed(preferred_nodes),
    "node_affinity_required": listed(node_terms),
    "node_selector": plain_labels,
    "notebook_dir": st.sampled_from(["", "~/work", "/home/{username}"]),
    "oauth_client_allowed_scopes": st.just([]),
    "oauth_roles": st.just(["user"]),
    "pod_affinity_preferred": listed(preferred_pods),
    "pod_affinity_required": listed(required_pods),
    "pod_anti_affinity_preferred": listed(preferred_pods),
    "pod_anti_affinity_required": listed(required_pods),
    "pod_connect_ip": st.one_of(
        st.just(""),
        st.lists(templates.filter(lambda template: ":." not in template), max_size=3).map(".".join),
    ),
    "pod_name_template": names_template,
    "pod_security_context": may_be_called(security_contexts),
    "poll_interval": _seconds,
    "poll_jitter": st.sampled_from([0, 0.5]),
    "port": st.sampled_from([0, 1, 8888, 9999, 65535]),
    "priority_class_name": words,
    "privileged": st.booleans(),
    "pvc_name_template": names_template,
    "remember_pvc_name": st.booleans(),
    "scheduler_name": optional(words),
    "secret_mount_path": st.sampled_from(["/etc/jupyterhub/ssl/", "/ssl", "/{username}/"]),
    "secret_name_template": st.one_of(st.sampled_from(["{pod_name}", "{pod_name}-{namespace}"]), templates),
    "server_token_scopes": st.just(["self"]),
    "service_account": optional(templates),
    "services_enabled": st.booleans(),
    "slug_scheme": st.sampled_from(["safe", "escape"]),
    "slow_spawn_message": st.sampled_from(["", "slow", "{seconds} s", "{{x}} \u00fc {seconds}"]),
    "slow_spawn_message_frequency": _seconds,
    "slow_spawn_message_threshold": _seconds,
    "ssl_alt_names": st.lists(words, max_size=2),
    "ssl_alt_names_include_local": st.booleans(),
    "start_timeout": _seconds,
    "storage_access_modes": st.lists(
        st.sampled_from(["ReadWriteOnce", "ReadWriteMany", "{username}"]), max_size=2
    ),
    "storage_capacity": optional(st.sampled_from(["1Gi", "10G", "500Mi", "1", "0.5Ti"])),
    "storage_class": optional(words),
    "storage_extra_annotations": labels,
    "storage_extra_labels": labels,
    "storage_pvc_ensure": st.booleans(),
    "storage_selector": st.one_of(
        st.just({}),
        st.builds(lambda value: {"matchLabels": {"a": value}}, templates),
        st.builds(lambda value: {"matchExpressions": [{"key": "{username}", "values": [value]}]}, templates),
    ),
    "supplemental_gids": may_be_called(st.lists(st.integers(0, 70000), max_size=3)),
    "tolerations": listed(tolerations),
    "uid": _ids,
    "user_namespace_annotations": labels,
    "user_namespace_labels": labels,
    "user_namespace_template": st.one_of(
        st.sampled_from(["{hubnamespace}-{username}", "{user_server}"]), templates
    ),
    "volume_mounts": listed(volume_mounts),
    "volumes": listed(volumes),
    "working_dir": optional(templates),
}
"""A strategy for each trait that has an influence on what is compared; those of profiles are in `choosing.py`."""

PROFILES = frozenset({"profile_list", "profile_form_template", "options_form"})
"""Drawn by `choosing.py`."""

_CONNECTION = "says how to reach the cluster, which neither side does here"
_HOOK = "is called by JupyterHub, or when the pod exists; nothing that is compared depends on it"
NOT_DRAWN: dict[str, str] = {
    "k8s_api_host": _CONNECTION,
    "k8s_api_ssl_ca_cert": _CONNECTION,
    "k8s_api_threadpool_workers": _CONNECTION,
    "k8s_api_verify_ssl": _CONNECTION,
    "after_pod_created_hook": _HOOK,
    "auth_state_hook": _HOOK,
    "post_stop_hook": _HOOK,
    "pre_spawn_hook": _HOOK,
    "progress_ready_hook": _HOOK,
    "apply_user_options": "is applied by JupyterHub's own code, through traits that are drawn",
    "group_overrides": "is applied by JupyterHub's own code, through traits that are drawn",
    "options_from_form": "replaces the reading of the form, of which nothing is left to compare",
}
"""The traits that are not drawn, and why."""

_OLD_NAMES = (
    "image_spec",
    *(
        f"singleuser_{name}"
        for name in (
            "working_dir",
            "service_account",
            "extra_labels",
            "extra_annotations",
            "image_spec",
            "image_pull_policy",
            "image_pull_secrets",
            "node_selector",
            "uid",
            "fs_gid",
            "supplemental_gids",
            "privileged",
            "allow_privilege_escalation",
            "lifecycle_hooks",
            "extra_pod_config",
            "init_containers",
            "extra_container_config",
            "extra_containers",
        )
    ),
    *(f"user_storage_{name}" for name in ("class", "pvc_ensure", "capacity", "extra_labels", "access_modes")),
)
_IMAGES = {"image_spec": "image", "singleuser_image_spec": "image"}
DEPRECATED = {old: old.split("_", 1)[1] for old in _OLD_NAMES} | _IMAGES
"""Names of before 0.9 and 0.10, and what they are called now."""
TRAITS |= {old: TRAITS[new] for old, new in DEPRECATED.items()}

# --- Pods ---

_addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.sampled_from(["::1", "fd00::1", "10.0.0.1", "::ffff:10.0.0.1"]),
)
_ports = st.lists(
    st.fixed_dictionaries(
        {"containerPort": st.integers(1, 65535)},
        optional={"name": st.sampled_from(["notebook-port", "http"])},
    ),
    max_size=2,
)
_notebook_ports = st.integers(1, 65535).map(lambda port: [{"containerPort": port, "name": "notebook-port"}])
pods = st.builds(
    lambda address, containers: {
        "metadata": {"name": "pod", "namespace": "default", "uid": "1"},
        "status": {"podIP": address},
        "spec": {"containers": containers},
    },
    _addresses,
    st.lists(
        st.one_of(
            st.fixed_dictionaries({"name": st.just("notebook"), "ports": _notebook_ports}),
            st.fixed_dictionaries({"name": st.just("notebook"), "ports": _notebook_ports}),
            st.fixed_dictionaries(
                {"name": st.sampled_from(["notebook", "side"])}, optional={"ports": _ports}
            ),
        ),
        min_size=1,
        max_size=3,
    ),
)

# --- Saved states ---

_state_values = st.one_of(
    st.text("abc-", min_size=1, max_size=9), st.sampled_from(["jupyter-ada", "claim-ada--2"])
)
states = st.fixed_dictionaries(
    {},
    optional={
        "pod_name": _state_values,
        "namespace": _state_values,
        "dns_name": _state_values,
        "pvc_name": _state_values,
        "kubespawner_version": st.sampled_from(["7.1.0", "7.0.0", "6.2.0"]),
    },
)

# --- Cases ---


def _traits(names: list[str], max_size: int) -> Drawn:
    @st.composite
    def draw_traits(draw: Any) -> dict[str, Any]:
        size = draw(st.integers(0, max_size))
        chosen = draw(st.lists(st.sampled_from(names), min_size=size, max_size=size, unique=True))
        if "environment" in names and "environment" not in chosen and draw(st.booleans()):
            chosen.append("environment")  # the one that everybody has
        if "cmd" in chosen and "args" not in chosen and draw(st.booleans()):
            chosen.append("args")  # without a command they are left out
        return {name: draw(TRAITS[name]) for name in chosen}

    return draw_traits()


_NAMING = [
    "slug_scheme",
    "pod_name_template",
    "pvc_name_template",
    "secret_name_template",
    "dns_name_template",
    "user_namespace_template",
    "enable_user_namespaces",
    "namespace",
    "remember_pvc_name",
    "extra_labels",
    "pod_connect_ip",
    "services_enabled",
    "get_pod_url",
    "port",
    "ip",
]
_WHO = {"username": usernames, "servername": servernames}

naming_cases = st.fixed_dictionaries(
    {**_WHO, "traits": _traits(_NAMING, 8), "templates": st.lists(templates, max_size=3), "pod": pods},
    optional={"state": states, "userid": userids, "internal_ssl": st.booleans()},
)
"""Names, state, address: all kinds of users, few traits."""

manifest_cases = st.fixed_dictionaries(
    {**_WHO, "traits": _traits(sorted(TRAITS), 48)},
    optional={"internal_ssl": st.booleans(), "userid": userids},
)
"""Manifests: any traits together."""
