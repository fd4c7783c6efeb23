"""What one run of the demo consists of: ports, token, marker, and the commands that share them."""

import os
import secrets
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from devkit.demo.leftovers import MARKER, Mark
from devkit.demo.login import PASSWORD
from devkit.demo.process import Command
from devkit.demo.settings import LOOPBACK, Settings, find_node, find_proxy, free_port

HTTP_TIMEOUT = 60  # seconds until a server that runs must answer; a slow machine with much to do needs 30


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
        *(sys.executable, "-m", "devkit", "cluster"),
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
        # One per version of the hub: none reads another's. The claims are there for all of them.
        f"--JupyterHub.db_url=sqlite:///{plan.directory}/hub-{version('jupyterhub')}.sqlite",
        f"--JupyterHub.cookie_secret_file={plan.directory}/cookie_secret",
        f"--JupyterHub.last_activity_interval={settings.activity_seconds}",
        "--JupyterHub.authenticator_class=devkit.demo.login.DemoAuthenticator",
        "--ConfigurableHTTPProxy.should_start=False",
        f"--ConfigurableHTTPProxy.api_url={plan.proxy_api}",
        f"--KubeSpawner.namespace={settings.namespace}",
        f"--KubeSpawner.port={settings.server_port}",
        f"--KubeSpawner.http_timeout={HTTP_TIMEOUT}",
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
        PASSWORD: plan.password,
        "CONFIGPROXY_AUTH_TOKEN": plan.proxy_token,
        "KUBECONFIG": str(plan.kubeconfig),
        "K8S_HUB_ADDRESS": plan.settings.hub_address,
        "K8S_HUB_IDLE_SECONDS": str(plan.settings.idle_seconds),
    }
