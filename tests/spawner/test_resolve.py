"""With the chart's own settings, the spawner creates the same objects as KubeSpawner 7.1.0."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from kubernetes_asyncio import client
from traitlets.config import Config

from devkit.testing.bare import bare_spawner
from k8s_hub.manifests.claim import ClaimInputs, build_claim
from k8s_hub.manifests.pod import PodInputs, build_pod
from k8s_hub.naming.templates import TemplateError
from k8s_hub.spawner import resolve

GOLDEN = Path(__file__).parent.parent / "data" / "golden"
VERSIONS = ("hub.jupyter.org/jupyterhub-version", "hub.jupyter.org/kubespawner-version")


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def without_versions(manifest):
    annotations = manifest["metadata"]["annotations"]
    kept = {key: value for key, value in annotations.items() if key not in VERSIONS}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": kept}}


def chart_config():
    """The chart's settings; its privileged init container is a model object there."""
    settings = golden("chart_default_config")
    spawner = settings["KubeSpawner"]
    spawner["init_containers"] = [
        client.V1Container(
            name=item["value"]["name"],
            image=item["value"]["image"],
            command=item["value"]["command"],
            resources=item["value"]["resources"],
            security_context=client.V1SecurityContext(
                privileged=True, run_as_user=0, capabilities=client.V1Capabilities(add=["NET_ADMIN"])
            ),
        )
        for item in spawner["init_containers"]
    ]
    return Config({"KubeSpawner": spawner, "Spawner": settings["Spawner"]})


async def test_the_pod_is_the_one_of_kubespawner():
    spawner = bare_spawner("jane.doe@example.org", config=chart_config())
    spawner.oauth_access_scopes = [
        "access:servers!server=jane.doe@example.org/",
        "access:servers!user=jane.doe@example.org",
    ]

    pod = build_pod(await spawner._resolver.pod_inputs())

    assert without_versions(pod) == without_versions(golden("golden_pod"))


async def test_the_claim_is_the_one_of_kubespawner():
    spawner = bare_spawner("jane.doe@example.org", config=chart_config())

    claim = build_claim(spawner._resolver.claim_inputs())

    assert without_versions(claim) == without_versions(golden("golden_pvc"))


async def test_every_input_of_the_pod_and_of_the_claim_is_resolved(monkeypatch):
    """Most inputs have a default, so nothing else would notice one that is forgotten."""
    monkeypatch.setattr(resolve, "PodInputs", dict)
    monkeypatch.setattr(resolve, "ClaimInputs", dict)
    resolver = bare_spawner()._resolver

    assert (await resolver.pod_inputs()).keys() == {each.name for each in fields(PodInputs)}
    assert resolver.claim_inputs().keys() == {each.name for each in fields(ClaimInputs)}


async def test_a_value_may_be_an_async_function_of_the_spawner():
    async def uid(spawner):
        return 1000 + spawner.user.id

    inputs = await bare_spawner(uid=uid, fs_gid=lambda spawner: spawner.user.id)._resolver.pod_inputs()

    assert (inputs.uid, inputs.fs_gid) == (1007, 7)


async def test_only_the_administrators_environment_is_a_template():
    spawner = bare_spawner(environment={"HOME_OF": "{username}"})
    spawner.cookie_options = {"samesite": "None"}

    env = (await spawner._resolver.pod_inputs()).env

    assert env["HOME_OF"] == "ada"
    assert env["JUPYTERHUB_COOKIE_OPTIONS"] == '{"samesite": "None"}'


async def test_an_environment_value_may_be_a_function():
    env = (
        await bare_spawner(environment={"NAME": lambda spawner: spawner.user.name})._resolver.pod_inputs()
    ).env

    assert env["NAME"] == "ada"


async def test_an_unknown_template_field_is_named():
    with pytest.raises(
        TemplateError, match=r"^pvc_name_template has an unknown field \(did you mean \{username\}\?\)"
    ):
        bare_spawner(pvc_name_template="claim-{usrname}")


async def test_arguments_without_a_command_are_left_to_the_image():
    assert (await bare_spawner(args=["--debug"])._resolver.pod_inputs()).cmd is None


async def test_the_command_is_followed_by_the_arguments():
    inputs = await bare_spawner(cmd=["jupyterhub-singleuser"], args=["--debug"])._resolver.pod_inputs()

    assert inputs.cmd == ["jupyterhub-singleuser", "--debug"]


@pytest.mark.parametrize("username", ["x" * 200, "用户", "Jane Doe@example.org", "-", "9", "a--b"])
async def test_any_user_name_gives_valid_names(username):
    spawner = bare_spawner(username, "gpu")
    pod = build_pod(await spawner._resolver.pod_inputs())

    for name in (spawner.pod_name, spawner.pvc_name):
        assert len(name) <= 63
        assert name.replace("-", "").isalnum()
        assert name.isascii()
    assert pod["metadata"]["annotations"]["hub.jupyter.org/username"] == username


async def test_an_empty_name_of_a_claim_is_known_too():
    assert bare_spawner(pvc_name_template="{servername}")._expand_user_properties("x{pvc_name}") == "x"
