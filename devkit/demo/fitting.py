"""Fits an administrator's own configuration to this machine: removes settings that need their cluster."""

from typing import Any

from traitlets.config import Config

OUR_SPAWNER = "k8s_hub.KubeSpawner"
COMMAND = ["jupyterhub-singleuser"]
"""The command of servers on the mini cluster, which runs no images."""

_HUB = frozenset(
    {
        *("authenticator_class", "base_url", "bind_url", "ip", "port", "public_url", "subdomain_host"),
        *("hub_bind_url", "hub_connect_ip", "hub_connect_url", "hub_ip", "hub_port"),
        *("proxy_class", "ssl_cert", "ssl_key", "internal_ssl"),
        "cleanup_servers",  # the mini cluster and its pods end with the demo
        *("cookie_secret", "cookie_secret_file", "db_kwargs", "db_url", "pid_file"),
    }
)
_SPAWNER = frozenset(
    {"cmd", "hub_connect_ip", "hub_connect_port", "hub_connect_url", "ip", "namespace", "port"}
)
_AUTHENTICATOR = frozenset({"auto_login"})


def fit(c: Config) -> list[str]:
    """Remove or replace settings of ``c`` that need another cluster; return their names."""
    left_out = []
    for section, settings in c.items():
        if isinstance(settings, Config):
            for name in _foreign(section, settings):
                del settings[name]
                left_out.append(f"{section}.{name}")
    if _is_peer(spawner := c.JupyterHub.get("spawner_class")):
        left_out.append("JupyterHub.spawner_class")
    if spawner is None or _is_peer(spawner):
        c.JupyterHub.spawner_class = OUR_SPAWNER
    c.KubeSpawner.cmd = list(COMMAND)
    return sorted(left_out)


def _foreign(section: str, settings: Config) -> list[str]:
    if section.endswith("Proxy"):
        return list(settings)
    if section == "JupyterHub":
        return [name for name in settings if name in _HUB]
    names = _AUTHENTICATOR if section.endswith("Authenticator") else _SPAWNER
    return [name for name in settings if name in names]


def _is_peer(spawner: Any) -> bool:
    """Return whether this is KubeSpawner itself, not a subclass. Its options are also ours."""
    module = getattr(spawner, "__module__", None) or str(spawner).rpartition(".")[0]
    name = getattr(spawner, "__name__", None) or str(spawner).rpartition(".")[2]
    return name == "KubeSpawner" and module.partition(".")[0] == "kubespawner"
