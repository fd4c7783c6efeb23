"""Typing errors in the names of classes, which traitlets itself ignores."""

import pytest

from k8s_hub.doctor.checks.configuration import KNOWN, check_sections, near_misses
from k8s_hub.doctor.checks.findings import Status


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KubeSpwner", "KubeSpawner"),
        ("KubeSpawnner", "KubeSpawner"),
        ("KubeSpanwer", "KubeSpawner"),
        ("KubeSpawmer", "KubeSpawner"),
        ("kubeSpawner", "KubeSpawner"),
        ("Kubespawner", "KubeSpawner"),
        ("JupyterHUb", "JupyterHub"),
        ("Jupyterhub", "JupyterHub"),
        ("Spwaner", "Spawner"),
        ("Authentcator", "Authenticator"),
    ],
)
def test_one_typing_error_is_told(name, meant):
    assert list(near_misses({name: 7})) == [(7, f"c.{name}: no such class; did you mean {meant}?")]


@pytest.mark.parametrize(
    "name",
    [
        *KNOWN,
        *("MyKubeSpawner", "KubeSpawner2", "KubeSpawnerWithGPU", "SpawnerX", "XSpawner", "HubSpawner"),
        *(
            "DockerSpawner",
            "GenericOAuthenticator",
            "LTI13Authenticator",
            "IdleCuller",
            "Application",
            "K",
            "",
        ),
        *("Span", "Proxies", "TraefikProxy", "get", "merge"),
    ],
)
def test_the_classes_of_a_site_are_no_mistakes(name):
    assert list(near_misses({name: 1})) == []


@pytest.mark.parametrize(
    "text",
    [
        "class CubeSpawner(KubeSpawner): pass\nc.CubeSpawner.image = 'a'",
        "from site import CubeSpawner\nc.CubeSpawner.image = 'a'",
        "from site import Other as CubeSpawner\nc.CubeSpawner.image = 'a'",
        "c.JupyterHub.spawner_class = 'site.spawners.CubeSpawner'\nc.CubeSpawner.image = 'a'",
        "c.JupyterHub.spawner_class = 'site.spawners:CubeSpawner'\nc.CubeSpawner.image = 'a'",
        "d.CubeSpawner.image = 'a'",
        "for c in clients:\n    c.proxy = 'a'\n    c.spawner(1)",
        "c.KubeSpawner.image = 'a'",
        "",
    ],
)
def test_a_file_without_a_mistake(text):
    (found,) = check_sections(text, "config.py")
    assert found.status is Status.FINE


def test_each_mistake_has_its_line():
    text = "c = get_config()\nif c:\n    c.KubeSpwner.image = 'a'\nc.KubeSpwner.cmd = []\nc.Jupyterhub.services.append(1)\n"
    one, other = check_sections(text, "config.py")
    assert (one.status, one.subject, one.message) == (
        Status.WRONG,
        "config.py, line 3",
        "c.KubeSpwner: no such class; did you mean KubeSpawner?",
    )
    assert other.subject == "config.py, line 5"


def test_a_file_that_is_not_python_is_not_checked():
    (found,) = check_sections("c.x = = 1", "config.py")
    assert found.status is Status.UNKNOWN
