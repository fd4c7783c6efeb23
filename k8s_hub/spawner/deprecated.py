"""Names that KubeSpawner has given up: one table, in force wherever an option can be set.

In every section of the configuration, on spawners (and so in hooks, subclasses and profiles), the old name is the
new one, and the log names the new one once.
"""

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from traitlets import HasTraits, validate
from traitlets.config import Config
from traitlets.utils.bunch import Bunch

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
"""The name of today by the one of KubeSpawner before 0.10."""

REFLECTORS = ("ResourceReflector", "PodReflector", "EventReflector")
"""Sections of KubeSpawner's configuration that tune what is not tuned here."""


@lru_cache(maxsize=10_000)
def tell_once(log: logging.Logger, message: str) -> None:
    """Warn of what is no error: the hub makes a spawner for every server, and each would say it again.

    Bounded, because functions of administrators may give each user another reason for a warning.
    """
    log.warning(message)


def renamed(config: Config, sections: Iterable[str], log: logging.Logger) -> Config:
    """Return the configuration under the names of today; where both are set, the new one wins."""
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
            tell_once(
                log, f"{section}.{old} is ignored, because {section}.{new} is set too: {new} is its name"
            )
        else:
            tell_once(log, f"{section}.{old} is deprecated: its name is {section}.{new}")
            kept[new] = options[old]
    return Config(kept)


def tell_of_reflectors(config: Config, log: logging.Logger) -> None:
    """Say what replaces the options of KubeSpawner's reflectors, if any is set."""
    names = [f"{section}.{name}" for section in REFLECTORS if section in config for name in config[section]]
    if names:
        tell_once(
            log,
            f"{', '.join(names)}: without effect, there is nothing to tune. Watches go on after every failure by "
            "themselves; KubeSpawner.k8s_api_request_timeout is for single requests, KubeSpawner.component_label "
            "chooses the pods, KubeSpawner.events_enabled turns the watch of events off",
        )


class _Renamed:
    """An old name on a spawner: whatever is read or set there is the new name's."""

    def __init__(self, old: str, new: str) -> None:
        self._old = old
        self._new = new
        self.__doc__ = f"Deprecated: its name is {new}."

    def __get__(self, spawner: Any, owner: type) -> Any:
        if spawner is None:
            return self
        self._tell(spawner)
        return getattr(spawner, self._new)

    def __set__(self, spawner: Any, value: Any) -> None:
        self._tell(spawner)
        setattr(spawner, self._new, value)

    def _tell(self, spawner: Any) -> None:
        tell_once(spawner.log, f"KubeSpawner.{self._old} is deprecated: its name is KubeSpawner.{self._new}")


class DeprecatedNames(HasTraits):
    """Old names as attributes, and their translation in the configuration."""

    @validate("config")
    def _names_of_today(self, proposal: Bunch) -> Config:
        spawner: Any = self
        config: Config = proposal.value
        tell_of_reflectors(config, spawner.log)
        return renamed(config, spawner.section_names(), spawner.log)


for _old, _new in RENAMED.items():
    setattr(DeprecatedNames, _old, _Renamed(_old, _new))
