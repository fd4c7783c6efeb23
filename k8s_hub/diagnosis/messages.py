"""Texts for users: advice, amounts, lists, and sanitized foreign text."""

import re
from collections.abc import Sequence
from decimal import Decimal

CONTACT = "Contact your administrator."
AGAIN = "Try again; if it keeps happening, contact your administrator."
LATER = "Try again in a few minutes; if it keeps happening, contact your administrator."
"""Advice: if only an administrator can help, if another try may help, and if another try later may help."""

_NAME = r"(?:token|password|passwd|secret|signature|credential|api[_-]?key|authorization)"
# The point behind it ends the sentence that quotes it.
_VALUE = r"[^\s\"&,;]*[^\s\"&,;.]"
_SECRETS = (
    # What stands in every text with such a secret, its pattern, and what is shown instead.
    # https://user:password@registry
    ("://", re.compile(r"://[^/@\s]+@"), "://***@"),
    # "Bearer abc", "Basic abc"
    (" ", re.compile(r"\b(bearer|basic)\s+(?!realm\b)[\w.~+/=-]{8,}", re.IGNORECASE), r"\1 ***"),
    # ?X-Amz-Signature=..., token = "..."
    ("=", re.compile(rf"({_NAME}\"?\s*=\s*\"?){_VALUE}", re.IGNORECASE), r"\1***"),
    # "password": "..."
    ('"', re.compile(rf"({_NAME}\"\s*:\s*\"?){_VALUE}", re.IGNORECASE), r"\1***"),
    # A JSON web token anywhere
    ("eyJ", re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), "***"),
)


def sanitized(text: str, limit: int) -> str:
    """Return foreign text as one bounded line, without control characters, surrogates and likely secrets."""
    # What is far behind the limit is not worth reading; foreign text may be megabytes long.
    seen = text[: 4 * limit]
    if not seen.isprintable():
        seen = "".join(each if each.isprintable() else " " for each in seen)
    line = " ".join(seen.split())
    for sign, pattern, replacement in _SECRETS:
        if sign in line:
            line = pattern.sub(replacement, line)
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024


def byte_size(size: Decimal) -> str:
    """``1.5 GiB``: binary units, at most one decimal."""
    for unit in _BINARY_UNITS[:-1]:
        if size < _STEP:
            return f"{_short(size)} {unit}"
        size /= _STEP
    return f"{_short(size)} {_BINARY_UNITS[-1]}"


def _short(number: Decimal) -> str:
    """At most one decimal, and no ``.0``."""
    return f"{number:.1f}".removesuffix(".0")


def capitalized(words: str) -> str:
    """Return the words with a capital first letter."""
    return words[:1].upper() + words[1:]


_SIZES = {"memory": "memory", "ephemeral-storage": "temporary disk space", "storage": "disk space"}
_COUNTED = {"cpu": "CPU", "pods": "place", "persistentvolumeclaims": "volume"}
_GPU_VENDORS = ("nvidia.com/", "amd.com/", "gpu.intel.com/", "habana.ai/")


def format_amount(resource: str, quantity: Decimal) -> str:
    """Return an amount of a resource in plain words: ``2 GPUs``, ``4 GiB of memory``, ``0.5 CPUs``."""
    if resource in _SIZES:
        return f"{byte_size(quantity)} of {_SIZES[resource]}"
    noun = "GPU" if resource.startswith(_GPU_VENDORS) else _COUNTED.get(resource)
    if noun is None:
        return f"{_digits(quantity)} {resource}"
    return f"{_digits(quantity)} {noun}" if quantity == 1 else f"{_digits(quantity)} {noun}s"


def format_quantity(resource: str, quantity: Decimal) -> str:
    """Return an amount without its resource: ``2``, ``4 GiB``."""
    return byte_size(quantity) if resource in _SIZES else _digits(quantity)


def _digits(number: Decimal) -> str:
    return f"{number.normalize():f}"
