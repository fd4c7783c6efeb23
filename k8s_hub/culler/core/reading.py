"""Read the rules file and the values of rules. A BadOption names the place of the mistake."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.objects.raw import Raw
from k8s_hub.text import nearest, quoted


def mapping(raw: Any, path: str, *, keys: Collection[str]) -> Raw:
    """Return a mapping; refuse keys other than these."""
    given = any_mapping(raw, path)
    unknown = [key for key in given if key not in keys]
    if unknown:
        raise BadOption(*(f"{below(path, key)}: is unknown{_guess(key, keys)}" for key in unknown))
    return given


def any_mapping(raw: Any, path: str) -> Raw:
    """Return a mapping with any keys."""
    if not isinstance(raw, Mapping):
        raise BadOption(f"{path}: must be a mapping, not {quoted(raw)}")
    return {**raw}


def _guess(key: Any, keys: Collection[str]) -> str:
    similar = nearest(key, keys)
    return f"; did you mean {similar}?" if similar else f"; known keys are {', '.join(sorted(keys))}"


def one_or_more(raw: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the items of a list, or the single item, each with its path."""
    if not isinstance(raw, list | tuple):
        yield path, raw
        return
    if not raw:
        raise BadOption(f"{path}: is an empty list; remove the key instead")
    yield from ((f"{path}[{index}]", item) for index, item in enumerate(raw))


def text(raw: Any, path: str) -> str:
    """Return a text; refuse an unquoted number or boolean."""
    if not isinstance(raw, str):
        hint = "; put it in quotes" if isinstance(raw, bool | int | float) else ""
        raise BadOption(f"{path}: must be text, not {quoted(raw)}{hint}")
    return raw


def truth(raw: Any, path: str) -> bool:
    """Return a boolean."""
    if not isinstance(raw, bool):
        raise BadOption(f"{path}: must be true or false, not {quoted(raw)}")
    return raw


def below(path: str, key: Any) -> str:
    """Return the path of a key of the mapping at ``path``."""
    return f"{path}.{key if isinstance(key, str) and key.isidentifier() else quoted(key)}"


# --- The file ---

RULES_FILES = frozenset({".yaml", ".yml", ".json"})
"""Suffixes of rules files."""

_MISREAD = "\0misread"
"""In place of a value that YAML changes or cannot read."""

_PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9_]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?")


def parse_rules_file(content: bytes, path: Path) -> tuple[Any, list[str]]:
    """Return the content of a rules file, YAML or JSON by its suffix, and its mistakes that leave the rest readable.

    Raise BadOption for others. The messages begin with the file's name and, if known, the line.
    """
    named = f"rules_file {str(path)!r}"
    try:
        written = content.decode()
    except UnicodeDecodeError as error:
        raise BadOption(f"{named} is not UTF-8: {error.reason} at byte {error.start}") from None
    return _json(written, named) if path.suffix == ".json" else _yaml(written, named)


def without_misread(sentences: Iterable[str]) -> list[str]:
    """Return the mistakes that are not about a value of which `parse_rules_file` has told."""
    return [each for each in sentences if repr(_MISREAD)[1:-1] not in each]


def _json(written: str, named: str) -> tuple[Any, list[str]]:
    mistakes: list[str] = []

    def unambiguous(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                mistakes.append(f"{named} has the key {key!r} twice in one place")
            found[key] = value
        return found

    try:
        return json.loads(written, object_pairs_hook=unambiguous), mistakes
    except json.JSONDecodeError as error:
        raise BadOption(f"{named}, line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise BadOption(f"{named} is nested too deeply") from None
    except ValueError as error:  # a number with too many digits
        raise BadOption(f"{named}: {error}") from None


def _yaml(written: str, named: str) -> tuple[Any, list[str]]:
    import yaml  # late: cullers without such a file save its time and memory

    mistakes: list[str] = []
    try:
        return yaml.load(written, _loader(named, mistakes)), mistakes  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise BadOption(f"{named}{where}: {problem}") from None
    except (RecursionError, ValueError) as error:  # a tagged value that is not a number, for instance
        raise BadOption(f"{named}: {error}") from None


def _loader(named: str, mistakes: list[str]) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
        """Notes values that PyYAML silently changes: it reads 1:30 as 90 and 010 as 8, and drops repeated keys."""

        def construct_yaml_int(self, node: Any) -> Any:
            return self._number(node, super().construct_yaml_int)

        def construct_yaml_float(self, node: Any) -> Any:
            return self._number(node, super().construct_yaml_float)

        def construct_yaml_timestamp(self, node: Any) -> Any:
            try:
                return super().construct_yaml_timestamp(node)
            except (ValueError, AttributeError):  # AttributeError: a tagged value that is not a time
                line, written = node.start_mark.line + 1, quoted(node.value)
                mistakes.append(f"{named}, line {line}: {written} is not a date")
                return _MISREAD

        def _number(self, node: Any, construct: Callable[[Any], Any]) -> Any:
            written = self.construct_scalar(node)
            if _PLAIN_NUMBER.fullmatch(written) is None:
                line = node.start_mark.line + 1
                mistakes.append(
                    f"{named}, line {line}: YAML would read {quoted(written)} as {quoted(construct(node))}; "
                    "write a duration as 1h 30m, a text in quotes, and a number without leading zeros"
                )
                return _MISREAD
            return construct(node)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            mistakes.extend(_doubles([key for key, _value in node.value], named))
            return super().construct_mapping(node, deep)

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_yaml_float)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_timestamp)
    return Loader


def _doubles(keys: Iterable[Any], named: str) -> Iterator[str]:
    """Yield the repeated keys of one mapping; ``keys`` are PyYAML's nodes."""
    seen = set()
    for key in keys:
        if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key.value, str):
            continue
        if key.value in seen:
            line = key.start_mark.line + 1
            yield f"{named}, line {line}: the key {key.value!r} appears twice"
        seen.add(key.value)
