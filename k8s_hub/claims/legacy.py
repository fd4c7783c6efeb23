"""The names that earlier hubs gave to a server's claim.

| KubeSpawner | user ada, server gpu | user user-1, default server |
|-------------|----------------------|-----------------------------|
| 7           | claim-ada--gpu       | claim-user-1                |
| 0.12 to 6.2 | claim-ada--gpu       | claim-user-2d1              |
| 0.11        | claim-ada-gpu        | claim-user-2d1              |
| 0.9, 0.10   | claim-ada-2dgpu      | claim-user-2d1              |
| 0.8         | claim-ada-gpu        | claim-user-2d1              |

The Zero to JupyterHub chart until version 3 kept the template of KubeSpawner 0.11, whose server name had
lost its dash in 0.12: claim-adagpu.
All of them annotated claims with the user's and the server's name.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from k8s_hub.naming import slugs
from k8s_hub.naming.templates import Names, expand

_DEFAULT_TEMPLATES = (
    "claim-{user_server}",  # KubeSpawner 7; in 0.12 to 6.2 {username}--{servername}, which is the same
    "claim-{username}{servername}",  # KubeSpawner before 0.12, and the chart until 3
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyName:
    """A name under which this server's home may be found."""

    name: str
    is_unmistakable: bool
    """False where another server may have had it: claim-adagpu was the user adagpu's, and ada's server gpu's."""


def legacy_names(template: str, names: Names) -> tuple[LegacyName, ...]:
    """Return every name an earlier version may have used, the latest first, each once.

    The template configured now may have been in use then, so each version's fields are filled into it too.
    """
    found: dict[str, LegacyName] = {}
    for fields in _eras(names):
        for era_template in (template, *_DEFAULT_TEMPLATES):
            name = expand(era_template, fields)
            is_unmistakable = not names.unescaped_servername or fields.user_server in name
            found.setdefault(name, LegacyName(name=name, is_unmistakable=is_unmistakable))
    return tuple(found.values())


def _eras(names: Names) -> Iterator[Names]:
    """Yield the fields as each version filled them in, from KubeSpawner 7 back to 0.8."""
    yield replace(
        names,
        username=names.safe_username,
        servername=names.safe_servername,
        user_server=names.safe_user_server,
    )
    escaped = replace(
        names,
        username=names.escaped_username,
        servername=names.escaped_servername,
        user_server=names.escaped_user_server.removesuffix("--"),
    )
    yield escaped
    if servername := names.unescaped_servername:
        yield replace(escaped, servername=f"-{names.escaped_servername}")
        yield replace(escaped, servername=slugs.escape(f"-{servername}"))
        yield replace(escaped, servername=f"-{servername}")
