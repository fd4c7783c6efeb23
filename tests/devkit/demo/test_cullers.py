"""The culler among a hub's services: its flags, and the hub that it asks."""

import pytest

from devkit.demo import cullers


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (["python3", "-m", "jupyterhub_idle_culler", "--timeout=3600"], ["--timeout=3600"]),
        (["k8s-hub", "cull", "--timeout=3600", "--once"], ["--timeout=3600", "--once"]),
        ("python3 -m k8s_hub.culler --timeout=60", ["--timeout=60"]),
        (["k8s-hub", "cull"], []),
    ],
)
def test_the_flags_of_the_culler_are_found(command, flags):
    culler = cullers.first([{"name": "other", "url": "http://x"}, {"name": "one", "command": command}])
    assert culler.flags == flags


@pytest.mark.parametrize("command", [["python3", "-m", "announcements"], None])
def test_another_service_is_no_culler(command):
    assert cullers.first([{"name": "one", "command": command}]) is None


@pytest.mark.parametrize(
    "url",
    [
        ["--url=http://localhost:8081/hub/api"],
        ["--url", "http://localhost:8081"],
        ["--IdleCuller.url=http://x"],
    ],
)
@pytest.mark.parametrize("is_text", [True, False])
def test_the_url_of_another_hub_is_removed_and_named(url, is_text):
    words = ["python3", "-m", "jupyterhub_idle_culler", *url, "--timeout=60"]
    service = {"name": "jupyterhub-idle-culler", "command": " ".join(words) if is_text else words}
    assert list(cullers.fit([service])) == ["--url of the service jupyterhub-idle-culler"]
    assert service["command"] == ["python3", "-m", "jupyterhub_idle_culler", "--timeout=60"]


@pytest.mark.parametrize("command", ["k8s-hub cull --timeout=60", "announcements --url=http://x", None])
def test_a_service_that_names_no_hub_stays_as_it_is(command):
    service = {"name": "one", "command": command}
    assert list(cullers.fit([service])) == []
    assert service == {"name": "one", "command": command}


def test_variables_are_for_a_shell_and_are_not_shown():
    culler = cullers.first(
        [{"name": "one", "command": ["k8s-hub", "cull"], "environment": {"URL": "a b", "N": 1}}]
    )
    token = culler.variables["JUPYTERHUB_API_TOKEN"]
    assert cullers.script(culler.variables) == (
        f"export URL='a b'\nexport N=1\nexport JUPYTERHUB_API_TOKEN={token}\n"
    )
    assert "a b" not in repr(culler)
    assert token not in repr(culler)
