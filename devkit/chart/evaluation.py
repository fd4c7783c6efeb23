"""Evaluates values of the Zero to JupyterHub chart to a hub's configuration.

This is our own reimplementation, for tests of the files in helm-values/. It has three steps, each on top of the last:
values to traits, the sections of `hub.config` (shallow), the pieces of `hub.extraConfig` (sorted, in one namespace).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from kubernetes_asyncio.client import V1Capabilities, V1Container, V1ResourceRequirements, V1SecurityContext
from traitlets.config import Config

CULLER = "jupyterhub-idle-culler"
CULLER_SCOPES = ["list:users", "read:users:activity", "read:servers", "delete:servers"]

# Which value each trait comes from, below `singleuser` and `hub`; null leaves the trait alone.
OF_SINGLEUSER = {
    "pod_name_template": "podNameTemplate",
    "start_timeout": "startTimeout",
    "image_pull_policy": "image.pullPolicy",
    "events_enabled": "events",
    "extra_labels": "extraLabels",
    "extra_annotations": "extraAnnotations",
    "uid": "uid",
    "fs_gid": "fsGid",
    "service_account": "serviceAccountName",
    "storage_extra_labels": "storage.extraLabels",
    "node_selector": "nodeSelector",
    "node_affinity_required": "extraNodeAffinity.required",
    "node_affinity_preferred": "extraNodeAffinity.preferred",
    "pod_affinity_required": "extraPodAffinity.required",
    "pod_affinity_preferred": "extraPodAffinity.preferred",
    "pod_anti_affinity_required": "extraPodAntiAffinity.required",
    "pod_anti_affinity_preferred": "extraPodAntiAffinity.preferred",
    "lifecycle_hooks": "lifecycleHooks",
    "init_containers": "initContainers",
    "extra_containers": "extraContainers",
    "mem_limit": "memory.limit",
    "mem_guarantee": "memory.guarantee",
    "cpu_limit": "cpu.limit",
    "cpu_guarantee": "cpu.guarantee",
    "extra_resource_limits": "extraResource.limits",
    "extra_resource_guarantees": "extraResource.guarantees",
    "environment": "extraEnv",
    "profile_list": "profileList",
    "extra_pod_config": "extraPodConfig",
}
OF_HUB = {
    "concurrent_spawn_limit": "concurrentSpawnLimit",
    "active_server_limit": "activeServerLimit",
    "base_url": "baseUrl",
    "allow_named_servers": "allowNamedServers",
    "named_server_limit_per_user": "namedServerLimitPerUser",
    "redirect_to_server": "redirectToServer",
    "shutdown_on_logout": "shutdownOnLogout",
    "authenticate_prometheus": "authenticatePrometheus",
    "template_paths": "templatePaths",
    "template_vars": "templateVars",
}
# The two spellings of the taint that keeps other pods off machines for users.
TOLERATIONS = [
    {"key": key, "operator": "Equal", "value": "user", "effect": "NoSchedule"}
    for key in ("hub.jupyter.org/dedicated", "hub.jupyter.org_dedicated")
]
# Set by the chart alone, whatever `hub.config.JupyterHub` says.
NOT_FROM_CONFIG = {"services", "cookie_secret", "proxy_auth_token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Helm's data about the release."""

    name: str = "jhub"
    namespace: str = "jhub"
    chart: str = "jupyterhub"
    version: str = "4.4.0"


def evaluate(values: Mapping[str, Any], release: Release | None = None) -> Config:
    """Return a hub's configuration for all values of a release."""
    c = Config()
    _set_hub(c, values["hub"])
    _set_pods(c, values, release or Release())
    _set_storage(c, values["singleuser"]["storage"])
    _set_scheduling(c, values["scheduling"], values["singleuser"]["extraTolerations"])
    _set_culler(c, values["cull"], values["hub"])
    _add_services_and_roles(c, values["hub"])
    _block_metadata_server(c, values["singleuser"])
    _set_debug(c, values["debug"]["enabled"])
    for section, traits in values["hub"]["config"].items():
        c[section].update({name: one for name, one in traits.items() if name not in NOT_FROM_CONFIG})
    namespace = {"c": c, "get_config": lambda: c, "get_name": partial(object_name, values)}
    for name, code in sorted(values["hub"]["extraConfig"].items()):
        exec(compile(code, f"hub.extraConfig.{name}", "exec"), namespace)
    return c


def object_name(values: Mapping[str, Any], part: str) -> str:
    """Return the name of the objects of one part of the chart, such as the Service of the hub."""
    return f"{values['fullnameOverride']}-{part}" if values["fullnameOverride"] else part


def _set_hub(c: Config, hub: Mapping[str, Any]) -> None:
    c.JupyterHub.update(_traits(hub, OF_HUB))
    c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.last_activity_interval = 60
    if hub["consecutiveFailureLimit"] is not None:
        c.Spawner.consecutive_failure_limit = hub["consecutiveFailureLimit"]


def _set_pods(c: Config, values: Mapping[str, Any], release: Release) -> None:
    singleuser, name = values["singleuser"], values["nameOverride"] or release.chart
    chart = f"{release.chart}-{release.version}"
    c.KubeSpawner.common_labels = {
        "app.kubernetes.io/name": name,
        "app": name,
        "app.kubernetes.io/instance": release.name,
        "release": release.name,
        "helm.sh/chart": chart,
        "chart": chart,
        "app.kubernetes.io/managed-by": "kubespawner",
    }
    c.KubeSpawner.namespace = release.namespace
    c.KubeSpawner.update(_traits(singleuser, OF_SINGLEUSER))
    c.KubeSpawner.allow_privilege_escalation = singleuser["allowPrivilegeEscalation"]
    image = singleuser["image"]
    c.KubeSpawner.image = f"{image['name']}:{image['tag']}"
    secrets = [*values["imagePullSecrets"], *image["pullSecrets"]]
    if secrets:
        c.KubeSpawner.image_pull_secrets = secrets
    if singleuser["cmd"] is not None:
        c.Spawner.cmd = singleuser["cmd"]
    if singleuser["defaultUrl"] is not None:
        c.Spawner.default_url = singleuser["defaultUrl"]


def _set_storage(c: Config, storage: Mapping[str, Any]) -> None:
    volumes, mounts = {}, {}
    if storage["type"] == "dynamic":
        dynamic = storage["dynamic"]
        c.KubeSpawner.storage_pvc_ensure = True
        c.KubeSpawner.storage_capacity = storage["capacity"]
        c.KubeSpawner.storage_access_modes = dynamic["storageAccessModes"]
        if dynamic["storageClass"] is not None:
            c.KubeSpawner.storage_class = dynamic["storageClass"]
        if dynamic["pvcNameTemplate"]:
            c.KubeSpawner.pvc_name_template = dynamic["pvcNameTemplate"]
        name, claim, sub_path = dynamic["volumeNameTemplate"], "{pvc_name}", dynamic["subPath"]
    elif storage["type"] == "static":
        name, claim, sub_path = "home", storage["static"]["pvcName"], storage["static"]["subPath"]
    if storage["type"] != "none":
        volumes[name] = {"name": name, "persistentVolumeClaim": {"claimName": claim}}
        mounts[name] = {"name": name, "mountPath": storage["homeMountPath"], "subPath": sub_path}
    c.KubeSpawner.volumes = {**volumes, **storage["extraVolumes"]}
    c.KubeSpawner.volume_mounts = {**mounts, **storage["extraVolumeMounts"]}


def _set_scheduling(c: Config, scheduling: Mapping[str, Any], tolerations: list[Any]) -> None:
    if scheduling["userScheduler"]["enabled"]:
        c.KubeSpawner.scheduler_name = "user-scheduler"
    expression = {"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]}
    match scheduling["userPods"]["nodeAffinity"]["matchNodePurpose"]:
        case "prefer":
            preference = {"weight": 100, "preference": {"matchExpressions": [expression]}}
            c.KubeSpawner.node_affinity_preferred.append(preference)
        case "require":
            c.KubeSpawner.node_affinity_required.append({"matchExpressions": [expression]})
    c.KubeSpawner.tolerations = [*TOLERATIONS, *tolerations]


def _set_culler(c: Config, cull: Mapping[str, Any], hub: Mapping[str, Any]) -> None:
    c.JupyterHub.services, c.JupyterHub.load_roles = [], []
    if not cull["enabled"]:
        return
    command = [
        "python3",
        "-m",
        "jupyterhub_idle_culler",
        f"--url=http://localhost:8081{hub['baseUrl']}hub/api",
    ]
    c.JupyterHub.services.append({"name": CULLER, "command": [*command, *_culler_flags(cull)]})
    scopes = [*CULLER_SCOPES, *(["admin:users"] if cull["users"] else [])]
    c.JupyterHub.load_roles.append({"name": CULLER, "scopes": scopes, "services": [CULLER]})


def _culler_flags(cull: Mapping[str, Any]) -> Iterator[str]:
    for name, flag in (("timeout", "timeout"), ("every", "cull-every"), ("concurrency", "concurrency")):
        if cull[name]:
            yield f"--{flag}={cull[name]}"
    if cull["users"]:
        yield "--cull-users"
    if not cull["adminUsers"]:
        yield "--cull-admin-users=false"
    if cull["maxAge"]:
        yield f"--max-age={cull['maxAge']}"
    if cull["removeNamedServers"]:
        yield "--remove-named-servers"


def _add_services_and_roles(c: Config, hub: Mapping[str, Any]) -> None:
    for name, service in hub["services"].items():
        c.JupyterHub.services.append({"name": name, **service})
    for name, role in hub["loadRoles"].items():
        c.JupyterHub.load_roles.append({"name": name, **role})


def _block_metadata_server(c: Config, singleuser: Mapping[str, Any]) -> None:
    if not singleuser["cloudMetadata"]["blockWithIptables"]:
        return
    tools = singleuser["networkTools"]
    rule = {
        "--append": "OUTPUT",
        "--protocol": "tcp",
        "--destination": singleuser["cloudMetadata"]["ip"],
        "--destination-port": "80",
        "--jump": "DROP",
    }
    container = V1Container(
        name="block-cloud-metadata",
        image=f"{tools['image']['name']}:{tools['image']['tag']}",
        image_pull_policy=tools["image"]["pullPolicy"],
        command=["iptables", *(word for pair in rule.items() for word in pair)],
        resources=V1ResourceRequirements(**tools["resources"]),
        security_context=V1SecurityContext(
            privileged=True, run_as_user=0, capabilities=V1Capabilities(add=["NET_ADMIN"])
        ),
    )
    c.KubeSpawner.init_containers.append(container)


def _set_debug(c: Config, is_on: bool) -> None:
    if is_on:
        c.JupyterHub.log_level = "DEBUG"
        c.Spawner.debug = True


def _traits(values: Mapping[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    found = {trait: _at(values, place) for trait, place in places.items()}
    # Lists and dicts are the hub's own: what is appended to them must not reach the values.
    return {trait: _copied(value) for trait, value in found.items() if value is not None}


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, list | dict) else value


def _at(values: Mapping[str, Any], place: str) -> Any:
    value: Any = values
    for key in place.split("."):
        value = value[key]
    return value
