"""Log lines name an administrator's function so that it can be found."""

import io
import logging
from contextlib import contextmanager
from functools import partial

import pytest
from traitlets.config import PyFileConfigLoader

from devkit.testing.bare import bare_spawner
from k8s_hub.spawner.run_log import log_with, name_of

CONFIGURATION = """\
from functools import cache, partial


def in_the_queue(seen):
    return None


class Queue:
    def __call__(self, seen):
        return None

    def rule(self, seen):
        return None


c.KubeSpawner.diagnosis_rules = [
    in_the_queue,
    cache(in_the_queue),
    partial(in_the_queue),
    lambda seen: None,
    Queue(),
    Queue().rule,
]
exec("def in_a_text(seen): pass")
c.KubeSpawner.diagnosis_rules.append(in_a_text)
"""


def test_a_function_of_the_configuration_has_its_file_and_line(tmp_path):
    (tmp_path / "jupyterhub_config.py").write_text(CONFIGURATION)
    config = PyFileConfigLoader("jupyterhub_config.py", str(tmp_path)).load_config()

    assert [name_of(rule) for rule in bare_spawner(config=config).diagnosis_rules] == [
        *["in_the_queue (jupyterhub_config.py, line 4)"] * 3,
        "<lambda> (jupyterhub_config.py, line 20)",
        "Queue.__call__ (jupyterhub_config.py, line 9)",
        "Queue.rule (jupyterhub_config.py, line 12)",
        "in_a_text (<string>, line 1)",
    ]


def of_a_module(seen):
    return None


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (of_a_module, f"{__name__}.of_a_module"),
        (partial(of_a_module, 1), f"{__name__}.of_a_module"),
        (print, "print"),
        ("text".format, "str.format"),
    ],
)
def test_other_functions_have_their_module_if_they_have_one(code, name):
    assert name_of(code) == name


@contextmanager
def as_in_a_hub():
    """Python's loggers without a handler: only the hub's own log has one."""
    root, ours = logging.getLogger(), logging.getLogger("k8s_hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(root, "handlers", [])
        patch.setattr(ours, "parent", root)
        yield
    ours.setLevel(logging.NOTSET)


def hubs_log():
    log = logging.getLogger("JupyterHub of a test")
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


def test_lines_of_the_modules_stand_in_the_hub_s_log():
    lines, log = io.StringIO(), hubs_log()
    log.addHandler(logging.StreamHandler(lines))
    with as_in_a_hub():
        log_with(log)
        logging.getLogger("k8s_hub.orphans.reconciler").info("a line")
        logging.getLogger("k8s_hub.orphans.reconciler").debug("another")
    assert lines.getvalue() == "a line\n"


def test_a_log_that_somebody_has_set_up_stays():
    with as_in_a_hub():
        logging.getLogger().addHandler(logging.NullHandler())
        log_with(hubs_log())
        assert logging.getLogger("k8s_hub").parent is logging.getLogger()
