"""Sections of a hub's configuration without effect: typing errors in the names of classes, which traitlets ignores."""

import ast
from collections.abc import Collection, Iterator, Mapping

from k8s_hub.doctor.checks.findings import Finding, fine, unknown, wrong

CHECK = "configuration"

KNOWN = (
    "Authenticator",
    "ConfigurableHTTPProxy",
    "DummyAuthenticator",
    "JupyterHub",
    "KubeSpawner",
    "LocalAuthenticator",
    "LocalProcessSpawner",
    "PAMAuthenticator",
    "Proxy",
    "SimpleLocalProcessSpawner",
    "Spawner",
)
"""Classes that every hub with KubeSpawner has."""


def check_sections(content: str | bytes, path: str) -> Iterator[Finding]:
    """Check a configuration file, without running it."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError) as error:
        yield unknown(CHECK, path, f"not Python: {error}")
        return
    mistakes = [
        wrong(CHECK, f"{path}, line {line}", sentence, advice="correct the name: its settings have no effect")
        for line, sentence in near_misses(_sections(tree), own=own_names(tree))
    ]
    yield from mistakes or [fine(CHECK, path, "no class with a typing error")]


def near_misses(sections: Mapping[str, int], *, own: Collection[str] = ()) -> Iterator[tuple[int, str]]:
    """Yield line and sentence for each name that is one typing error away from a known class.

    sections: names with their lines; own: names of other classes that exist.
    """
    for name, line in sections.items():
        meant = (
            None
            if name in own or name in KNOWN
            else next(filter(lambda known: _is_near(name, known), KNOWN), None)
        )
        if meant is not None:
            yield line, f"c.{name}: no such class; did you mean {meant}?"


def _is_near(name: str, known: str) -> bool:
    """Return whether one letter is missing, added, wrong or exchanged with its neighbour, or only the case differs.

    A name that only adds to a known one, such as KubeSpawner2, may be a class of the site.
    """
    if name.startswith(known) or name.endswith(known):
        return False
    short, long = sorted((name.casefold(), known.casefold()), key=len)
    at = next(
        (at for at, (one, other) in enumerate(zip(short, long, strict=False)) if one != other), len(short)
    )
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    rest, other = short[at:], long[at:]
    return rest[1:] == other[1:] or (rest[1:2] + rest[:1] == other[:2] and rest[2:] == other[2:])


def _sections(tree: ast.AST) -> dict[str, int]:
    """Return the classes in expressions such as ``c.KubeSpawner.image``, with the first line of each."""
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        match node:  # only with an option behind it: another c may have a proxy of its own
            case ast.Attribute(value=ast.Attribute(value=ast.Name(id="c"), attr=name, lineno=line)):
                found[name] = min(line, found.get(name, line))
            case _:
                pass
    return {name: found[name] for name in sorted(found, key=lambda each: found[each])}


def own_names(tree: ast.AST) -> frozenset[str]:
    """Return the names of classes that the file defines, imports or names in a text, such as ``site.MySpawner``."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names.update(alias.asname or alias.name for alias in aliases)
            case ast.Constant(value=str(text)):
                names.add(text.replace(":", ".").rpartition(".")[2])
            case _:
                pass
    return frozenset(names)
