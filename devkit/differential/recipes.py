"""Cases as JSON: what a configuration has beyond JSON (functions, models, lazy changes) is written as a recipe.

Each side gets its own values, made anew, so that one that changes what it was given does not help the other.
"""

from collections.abc import Callable, Generator, Mapping
from copy import deepcopy
from typing import Any

from kubernetes_asyncio.client import models
from traitlets.config import Config
from traitlets.config.loader import LazyConfigValue

FUNCTION = "$function"
"""A function of the spawner that returns the value."""
COROUTINE = "$coroutine"
"""The same, but async."""
OF_USER = "$of-user"
"""A function of the spawner that returns its user's id, plus the value."""
MODEL = "$model"
"""A model object of the client library: its class beside "fields"."""
LAZY = "$lazy"
"""Calls on the trait's place in the configuration, as in ``c.KubeSpawner.volumes.append(...)``."""
POD_HOOK = "$pod-hook"
"""A hook (spawner, pod) that puts an annotation on the pod and returns it."""
POD_URL = "$pod-url"
"""A hook (spawner, pod) that makes the URL."""
TUPLE = "$tuple"
DEFAULT_FORM = "$default-form"
"""An options_form (spawner) that returns the spawner's own default form."""


def realised(recipe: Any) -> Any:
    """Return the value that the recipe stands for."""
    if isinstance(recipe, list):
        return [realised(item) for item in recipe]
    if not isinstance(recipe, dict):
        return recipe
    for mark, make in _MAKERS.items():
        if mark in recipe:
            return make(recipe)
    return {key: realised(value) for key, value in recipe.items()}


def configured(traits: Mapping[str, Any]) -> Config:
    """Return the configuration file's result."""
    config = Config()
    for name, recipe in traits.items():
        if isinstance(recipe, dict) and LAZY in recipe:
            for method, argument in recipe[LAZY]:
                getattr(getattr(config.KubeSpawner, name), method)(realised(argument))
        else:
            config.KubeSpawner[name] = realised(recipe)
    return config


def value_of(recipe: Any) -> Any:
    """Return the value that a trait has whose default is empty."""
    value = configured({"trait": recipe}).KubeSpawner["trait"]
    return value.get_value([]) if isinstance(value, LazyConfigValue) else value


class _Named:
    """A function that says what it is, so that two of them can be compared."""

    def __init__(self, recipe: Any) -> None:
        self.recipe = recipe

    def __repr__(self) -> str:
        return f"<function {self.recipe}>"

    def __deepcopy__(self, memo: Any) -> "_Named":
        return self


class _Function(_Named):
    def __call__(self, spawner: Any) -> Any:
        return realised(self.recipe[FUNCTION])


class _Coroutine(_Named):
    def __call__(self, spawner: Any) -> Any:
        return _Awaitable(realised(self.recipe[COROUTINE]))


class _Awaitable:
    """What an async function returns, but without a complaint if nobody awaits it: upstream sometimes does not."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, Any]:
        return self._value
        yield


class _OfUser(_Named):
    def __call__(self, spawner: Any) -> Any:
        return spawner.user.id + self.recipe[OF_USER]


class _PodHook(_Named):
    def __call__(self, spawner: Any, pod: Any) -> Any:
        pod.metadata.annotations = {
            **(pod.metadata.annotations or {}),
            "hook": f"{spawner.user.name}/{len(pod.spec.containers)}/{self.recipe[POD_HOOK]}",
        }
        return pod


class _PodUrl(_Named):
    def __call__(self, spawner: Any, pod: Any) -> str:
        return f"https://{pod['status']['podIP']}/{spawner.name}/{self.recipe[POD_URL]}"


class _DefaultForm(_Named):
    def __call__(self, spawner: Any) -> Any:
        return spawner._options_form_default()


def _model(recipe: Any) -> Any:
    return getattr(models, recipe[MODEL])(**realised(recipe["fields"]))


_MAKERS: dict[str, Callable[[Any], Any]] = {
    FUNCTION: _Function,
    COROUTINE: _Coroutine,
    OF_USER: _OfUser,
    POD_HOOK: _PodHook,
    POD_URL: _PodUrl,
    MODEL: _model,
    DEFAULT_FORM: _DefaultForm,
    TUPLE: lambda recipe: tuple(realised(recipe[TUPLE])),
}


def plain(value: Any) -> Any:
    """Return a trait's value as JSON; what is not JSON as words."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return deepcopy(value)
    if hasattr(value, "to_dict"):
        return {"model": type(value).__name__, **plain(value.to_dict())}
    if isinstance(value, _Named):
        return repr(value)
    return f"<{type(value).__name__} {getattr(value, '__name__', '')}>"
