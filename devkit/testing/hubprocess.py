"""A JupyterHub as a process with its database in a file, for tests that kill it.

It has no node proxy: routes are in a dictionary of the process.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from devkit.demo.settings import free_port
from devkit.realcluster.process import Process
from devkit.testing.eventually import eventually

ROOT = Path(__file__).parents[2]
CONFIG = """
import json, sys
from pathlib import Path

sys.path.append({root!r})  # behind what PYTHONPATH brings
from jupyterhub.app import JupyterHub
from devkit.slow_callbacks import watch_if_asked
from devkit.testing.memoryproxy import MemoryProxy

watch_if_asked()
JupyterHub.memory_routes = {{}}
c = get_config()
c.JupyterHub.proxy_class = MemoryProxy
if {base!r}:
    load_subconfig({base!r})
for section, traits in json.loads(Path({settings!r}).read_text()).items():
    for name, value in traits.items():
        is_added = name in ("services", "load_roles")
        c[section][name] = [*c[section].get(name, []), *value] if is_added else value
"""


class HubProcess:
    """One hub that tests can stop and start again with other options, and a client of its REST API.

    base: a configuration file to load first. It finds the hub's address in $TEST_HUB_URL.
    python: the interpreter of an environment with JupyterHub and this package.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: Sequence[str],
        kubeconfig: Path,
        base: Path | None = None,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
        **options: Any,
    ) -> None:
        self.log = folder / "hub.log"
        self.database = folder / "hub.sqlite"
        self._url = f"http://127.0.0.1:{free_port()}"
        self._token = secrets.token_hex(16)
        self._session: aiohttp.ClientSession
        self._settings_file = folder / "settings.json"
        self._settings: dict[str, dict[str, Any]] = {
            "JupyterHub": {
                "hub_bind_url": self._url,
                "bind_url": f"http://127.0.0.1:{free_port()}",  # never bound: there is no proxy
                "db_url": f"sqlite:///{self.database}",
                "cookie_secret_file": str(folder / "cookie_secret"),
                "authenticator_class": "dummy",
                "spawner_class": "k8s_hub.KubeSpawner",
                "allow_named_servers": True,
                "cleanup_servers": False,
                "init_spawners_timeout": 1,
                "services": [{"name": "test", "api_token": self._token}],
                "load_roles": [
                    {
                        "name": "test",
                        "services": ["test"],
                        "scopes": ["admin:users", "admin:servers", "proxy"],
                    }
                ],
                "tornado_settings": {"slow_spawn_timeout": 0},
            },
            "Authenticator": {"allow_all": True, "allowed_users": list(users)},
            "KubeSpawner": options,
        }
        config = folder / "config.py"
        config.write_text(
            CONFIG.format(root=str(ROOT), settings=str(self._settings_file), base=str(base or ""))
        )
        given = {
            "KUBECONFIG": kubeconfig,
            "K8S_HUB_SLOW_CALLBACKS": 50,
            "PYTHONUNBUFFERED": 1,
            "TEST_HUB_URL": self._url,
            "PATH": f"{Path(python).parent}:{os.environ['PATH']}",  # where services find python3
            **(environment or {}),
        }
        self._process = Process(
            name="hub",
            command=[
                "env",
                f"--chdir={folder}",
                *(f"{name}={value}" for name, value in given.items()),
                *(python, "-m", "jupyterhub", "-f", config),
            ],
            log=self.log,
            is_ready=lambda: "JupyterHub is now running" in self._words_since_start(),
        )

    @property
    def is_alive(self) -> bool:
        """True while the process runs."""
        return self._process.is_alive

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return self._process.pid

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers={"Authorization": f"token {self._token}"})
        await self.boot()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._session.close()

    async def boot(self) -> None:
        """Start the hub and return once it answers. It may still be checking its servers."""
        self._settings_file.write_text(json.dumps(self._settings))
        self._begin = self.log.stat().st_size if self.log.exists() else 0
        await asyncio.to_thread(self._process.start)

    def change(self, section: str, **traits: Any) -> None:
        """Set traits of a class for the next start, e.g. ``change("JupyterHub", spawner_class=...)``."""
        self._settings.setdefault(section, {}).update(traits)

    async def end(self) -> None:
        """Stop the hub with SIGTERM; its servers keep running."""
        await asyncio.to_thread(self._process.stop)

    def kill(self) -> None:
        """Kill the hub with SIGKILL."""
        self._process.kill()

    async def api(self, method: str, path: str, *, body: Any = None) -> tuple[int, Any]:
        """Call ``/hub/api<path>``; return status and decoded body."""
        async with self._session.request(method, f"{self._url}/hub/api{path}", json=body) as reply:
            content = await reply.read()
            return reply.status, json.loads(content) if content else None

    async def servers(self) -> dict[str, str]:
        """Return each user's default server: "ready", what is pending, or "stopped"."""
        _, users = await self.api("GET", "/users?limit=200&include_stopped_servers=1")
        return {user["name"]: _state(user["servers"].get("")) for user in users if user["kind"] == "user"}

    async def running(self) -> dict[tuple[str, str], Any]:
        """Return the REST API's model of every server that is not stopped, by user and server name."""
        _, users = await self.api("GET", "/users?limit=200")
        return {(user["name"], name): server for user in users for name, server in user["servers"].items()}

    async def targets(self) -> dict[str, str]:
        """Return the targets of the proxy's routes by path."""
        _, routes = await self.api("GET", "/proxy?limit=200")
        return {path: route["target"] for path, route in routes.items() if path.startswith("/user/")}

    async def last_words(self, user: str) -> Any:
        """Read the progress of the default server's start; return the last message."""
        url = f"{self._url}/hub/api/users/{quote(user, safe='')}/server/progress"

        async def read() -> Any:
            async with self._session.get(url) as reply:
                if reply.status == 400:
                    return None  # the hub is cleaning up a failed start, and does not report it
                assert reply.status == 200
                lines = [line async for line in reply.content if line.startswith(b"data:")]
                return json.loads(lines[-1].removeprefix(b"data:"))

        return await eventually(read, seconds=180)

    def lines(self) -> list[str]:
        """The log lines since the first start."""
        return self.log.read_text(errors="replace").splitlines()

    def lines_since_start(self) -> list[str]:
        """The log lines since the last start."""
        return self._words_since_start().splitlines()

    def _words_since_start(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")


def _state(server: Mapping[str, Any] | None) -> str:
    if server is None or server.get("stopped"):
        return "stopped"
    return "ready" if server["ready"] else server["pending"] or "unready"
