"""What the parts of the demo are started with."""

import json

import pytest

from devkit.demo.configuration import VARIABLE
from devkit.demo.leftovers import MARKER
from devkit.demo.plan import HUB_CONFIG, cluster_command, hub_command, make_plan
from devkit.demo.settings import Settings, Use
from devkit.demo.showcase import MISSING_IMAGE


@pytest.fixture
def plan(tmp_path):
    """A function that plans a demo of a configuration in a folder of its own."""
    config = tmp_path / "of-somebody/jupyterhub_config.py"

    def make(use):
        return make_plan(Settings(directory=tmp_path / "demo", hub_config=config, use=use))

    return make


def test_a_configuration_as_it_is_is_the_hubs(plan):
    asked = plan(Use.AS_IT_IS)
    hub = hub_command(asked)
    assert f"--config={asked.settings.hub_config}" in hub.arguments
    assert f"--KubeSpawner.environment={MARKER}={asked.marker}" in hub.arguments
    assert VARIABLE not in hub.environment


@pytest.mark.parametrize(("use", "is_own"), [(Use.SHOWN, False), (Use.FITTED, True)])
def test_a_configuration_that_is_changed_is_loaded_by_another(plan, use, is_own):
    asked = plan(use)
    hub = hub_command(asked)
    run = json.loads(hub.environment[VARIABLE])
    assert f"--config={HUB_CONFIG}" in hub.arguments
    # It replaces the environment of somebody's own configuration, so the command line says nothing of it.
    assert not any("KubeSpawner.environment" in argument for argument in hub.arguments)
    assert (run["config"], run["is_own"]) == (str(asked.settings.hub_config), is_own)
    assert asked.token not in " ".join(hub.arguments)


def test_somebodys_own_configuration_runs_in_its_folder_with_the_programs_of_services(plan):
    asked = plan(Use.FITTED)
    hub = hub_command(asked)
    assert hub.directory == asked.settings.hub_config.parent
    assert "JUPYTERHUB_CRYPT_KEY" in hub.environment
    assert hub_command(plan(Use.SHOWN)).directory == asked.directory


def test_somebodys_own_configuration_keeps_its_idle_limit(plan, monkeypatch):
    monkeypatch.delenv("K8S_HUB_IDLE_SECONDS", raising=False)
    assert hub_command(plan(Use.SHOWN)).environment["K8S_HUB_IDLE_SECONDS"] == "600"
    assert "K8S_HUB_IDLE_SECONDS" not in hub_command(plan(Use.FITTED)).environment


@pytest.mark.parametrize(
    ("use", "flags"),
    [(Use.AS_IT_IS, ()), (Use.SHOWN, (f"--missing-image={MISSING_IMAGE}",)), (Use.FITTED, ("--fits-all",))],
)
def test_the_cluster_misses_an_image_or_fits_every_pod(plan, use, flags):
    arguments = cluster_command(plan(use)).arguments
    assert arguments[len(arguments) - len(flags) :] == flags
    assert len(arguments) == 6 + len(flags)
