"""Turns a pod's main container into a command, without a container engine.

Claims are not mounted. The first claim's directory is the home directory, and paths below its mount path are rewritten. Other
volumes, users and capabilities are not supported.
"""

import base64
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from devkit.minicluster.runtime import Order, StartError
from k8s_hub.objects.keys import metadata_of
from k8s_hub.objects.raw import Raw

_SERVICE_URL = "JUPYTERHUB_SERVICE_URL"
_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})

# $(NAME), and $$ for a dollar sign.
_REFERENCE = re.compile(r"\$(?:\$|\((?P<name>[-._A-Za-z][-._A-Za-z0-9]*)\))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The part of the cluster's environment that pods get."""

    #: The first entry of PATH: the programs of this Python environment.
    programs: Path
    path: str
    language: str
    is_root: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A process to start."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path


def compose(order: Order, machine: Machine) -> Command:
    """Return the command; raise StartError if there is none."""
    environment = _environment(order, machine)
    container = order.container
    arguments = [
        *(_expanded(word, environment) for word in container.get("command") or ()),
        *(_expanded(word, environment) for word in container.get("args") or ()),
    ]
    if not arguments:
        raise StartError("RunContainerError", "no command specified: there are no images to take one from")
    moved = [_moved(word, order) for word in arguments]
    program = shutil.which(moved[0], path=environment["PATH"])
    if program is None:
        raise StartError("RunContainerError", f'exec: "{moved[0]}": executable file not found in $PATH')
    options = moved[1:]
    if machine.is_root and PurePosixPath(program).name == "jupyterhub-singleuser":
        options = ["--allow-root", *options]
    return Command(arguments=(program, *options), environment=environment, directory=order.home)


def _environment(order: Order, machine: Machine) -> dict[str, str]:
    environment = {"PATH": f"{machine.programs}:{machine.path}", "LANG": machine.language}
    for variable in order.container.get("env") or ():
        value = _value(variable, environment, order)
        if value is not None:
            environment[variable["name"]] = _moved(value, order)
    if _SERVICE_URL in environment:
        environment[_SERVICE_URL] = _at(environment[_SERVICE_URL], order.address)
    return environment | {"HOME": str(order.home)}


def _value(variable: Raw, environment: Mapping[str, str], order: Order) -> str | None:
    """Return the variable's value; None if its optional Secret does not exist."""
    source = variable.get("valueFrom")
    if not source:
        return _expanded(str(variable.get("value") or ""), environment)
    if reference := source.get("secretKeyRef"):
        return _of_secret(reference, order)
    path = (source.get("fieldRef") or {}).get("fieldPath")
    value = _fields(order).get(str(path))
    if value is None:
        raise StartError(
            "CreateContainerConfigError",
            f"the environment variable {variable['name']} cannot be set: the mini cluster supports secretKeyRef, and "
            f"fieldRef of {', '.join(_fields(order))}, not {source!r}",
        )
    return value


def _of_secret(reference: Raw, order: Order) -> str | None:
    name, key = reference["name"], reference["key"]
    secret = order.find_secret(name)
    content = {} if secret is None else secret.get("data") or {}
    if key in content:
        return base64.b64decode(content[key]).decode()
    if reference.get("optional"):
        return None
    problem = f'secret "{name}" not found' if secret is None else f"couldn't find key {key} in Secret {name}"
    raise StartError("CreateContainerConfigError", problem)


def _fields(order: Order) -> dict[str, str]:
    metadata = metadata_of(order.pod)
    return {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "status.podIP": order.address,
    }


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    """Replace $(NAME) by the variable; unknown names stay."""

    def replacement(match: re.Match[str]) -> str:
        name = match["name"]
        return "$" if name is None else environment.get(name, match[0])

    return _REFERENCE.sub(replacement, text)


def _moved(text: str, order: Order) -> str:
    """Return the path on this machine of a path inside the home's mount."""
    for mount in _mount_paths(order):
        if text == mount or text.startswith(f"{mount}/"):
            return str(order.home) + text.removeprefix(mount)
    return text


def _mount_paths(order: Order) -> Iterable[str]:
    """Yield the mount paths of the home."""
    volumes: list[dict[str, Any]] = order.pod["spec"].get("volumes") or []
    claims = {volume["name"] for volume in volumes if volume.get("persistentVolumeClaim")}
    mounts = [each for each in order.container.get("volumeMounts") or () if each["name"] in claims]
    return (str(mount["mountPath"]).rstrip("/") for mount in mounts[:1])


def _at(url: str, address: str) -> str:
    """Return the listening URL with the pod's own address instead of 0.0.0.0."""
    parts = urlsplit(url)
    if (parts.hostname or "") not in _EVERYWHERE:
        return url
    netloc = address if parts.port is None else f"{address}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))
