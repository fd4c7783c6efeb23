"""A server whose token is in a Secret: it works, and nobody who reads pods sees the token."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest

from devkit.demo.plan import make_plan
from devkit.demo.session import browser
from devkit.demo.settings import claimed
from devkit.demo.stack import running
from devkit.realcluster.audit import requests_of
from devkit.testing.eventually import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]

PAGE = Path(__file__).parents[2] / "docs/howto/secrets.md"

# The demo has variables of its own, on the command line, in the place of those of the file.
MERGED = """
variables = dict(c.KubeSpawner.environment)

def add_variables(spawner):
    spawner.environment = {**spawner.environment, **variables}

c.KubeSpawner.pre_spawn_hook = add_variables
"""

PROGRAM = "import os; print(os.environ['DB_PASSWORD'], len(os.environ['JUPYTERHUB_API_TOKEN']) >= 32)"


def documented():
    """The page's first two examples."""
    first, second, *_ = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return f"\nget_password = 'hunter2hunter2'\n{first}{second}{MERGED}"


async def test_a_user_works_on_a_server_whose_token_is_in_a_secret(
    container_cluster, demo_settings, names_of, tmp_path
):
    settings = demo_settings({"pod-security.kubernetes.io/enforce": "restricted"})
    config = tmp_path / "jupyterhub_config.py"
    profile = 'c.KubeSpawner.security_profile = "restricted"\n'
    config.write_text(settings.hub_config.read_text() + documented() + profile)
    settings = replace(settings, hub_config=config)
    plan, admin = make_plan(settings), container_cluster.plane.admin
    namespace = f"/api/v1/namespaces/{settings.namespace}"
    with claimed(settings.directory):
        async with running(plan), browser(plan.url, "ada") as ada:
            await ada.log_in(plan.password)
            await ada.start_server()
            sentences = await ada.follow_progress()
            assert not [sentence for sentence in sentences if "secret" in sentence.lower()]
            server = await ada.open_server()
            async with server.kernel() as kernel:
                assert await kernel.run(PROGRAM) == "hunter2hunter2 True\n"

            data = admin.get(f"{namespace}/secrets/jupyter-ada.env")["data"]
            secrets = {name: b64decode(value).decode() for name, value in data.items()}
            assert secrets.keys() == {"DB_PASSWORD", "JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"}
            seen = json.dumps([admin.get(f"{namespace}/{plural}") for plural in ("pods", "events")])
            assert [name for name, value in secrets.items() if value in seen] == []

            reply = await ada.call("DELETE", ada._server_api(""))
            assert reply.status in {202, 204}
            await eventually(lambda: names_of(settings.namespace, "secrets") == set(), seconds=180)

    log = (settings.directory / "hub.log").read_text()
    assert [name for name, value in secrets.items() if value in log] == []
    asked = list(
        requests_of(container_cluster.plane.layout.log("audit"), account="hub", namespace=settings.namespace)
    )
    assert [one for one in asked if one.code in {401, 403}] == []
