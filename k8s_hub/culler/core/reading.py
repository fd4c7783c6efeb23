"""Read the values of rules, and the rules file. Errors name the place of the mistake."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from k8s_hub.objects.raw import Raw
from k8s_hub.text import quoted


class BadRule(Exception):
    """An invalid rule; the message begins with the path of the key, such as ``rules[2].match.user``."""


def suggestion(word: Any, known: Collection[str], *, likeness: float = 0.6) -> str:
    """Return a suggestion as the end of a sentence, or nothing."""
    similar = get_close_matches(word, known, n=1, cutoff=likeness) if isinstance(word, str) else []
    return f"; did you mean {similar[0]}?" if similar else ""


def mapping(raw: Any, path: str, *, keys: Collection[str]) -> Raw:
    """Return a mapping that has none but these keys."""
    if not isinstance(raw, Mapping):
        raise BadRule(f"{path}: must be a mapping, not {quoted(raw)}")
    for key in raw:
        if key not in keys:
            guess = suggestion(key, keys) or f"; known keys are {', '.join(sorted(keys))}"
            raise BadRule(f"{below(path, key)}: is unknown{guess}")
    return raw


def one_or_more(raw: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what is one thing or a list of things, each with its path."""
    if not isinstance(raw, list | tuple):
        yield path, raw
        return
    if not raw:
        raise BadRule(f"{path}: is an empty list; leave the key out instead")
    yield from ((f"{path}[{index}]", item) for index, item in enumerate(raw))


def text(raw: Any, path: str) -> str:
    """Return a text; what only looks like one, such as a number, is to be quoted."""
    if not isinstance(raw, str):
        hint = "; put it in quotes" if isinstance(raw, bool | int | float) else ""
        raise BadRule(f"{path}: must be text, not {quoted(raw)}{hint}")
    return raw


def truth(raw: Any, path: str) -> bool:
    """Return true or false."""
    if not isinstance(raw, bool):
        raise BadRule(f"{path}: must be true or false, not {quoted(raw)}")
    return raw


def below(path: str, key: Any) -> str:
    """Return the path of a key of the mapping at ``path``."""
    return f"{path}.{key if isinstance(key, str) and key.isidentifier() else quoted(key)}"


# --- The file ---

RULES_FILES = frozenset({".yaml", ".yml", ".json"})
"""The endings of their names."""

_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9_]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?")


class BadRulesFile(Exception):
    """The file cannot be read; the message begins with its name and, where one is known, the line."""


def parse_rules_file(content: bytes, path: Path) -> Any:
    """Return what a file of rules holds, YAML or JSON by its name; raise BadRulesFile."""
    named = f"rules_file {str(path)!r}"
    try:
        written = content.decode()
    except UnicodeDecodeError as error:
        raise BadRulesFile(f"{named} is not UTF-8: {error.reason} at byte {error.start}") from None
    return _json(written, named) if path.suffix == ".json" else _yaml(written, named)


def _json(written: str, named: str) -> Any:
    def unambiguous(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise BadRulesFile(f"{named} has the key {key!r} twice in one place")
            found[key] = value
        return found

    try:
        return json.loads(written, object_pairs_hook=unambiguous)
    except json.JSONDecodeError as error:
        raise BadRulesFile(f"{named}, line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise BadRulesFile(f"{named} is too deep") from None
    except ValueError as error:  # a number without end
        raise BadRulesFile(f"{named}: {error}") from None


def _yaml(written: str, named: str) -> Any:
    import yaml  # tens of milliseconds, and megabytes, that cullers without such a file do not pay

    try:
        return yaml.load(written, _loader(named))  # noqa: S506 - it is a safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise BadRulesFile(f"{named}{where}: {problem}") from None
    except (RecursionError, ValueError) as error:  # what is tagged as a number and is none, for instance
        raise BadRulesFile(f"{named}: {error}") from None


def _loader(named: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
        """A loader that refuses what PyYAML would read in silence as something else.

        Of a key that is written twice it drops the first; 1:30 is 90 to it, and 010 is 8.
        """

        def construct_yaml_int(self, node: Any) -> Any:
            return self._number(node, super().construct_yaml_int)

        def construct_yaml_float(self, node: Any) -> Any:
            return self._number(node, super().construct_yaml_float)

        def construct_yaml_timestamp(self, node: Any) -> Any:
            try:
                return super().construct_yaml_timestamp(node)
            except (
                ValueError,
                AttributeError,
            ):  # the second is PyYAML's for what is tagged as a time and is none
                line, written = node.start_mark.line + 1, quoted(node.value)
                raise BadRulesFile(f"{named}, line {line}: {written} is not a date") from None

        def _number(self, node: Any, construct: Callable[[Any], Any]) -> Any:
            written = self.construct_scalar(node)
            if _PLAIN_NUMBER.fullmatch(written) is None:
                line = node.start_mark.line + 1
                raise BadRulesFile(
                    f"{named}, line {line}: YAML would read {quoted(written)} as {quoted(construct(node))}; "
                    "write a duration as 1h 30m, a text in quotes, and a number without zeros before it"
                )
            return construct(node)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            _refuse_doubles([key for key, _value in node.value], named)
            return super().construct_mapping(node, deep)

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_yaml_float)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_timestamp)
    return Loader


def _refuse_doubles(keys: Iterable[Any], named: str) -> None:
    """Refuse a key that is written twice in one mapping; ``keys`` are PyYAML's nodes."""
    seen = set()
    for key in keys:
        if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key.value, str):
            continue
        if key.value in seen:
            line = key.start_mark.line + 1
            raise BadRulesFile(f"{named}, line {line}: the key {key.value!r} appears twice")
        seen.add(key.value)
