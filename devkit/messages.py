"""``make messages``: lists every text that a user, an administrator or a log reader can see.

It prints each text with file and line: string literals of more than one word (sentences, log formats, help, errors) and the
texts of HTML templates. Parts in braces are filled in at run time. Named constants, such as an advice at the end of many
sentences, are filled in here.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

import k8s_hub

PACKAGE = Path(k8s_hub.__file__).parent
ROOT = PACKAGE.parent

_NOT_TEXT = {"TypeVar", "cast", "compile", "endswith", "fullmatch", "match", "search", "startswith", "sub"}
"""Functions whose arguments are patterns, type names and foreign text."""
_WORDS = re.compile(r"[^\W\d_]{2,}[^\s{}]*\s+(?:\S+\s+)*?[^\s{}]*[^\W\d_]{2,}")
_FILLED_IN = re.compile(r"{{.*?}}")
_TEMPLATE_TAG = re.compile(r"{#.*?#}|{%.*?%}", re.DOTALL)


class Text(NamedTuple):
    """A text with its file and line."""

    path: Path
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.words}"


def texts(paths: Iterable[Path]) -> Iterator[Text]:
    """Yield the texts of files and folders in order."""
    named = {name: text for path in PACKAGE.rglob("*.py") for name, text in _named_in(_parsed(path))}
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix == ".py":
                module = _parsed(file)
                yield from _in(file, module, named | dict(_named_in(module)))
            elif file.suffix == ".html":
                yield from of_template(file)


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _named_in(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the string constants of a module."""
    for node in module.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                yield name, text


def _in(path: Path, node: ast.AST, named: Mapping[str, str]) -> Iterator[Text]:
    """Yield the texts of a module, without docstrings, annotations and regular expressions."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        words = " ".join(_written(node, named).split())
        if _WORDS.search(words) and "(?" not in words:
            yield Text(path, node.lineno, words)
        return
    for child in _children(node):
        yield from _in(path, child, named)


def _written(node: ast.AST, named: Mapping[str, str]) -> str:
    """Return a literal as its reader sees it, with the code in braces."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_written(part, named) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)) if name in named:
            return named[name]
        case ast.FormattedValue(value=value):
            return f"{{{ast.unparse(value)}}}"
        case _:
            return ""


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the child nodes that can contain texts."""
    match node:
        case ast.Expr(value=ast.Constant()):  # a docstring, of an attribute too
            return
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _NOT_TEXT:
            return
        case ast.arg() | ast.Compare():
            return
        case ast.AnnAssign(value=value):
            yield from filter(None, [value])
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from (*node.decorator_list, node.args, *node.body)
        case _:
            yield from ast.iter_child_nodes(node)


def of_template(path: Path) -> Iterator[Text]:
    """Yield the texts of an HTML template."""
    parser = _Words()
    # Tags of the template become blanks: the lines stay what they are.
    parser.feed(_TEMPLATE_TAG.sub(lambda tag: re.sub(r"[^\n]", " ", tag[0]), path.read_text()))
    parser.close()
    for line, words in parser.found:
        yield Text(path, line, words)


class _Words(HTMLParser):
    """Collects the text of a page and of visible attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, str]] = []
        self._is_code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._is_code = tag in {"script", "style"}
        for name, value in attrs:
            if name in {"alt", "aria-label", "placeholder", "title"}:
                self._note(value or "")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._is_code = False

    def handle_data(self, data: str) -> None:
        if not self._is_code:
            self._note(data)

    def _note(self, text: str) -> None:
        words = " ".join(text.split())
        if re.search(r"[^\W\d_]{2}", _FILLED_IN.sub("", words)):
            self.found.append((self.getpos()[0], words))


def main(arguments: list[str]) -> int:
    """Print the texts of the given files and folders, or of the package."""
    for text in texts([Path(name).resolve() for name in arguments] or [PACKAGE]):
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
