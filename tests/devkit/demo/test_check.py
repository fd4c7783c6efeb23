"""The check's own honesty: it says what holds, and fails when a step does not."""

import asyncio

import pytest

from devkit.demo import check
from devkit.demo.failure import DemoError
from devkit.demo.settings import REPOSITORY, Pods, Settings, claimed, free_port
from k8s_hub.kube.core.errors import Unavailable


async def holds(_story):
    """This holds."""


async def fails(_story):
    """This does not hold."""
    raise DemoError("there are 2 pods")


async def cluster_away(_story):
    """This does not hold."""
    raise Unavailable("no connection")


async def hangs(_story):
    """This takes for ever."""
    await asyncio.Event().wait()


async def test_what_holds_is_printed_with_its_seconds(capsys):
    await check.tell(None, [holds])
    assert capsys.readouterr().out == "ok  This holds.  (0.0 s)\n"


@pytest.mark.parametrize(("step", "reason"), [(fails, "there are 2 pods"), (cluster_away, "no connection")])
async def test_the_first_step_that_does_not_hold_ends_the_story(capsys, step, reason):
    with pytest.raises(DemoError, match=rf"failed: This does not hold\. .*{reason}"):
        await check.tell(None, [step, holds])
    assert capsys.readouterr().out == ""


@pytest.mark.looptime
async def test_a_step_that_takes_for_ever_ends_the_story():
    with pytest.raises(DemoError, match=r"failed: This takes for ever\. It took longer than"):
        await check.tell(None, [hangs])


def test_a_listener_plays_the_story_without_files_and_kernels(tmp_path):
    processes = Settings(directory=tmp_path)
    listeners = Settings(directory=tmp_path, pods=Pods.LISTENER)
    assert check.steps_for(processes) == check.STEPS
    assert set(check.STEPS) - set(check.steps_for(listeners)) == check.NEED_JUPYTER


def test_only_the_mini_cluster_is_known_to_miss_an_image(tmp_path):
    settings = Settings(directory=tmp_path, kubeconfig=tmp_path)
    assert set(check.STEPS) - set(check.steps_for(settings)) == check.NEED_MINI_CLUSTER


def test_each_step_says_what_it_proves():
    assert all(step.__doc__.endswith(".") for step in check.STEPS)


@pytest.mark.hub
@pytest.mark.slow
async def test_the_check_fails_when_users_get_no_claim(tmp_path, capsys):
    """With a real hub, proxy, culler and mini cluster, and one line broken on purpose."""
    config = tmp_path / "jupyterhub_config.py"
    broken = "\nc.KubeSpawner.storage_pvc_ensure = False\nc.KubeSpawner.volumes = c.KubeSpawner.volume_mounts = {}\n"
    config.write_text((REPOSITORY / "jupyterhub_config.py").read_text() + broken)
    settings = Settings(directory=tmp_path / "demo", port=free_port(), pods=Pods.LISTENER, hub_config=config)
    with (
        claimed(settings.directory),
        pytest.raises(
            DemoError, match=r"failed: The Kubernetes API shows one pod and one claim for each of them\. "
        ),
    ):
        await check.check(settings)
    told = capsys.readouterr().out.splitlines()
    assert [line.partition("  (")[0] for line in told] == [
        "ok  The login page is there.",
        "ok  Two users log in at the same time, choose a profile, and get a server each.",
    ]
