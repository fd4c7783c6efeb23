"""TLS between hub, proxy and containers, with the rights of the chart's Role and names of any length."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from devkit.demo.plan import make_plan
from devkit.demo.session import browser
from devkit.demo.settings import claimed, find_node, find_proxy
from devkit.demo.stack import Stack, parts_of
from devkit.realcluster.audit import requests_of
from devkit.testing.eventually import eventually
from tests.containers.dns import served_names, with_hosts

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

LONG = "a" * 100

CONFIG = """
c.JupyterHub.internal_ssl = True
c.JupyterHub.internal_certs_location = {certificates!r}
c.JupyterHub.trusted_alt_names = ["IP:{gateway}"]
c.KubeSpawner.pod_name_template = "jupyter.{{unescaped_username}}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.cleanup_proxy = True
c.JupyterHub.services = []
c.JupyterHub.load_roles = []
"""


@asynccontextmanager
async def running(plan, admin):
    """A hub that speaks TLS, and has started its proxy with certificates."""
    _, hub = parts_of(plan)
    arguments = (
        argument.replace("should_start=False", "should_start=True").replace("api_url=http:", "api_url=https:")
        for argument in hub.command.arguments
    )
    hosts = plan.directory / "hosts"
    command = with_hosts(replace(hub.command, arguments=tuple(arguments)), hosts)
    async with served_names(admin, plan.settings.namespace, hosts):
        stack = Stack((replace(hub, command=command),), plan.marker)
        try:
            await stack.start()
            await until_routed(f"{plan.url}/hub/login")
            yield
        finally:
            await stack.stop()


async def until_routed(url):
    """The proxy answers before the hub has told it where the hub is."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(180):
        while (await session.get(url)).status != 200:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.2)


async def test_a_user_works_on_a_server_that_speaks_tls(container_cluster, demo_settings, names_of, tmp_path):
    settings = demo_settings()
    config = tmp_path / "jupyterhub_config.py"
    additions = CONFIG.format(
        certificates=str(tmp_path / "certificates"),
        gateway=container_cluster.gateway,
        proxy=[str(find_node()), str(find_proxy())],
    )
    config.write_text(settings.hub_config.read_text() + additions)
    settings = replace(settings, hub_config=config)
    plan, admin = make_plan(settings), container_cluster.plane.admin
    with claimed(settings.directory):
        async with running(plan, admin), browser(plan.url, "ada") as ada, browser(plan.url, LONG) as long:
            for user in (ada, long):
                await user.log_in(plan.password)
                await user.start_server()
                sentences = await user.follow_progress()
                assert not [sentence for sentence in sentences if "secret" in sentence.lower()]
                server = await user.open_server()
                async with server.kernel() as kernel:
                    assert await kernel.run("print(6 * 7)") == "42\n"

            assert names_of(settings.namespace, "pods") == {"jupyter.ada", f"jupyter.{LONG}"}
            assert names_of(settings.namespace, "secrets") == {"jupyter.ada", f"jupyter.{LONG}"}
            services = names_of(settings.namespace, "services")
            assert len(services) == 2
            assert max(map(len, services)) == 63

            pod = admin.get(f"/api/v1/namespaces/{settings.namespace}/pods/jupyter.ada")
            await assert_nobody_else_gets_in(pod["status"]["podIP"])

            reply = await ada.call("DELETE", ada._server_api(""))
            assert reply.status in {202, 204}
            await eventually(
                lambda: (
                    "jupyter.ada" not in names_of(settings.namespace, "secrets")
                    and len(names_of(settings.namespace, "services")) == 1
                ),
                seconds=180,
            )
    assert names_of(settings.namespace, "pods") == set()
    assert names_of(settings.namespace, "secrets") == names_of(settings.namespace, "services") == set()
    assert len(names_of(settings.namespace, "persistentvolumeclaims")) == 2

    log = container_cluster.plane.layout.log("audit")
    asked = list(requests_of(log, account="hub", namespace=settings.namespace))
    assert [one for one in asked if one.code in {401, 403}] == []
    of_companions = {one.verb for one in asked if one.resource in {"secrets", "services"}}
    assert of_companions == {"create", "get", "delete"}


async def assert_nobody_else_gets_in(address):
    """Neither in the clear nor without a certificate."""
    async with aiohttp.ClientSession() as stranger:
        for url, options in ((f"http://{address}:8888/", {}), (f"https://{address}:8888/", {"ssl": False})):
            with pytest.raises(aiohttp.ClientError):
                await stranger.get(url, **options)
