"""Slugs: valid Kubernetes names for any user or server name, the same as in KubeSpawner 7.1.0.

A slug must never change: users' homes are found by these names.
"""

import re
import string
from collections.abc import Callable
from hashlib import sha256

import escapism

_LONGEST_NAME = 63
_HASH_LENGTH = 8
_DEFAULT_LENGTH = 32
SLUG_LENGTH = 48
"""The longest slug of a user or server in a template. It leaves room for a prefix."""

_LOWER_ALPHANUMERIC = frozenset(string.ascii_lowercase + string.digits)
_OBJECT_NAME = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?")


def escape(name: str) -> str:
    """Return the slug of KubeSpawner before 7: every byte outside a-z0-9 becomes ``-`` and its hex digits.

    Its length and its first and last character may be invalid.
    """
    escaped: str = escapism.escape(name, safe=_LOWER_ALPHANUMERIC, escape_char="-")
    return escaped.lower()


def legacy_escape(name: str) -> str:
    """Return another slug of KubeSpawner until 6: "-" for each character outside a-z0-9.

    Two names may have the same slug.
    """
    return "".join(each if each in _LOWER_ALPHANUMERIC else "-" for each in name.lower())


def safe(name: str, *, max_length: int | None = None) -> str:
    """Return the name if it is valid for every kind of object, else a readable part and a hash."""
    return _slug(name, _is_object_name, max_length)


def label(value: str) -> str:
    """Return the value if it is a valid label value, else a readable part and a hash."""
    return _slug(value, _is_label_value, None)


def service(name: str) -> str:
    """Return the name if it is valid for a Service, else a readable part and a hash.

    A pod's name may have 253 characters and dots. A Service's name must be a DNS label that begins with a letter.
    """
    return name if _is_object_name(name) else _hashed(name, _LONGEST_NAME)


def namespace(name: str) -> str:
    """Return the name if it is valid for a namespace, else a readable part and a hash."""
    is_valid = len(name) <= _LONGEST_NAME and _DNS_LABEL.fullmatch(name) is not None
    return name if is_valid else _hashed(name, _LONGEST_NAME)


def user_server(username: str, servername: str) -> str:
    """Return the slug of one server of one user; the default server has an empty name.

    Beyond ``SLUG_LENGTH``, both names are shortened and share one hash. The delimiter's two characters also count for the
    default server, so a user's slug of 47 or 48 characters is shortened there.
    """
    user = safe(username, max_length=SLUG_LENGTH)
    server = safe(servername, max_length=SLUG_LENGTH) if servername else ""
    if len(user) + len(server) + len("--") > SLUG_LENGTH:
        return _shared_slug((username, servername))
    return f"{user}--{server}" if server else user


def _is_object_name(name: str) -> bool:
    return len(name) <= _LONGEST_NAME and _OBJECT_NAME.fullmatch(name) is not None


def _is_label_value(value: str) -> bool:
    return len(value) <= _LONGEST_NAME and _LABEL_VALUE.fullmatch(value) is not None


def _slug(name: str, is_valid: Callable[[str], bool], max_length: int | None) -> str:
    # A valid name with "--" in it could be the slug of another name.
    fits = max_length is None or len(name) <= max_length
    if fits and "--" not in name and is_valid(name):
        return name
    return _hashed(name, max_length or _DEFAULT_LENGTH)


def _hashed(name: str, max_length: int) -> str:
    room = max_length - _HASH_LENGTH - len("---")
    if room < 1:
        raise ValueError(f"A slug of {max_length} characters leaves no room for a name before its hash")
    return f"{_readable(name, room)}---{_digest(name.encode())}"


def _shared_slug(names: tuple[str, ...]) -> str:
    # "--" follows each name but the last, and the hash has its "-": this is KubeSpawner's division.
    room = (SLUG_LENGTH - _HASH_LENGTH - 1) // len(names) - len("--")
    # No UTF-8 text holds the byte 0xff, so ("a", "b") and ("ab", "") differ.
    digest = _digest(b"\xff".join(name.encode() for name in names))
    return f"{'--'.join(_readable(name, room) for name in names)}---{digest}"


def _readable(name: str, max_length: int) -> str:
    """Return the name reduced to a-z0-9 and single dashes, with a letter first, never empty."""
    readable = re.sub("[^a-z0-9]+", "-", name.lower()).lstrip("-")[:max_length].rstrip("-")
    if readable and readable[0] in string.digits:
        # The length is kept, even where that leaves a dash at the end: KubeSpawner's slugs have it too.
        readable = "x-" + readable[: max_length - len("x-")]
    return readable or "x"


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()[:_HASH_LENGTH]
