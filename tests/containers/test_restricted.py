"""The whole story where only restricted pods are let in, with the settings of the documentation."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from traitlets.config import Config

from devkit.realcluster.api import RefusedError

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

ENFORCED = {"pod-security.kubernetes.io/enforce": "restricted"}
PAGE = Path(__file__).parents[2] / "docs/restricted-pod-security.md"


def documented(language):
    """The page's first block in a language."""
    block, *_ = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return block


async def test_the_whole_story_holds_with_the_documented_settings(
    container_cluster, demo_settings, tell_story, tmp_path
):
    settings = demo_settings(ENFORCED)
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(settings.hub_config.read_text() + documented("python"))
    settings = replace(settings, hub_config=config)
    ordinary = {"metadata": {"name": "ordinary"}, "spec": {"containers": [{"name": "main", "image": "any"}]}}
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted'):
        container_cluster.plane.admin.create(f"/api/v1/namespaces/{settings.namespace}/pods", ordinary)
    await tell_story(settings)


def test_the_charts_values_say_the_same():
    config = Config()
    exec(documented("python"), {"c": config})
    in_chart = yaml.safe_load(documented("yaml"))["hub"]["config"]["KubeSpawner"]
    assert config["KubeSpawner"] == in_chart
