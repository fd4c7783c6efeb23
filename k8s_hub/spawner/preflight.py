"""Finds settings with which no server can start, and logs them when the hub starts, before a user meets them.

The start of a server judges the results of callables, the changes by hooks and the input of users.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from k8s_hub.claims.extra import parse_extra_claims
from k8s_hub.manifests.pod import PodInputs, build_pod
from k8s_hub.naming.templates import SettingError, expand_dns_name, expand_host, fill, in_setting
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.checks import fixed_overrides, usable
from k8s_hub.profiles.selection import merged
from k8s_hub.spawner.compat.models import to_json
from k8s_hub.spawner.resolve import EXPANDED_LATER, Resolver
from k8s_hub.spawner.run_log import warn_once
from k8s_hub.spawner.security import Protection, weakening
from k8s_hub.spawner.user_choices import unknown_options

_IS_LOGGED = "k8s_hub_settings_are_checked"
"""The key in the hub application's settings which says that this hub has logged its unusable settings."""

_OTHER_TEMPLATES = ("default_url", "notebook_dir", "dns_name_template", "pod_connect_ip")
"""Templates with other fields, or with another way to expand them."""

_COMMON_TEMPLATES = tuple(
    sorted(
        EXPANDED_LATER
        - {
            *_OTHER_TEMPLATES,
            "extra_claims",
            "slow_spawn_message",
            "user_namespace_template",
        }  # other code checks these
    )
)
"""Templates with the common fields: `Resolver.expand_all` expands them."""

_INPUTS = {
    **{each.name: each.name for each in fields(PodInputs)},
    "environment": "env",
    "extra_annotations": "annotations",
    "extra_labels": "labels",
    "common_labels": "labels",
    "storage_extra_annotations": "annotations",
    "storage_extra_labels": "labels",
    "user_namespace_annotations": "annotations",
    "user_namespace_labels": "labels",
}
"""The input of a pod that checks each setting; some stand for the same input of another object."""


def log_unusable(resolver: Resolver, protection: Protection, *, is_made: bool) -> None:
    """Log, once per hub, each setting and each fixed value of a profile with which no server can start.

    Also logs a limit of JupyterHub that defeats the queue for starts, and unknown options in profiles, if the spawner
    ``is_made``: a subclass may still add attributes. The form and the start look for unknown options again.
    """
    settings = getattr(resolver.spawner.user, "settings", None)
    if settings is None or settings.get(_IS_LOGGED):
        return
    settings[_IS_LOGGED] = True
    profiles = _listed_profiles(resolver.spawner)
    unknown = unknown_options(resolver.spawner, profiles) if is_made else ()
    of_hub = _of_queue(resolver.spawner, settings.get("concurrent_spawn_limit", 0))
    for fault in (*_of_settings(resolver), *unknown, *_of_profiles(profiles, resolver, protection), *of_hub):
        warn_once(resolver.spawner.log, f"KubeSpawner.{fault}")


def _of_queue(spawner: Any, hub_limit: int) -> Iterator[str]:
    if spawner.concurrent_starts and hub_limit:
        yield (
            f"concurrent_starts = {spawner.concurrent_starts} has a queue for starts, but JupyterHub refuses those beyond "
            f"JupyterHub.concurrent_spawn_limit = {hub_limit}: set it to 0"
        )


def _of_settings(resolver: Resolver) -> Iterator[str]:
    for name in dict.fromkeys((*_COMMON_TEMPLATES, *_OTHER_TEMPLATES, *_INPUTS)):
        if resolver.spawner.has_trait(name):
            yield from _as_far_as_known(unusable(resolver, name, getattr(resolver.spawner, name)))


def _listed_profiles(spawner: Any) -> Mapping[str, Raw]:
    return {} if callable(spawner.profile_list) else usable(spawner.profile_list)[0]


def _of_profiles(profiles: Mapping[str, Raw], resolver: Resolver, protection: Protection) -> Iterator[str]:
    for path, name, override in fixed_overrides(profiles):
        place = path.removesuffix(f"{name}")
        faults = _as_far_as_known(_of_override(resolver, protection, name, override))
        yield from (f"{place}{fault}" for fault in faults)


def _of_override(resolver: Resolver, protection: Protection, name: str, override: Any) -> Iterator[str]:
    current = getattr(resolver.spawner, name, None)
    is_merged = isinstance(current, dict) and isinstance(override, dict)
    yield from unusable(resolver, name, merged(current or {}, override) if is_merged else override)
    yield from weakening(protection, name, override)


def _as_far_as_known(faults: Iterator[str]) -> Iterator[str]:
    """Yield the faults until a subclass's code or a value of a wrong type raises: every start reports that.

    The hub makes spawners when it starts, so an exception here would keep it from starting.
    """
    with suppress(Exception):
        yield from faults


def unusable(resolver: Resolver, name: str, value: Any) -> Iterator[str]:
    """Yield the fault, if any, that keeps every server from starting with this value: its place, then its text."""
    if callable(value):
        return
    if name == "extra_claims":
        yield from _unusable_extra_claims(value)
        return
    if name == "environment" and isinstance(value, Mapping):
        value = {key: item for key, item in value.items() if not callable(item)}
    try:
        with in_setting(name):
            expanded = _expanded(resolver, name, value)
            value = to_json(expanded)
    except SettingError as error:
        yield str(error)
        return
    if name not in _INPUTS:
        return
    try:
        build_pod(PodInputs(**{"pod_name": "", "image": "", _INPUTS[name]: value}))
    except SettingError as error:
        # A place in the pod alone does not name the setting.
        yield str(error if error.place.startswith(name) else error.within(f"{name}: "))


def _unusable_extra_claims(value: Any) -> Iterator[str]:
    try:
        parse_extra_claims(value)
    except ValueError as error:
        yield f"extra_claims{error}"


def _expanded(resolver: Resolver, name: str, value: Any) -> Any:
    if name in _COMMON_TEMPLATES:
        return resolver.expand_all(value)
    if name in {"default_url", "notebook_dir"} and isinstance(value, str):
        return fill(value, resolver.spawner.template_namespace())
    if name == "dns_name_template" and isinstance(value, str):
        return expand_dns_name(value, name="name", namespace="namespace")
    if name == "pod_connect_ip" and isinstance(value, str):
        return expand_host(value, resolver.expand)
    return value
