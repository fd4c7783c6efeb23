"""A JupyterHub as people run it, a process of its own with its database in a file: for tests that kill it.

Its routes live in a dictionary of the process, as there is no node proxy.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.box.process import Process
from tests.realhub import free_port

ROOT = Path(__file__).parents[1]
CONFIG = """
import json, sys
from pathlib import Path

sys.path.insert(0, {root!r})
from jupyterhub.app import JupyterHub
from tests.realhub import MemoryProxy

JupyterHub.memory_routes = {{}}
c = get_config()
c.JupyterHub.proxy_class = MemoryProxy
for section, traits in json.loads(Path({settings!r}).read_text()).items():
    c[section].update(traits)
"""


class HubProcess:
    """One hub that may be killed and started again, and a client of its REST API."""

    def __init__(self, folder: Path, *, users: Sequence[str], kubeconfig: Path, **options: Any) -> None:
        self.log = folder / "hub.log"
        self._url = f"http://127.0.0.1:{free_port()}"
        self._token = secrets.token_hex(16)
        self._session: aiohttp.ClientSession
        settings = {
            "JupyterHub": {
                "hub_bind_url": self._url,
                "bind_url": f"http://127.0.0.1:{free_port()}",  # never bound: there is no proxy
                "db_url": f"sqlite:///{folder / 'hub.sqlite'}",
                "cookie_secret_file": str(folder / "cookie_secret"),
                "authenticator_class": "dummy",
                "spawner_class": "k8s_hub.KubeSpawner",
                "cleanup_servers": False,
                "init_spawners_timeout": 1,
                "services": [{"name": "test", "api_token": self._token}],
                "load_roles": [
                    {
                        "name": "test",
                        "services": ["test"],
                        "scopes": ["admin:users", "admin:servers"],
                    }
                ],
                "tornado_settings": {"slow_spawn_timeout": 0},
            },
            "Authenticator": {"allow_all": True, "allowed_users": list(users)},
            "KubeSpawner": options,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        config = folder / "config.py"
        config.write_text(CONFIG.format(root=str(ROOT), settings=str(folder / "settings.json")))
        environment = {"KUBECONFIG": kubeconfig, "K8S_HUB_SLOW_CALLBACKS": 50, "PYTHONUNBUFFERED": 1}
        self._process = Process(
            name="hub",
            command=[
                "env",
                f"--chdir={folder}",
                *(f"{name}={value}" for name, value in environment.items()),
                *(sys.executable, "-m", "jupyterhub", "-f", config),
            ],
            log=self.log,
            is_ready=lambda: "JupyterHub is now running" in self._words_since_start(),
        )

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"token {self._token}"})
        await self.boot()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._session.close()

    async def boot(self) -> None:
        """Start it; it answers when this returns, and may still look for its servers."""
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        await asyncio.to_thread(self._process.start)

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self._process.kill()

    async def api(self, method: str, path: str) -> tuple[int, Any]:
        """Call ``/hub/api<path>``; return status and decoded body."""
        async with self._session.request(method, f"{self._url}/hub/api{path}") as reply:
            body = await reply.read()
            return reply.status, json.loads(body) if body else None

    async def servers(self) -> dict[str, str]:
        """Return each user's default server: "ready", what is pending, or "stopped"."""
        _, users = await self.api("GET", "/users?limit=200&include_stopped_servers=1")
        return {user["name"]: _state(user["servers"].get("")) for user in users if user["kind"] == "user"}

    def lines(self) -> list[str]:
        """What it has logged in all its lives."""
        return self.log.read_text(errors="replace").splitlines()

    def _words_since_start(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")


def _state(server: Mapping[str, Any] | None) -> str:
    if server is None or server.get("stopped"):
        return "stopped"
    return "ready" if server["ready"] else server["pending"] or "unready"
