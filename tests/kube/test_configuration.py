"""Where the cluster is found, and what is said when it is not."""

import asyncio
import os

import pytest

from k8s_hub.kube.configuration import ConnectionSettings, find_access
from k8s_hub.kube.core.errors import ConfigurationError
from tests.kube.certificates import self_signed

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {user}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """No pod, no kubeconfig, an empty home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kubeconfig(tmp_path):
    def write(name="config", *, server="https://10.0.0.1:6443", user="{token: one}"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(KUBECONFIG.format(server=server, user=user))
        return path

    return write


@pytest.fixture
def service_account(tmp_path, monkeypatch):
    directory = tmp_path / "serviceaccount"
    directory.mkdir()
    (directory / "token").write_text("one\n")
    (directory / "ca.crt").write_text(self_signed()[0])
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return directory


async def token(access):
    return await access.configuration.get_api_key_with_prefix("BearerToken")


async def test_no_cluster_at_all_is_one_sentence_with_all_that_was_looked_at(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        await find_access(ConnectionSettings())

    assert str(caught.value) == (
        "no Kubernetes cluster is configured: this is not a pod (KUBERNETES_SERVICE_HOST is not set), there is no "
        f"kubeconfig at {tmp_path}/.kube/config (KUBECONFIG is not set), and k8s_api_host is empty"
    )


async def test_a_kubeconfig_named_by_the_environment_that_is_not_there(monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")

    with pytest.raises(ConfigurationError, match=r"no kubeconfig at /nowhere/config \(from KUBECONFIG\)"):
        await find_access(ConnectionSettings())


async def test_a_kubeconfig_named_in_the_settings_that_is_not_there():
    with pytest.raises(ConfigurationError, match=r"^there is no kubeconfig at /nowhere/config$"):
        await find_access(ConnectionSettings(kubeconfig="/nowhere/config"))


@pytest.mark.parametrize("text", ["", "[]", "a: [", "clusters: 3", "current-context: x", "\x00"])
async def test_a_kubeconfig_of_another_shape_is_named(tmp_path, text):
    path = tmp_path / "broken"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=f"^the kubeconfig {path} cannot be used: ."):
        await find_access(ConnectionSettings(kubeconfig=str(path)))


async def test_a_pod_uses_its_service_account(service_account, kubeconfig, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig()))

    access = await find_access(ConnectionSettings(), service_account=service_account)

    assert access.configuration.host == "https://[fd00::1]:443"
    assert access.configuration.ssl_ca_cert == str(service_account / "ca.crt")
    assert await token(access) == "Bearer one"


async def test_a_service_account_without_its_files_is_one_sentence(service_account):
    (service_account / "token").unlink()

    with pytest.raises(
        ConfigurationError, match=f"^the service account in {service_account} cannot be used: "
    ):
        await find_access(ConnectionSettings(), service_account=service_account)


async def test_a_pod_without_a_service_account_uses_a_kubeconfig(service_account, kubeconfig, monkeypatch):
    (service_account / "token").unlink()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig()))

    access = await find_access(ConnectionSettings(), service_account=service_account)

    assert access.configuration.host == "https://10.0.0.1:6443"


async def test_a_rotated_token_is_used_by_the_next_request(service_account):
    access = await find_access(ConnectionSettings(), service_account=service_account)
    assert await token(access) == "Bearer one"

    # As the kubelet does it: another file under the same name.
    (service_account / "next").write_text("two\n")
    (service_account / "next").rename(service_account / "token")

    assert await token(access) == "Bearer two"


async def test_a_token_file_missing_for_a_moment_does_no_harm(service_account):
    access = await find_access(ConnectionSettings(), service_account=service_account)
    (service_account / "token").unlink()

    assert await token(access) == "Bearer one"


async def test_renewing_reads_a_token_that_looks_unchanged(service_account):
    access = await find_access(ConnectionSettings(), service_account=service_account)
    found = (service_account / "token").stat()
    (service_account / "token").write_text("two\n")
    os.utime(service_account / "token", ns=(found.st_atime_ns, found.st_mtime_ns))

    await access.renew()

    assert await token(access) == "Bearer two"


async def test_kubeconfig_from_the_home_directory(kubeconfig):
    kubeconfig(".kube/config", server="https://home:1")

    access = await find_access(ConnectionSettings())

    assert access.configuration.host == "https://home:1"
    assert await token(access) == "Bearer one"


async def test_several_kubeconfigs_are_joined_and_missing_ones_left_out(kubeconfig, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", f"/nowhere:{kubeconfig('a', server='https://a:1')}")

    assert (await find_access(ConnectionSettings())).configuration.host == "https://a:1"


async def test_an_exec_plugin_is_asked_again_when_renewing(kubeconfig, tmp_path):
    credential = (
        '{\\"apiVersion\\": \\"client.authentication.k8s.io/v1\\", \\"kind\\": \\"ExecCredential\\", '
    )
    script = tmp_path / "plugin"
    script.write_text(
        "#!/bin/sh\n"
        f'echo x >> "{tmp_path}/runs"\n'
        f'echo "{credential}\\"status\\": {{\\"token\\": \\"t$(wc -l < {tmp_path}/runs)\\"}}}}"\n'
    )
    script.chmod(0o700)
    user = f'{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: "{script}"}}}}'
    access = await find_access(ConnectionSettings(kubeconfig=str(kubeconfig(user=user))))
    assert await token(access) == "Bearer t1"
    assert await token(access) == "Bearer t1"

    await access.renew()

    assert await token(access) == "Bearer t2"


async def test_an_exec_plugin_that_is_not_there_is_named(kubeconfig):
    path = kubeconfig(user="{exec: {apiVersion: client.authentication.k8s.io/v1, command: /nowhere/aws}}")

    with pytest.raises(ConfigurationError, match=f"{path} cannot be used: .*/nowhere/aws"):
        await find_access(ConnectionSettings(kubeconfig=str(path)))


async def test_an_exec_plugin_that_hangs_is_named(kubeconfig, tmp_path, monkeypatch, hangs):
    monkeypatch.setattr("k8s_hub.kube.configuration.LOADING", 0.2)
    script = tmp_path / "plugin"
    script.write_text(f"#!/bin/sh\n{hangs}\n")
    script.chmod(0o700)
    path = kubeconfig(user=f'{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: "{script}"}}}}')

    with pytest.raises(
        ConfigurationError, match=rf"{path} cannot be used: its credentials took longer than 0\.2 s$"
    ):
        async with asyncio.timeout(10):
            await find_access(ConnectionSettings(kubeconfig=str(path)))


async def test_settings_go_before_what_is_found(kubeconfig, tmp_path):
    settings = ConnectionSettings(
        kubeconfig=str(kubeconfig()),
        host="https://other:1/",
        ssl_ca_cert=str(tmp_path / "ca"),
        verify_ssl=False,
    )

    configuration = (await find_access(settings)).configuration

    assert configuration.host == "https://other:1"
    assert configuration.ssl_ca_cert == str(tmp_path / "ca")
    assert configuration.verify_ssl is False


async def test_an_address_alone_is_enough():
    access = await find_access(ConnectionSettings(host="http://127.0.0.1:8001"))

    assert access.configuration.host == "http://127.0.0.1:8001"
    assert await token(access) is None
    await access.renew()


async def test_a_host_that_is_no_url_is_named():
    with pytest.raises(ConfigurationError, match=r"^k8s_api_host is '10.0.0.1:443', not a URL"):
        await find_access(ConnectionSettings(host="10.0.0.1:443"))
