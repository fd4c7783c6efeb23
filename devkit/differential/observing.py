"""What is compared: everything that one case makes of one spawner, by name."""

import asyncio
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from jupyterhub.utils import maybe_future
from kubernetes_asyncio.client import V1OwnerReference

from devkit.differential import peers
from devkit.differential.recipes import plain
from k8s_hub import KubeSpawner
from k8s_hub.naming.templates import SettingError
from k8s_hub.spawner.compat.models import to_json

OWNER = V1OwnerReference(
    api_version="v1", kind="Pod", name="pod", uid="uid-1", block_owner_deletion=True, controller=False
)


@dataclass(frozen=True)
class Outcome:
    """A value, or what was raised instead."""

    value: Any = None
    error: Exception | None = None

    @property
    def raised(self) -> bool:
        return self.error is not None

    def __str__(self) -> str:
        return f"raised {type(self.error).__name__}: {self.error}" if self.error else repr(self.value)

    def __eq__(self, other: object) -> bool:
        """Two errors are alike if they are the same error: of JupyterHub, say, whose code both run."""
        return isinstance(other, Outcome) and self._what == other._what

    @property
    def _what(self) -> tuple[Any, ...]:
        return (self.value,) if self.error is None else (type(self.error), str(self.error))

    __hash__ = None  # type: ignore[assignment]


Observations = dict[str, Outcome]


@dataclass(frozen=True)
class Seen:
    """One aspect of one case on both sides. ``case`` is what upstream was given: rewritten, perhaps."""

    configured: dict[str, Any]
    case: dict[str, Any]
    aspect: str
    theirs: Outcome
    ours: Outcome
    theirs_altogether: Observations
    ours_altogether: Observations

    @property
    def traits(self) -> Mapping[str, Any]:
        traits: Mapping[str, Any] = self.case.get("traits", {})
        return traits

    @property
    def name(self) -> str:
        """The aspect without what is different in each case."""
        return self.aspect.split(" '")[0]


LAST_IF_RAISED = ("made", "user options applied")
"""After an error here nothing else is looked at."""

NAMES = ("pod_name", "pvc_name", "secret_name", "dns_name", "namespace", "port")


def observed(spawner_class: Any, case: dict[str, Any]) -> Observations:
    """Make the spawner and look at all of it; what cannot be had after an error is missing."""
    with warnings.catch_warnings(), asyncio.Runner() as runner:
        warnings.simplefilter("ignore")  # names that are deprecated
        return runner.run(_Observer(spawner_class, case).observations())


class _Observer:
    """Looks at one spawner, in the order in which the hub would use it."""

    def __init__(self, spawner_class: Any, case: dict[str, Any]) -> None:
        self._spawner_class = spawner_class
        self._case = case
        self._spawner: Any = None
        self._seen: Observations = {}

    async def observations(self) -> Observations:
        """Return all that could be seen."""
        made = await self._see("made", self._make)
        if not made.raised:
            await self._before_its_options()
            if not any(outcome.raised for name, outcome in self._seen.items() if name in LAST_IF_RAISED):
                await self._with_its_options()
        return self._seen

    async def _see(self, name: str, look: Callable[[], Any]) -> Outcome:
        try:
            outcome = Outcome(await maybe_future(look()))
        except Exception as error:  # noqa: BLE001 - what is raised is compared too
            outcome = Outcome(error=error)
        self._seen[name] = outcome
        return outcome

    async def _see_object(self, name: str, look: Callable[[], Any]) -> None:
        """Look at a model object: its JSON, and which parts of it are models."""
        outcome = await self._see(name, look)
        if not outcome.raised:
            self._seen[name] = Outcome(to_json(outcome.value))
            self._seen[f"models of the {name}"] = Outcome(_shape(outcome.value))

    def _make(self) -> bool:
        self._spawner = peers.made(self._spawner_class, self._case)
        return True

    async def _before_its_options(self) -> None:
        spawner, case = self._spawner, self._case
        await self._see("names", self._names)
        await self._see_expanded("expanded")
        if "state" in case:
            spawner.load_state(dict(case["state"]))
            await self._see("names of a saved state", self._names)
            await self._see("saved state again", spawner.get_state)
        if "form" in case:
            parsed = await self._see(
                "user options of the form", lambda: spawner._options_from_form(case["form"])
            )
            spawner.user_options = parsed.value or {}
        if "profile_list" in case.get("traits", {}):
            if "profile_form_template" in case["traits"]:  # the form of either package is its own
                await self._see("rendered choices", self._rendered)
            await self._see("user options applied", spawner.load_user_options)

    async def _with_its_options(self) -> None:
        spawner, case = self._spawner, self._case
        if isinstance(spawner, KubeSpawner):
            with suppress(SettingError):  # what is made of the setting says so, too
                spawner._settle_dns_name()  # as each start does, after its options
        await self._see_expanded("expanded at last")
        await self._see("traits", self._traits)
        await self._see("environment", spawner.get_env)
        await self._see("arguments", spawner.get_args)
        await self._see("ssl_alt_names", lambda: spawner.ssl_alt_names)
        await self._see_object("claim", spawner.get_pvc_manifest)
        await self._see_object("service", lambda: spawner.get_service_manifest(OWNER, spawner.port))
        if case.get("internal_ssl"):
            await self._see_object("secret", lambda: spawner.get_secret_manifest(OWNER))
        if spawner.enable_user_namespaces:
            await self._see_object("namespace", self._namespace)
        await self._see_object("pod", spawner.get_pod_manifest)
        await self._see("pod after its hook", self._hooked)
        if "pod" in case:
            await self._see("address", lambda: spawner._get_pod_url(case["pod"]))
        await self._see("state", spawner.get_state)
        spawner.clear_state()
        await self._see("names once more", self._names)

    def _names(self) -> dict[str, Any]:
        return {name: getattr(self._spawner, name) for name in NAMES}

    async def _see_expanded(self, when: str) -> None:
        for template in self._case.get("templates", []):
            await self._see(f"{when} {template!r}", partial(self._spawner._expand_user_properties, template))

    def _traits(self) -> dict[str, Any]:
        return {name: plain(getattr(self._spawner, name)) for name in _COMPARED_TRAITS}

    async def _rendered(self) -> Any:
        form = self._spawner.options_form
        return await maybe_future(form(self._spawner)) if callable(form) else form

    async def _namespace(self) -> Any:
        if not isinstance(self._spawner, peers.Theirs):
            return self._spawner.get_namespace_manifest()
        self._spawner.api = _Api()
        await self._spawner._ensure_namespace()
        return self._spawner.api.namespace

    async def _hooked(self) -> Any:
        """Return the pod that would be created."""
        spawner = self._spawner
        if not isinstance(spawner, peers.Theirs):
            return to_json(await spawner._manifests.pod())
        pod = await spawner.get_pod_manifest()
        if spawner.modify_pod_hook:
            pod = await maybe_future(spawner.modify_pod_hook(spawner, pod))
        return to_json(pod)


def _shape(value: Any) -> Any:
    """Return what is a model and what is JSON, as a hook would find it; an empty model is as good as JSON."""
    if isinstance(value, list):
        return [_shape(item) for item in value]
    if not hasattr(value, "attribute_map"):
        return type(value).__name__
    fields = {name: getattr(value, name) for name in value.attribute_map}
    present = {name: _shape(item) for name, item in fields.items() if item is not None}
    return {"model": type(value).__name__, **present} if present else "dict"


class _Api:
    """Takes the namespace that upstream would create."""

    namespace: Any = None

    async def create_namespace(self, manifest: Any) -> None:
        self.namespace = manifest


# What these are is compared by what they make.
_WITHOUT_VALUE = frozenset({"options_form", "options_from_form", "ssl_alt_names"})

_COMPARED_TRAITS = sorted(peers.Theirs.class_traits(config=True).keys() - _WITHOUT_VALUE)
