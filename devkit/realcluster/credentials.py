"""Keys, certificates and tokens of one control plane, created in its folder."""

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

NODE = "box-node"  # the one with containers
VALID = timedelta(days=7)  # a cluster lives for one test session


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Credential files of the control plane, and the tokens of its clients."""

    ca_certificate: Path
    serving_certificate: Path
    serving_key: Path
    #: The API server's client certificate for kubelets.
    client_certificate: Path
    client_key: Path
    service_account_key: Path
    tokens: Path
    admin_token: str
    kwok_token: str
    node_token: str


def make_credentials(folder: Path) -> Credentials:
    """Write a CA, the API server's two certificates, a service-account key and a token file."""
    folder.mkdir(mode=0o700)
    made = Credentials(
        ca_certificate=folder / "ca.crt",
        serving_certificate=folder / "serving.crt",
        serving_key=folder / "serving.key",
        client_certificate=folder / "client.crt",
        client_key=folder / "client.key",
        service_account_key=folder / "service-account.key",
        tokens=folder / "tokens.csv",
        admin_token=secrets.token_hex(16),
        kwok_token=secrets.token_hex(16),
        node_token=secrets.token_hex(16),
    )
    ca_key, serving_key, client_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca = _authority(ca_key)
    made.ca_certificate.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    serving = _serving_certificate(serving_key, ca, ca_key)
    made.serving_certificate.write_bytes(serving.public_bytes(serialization.Encoding.PEM))
    _write_key(made.serving_key, serving_key)
    client = _client_certificate(client_key, ca, ca_key)
    made.client_certificate.write_bytes(client.public_bytes(serialization.Encoding.PEM))
    _write_key(made.client_key, client_key)
    _write_key(made.service_account_key, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    # The columns are the token, its user, the user's id and groups.
    users = [
        (made.admin_token, "admin", "system:masters"),
        (made.kwok_token, "kwok", "system:masters"),
        (made.node_token, f"system:node:{NODE}", "system:nodes"),
    ]
    made.tokens.write_text("".join(f'{token},{user},{user},"{group}"\n' for token, user, group in users))
    made.tokens.chmod(0o600)
    return made


def write_kubeconfig(path: Path, *, url: str, token: str, ca_certificate: Path, namespace: str) -> Path:
    """Write a kubeconfig with one context, readable by its owner only."""
    content: Mapping[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "box",
        "contexts": [{"name": "box", "context": {"cluster": "box", "user": "box", "namespace": namespace}}],
        "clusters": [
            {"name": "box", "cluster": {"server": url, "certificate-authority": str(ca_certificate)}}
        ],
        "users": [{"name": "box", "user": {"token": token}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(content))
    return path


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "k8s-hub box CA")])
    return (
        _certificate(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _serving_certificate(
    key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    return (
        _leaf(key, ca, x509.ExtendedKeyUsageOID.SERVER_AUTH)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _client_certificate(
    key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    return _leaf(key, ca, x509.ExtendedKeyUsageOID.CLIENT_AUTH).sign(ca_key, hashes.SHA256())


def _leaf(
    key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, usage: x509.ObjectIdentifier
) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kube-apiserver")])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key())
    return (
        _certificate(name, ca.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(issuer, critical=False)
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)  # noqa: TID251 - the validity of a certificate is wall time
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    parameters = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: allowed.get(name, False) for name in parameters})


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
