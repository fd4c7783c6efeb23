from base64 import b64decode

from k8s_hub.manifests.secret import Certificates, SecretInputs, build_secret, certificate_files

CERTIFICATES = Certificates(
    key="KEY\n", certificate="CERT\n", servers_authority="\nSERVERS\n\n", hub_authority="HÜB\n"
)


def test_the_content_is_encoded_by_name():
    secret = build_secret(
        SecretInputs(
            name="s", labels={"a": "b"}, annotations={"c": "d"}, content=certificate_files(CERTIFICATES)
        )
    )
    data = secret.pop("data")
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    }
    assert {name: b64decode(content).decode() for name, content in data.items()} == {
        "ssl.key": "KEY\n",
        "ssl.crt": "CERT\n",
        "notebooks-ca_trust.crt": "SERVERS\nHÜB\n",
    }


def test_no_certificate_is_shown_by_accident():
    shown = repr(CERTIFICATES) + repr(SecretInputs(name="s", content=certificate_files(CERTIFICATES)))
    assert "KEY" not in shown
    assert "CERT" not in shown
