"""Extra claims: the administrator's ``extra_claims``, and which claim of the cluster each one is."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from k8s_hub.claims.deletion import Deletion, Kept, Sibling, may_delete
from k8s_hub.claims.home import HomeChoice, HomeRequest, Refuse, choose_home
from k8s_hub.claims.lookup import ClaimLookup, username_of
from k8s_hub.naming.ownership import EXTRA_CLAIM_ANNOTATION, ServerIdentity
from k8s_hub.naming.templates import Names, Scope, TemplateError, expand, scope_of
from k8s_hub.objects import quantities
from k8s_hub.objects.keys import Key, annotations_of, key_of, metadata_of
from k8s_hub.objects.raw import Raw
from k8s_hub.text import nearest

KEEP_ANNOTATION = "hub.jupyter.org/keep"
"""On an extra claim: its `RetentionPolicy`."""

READ_WRITE_ONCE = "ReadWriteOnce"
READ_WRITE_ONCE_POD = "ReadWriteOncePod"
ACCESS_MODES = (READ_WRITE_ONCE, "ReadOnlyMany", "ReadWriteMany", READ_WRITE_ONCE_POD)

_SAMPLE = Names.of(username="user", servername="server", userid=1, hub_namespace="hub")
# With two dashes in a name, two claims of different users could come to one name.
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_NAME_LIMIT = 40
_OBJECT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")


class RetentionPolicy(StrEnum):
    """When a claim is deleted."""

    ALWAYS = "keep"
    WITH_SERVER = "with-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraClaim:
    """One entry of ``extra_claims``, with unexpanded templates."""

    name: str
    name_template: str
    capacity: str
    mount_path: str
    storage_class: str | None = None
    """None is the cluster's default class; the empty string is no class: only an existing volume can be bound."""
    access_modes: tuple[str, ...] = (READ_WRITE_ONCE,)
    sub_path: str = ""
    read_only: bool = False
    keep: RetentionPolicy = RetentionPolicy.ALWAYS

    @property
    def scope(self) -> Scope:
        """Who shares the claim."""
        return scope_of(self.name_template)

    @property
    def volume_name(self) -> str:
        """The volume's name in the pod; the prefix avoids names in ``volumes``."""
        return f"extra-{self.name}"


def parse_extra_claims(value: Sequence[Any] | Mapping[str, Any]) -> tuple[ExtraClaim, ...]:
    """Return the claims in order. The keys of a dict are names, and the order is that of the keys.

    Raises ValueError that begins with the place: ``[0].capacity: 'big' is not a Kubernetes quantity``.
    """
    if isinstance(value, Mapping):
        placed = [(f"[{key!r}]", value[key], {"name": key}) for key in sorted(value, key=str)]
    else:
        placed = [(f"[{number}]", entry, {}) for number, entry in enumerate(value)]
    parsed = [(place, _parse(place, entry, default)) for place, entry, default in placed]
    for key in ("name", "name_template", "mount_path"):
        _refuse_doubles(key, [(place, getattr(extra, key)) for place, extra in parsed])
    return tuple(extra for _, extra in parsed)


def choose_extra(request: HomeRequest, name: str, claims: ClaimLookup) -> HomeChoice:
    """Choose the claim for the extra volume ``name``, by the same rules as the home claim.

    A home or another extra claim is never chosen.
    """
    existing = claims.get(Key(request.identity.namespace, request.template_name))
    if existing is not None and _is_of_other_use(existing, name):
        return Refuse(
            message=f'Your volume "{name}" cannot be opened because another volume has its name. '
            "Contact your administrator.",
            detail=f"The claim {key_of(existing)} is annotated for the user {username_of(existing)!r}, but not as "
            f"{EXTRA_CLAIM_ANNOTATION}: {name}; set another name_template for {name!r} in extra_claims",
            owner=username_of(existing) or "",
        )
    return choose_home(request, _ClaimsOfOneUse(claims, name, request.scope))


def may_delete_extra(
    claim: Raw,
    name: str,
    *,
    is_kept: bool,
    identity: ServerIdentity,
    siblings: Sequence[Sibling],
    other_users: Sequence[str],
) -> Deletion:
    """Decide about an extra claim that was just read and that the server's saved state has under this name.

    ``is_kept``: the current configuration keeps claims of this name. The claim's annotation has the policy of the time
    when it was created.
    """
    wanted = annotations_of(claim).get(KEEP_ANNOTATION)
    if is_kept or wanted != RetentionPolicy.WITH_SERVER:
        return Kept(reason="it is configured to outlive its server")
    if _use_of(claim) != name:
        return Kept(reason=f"its annotation names another extra claim, not {name!r}")
    return may_delete(
        _as_home(claim),
        identity=identity,
        scope=Scope.SERVER,
        is_remembered=True,
        siblings=siblings,
        other_users=other_users,
    )


@dataclass(frozen=True, slots=True)
class _ClaimsOfOneUse:
    """A lookup that shows the extra claims of one name, and claims without an owner, as if they were homes."""

    claims: ClaimLookup
    name: str
    scope: Scope

    def get(self, key: Key, /) -> Raw | None:
        claim = self.claims.get(key)
        return None if claim is None or _is_of_other_use(claim, self.name) else _as_home(claim)

    def find(self, value: Hashable, /) -> Iterable[Raw]:
        if self.scope is Scope.EVERYBODY:
            return ()  # found by name only: the annotation names just the user who came first
        return [_as_home(claim) for claim in self.claims.find(value) if _use_of(claim) == self.name]


def _is_of_other_use(claim: Raw, name: str) -> bool:
    """True for a home and for another extra claim; False for a claim that an administrator prepared."""
    use = _use_of(claim)
    return use != name and (use is not None or username_of(claim) is not None)


def _use_of(claim: Raw) -> str | None:
    return annotations_of(claim).get(EXTRA_CLAIM_ANNOTATION)


def _as_home(claim: Raw) -> Raw:
    kept = {key: value for key, value in annotations_of(claim).items() if key != EXTRA_CLAIM_ANNOTATION}
    return {**claim, "metadata": {**metadata_of(claim), "annotations": kept}}


# --- What the admin wrote ---


def _parse(place: str, entry: Any, default: Mapping[str, Any]) -> ExtraClaim:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{place}: {entry!r} is not a dictionary")  # noqa: TRY004 - a wrong value, as all of them
    known = [field.name for field in fields(ExtraClaim)]
    given = {**default, **entry}
    for key in given:
        if key not in known:
            similar = nearest(key, known)
            hint = f" (did you mean {similar}?)" if similar else ""
            raise ValueError(f"{place}.{key}: unknown key{hint}; the keys are {', '.join(known)}")
    for key in ("name", "capacity", "mount_path"):
        if key not in given:
            raise ValueError(f"{place}.{key}: is missing")
    # Two dashes: claim names of one user's server "x" and another claim's user "x" stay apart.
    given.setdefault("name_template", f"{given['name']}--{{user_server}}")
    for key, value in given.items():
        if (problem := _CHECKS[key](value)) is not None:
            raise ValueError(f"{place}.{key}: {value!r} {problem}")
    modes = tuple(given.get("access_modes") or (READ_WRITE_ONCE,))
    keep = RetentionPolicy(given.get("keep", RetentionPolicy.ALWAYS))
    extra = ExtraClaim(**{**given, "access_modes": modes, "keep": keep})
    if keep is RetentionPolicy.WITH_SERVER and extra.scope is not Scope.SERVER:
        raise ValueError(
            f"{place}.keep: {str(keep)!r} needs a claim per server, but name_template "
            f"{extra.name_template!r} makes one for {extra.scope.value}"
        )
    return extra


def _refuse_doubles(key: str, values: Sequence[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for place, value in values:
        if value in seen:
            raise ValueError(f"{place}.{key}: {value!r} is already used by {seen[value]}")
        seen[value] = place


def _name(value: Any) -> str | None:
    if isinstance(value, str) and len(value) <= _NAME_LIMIT and _NAME.fullmatch(value):
        return None
    return f"is not a name of at most {_NAME_LIMIT} lower-case letters, digits and single dashes"


def _name_template(value: Any) -> str | None:
    if not isinstance(value, str):
        return "is not text"
    try:
        name = expand(value, _SAMPLE)
    except TemplateError as error:
        return f"is not usable: it {error}"
    if not _OBJECT_NAME.fullmatch(name):
        return f"does not give a valid name for a claim: {name!r}"
    return None


def _capacity(value: Any) -> str | None:
    if not isinstance(value, str):
        return "is not text"
    try:
        return None if quantities.parse(value) > 0 else "is not greater than zero"
    except ValueError:
        return "is not a Kubernetes quantity"


def _mount_path(value: Any) -> str | None:
    is_path = isinstance(value, str) and value.startswith("/") and ":" not in value
    return None if is_path else "is not an absolute path without colons"


def _sub_path(value: Any) -> str | None:
    is_inside = isinstance(value, str) and not value.startswith("/") and ".." not in value.split("/")
    return None if is_inside else "is not a path inside the volume"


def _storage_class(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else "is neither text nor None"


def _access_modes(value: Any) -> str | None:
    if not isinstance(value, list | tuple) or not value or not all(mode in ACCESS_MODES for mode in value):
        return f"is not a list of {', '.join(ACCESS_MODES)}"
    if READ_WRITE_ONCE_POD in value and len(value) > 1:
        return f"combines {READ_WRITE_ONCE_POD} with another mode"
    return None


def _read_only(value: Any) -> str | None:
    return None if isinstance(value, bool) else "is neither True nor False"


def _keep(value: Any) -> str | None:
    return None if value in list(RetentionPolicy) else f"is not one of {', '.join(RetentionPolicy)}"


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "name": _name,
    "name_template": _name_template,
    "capacity": _capacity,
    "mount_path": _mount_path,
    "storage_class": _storage_class,
    "access_modes": _access_modes,
    "sub_path": _sub_path,
    "read_only": _read_only,
    "keep": _keep,
}
