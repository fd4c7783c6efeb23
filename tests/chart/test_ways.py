"""The ways in which the code comes into the hub: hubs that have it in no other way spawn and cull.

The third, an image, is what tests/containers/test_hub_pod.py runs.
"""

import asyncio
import functools
import shutil
import sys
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from devkit.chart.hubs import NAMESPACE, chart_hub, mini_cluster, tell_story
from devkit.chart.values import FILES, ROOT, values_with

pytestmark = [pytest.mark.hub, pytest.mark.slow]


async def spawns_and_culls(tmp_path, way, python_path):
    """Tell the story with a hub on whose Python path is only this; return where its code came from."""
    async with (
        mini_cluster(tmp_path) as (kubeconfig, objects),
        chart_hub(
            tmp_path / "hub",
            *(way, "spawner", "culler", "culler-page"),
            kubeconfig=kubeconfig,
            namespace=NAMESPACE,
            environment={"PYTHONPATH": python_path},
        ) as hub,
    ):
        await tell_story(hub, objects)
        assert (await hub.page())[0] == 302
        (line,) = [line for line in hub.hub.lines() if line.startswith("The code comes from ")]
    return line.removeprefix("The code comes from ")


@contextmanager
def served(folder):
    """Serve a folder's files at an address of this machine, as an admin's web server would."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_from_a_wheel_as_a_file(wheel, without_orjson, tmp_path):
    hub = values_with(FILES / "code-from-wheel.yaml")["hub"]
    (volume,), (mount,) = hub["extraVolumes"], hub["extraVolumeMounts"]
    assert volume["name"] == mount["name"]
    assert hub["extraEnv"]["PYTHONPATH"] == mount["mountPath"] == f"/usr/local/share/{mount['subPath']}"
    for text in (FILES / "code-from-wheel.yaml", ROOT / "docs/howto/chart.md"):
        assert f'--from-file={mount["subPath"]}="$(ls dist/k8s_hub-*.whl)"' in text.read_text()
    assert fnmatch(wheel.name, "k8s_hub-*.whl")
    mounted = shutil.copy(wheel, tmp_path / mount["subPath"])
    place = await spawns_and_culls(tmp_path, "code-from-wheel", f"{mounted}:{without_orjson}")
    assert place == f"{mounted}/k8s_hub/__init__.py"


async def test_from_an_init_container(wheel, without_orjson, tmp_path):
    hub = values_with(FILES / "code-from-init-container.yaml")["hub"]
    (container,), (volume,), (mount,) = hub["initContainers"], hub["extraVolumes"], hub["extraVolumeMounts"]
    (inside,) = container["volumeMounts"]
    target = mount["mountPath"]
    assert volume["name"] == mount["name"] == inside["name"]
    assert inside["mountPath"] == hub["extraEnv"]["PYTHONPATH"] == target
    assert container["command"][-1].endswith(f"/{wheel.name}")
    with served(wheel.parent) as address:
        here = {"python3": sys.executable, f"--target={target}": f"--target={tmp_path / 'code'}"}
        words = [here.get(word, word) for word in container["command"]]
        words[-1] = words[-1].replace("https://files.example.org/", address)
        pip = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        assert await pip.wait() == 0
    slot = await spawns_and_culls(
        tmp_path, "code-from-init-container", f"{tmp_path / 'code'}:{without_orjson}"
    )
    assert slot == f"{tmp_path / 'code'}/k8s_hub/__init__.py"


def test_the_image_is_made_by_the_script_and_has_the_pinned_versions(wheel):
    """What the Dockerfile copies is there, and names this version; the script itself runs in tests/containers."""
    folder = FILES / "image"
    dockerfile = (folder / "Dockerfile").read_text()
    (copied,) = [line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY ")]
    *sources, from_dist = copied
    assert all((ROOT / source).is_file() for source in sources)
    assert from_dist == "dist/${WHEEL}"
    assert f"ARG WHEEL={wheel.name}\n" in dockerfile
    assert dockerfile.rstrip().endswith("USER 1000")
    image = values_with()["hub"]["image"]
    assert f"ARG HUB={image['name']}:{image['tag']}\n" in dockerfile
