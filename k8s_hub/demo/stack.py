"""The demo's processes: mini cluster, proxy and hub, started in order and stopped in reverse.

The hub starts the idle culler itself, as a real hub does. The proxy is not the hub's child, as in the
Zero to JupyterHub chart, so that users stay connected while the hub is away.
Promise: when the context ends, however it ends, no process is left.
"""

import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from k8s_hub.demo import leftovers
from k8s_hub.demo.failure import DemoError
from k8s_hub.demo.leftovers import MARKER, Mark
from k8s_hub.demo.process import Command, Process
from k8s_hub.demo.settings import LOOPBACK, Settings, find_node, find_proxy, free_port
from k8s_hub.demo.together import together

READY_DEADLINE = 60.0  # seconds for each part; a slow machine needs 5
STOP_GRACE = 20.0  # seconds for each part; the hub may have servers to stop
ORPHAN_GRACE = 5.0  # seconds for what a killed hub left behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the parts must agree on, chosen once per run."""

    settings: Settings
    directory: Path  # absolute
    marker: str
    proxy_token: str
    password: str  # empty: any will do
    hub_port: int
    proxy_api_port: int

    @property
    def url(self) -> str:
        """Where users log in."""
        return f"http://{LOOPBACK}:{self.settings.port}"

    @property
    def hub_url(self) -> str:
        """Where proxy, culler and users' servers reach the hub."""
        return f"http://{self.settings.hub_address}:{self.hub_port}"

    @property
    def mark(self) -> Mark:
        """How this run's processes are known."""
        return Mark(marker=self.marker, hub_api=f"{self.hub_url}/hub/api")

    @property
    def proxy_api(self) -> str:
        """Where the hub tells the proxy its routes."""
        return f"http://{LOOPBACK}:{self.proxy_api_port}"

    @property
    def kubeconfig(self) -> Path:
        """The mini cluster writes its own when it is ready."""
        return (self.settings.kubeconfig or self.directory / "cluster/kubeconfig").absolute()


def make_plan(settings: Settings) -> Plan:
    """Choose ports, token and marker for one run of ``settings``."""
    is_local = settings.hub_address == LOOPBACK
    return Plan(
        settings=settings,
        directory=settings.directory.absolute(),
        marker=secrets.token_hex(8),
        proxy_token=secrets.token_hex(32),
        # Where others can reach the hub, nobody logs in without knowing this.
        password="" if is_local else secrets.token_urlsafe(9),
        hub_port=free_port(settings.hub_address),
        proxy_api_port=free_port(),
    )


def cluster_command(plan: Plan) -> Command:
    """The mini cluster."""
    return _command(
        plan,
        "mini cluster",
        *(sys.executable, "-m", "k8s_hub", "cluster"),
        f"--directory={plan.kubeconfig.parent}",
        f"--pods={plan.settings.pods}",
    )


def proxy_command(plan: Plan) -> Command:
    """The proxy, as the chart runs it."""
    return _command(
        plan,
        "proxy",
        *(str(find_node()), str(find_proxy())),
        *(f"--ip={LOOPBACK}", f"--port={plan.settings.port}"),
        *(f"--api-ip={LOOPBACK}", f"--api-port={plan.proxy_api_port}"),
        f"--default-target={plan.hub_url}",
        f"--error-target={plan.hub_url}/hub/error",
    )


def hub_command(plan: Plan) -> Command:
    """The hub with the repository's configuration; what only a demo wants is added here."""
    settings = plan.settings
    return _command(
        plan,
        "hub",
        *(sys.executable, "-m", "jupyterhub", f"--config={settings.hub_config}"),
        f"--JupyterHub.bind_url={plan.url}",
        f"--JupyterHub.hub_port={plan.hub_port}",
        f"--JupyterHub.db_url=sqlite:///{plan.directory}/hub.sqlite",
        f"--JupyterHub.cookie_secret_file={plan.directory}/cookie_secret",
        f"--JupyterHub.last_activity_interval={settings.activity_seconds}",
        "--JupyterHub.authenticator_class=dummy",
        f"--DummyAuthenticator.password={plan.password}",
        "--DummyAuthenticator.allow_all=True",
        "--ConfigurableHTTPProxy.should_start=False",
        f"--ConfigurableHTTPProxy.api_url={plan.proxy_api}",
        f"--KubeSpawner.namespace={settings.namespace}",
        f"--KubeSpawner.environment={MARKER}={plan.marker}",
        f"--KubeSpawner.environment=JUPYTERHUB_ACTIVITY_INTERVAL={settings.activity_seconds}",
        *_own_cluster_arguments(settings),
    )


def _own_cluster_arguments(settings: Settings) -> tuple[str, ...]:
    """On somebody's cluster pods do not die with the demo: the hub removes them when it ends."""
    if settings.kubeconfig is None:
        return ()
    return (f"--KubeSpawner.image={settings.image}", "--JupyterHub.cleanup_servers=True")


def _command(plan: Plan, name: str, *arguments: str) -> Command:
    return Command(
        name=name,
        arguments=arguments,
        environment=_environment(plan),
        directory=plan.directory,
        log=plan.directory / f"{name.replace(' ', '-')}.log",
    )


def _environment(plan: Plan) -> dict[str, str]:
    """Ours, without what would lead the hub to another cluster or another hub."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KUBERNETES_", "JUPYTERHUB_"))
    }
    return ours | {
        MARKER: plan.marker,
        "CONFIGPROXY_AUTH_TOKEN": plan.proxy_token,
        "KUBECONFIG": str(plan.kubeconfig),
        "K8S_HUB_ADDRESS": plan.settings.hub_address,
        "K8S_HUB_IDLE_SECONDS": str(plan.settings.idle_seconds),
    }


class Stack:
    """Owner of the running parts; the hub alone may be killed and started again."""

    def __init__(self, plan: Plan, probe: aiohttp.ClientSession) -> None:
        self.plan = plan
        self._probe = probe
        self._parts: dict[str, Process] = {}
        self.left_behind: dict[int, str] = {}  # what had to be ended after all parts had stopped

    async def start(self) -> None:
        """Start all parts, each when the one it needs is ready."""
        if self.plan.settings.kubeconfig is None:
            self.plan.kubeconfig.unlink(missing_ok=True)  # an earlier run's; the new one says "ready"
            await self._start(cluster_command(self.plan), self._has_kubeconfig)
        await self._start(proxy_command(self.plan), self._answers(self.plan.proxy_api))
        await self.start_hub()

    async def start_hub(self) -> None:
        """Start the hub and wait until its login page is there."""
        await self._start(hub_command(self.plan), self._answers(f"{self.plan.url}/hub/login"))

    async def kill_hub(self) -> None:
        """SIGKILL, as an out-of-memory kill or a lost node would."""
        await self._parts.pop("hub").kill()

    async def stop(self) -> None:
        """Stop all parts in reverse order, then whatever they left behind."""
        for name in reversed(list(self._parts)):
            await self._parts.pop(name).stop(grace=STOP_GRACE)
        self.left_behind = await leftovers.end(self.plan.mark, grace=ORPHAN_GRACE)

    async def watch(self) -> None:
        """Raise DemoError when a part ends by itself; never return."""
        await together(*(_complain(part) for part in self._parts.values()))

    async def _start(self, command: Command, probe: Callable[[], Awaitable[bool]]) -> None:
        process = self._parts[command.name] = await Process.start(command)
        await process.wait_until_ready(probe, deadline=READY_DEADLINE)

    def _answers(self, url: str) -> Callable[[], Awaitable[bool]]:
        async def probe() -> bool:
            try:
                async with self._probe.get(url) as response:
                    return response.status < 500
            except (aiohttp.ClientError, TimeoutError):
                return False

        return probe

    async def _has_kubeconfig(self) -> bool:
        return self.plan.kubeconfig.is_file()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Stack]:
    """A stack that is ready for users; stopped, also half-started, when the context ends."""
    plan = make_plan(settings)
    async with AsyncExitStack() as unwinding:
        timeout = aiohttp.ClientTimeout(total=2)
        probe = await unwinding.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        stack = Stack(plan, probe)
        unwinding.push_async_callback(stack.stop)
        await stack.start()
        yield stack


async def _complain(part: Process) -> None:
    code = await part.wait()
    raise DemoError(f"the {part.command.name} ended by itself with code {code}: {part.last_words()}")
