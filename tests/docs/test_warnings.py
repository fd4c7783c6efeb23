"""The command for warnings of a hub finds what the spawner says about its configuration, and nothing else."""

import re
import subprocess
from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub
from traitlets.config import Config

from devkit.testing.bare import bare_spawner
from k8s_hub.spawner.run_log import warn_once

HOWTO = Path(__file__).parents[2] / "docs/howto"
PAGES = [HOWTO / "chart.md", HOWTO / "migrate-from-kubespawner.md"]
WRONG = {
    "allowed_groups and allowed_users restrict nothing": {
        "profile_list": [{"display_name": "GPU", "allowed_groups": ["staff"]}]
    },
    "the profile is left out": {"profile_list": [{"display_name": "Small"}, {"slug": "nameless"}]},
    "the option is left out": {"profile_list": [{"display_name": "S", "profile_options": {"image": {}}}]},
    "has no effect": {
        "profile_list": [{"display_name": "S", "kubespawner_override": {"pod_name_template": "p-{username}"}}]
    },
    "is deprecated": {"singleuser_working_dir": "/home"},
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize(("words", "settings"), WRONG.items(), ids=WRONG)
def test_the_command_finds_the_warning(page, words, settings, caplog):
    warn_once.cache_clear()
    hub = JupyterHub()
    caplog.handler.setFormatter(hub._log_formatter_cls(fmt=hub.log_format, datefmt=hub.log_datefmt))
    caplog.set_level("INFO")
    bare_spawner(config=Config({"KubeSpawner": settings}))
    hub.log.info("Using Spawner: k8s_hub.KubeSpawner")
    (pattern,) = re.findall(r'logs deployment/hub \| grep -E "(.+)"', page.read_text())
    found = subprocess.run(
        ["grep", "-E", pattern], input=caplog.text, capture_output=True, text=True, check=False
    )
    assert words in found.stdout
    assert "Using Spawner" not in found.stdout
