"""Each cell of docs/lifecycle.md has a test that names it."""

import importlib
import pkgutil

import tests.spawner
from tests.spawner.cells import documented_cells


def cells_with_a_test():
    """Return the cells that tests of this package are marked with."""
    found = set()
    for module in pkgutil.iter_modules(tests.spawner.__path__):
        if module.name.startswith("test_lifecycle_"):
            members = vars(importlib.import_module(f"tests.spawner.{module.name}")).values()
            marks = [mark for member in members for mark in getattr(member, "pytestmark", ())]
            found |= {mark.args for mark in marks if mark.name == "cell"}
    return found


def test_the_table_was_read():
    cells = documented_cells()

    assert ("start, no pod", "API up") in cells
    assert ("start, terminating pod", "API away") not in cells
    assert len(cells) > 30


def test_each_cell_has_its_test():
    assert documented_cells() - cells_with_a_test() == set()


def test_no_test_names_a_cell_that_is_not_there():
    assert cells_with_a_test() - documented_cells() == set()
