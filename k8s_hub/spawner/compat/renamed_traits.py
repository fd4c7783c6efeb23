"""Option names that KubeSpawner has dropped: one table, valid wherever an option can be set.

An old name works like the new one in every section of the configuration and on spawners, and so in hooks,
subclasses and profiles. The log names the new one once.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from traitlets import HasTraits, Integer, Unicode, observe, validate
from traitlets.config import Config
from traitlets.utils.bunch import Bunch

from k8s_hub.spawner.compat.models import share_configuration
from k8s_hub.spawner.run_log import warn_once

RENAMED = {
    "image_spec": "image",
    "singleuser_image_spec": "image",
    "singleuser_image_pull_policy": "image_pull_policy",
    "singleuser_image_pull_secrets": "image_pull_secrets",
    "singleuser_working_dir": "working_dir",
    "singleuser_service_account": "service_account",
    "singleuser_extra_labels": "extra_labels",
    "singleuser_extra_annotations": "extra_annotations",
    "singleuser_node_selector": "node_selector",
    "singleuser_uid": "uid",
    "singleuser_fs_gid": "fs_gid",
    "singleuser_supplemental_gids": "supplemental_gids",
    "singleuser_privileged": "privileged",
    "singleuser_allow_privilege_escalation": "allow_privilege_escalation",
    "singleuser_lifecycle_hooks": "lifecycle_hooks",
    "singleuser_extra_pod_config": "extra_pod_config",
    "singleuser_init_containers": "init_containers",
    "singleuser_extra_container_config": "extra_container_config",
    "singleuser_extra_containers": "extra_containers",
    "user_storage_class": "storage_class",
    "user_storage_pvc_ensure": "storage_pvc_ensure",
    "user_storage_capacity": "storage_capacity",
    "user_storage_extra_labels": "storage_extra_labels",
    "user_storage_access_modes": "storage_access_modes",
}
"""The current name of each option that had another name before KubeSpawner 0.10."""

REFLECTORS = ("ResourceReflector", "PodReflector", "EventReflector")
"""Sections of KubeSpawner's configuration for the reflectors, which do not exist here."""


def renamed(config: Config, sections: Iterable[str], log: logging.Logger) -> Config:
    """Return the configuration with current names; if both names are set, the new name wins."""
    changed = {
        section: _renamed(config[section], section, log)
        for section in sections
        if section in config and not RENAMED.keys().isdisjoint(config[section])
    }
    return Config({**config, **changed}) if changed else config


def _renamed(options: Mapping[str, Any], section: str, log: logging.Logger) -> Config:
    kept = {name: value for name, value in options.items() if name not in RENAMED}
    for old, new in RENAMED.items():
        if old not in options:
            continue
        if new in kept:
            warn_once(
                log, f"{section}.{old} is ignored, because {section}.{new} is set too: {new} is its name"
            )
        else:
            warn_once(log, f"{section}.{old} is deprecated: its name is {section}.{new}")
            kept[new] = options[old]
    return Config(kept)


def warn_of_reflectors(config: Config, log: logging.Logger) -> None:
    """Say what replaces the options of KubeSpawner's reflectors, if any is set."""
    names = [f"{section}.{name}" for section in REFLECTORS if section in config for name in config[section]]
    if names:
        warn_once(
            log,
            f"{', '.join(names)}: without effect, there is nothing to tune. Watches go on after every failure by "
            "themselves; KubeSpawner.k8s_api_request_timeout is for single requests, KubeSpawner.component_label "
            "chooses the pods, KubeSpawner.events_enabled turns the watch of events off",
        )


class _Renamed:
    """An old name on a spawner: reads and writes go to the new name."""

    def __init__(self, old: str, new: str) -> None:
        self._old = old
        self._new = new
        self.__doc__ = f"Deprecated: its name is {new}."

    def __get__(self, spawner: Any, owner: type) -> Any:
        if spawner is None:
            return self
        self._warn(spawner)
        return getattr(spawner, self._new)

    def __set__(self, spawner: Any, value: Any) -> None:
        self._warn(spawner)
        setattr(spawner, self._new, value)

    def _warn(self, spawner: Any) -> None:
        warn_once(spawner.log, f"KubeSpawner.{self._old} is deprecated: its name is KubeSpawner.{self._new}")


class RenamedTraits(HasTraits):
    """Deprecated options, which have no effect or set an option of JupyterHub, and the deprecated names of other options."""

    hub_connect_ip = Unicode(
        allow_none=True,
        config=True,
        help="""
        Deprecated: set JupyterHub.hub_connect_url.

        Host by which users' servers reach the hub. Empty or None: as JupyterHub says.
        """,
    )

    hub_connect_port = Integer(
        config=True,
        help="""
        Deprecated: set JupyterHub.hub_connect_url.

        Port by which users' servers reach the hub. 0: as JupyterHub says.
        """,
    )

    k8s_api_threadpool_workers = Integer(
        0,
        config=True,
        help="""
        Without effect: requests to the Kubernetes API need no threads.
        """,
    )

    @observe("hub_connect_ip", "hub_connect_port")
    def _pass_on_to_the_hub(self, change: Bunch) -> None:
        spawner: Any = self
        if change.new and spawner.hub is not None:
            warn_once(spawner.log, f"KubeSpawner.{change.name} is deprecated: set JupyterHub.hub_connect_url")
            setattr(spawner.hub, change.name.removeprefix("hub_"), change.new)

    @observe("k8s_api_threadpool_workers")
    def _without_effect(self, change: Bunch) -> None:
        spawner: Any = self
        warn_once(
            spawner.log,
            f"KubeSpawner.{change.name} has no effect: requests to the Kubernetes API need no threads",
        )

    @validate("config")
    def _names_of_today(self, proposal: Bunch) -> Config:
        spawner: Any = self
        config, sections = proposal.value, spawner.section_names()
        warn_of_reflectors(config, spawner.log)
        for section in sections:
            if section in config:
                share_configuration(config[section])
        return renamed(config, sections, spawner.log)


for _old, _new in RENAMED.items():
    setattr(RenamedTraits, _old, _Renamed(_old, _new))
