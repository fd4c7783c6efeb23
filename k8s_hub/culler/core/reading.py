"""What an admin wrote, read value by value: what makes no sense is refused where it stands."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from k8s_hub.objects.raw import Raw
from k8s_hub.text import quoted


class BadRule(Exception):
    """A rule that makes no sense; the message begins with the path of the key, such as ``rules[2].match.user``."""


def suggestion(word: Any, known: Collection[str], *, likeness: float = 0.6) -> str:
    """Return what was probably meant, as the end of a sentence; nothing where there is no guess."""
    similar = get_close_matches(word, known, n=1, cutoff=likeness) if isinstance(word, str) else []
    return f"; is {similar[0]} meant?" if similar else ""


def mapping(raw: Any, path: str, *, keys: Collection[str]) -> Raw:
    """Return a mapping that has none but these keys."""
    if not isinstance(raw, Mapping):
        raise BadRule(f"{path}: must be a mapping, not {quoted(raw)}")
    for key in raw:
        if key not in keys:
            guess = suggestion(key, keys) or f"; there are {', '.join(sorted(keys))}"
            raise BadRule(f"{below(path, key)}: is unknown{guess}")
    return raw


def one_or_more(raw: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what is one thing or a list of things, each with its path."""
    if not isinstance(raw, list | tuple):
        yield path, raw
        return
    if not raw:
        raise BadRule(f"{path}: is an empty list; leave it out where nothing is meant")
    yield from ((f"{path}[{index}]", item) for index, item in enumerate(raw))


def text(raw: Any, path: str) -> str:
    """Return a text; what only looks like one, such as a number, is to be quoted."""
    if not isinstance(raw, str):
        hint = " (in quotes it is one)" if isinstance(raw, bool | int | float) else ""
        raise BadRule(f"{path}: must be a text, not {quoted(raw)}{hint}")
    return raw


def truth(raw: Any, path: str) -> bool:
    """Return true or false."""
    if not isinstance(raw, bool):
        raise BadRule(f"{path}: must be true or false, not {quoted(raw)}")
    return raw


def below(path: str, key: Any) -> str:
    """Return the path of a key of the mapping at ``path``."""
    return f"{path}.{key if isinstance(key, str) and key.isidentifier() else quoted(key)}"
