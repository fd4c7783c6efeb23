"""Names that subclasses and hooks of KubeSpawner use: some still work, others say what to use instead."""

import inspect
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from k8s_hub.kube import library
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION
from k8s_hub.objects.keys import annotations_of, key_of, metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.profiles.listing import in_order
from k8s_hub.profiles.selection import profile_of
from k8s_hub.spawner.compat.models import to_json
from k8s_hub.spawner.run_log import warn_once
from k8s_hub.spawner.user_choices import person_of

if TYPE_CHECKING:
    import asyncio

_API = "spawner.api, a kubernetes_asyncio CoreV1Api"
_WATCHES = "nothing: watches are begun, mended and ended by themselves"
_CREATES = f"get_pod_manifest or get_pvc_manifest for what is created, and {_API}, for more objects"
_STATE = "the names in get_state and load_state"

INSTEAD = {
    "_last_event": "events, which has those of this start only",
    "_state_kubespawner_version": _STATE,
    "_pvc_exists": _STATE,
    "_namespace_default": "namespace",
    "_check_pvc_exists": _API,
    "_ensure_namespace": "get_namespace_manifest",
    "_make_create_pod_request": _CREATES,
    "_make_delete_pod_request": f"stop, or {_API}",
    "_make_delete_pvc_request": f"delete_forever, or {_API}",
    "_get_reflector_key": _WATCHES,
    "_start_reflector": _WATCHES,
    "_stop_reflector": _WATCHES,
    "_stop_all_reflectors": _WATCHES,
    "reflectors": _API,
    "pod_reflector": f"{_API}; after_pod_created_hook and get_pod_url are given the pod",
    "event_reflector": "events",
    "is_pod_running": "poll, or get_pod_url for the pod that runs",
    "pod_has_uid": "after_pod_created_hook, whose pod has one",
}
"""The replacement for each removed name of KubeSpawner 7.1.0."""

CALLED_BY_OTHERS = {
    "_start_watching_pods": _WATCHES,
    "_start_watching_events": _WATCHES,
    "_make_create_pvc_request": _CREATES,
    "_make_create_resource_request": _API,
    "_ensure_not_exists": _API,
}
"""Methods that exist only for code that calls them, each with what to use instead of overriding it."""


class _NotKept:
    """A name that says what to use instead when code reads it; a subclass may redefine it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, spawner: Any, owner: type) -> NoReturn:
        raise AttributeError(
            f"{owner.__name__}.{self._name} is not part of k8s_hub; use {INSTEAD[self._name]}"
        )


class RemovedNames:
    """The part of KubeSpawner that supports old code, and warns about overrides without effect."""

    #: Names that a subclass overrides although nothing here calls them.
    _defined_in_vain: tuple[str, ...] = ()

    #: For code that escapes names with escapism.
    safe_chars = frozenset(string.ascii_lowercase + string.digits)

    #: Done once the start has ended, whatever its result; None before it. For copies of progress().
    _start_future: "asyncio.Task[Any] | None" = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._defined_in_vain = tuple(
            name
            for name in (*INSTEAD, *CALLED_BY_OTHERS)
            if inspect.getattr_static(cls, name) is not inspect.getattr_static(RemovedNames, name)
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        spawner: Any = self
        for name in self._defined_in_vain:
            warn_once(
                spawner.log,
                f"{type(self).__name__} defines {name}, which k8s_hub never calls; "
                f"use {(INSTEAD | CALLED_BY_OTHERS)[name]}",
            )

    def _options_form_default(self: Any) -> Any:
        """Return the form of a list of profiles, "" without profiles; for a function, the method that makes the form.

        For an administrator's options_form that sets profile_list and returns this.
        """
        if callable(self.profile_list):
            return self._render_options_form_dynamically
        return self._render_options_form(self.profile_list) if self.profile_list else ""

    def _get_profile(self: Any, slug: str | None, profile_list: Sequence[Raw]) -> Raw:
        """Return the initialised profile with this slug; the default profile without a slug."""
        return profile_of(profile_list, slug, person_of(self, profile_list))

    def _sorted_dict_values(self, src: Any) -> Any:
        """Return a dictionary's values in the order of its keys; return anything else unchanged."""
        return in_order(src) if isinstance(src, dict) else src

    async def _start_watching_pods(self, replace: bool = False) -> None:
        """Do nothing: the spawner watches by itself."""

    async def _start_watching_events(self, replace: bool = False) -> None:
        """Do nothing: the spawner watches by itself."""

    async def _make_create_pvc_request(self: Any, pvc: Any, request_timeout: float) -> bool:
        """Try once to create a claim, a model or a dict; return False if a retry may help.

        Annotates a claim other than the home as an extra claim: a server without a home would take it for its home.
        """
        claim = to_json(pvc)
        name = key_of(claim).name
        if name != self.pvc_name:
            annotations = {EXTRA_CLAIM_ANNOTATION: name, **annotations_of(claim)}
            claim = {**claim, "metadata": {**metadata_of(claim), "annotations": annotations}}
        return await library.create_once(
            self.api, "persistent_volume_claim", self.namespace, claim, seconds=request_timeout
        )

    async def _make_create_resource_request(self: Any, kind: str, manifest: Any) -> bool:
        """Try once to create an object; return False if a retry may help. ``kind`` is e.g. "config_map"."""
        seconds = self.k8s_api_request_timeout
        return await library.create_once(self.api, kind, self.namespace, manifest, seconds=seconds)

    async def _ensure_not_exists(self: Any, kind: str, name: str) -> bool:
        """Try once to delete an object; return False while it may still exist."""
        seconds = self.k8s_api_request_timeout
        return await library.delete_once(self.api, kind, self.namespace, name, seconds=seconds)


for _name in INSTEAD:
    setattr(RemovedNames, _name, _NotKept(_name))
