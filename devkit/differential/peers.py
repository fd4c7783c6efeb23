"""The two spawners, made of one case."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import kubespawner
from jupyterhub.utils import url_escape_path
from kubespawner import spawner as upstream

import k8s_hub
from devkit.differential.recipes import configured

# Upstream's constructor reads the cluster's configuration and opens a client with a task that never ends.
upstream.load_config = lambda **_: None
upstream.shared_client = lambda _: None

Theirs = kubespawner.KubeSpawner
Ours = k8s_hub.KubeSpawner

CERTIFICATES = {
    "keyfile": "-----BEGIN KEY-----\nkey\n",
    "certfile": "-----BEGIN CERTIFICATE-----\npod\n",
    "cafile": "\n-----BEGIN CERTIFICATE-----\nnotebooks\n\n\n",
    "hub-ca": "-----BEGIN CERTIFICATE-----\nh\u00fcb\n",
}


def made(spawner_class: Any, case: dict[str, Any]) -> Any:
    """Return the spawner that JupyterHub would have made."""
    username, servername = case["username"], case.get("servername", "")
    escaped = url_escape_path(username)
    spawner = spawner_class(
        user=SimpleNamespace(
            name=username,
            id=case.get("userid", 7),
            url=f"/user/{escaped}/",
            escaped_name=escaped,
            db=None,
            groups=[],
            admin=False,
            orm_user=SimpleNamespace(orm_spawners={}, created=None, groups=[]),
        ),
        hub=SimpleNamespace(
            public_host="",
            api_url="http://hub:8081/hub/api",
            base_url="/hub/",
            url="http://hub:8081/hub/",
            ip="",
            port=8081,
        ),
        orm_spawner=SimpleNamespace(name=servername, server=None, state={}, user_options={}),
        oauth_client_id="client-7",
        api_token="token",
        config=configured(case.get("traits", {})),
    )
    if case.get("internal_ssl"):
        paths = certificates()
        spawner.internal_ssl = True
        spawner.cert_paths = {name: paths[name] for name in ("keyfile", "certfile", "cafile")}
        spawner.internal_trust_bundles = {"hub-ca": paths["hub-ca"]}
    spawner.user_options = dict(case.get("user_options", {}))
    return spawner


@cache
def certificates() -> dict[str, str]:
    """Return the paths of files as the hub makes them for internal_ssl."""
    folder = Path(mkdtemp(prefix="differential-"))
    atexit.register(shutil.rmtree, folder)
    for name, content in CERTIFICATES.items():
        (folder / name).write_text(content)
    return {name: str(folder / name) for name in CERTIFICATES}
