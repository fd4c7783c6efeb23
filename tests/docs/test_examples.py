"""Examples in Python can be pasted: they import each module of Python's own that they name."""

import ast
import re
import sys
import textwrap

import pytest

from tests.docs.test_commands import PAGES, ROOT

EXAMPLES = [
    pytest.param(textwrap.dedent(code), id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"^ *```python\n(.*?)```", page.read_text(), re.DOTALL | re.MULTILINE)
    )
]


def parsed(code):
    try:
        return ast.parse(code)
    except SyntaxError:
        return ast.parse(f"{{{code}}}")  # a part of a dictionary


def used_and_bound(code):
    nodes = [*ast.walk(parsed(code))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    imported = {
        (name.asname or name.name).partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    stored = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    arguments = {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {node.id for node in names}, imported | stored | arguments


@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_imports_what_it_names(code):
    used, bound = used_and_bound(code)
    assert used & sys.stdlib_module_names - bound == set()
