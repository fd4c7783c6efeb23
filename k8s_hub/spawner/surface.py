"""What subclasses and hooks of KubeSpawner used to reach for and is not here: each name says what to use instead."""

import inspect
from typing import Any, NoReturn

from k8s_hub.spawner.deprecated import tell_once

_API = "spawner.api, a kubernetes_asyncio CoreV1Api"
_WATCHES = "nothing: watches are begun, mended and ended by themselves"
_CREATES = f"get_pod_manifest or get_pvc_manifest for what is created, and {_API}, for more objects"
_STATE = "the names in get_state and load_state"

INSTEAD = {
    "_start": "start, with super().start()",
    "_start_future": "progress, which ends with the start",
    "_last_event": "events, which has those of this start only",
    "_state_kubespawner_version": _STATE,
    "_namespace_default": "namespace",
    "_ensure_namespace": "get_namespace_manifest",
    "_ensure_not_exists": _API,
    "_check_pvc_exists": _API,
    "_make_create_resource_request": _API,
    "_make_create_pod_request": _CREATES,
    "_make_create_pvc_request": _CREATES,
    "_make_delete_pod_request": f"stop, or {_API}",
    "_make_delete_pvc_request": f"delete_forever, or {_API}",
    "_get_reflector_key": _WATCHES,
    "_start_reflector": _WATCHES,
    "_start_watching_pods": _WATCHES,
    "_start_watching_events": _WATCHES,
    "_stop_reflector": _WATCHES,
    "_stop_all_reflectors": _WATCHES,
    "reflectors": _API,
    "pod_reflector": f"{_API}; after_pod_created_hook and get_pod_url are given the pod",
    "event_reflector": "events",
    "is_pod_running": "poll, or get_pod_url for the pod that runs",
    "pod_has_uid": "after_pod_created_hook, whose pod has one",
    "safe_chars": "_expand_user_properties",
}
"""What to use instead, by the name in KubeSpawner 7.1.0."""


class _NotKept:
    """A name that says what to use instead when it is asked for; a subclass may define it anew."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, spawner: Any, owner: type) -> NoReturn:
        raise AttributeError(
            f"{owner.__name__}.{self._name} is not part of k8s_hub; use {INSTEAD[self._name]}"
        )


class Surface:
    """The part of KubeSpawner that tells writers of subclasses what has no effect any more."""

    #: What a subclass has overridden although nothing here calls it.
    _defined_in_vain: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._defined_in_vain = tuple(
            name for name in INSTEAD if not isinstance(inspect.getattr_static(cls, name), _NotKept)
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        spawner: Any = self
        for name in self._defined_in_vain:
            tell_once(
                spawner.log,
                f"{type(self).__name__} defines {name}, which k8s_hub never calls; use {INSTEAD[name]}",
            )


for _name in INSTEAD:
    setattr(Surface, _name, _NotKept(_name))
