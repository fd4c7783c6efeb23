"""The cullers among the services of a hub: where they look for it, and what `k8s-hub cull explain` needs to know."""

import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k8s_hub.culler.beside import TOKEN

_PROGRAMS = frozenset({"k8s_hub.culler", "jupyterhub_idle_culler", "cull"})
_URL_FLAGS = frozenset({"--url", "--IdleCuller.url"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Culler:
    """What a culler's service gives its process."""

    flags: Sequence[str]
    directory: str  # absolute; relative paths in its options begin there
    variables: Mapping[str, str] = field(repr=False)  # with its token
    page: str = ""  # the path of its page below the URL for users; empty: it has none


def first(services: Sequence[Any]) -> Culler | None:
    """Return the first culler among the hub's services, with a token if it has none; None without a culler."""
    for service in services:
        flags = _flags(service)
        if flags is not None:
            variables = {name: str(value) for name, value in (service.get("environment") or {}).items()}
            # The hub would make a token that only the culler knows: explain must see what the culler sees.
            token = service["api_token"] = service.get("api_token") or secrets.token_hex(16)
            return Culler(
                flags=flags,
                directory=str(Path(service.get("cwd") or "").absolute()),
                variables={**variables, TOKEN: token},
                page=f"/services/{service.get('name')}/" if service.get("url") else "",
            )
    return None


def fit(services: Sequence[Any]) -> Iterator[str]:
    """Remove the URL of another hub from cullers' commands, because the hub sets the variable; yield what was removed."""
    for service in services:
        words, flags = _words(service), _flags(service)
        if flags is None:
            continue
        kept = _without_url(flags)
        if kept != flags:
            service["command"] = [*words[: len(words) - len(flags)], *kept]
            yield f"--url of the service {service.get('name')}"


def script(variables: Mapping[str, str]) -> str:
    """Return shell commands that export the variables."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def _flags(service: Any) -> list[str] | None:
    """Return the flags of a service that is a culler; None for others."""
    words = _words(service)
    found = [at for at, word in enumerate(words) if word in _PROGRAMS]
    return words[found[0] + 1 :] if found else None


def _words(service: Any) -> list[str]:
    command = service.get("command") if isinstance(service, Mapping) else None
    return shlex.split(command) if isinstance(command, str) else list(map(str, command or ()))


def _without_url(flags: Sequence[str]) -> list[str]:
    kept = []
    words = iter(flags)
    for flag in words:
        name, equals, _ = flag.partition("=")
        if name not in _URL_FLAGS:
            kept.append(flag)
        elif not equals:
            next(words, None)  # the value
    return kept
