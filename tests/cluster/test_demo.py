"""The demo's own story on the real API server: real hub, proxy and culler as processes, pods played by kwok."""

import pytest

from devkit.demo.check import check
from devkit.demo.settings import Pods, Settings, claimed, free_port

pytestmark = [pytest.mark.cluster, pytest.mark.hub]


async def test_the_whole_story_holds_on_the_real_api_server(
    control_plane, fresh_namespace, servers, objects, tmp_path, capsys
):
    """Spawned, culled and spawned again with the same claims, with the chart's rights."""
    token = control_plane.make_hub_account(fresh_namespace)
    kubeconfig = tmp_path / "kubeconfig"
    control_plane.write_kubeconfig(kubeconfig, token=token, namespace=fresh_namespace)
    settings = Settings(
        directory=tmp_path / "demo",
        port=free_port(),
        pods=Pods.LISTENER,
        kubeconfig=kubeconfig,
        image="example.org/server:1",
        namespace=fresh_namespace,
        server_port=servers,
    )
    with claimed(settings.directory):
        await check(settings)
    assert "The whole story holds." in capsys.readouterr().out
    assert objects("pods") == {}, "the demo leaves no pods in a cluster that outlives it"
    assert len(objects("persistentvolumeclaims")) == 4
