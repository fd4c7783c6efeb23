"""Templates in names, labels, environment and volumes: their fields and their expansion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum, StrEnum
from operator import attrgetter
from string import Formatter
from typing import Any, Self

from k8s_hub.naming import slugs
from k8s_hub.text import nearest


class SettingError(ValueError):
    """A setting is invalid. The message has its place and the fault.

    It never quotes the value, because variables and containers may contain passwords.
    """

    def __init__(self, fault: str, place: str = "") -> None:
        super().__init__(f"{place} {fault}".lstrip())
        self.fault = fault
        #: The setting and the keys that lead to the value: ``environment['DB_URL']``.
        self.place = place

    def within(self, outer: str) -> Self:
        """Return the error with an outer setting or container before its place."""
        return type(self)(self.fault, f"{outer}{self.place}")


class TemplateError(SettingError):
    """A template cannot be expanded. The message lists the fields."""


class in_setting:  # noqa: N801 - used like a function
    """Add a place to each SettingError from inside the context.

    A start enters it fifty times: a class takes a third of the time of a generator.
    """

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """Raise the error with its place."""
        if isinstance(error, SettingError):
            raise error.within(self._place) from None


class SlugScheme(StrEnum):
    """How ``{username}``, ``{servername}`` and ``{user_server}`` are made."""

    SAFE = "safe"
    ESCAPE = "escape"


_BRACES = "literal braces are written {{ and }}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The value of every template field for one server. Attributes are named like the fields."""

    userid: int | str
    unescaped_username: str
    unescaped_servername: str
    hubnamespace: str
    username: str
    servername: str
    user_server: str
    safe_username: str
    safe_servername: str
    safe_user_server: str
    escaped_username: str
    escaped_servername: str
    escaped_user_server: str
    legacy_escape_username: str
    # Names of objects, which are templates themselves: known only after their own expansion.
    pod_name: str = "pod_name_unavailable!"
    pvc_name: str = "pvc_name_unavailable!"
    namespace: str = "namespace_unavailable!"

    @classmethod
    def of(
        cls,
        *,
        username: str,
        servername: str = "",
        userid: int | str,
        hub_namespace: str,
        scheme: SlugScheme = SlugScheme.SAFE,
    ) -> "Names":
        """Compute all fields of one server. Add the names of objects later, with ``dataclasses.replace``."""
        safe_username = slugs.safe(username, max_length=slugs.SLUG_LENGTH)
        safe_servername = slugs.safe(servername, max_length=slugs.SLUG_LENGTH) if servername else ""
        safe_user_server = slugs.user_server(username, servername)
        escaped_username = slugs.escape(username)
        escaped_servername = slugs.escape(servername)
        # As KubeSpawner: the explicit field keeps its delimiter for the default server, the scheme's does not.
        escaped_user_server = f"{escaped_username}--{escaped_servername}"
        is_safe = SlugScheme(scheme) is SlugScheme.SAFE
        return cls(
            userid=userid,
            unescaped_username=username,
            unescaped_servername=servername,
            # No namespace of a user may be called "default-...": that prefix belongs to the cluster.
            hubnamespace="user" if hub_namespace == "default" else hub_namespace,
            username=safe_username if is_safe else escaped_username,
            servername=safe_servername if is_safe else escaped_servername,
            user_server=safe_user_server if is_safe else escaped_user_server.removesuffix("--"),
            safe_username=safe_username,
            safe_servername=safe_servername,
            safe_user_server=safe_user_server,
            escaped_username=escaped_username,
            escaped_servername=escaped_servername,
            escaped_user_server=escaped_user_server,
            legacy_escape_username=slugs.legacy_escape(username),
        )

    def are_in(self, name: str) -> bool:
        """True if an object's name contains the user's, in either scheme, between dashes or at an end."""
        return any(f"-{slug}-" in f"-{name}-" for slug in (self.safe_username, self.escaped_username))


_FIELDS = tuple(field.name for field in fields(Names))
_values_of = attrgetter(*_FIELDS)

_USER_FIELDS = frozenset(
    {
        "userid",
        "unescaped_username",
        "username",
        "safe_username",
        "escaped_username",
        "legacy_escape_username",
    }
)
_SERVER_FIELDS = frozenset({"unescaped_servername", "servername", "safe_servername", "escaped_servername"})
_USER_SERVER_FIELDS = frozenset({"user_server", "safe_user_server", "escaped_user_server", "pod_name"})


class Scope(Enum):
    """Who shares the name that a template makes."""

    EVERYBODY = "everybody"
    USER = "all servers of one user"
    SERVER = "one server"


def scope_of(template: str) -> Scope:
    """Return who shares the name that the template makes."""
    used = _fields_of(template)
    if used & _USER_SERVER_FIELDS or (used & _USER_FIELDS and used & _SERVER_FIELDS):
        return Scope.SERVER
    return Scope.USER if used & _USER_FIELDS else Scope.EVERYBODY


def expand(template: str, names: Names, **known: str) -> str:
    """Fill in the fields; ``{{`` and ``}}`` are literal braces. Values that are ``known`` replace those of ``names``.

    Trailing dashes are removed unless the template ends with one, so that ``{username}--{servername}`` is also valid for the
    default server.
    """
    expanded = fill(template, dict(zip(_FIELDS, _values_of(names), strict=True)) | known)
    return expanded if template.endswith("-") else expanded.rstrip("-")


def expand_all(value: Any, expand_one: Callable[[str], str]) -> Any:
    """Expand every string in nested lists and values of dicts.

    Keys of dicts and all other objects (numbers, None, the client library's models) stay as they are. A TemplateError names
    the path of keys.
    """
    if isinstance(value, str):
        return expand_one(value)
    if isinstance(value, list):
        return [_expand_item(index, item, expand_one) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _expand_item(key, item, expand_one) for key, item in value.items()}
    return value


def _expand_item(key: Any, item: Any, expand_one: Callable[[str], str]) -> Any:
    try:
        return expand_all(item, expand_one)
    except SettingError as error:
        raise error.within(f"[{key!r}]") from None


def expand_host(template: str, expand_one: Callable[[str], str]) -> str:
    """Expand each label of a DNS name separately, so that no label ends with a dash (``pod_connect_ip``)."""
    return ".".join(expand_one(part) if "{" in part else part for part in template.split("."))


def expand_dns_name(template: str, *, name: str, namespace: str) -> str:
    """Fill in ``dns_name_template``. Its two fields are a Service's name and its namespace."""
    return fill(template, {"name": name, "namespace": namespace})


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Fill in the given fields; raise TemplateError."""
    try:
        return template.format(**values)
    except KeyError as error:
        similar = nearest(error.args[0], values)
        hint = f" (did you mean {{{similar}}}?)" if similar else ""
        fault = f"has an unknown field{hint}"
    except (ValueError, IndexError, AttributeError, TypeError):
        fault = "is a malformed template"
    raise TemplateError(f"{fault}; {_BRACES}; the fields are {', '.join(values)}") from None


def _fields_of(template: str) -> frozenset[str]:
    try:
        return frozenset(field for _, field, _, _ in Formatter().parse(template) if field is not None)
    except ValueError:
        raise TemplateError(f"is a malformed template; {_BRACES}") from None
