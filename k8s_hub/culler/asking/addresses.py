"""Where single-user servers listen: from their state, from a template, from the proxy's routes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from string import Formatter
from typing import Any
from urllib.parse import SplitResult, urlsplit

from k8s_hub.culler.urls import has_credentials
from k8s_hub.hub.routes import ServerKey
from k8s_hub.hub.users import Server
from k8s_hub.naming import templates

OF_THE_STATE = frozenset({"pod_name", "namespace"})
OF_THE_NAMES = frozenset(
    {
        *("username", "servername", "user_server"),
        *("safe_username", "safe_servername", "safe_user_server"),
        *("escaped_username", "escaped_servername", "escaped_user_server"),
    }
)
"""No unescaped name: no user may choose the host that the culler's token is sent to."""

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
SCHEMES = frozenset({"http", "https"})


class BadTemplate(Exception):
    """A template that names no address; the message begins with its key, ``server_url_template``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A checked template of addresses, such as ``http://{pod_name}.{namespace}.svc:8888``."""

    scheme: str
    host: str
    port: int | None  # None: the scheme's

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read a template; raise BadTemplate."""
        if has_credentials(text):
            raise BadTemplate("server_url_template must be scheme, host and port, without user and password")
        _check_fields(text)
        url = _split(text)
        if url is None or url.path not in {"", "/"} or url.query or url.fragment:
            raise BadTemplate(
                f"server_url_template must be scheme, host and port, such as http://{{pod_name}}.example:8888, not {text!r}"
            )
        return cls(scheme=url.scheme, host=url.hostname or "", port=url.port)

    def address_of(self, server: Server) -> str | None:
        """Return a server's address; None where its state does not tell a field."""
        state = server.state or {}
        saved = {name: state[name] for name in OF_THE_STATE if isinstance(state.get(name), str)}
        if any(f"{{{name}}}" in self.host for name in OF_THE_STATE - set(saved)):
            return None
        names = templates.names_of(username=server.user, servername=server.name, userid="", hub_namespace="")
        expand = partial(templates.expand, names=replace(names, **saved))
        host = templates.expand_host(self.host, expand)
        if HOST.fullmatch(host) is None:
            return None
        return f"{self.scheme}://{host}" + ("" if self.port is None else f":{self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """All that is known about where servers listen."""

    template: Template | None = None
    routes: Mapping[ServerKey, str] = field(default_factory=dict)

    def url_of(self, server: Server) -> str | None:
        """Return the URL that a server listens at, without a slash at its end; None: not known."""
        own = (server.state or {}).get("url")
        if _is_http(own):
            return str(own).rstrip("/")
        address = None if self.template is None else self.template.address_of(server)
        address = address or self.routes.get((server.user, server.name))
        path = server.raw.get("url")
        if not _is_http(address) or not isinstance(path, str):
            return None
        # With a domain for each user, the hub puts that in front of the path.
        return f"{address}".rstrip("/") + urlsplit(path).path.rstrip("/")


def _check_fields(text: str) -> None:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise BadTemplate(f"server_url_template {text!r} is malformed: {error}") from None
    for literal, name, spec, conversion in parts:
        if "{" in literal or "}" in literal:
            raise BadTemplate(f"server_url_template {text!r} has a brace that belongs to no field")
        if name is not None and (name not in OF_THE_STATE | OF_THE_NAMES or spec or conversion):
            known = ", ".join(sorted(OF_THE_STATE | OF_THE_NAMES))
            shown = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise BadTemplate(
                f"server_url_template {text!r} has the unknown field {shown!r}; known are {known}"
            )


def _is_http(url: Any) -> bool:
    return isinstance(url, str) and _split(url) is not None


def _split(url: str) -> SplitResult | None:
    """Return the parts of a URL of a host; None where it is none that may be asked."""
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:  # a bracket without its pair, a port that is no number
        return None
    return parts if is_good else None
