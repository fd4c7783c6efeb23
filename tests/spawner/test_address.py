"""The URL at which the hub reaches a pod, and the names in its certificate."""

from pathlib import Path

import pytest
from certipy import Certipy
from cryptography import x509

from devkit.testing.bare import bare_spawner
from k8s_hub.spawner.failures import SpawnFailed
from k8s_hub.spawner.server_url import url_of


def pod(address="10.0.0.7"):
    return {"spec": {"containers": [{"name": "notebook"}]}, "status": {"podIP": address}}


DNS_NAME = "jupyter-ada.hub.svc.cluster.local"


@pytest.mark.parametrize(
    "traits,address,url",
    [
        ({}, "10.0.0.7", "http://10.0.0.7:8888"),
        ({}, "fd00::7", "http://[fd00::7]:8888"),
        ({"ip": ""}, "fd00::7", "http://[fd00::7]:8888"),
        ({"port": 9999}, "10.0.0.7", "http://10.0.0.7:9999"),
        ({"services_enabled": True}, "fd00::7", f"http://{DNS_NAME}:8888"),
        ({"internal_ssl": True}, "10.0.0.7", f"https://{DNS_NAME}:8888"),
        (
            {"internal_ssl": True, "dns_name_template": "{name}.{namespace}.pods.example"},
            "10.0.0.7",
            "https://jupyter-ada.hub.pods.example:8888",
        ),
        (
            {"pod_connect_ip": "{username}-{servername}.{unescaped_username}.example"},
            "10.0.0.7",
            "http://ada.ada.example:8888",
        ),
        ({"pod_connect_ip": "{username}.example", "internal_ssl": True}, "", "https://ada.example:8888"),
        ({"pod_connect_ip": "fd00::9", "services_enabled": True}, "", "http://[fd00::9]:8888"),
        ({"pod_connect_ip": "[fd00::9]"}, "10.0.0.7", "http://[fd00::9]:8888"),
    ],
)
def test_the_url_of_a_pod(traits, address, url):
    assert bare_spawner(namespace="hub", **traits)._get_pod_url(pod(address)) == url


def test_a_hook_decides_before_all_else():
    spawner = bare_spawner(
        get_pod_url=lambda spawner, pod: "https://[fd00::1]:1", internal_ssl=True, pod_connect_ip="x"
    )
    assert spawner._get_pod_url(pod()) == "https://[fd00::1]:1"


@pytest.mark.parametrize(
    "url",
    [
        7,
        None,
        "",
        "jupyter-ada:8888",
        "http://",
        "http://ada:eighty",
        "http://ada:0",
        "http://[::1",
        ("10.0.0.1", 8888),
    ],
)
def test_a_hook_that_returns_no_url_is_told(url):
    spawner = bare_spawner(get_pod_url=lambda *_: url)
    with pytest.raises(SpawnFailed) as failed:
        url_of(spawner, pod())
    assert failed.value.diagnosis.sentence.endswith("Contact your administrator.")
    assert failed.value.diagnosis.detail.startswith("KubeSpawner.get_pod_url returned ")


def test_a_setting_that_makes_no_url_is_told():
    with pytest.raises(SpawnFailed) as failed:
        url_of(bare_spawner(pod_connect_ip="{username}:port:x"), pod())
    assert "KubeSpawner.pod_connect_ip" in failed.value.diagnosis.detail


def test_a_certificate_has_the_four_names_of_the_service():
    spawner = bare_spawner(namespace="hub")
    assert spawner.ssl_alt_names == [
        f"DNS:{DNS_NAME}",
        "DNS:jupyter-ada",
        "DNS:jupyter-ada.hub",
        "DNS:jupyter-ada.hub.svc",
    ]
    assert spawner.ssl_alt_names_include_local is False


@pytest.mark.parametrize(
    "connect,name",
    [("{username}.example", "DNS:ada.example"), ("10.0.0.9", "IP:10.0.0.9"), ("[fd00::9]", "IP:fd00::9")],
)
def test_what_the_hub_connects_to_is_in_the_certificate(connect, name):
    assert bare_spawner(pod_connect_ip=connect).ssl_alt_names[4:] == [name]


def test_a_namespace_that_a_hook_has_chosen_is_in_name_and_address():
    spawner = bare_spawner(namespace="hub", internal_ssl=True)
    spawner.namespace = "other"
    assert "DNS:jupyter-ada.other.svc" in spawner.ssl_alt_names
    assert spawner._get_pod_url(pod()) == "https://jupyter-ada.other.svc.cluster.local:8888"


def test_a_dns_name_that_a_hook_has_set_stays():
    spawner = bare_spawner(namespace="hub", internal_ssl=True)
    spawner.dns_name, spawner.namespace = "ada.example", "other"
    assert spawner.ssl_alt_names[0] == "DNS:ada.example"


def test_a_pod_with_a_name_that_no_service_may_have():
    spawner = bare_spawner(namespace="hub", pod_name_template="9.{unescaped_username}", internal_ssl=True)
    assert spawner.pod_name == "9.ada"
    service = spawner.get_service_manifest({"kind": "Pod"}, 8888)
    assert service.metadata.name == spawner.dns_name.removesuffix(".hub.svc.cluster.local")
    assert "." not in service.metadata.name
    assert f"DNS:{service.metadata.name}" in spawner.ssl_alt_names


@pytest.mark.parametrize("names", [["DNS:a.example"], lambda spawner: [f"DNS:{spawner.user.name}.example"]])
async def test_certificates_are_signed_for_the_configured_names(tmp_path, names):
    """... and for any user: a certificate calls its subject by 64 characters at most."""
    Certipy(store_dir=str(tmp_path)).create_ca("notebooks-ca")
    spawner = bare_spawner(
        "a" * 200,
        "gpu",
        ssl_alt_names=names,
        ssl_alt_names_include_local=True,
        internal_certs_location=str(tmp_path),
        internal_trust_bundles={"notebooks-ca": "trust.crt"},
    )
    paths = await spawner.create_certs()
    assert set(paths) == {"keyfile", "certfile", "cafile"}
    certificate = x509.load_pem_x509_certificate(Path(paths["certfile"]).read_bytes())  # noqa: ASYNC240 - a test
    alt_names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in alt_names.get_values_for_type(x509.DNSName)
    assert any(name.endswith(".example") for name in alt_names.get_values_for_type(x509.DNSName))
    assert [str(address) for address in alt_names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
