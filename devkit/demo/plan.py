"""The plan of one run: ports, token, marker, and the commands that use them."""

import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from devkit.demo.configuration import DemoRun
from devkit.demo.leftovers import MARKER
from devkit.demo.login import PASSWORD
from devkit.demo.process import Command
from devkit.demo.settings import LOOPBACK, Settings, Use, find_node, find_proxy, free_port
from devkit.demo.showcase import CULLER, MISSING_IMAGE, culler_options

HUB_CONFIG = Path(__file__).with_name("hub_config.py")
_CLUSTER_FLAGS: Mapping[Use, tuple[str, ...]] = {
    Use.AS_IT_IS: (),
    Use.SHOWN: (f"--missing-image={MISSING_IMAGE}",),
    Use.FITTED: ("--fits-all",),
}
HTTP_TIMEOUT = 60  # seconds in which a running server must answer; a busy slow machine needs 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Values that all parts share, chosen once per run."""

    settings: Settings
    directory: Path  # absolute
    marker: str  # identifies the processes of this run
    proxy_token: str
    password: str  # empty: any password
    token: str  # of the demo's service
    hub_port: int
    proxy_api_port: int
    culler_port: int  # of the culler's page
    webhook_port: int  # where the culler sends warnings

    @property
    def url(self) -> str:
        """The URL for users."""
        return f"http://{LOOPBACK}:{self.settings.port}"

    @property
    def hub_url(self) -> str:
        """The hub's URL for the proxy, the culler and users' servers."""
        return f"http://{self.settings.hub_address}:{self.hub_port}"

    @property
    def hub_api(self) -> str:
        """The hub's REST API."""
        return f"{self.hub_url}/hub/api"

    @property
    def culler_page(self) -> str:
        """The URL of the culler's page."""
        return f"{self.url}/services/{CULLER}/"

    @property
    def proxy_api(self) -> str:
        """The URL of the proxy's API."""
        return f"http://{LOOPBACK}:{self.proxy_api_port}"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig, which the mini cluster writes when it is ready."""
        return (self.settings.kubeconfig or self.directory / "cluster/kubeconfig").absolute()

    @property
    def culler_options(self) -> Path:
        """The culler's config file."""
        return self.directory / "culler-options.json"

    @property
    def decision_log(self) -> Path:
        """The culler's decision log."""
        return self.directory / "culler-decisions.jsonl"

    @property
    def hub_log(self) -> Path:
        """Where the hub and its services log."""
        return self.directory / "hub.log"

    @property
    def culler_variables(self) -> Path:
        """The variables of the culler's service, for a shell."""
        return self.directory / "culler-variables.sh"

    @property
    def repeated(self) -> Path:
        """What the terminal repeats of the hub's log."""
        return self.directory / "hub-problems.log"

    @property
    def outcome(self) -> Path:
        """The file with the `Outcome` of the hub's configuration."""
        return self.directory / "configuration.json"


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
        token=secrets.token_hex(16),
        hub_port=free_port(settings.hub_address),
        proxy_api_port=free_port(),
        culler_port=free_port(),
        webhook_port=free_port(),
    )


def cluster_command(plan: Plan) -> Command:
    """The mini cluster."""
    return _command(
        plan,
        "mini cluster",
        *(sys.executable, "-m", "devkit", "cluster"),
        f"--directory={plan.kubeconfig.parent}",
        f"--pods={plan.settings.pods}",
        *_CLUSTER_FLAGS[plan.settings.use],
    )


def proxy_command(plan: Plan) -> Command:
    """The proxy, with the chart's options."""
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
    """The hub with its configuration, and the options that only this machine needs."""
    settings = plan.settings
    hub = _command(
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
        *_own_cluster_arguments(settings),
    )
    return _as_it_is(plan, hub) if settings.use is Use.AS_IT_IS else _completed(plan, hub)


def _as_it_is(plan: Plan, hub: Command) -> Command:
    environment = (
        f"--KubeSpawner.environment={MARKER}={plan.marker}",
        f"--KubeSpawner.environment=JUPYTERHUB_ACTIVITY_INTERVAL={plan.settings.activity_seconds}",
    )
    return replace(hub, arguments=(*hub.arguments, *environment))


def _completed(plan: Plan, hub: Command) -> Command:
    """Return the hub's command with a configuration that loads and adapts the other one."""
    settings = plan.settings
    given = {f"--config={settings.hub_config}": f"--config={HUB_CONFIG}"}
    arguments = (
        *(given.get(argument, argument) for argument in hub.arguments),
        f"--JupyterHub.hub_ip={settings.hub_address}",
    )
    return replace(
        hub,
        arguments=arguments,
        environment={**hub.environment, **_run_of(plan).as_environment(), **_of_services(settings, hub)},
        # Where somebody's own configuration looks for files beside it.
        directory=settings.hub_config.absolute().parent if settings.is_own_config else hub.directory,
    )


def _run_of(plan: Plan) -> DemoRun:
    return DemoRun(
        config=str(plan.settings.hub_config.absolute()),
        is_own=plan.settings.is_own_config,
        is_mini=plan.settings.kubeconfig is None,
        marker=plan.marker,
        token=plan.token,
        activity_seconds=plan.settings.activity_seconds,
        culler_url=f"http://{LOOPBACK}:{plan.culler_port}",
        culler_options=str(plan.culler_options),
        outcome=str(plan.outcome),
        culler_variables=str(plan.culler_variables),
        repeated=str(plan.repeated),
    )


def _of_services(settings: Settings, hub: Command) -> dict[str, str]:
    """What an administrator's own configuration expects of the hub's image: programs of services, and a key.

    ``enable_auth_state`` needs the key. The demo's login does not use it.
    """
    if not settings.is_own_config:
        return {}
    programs = Path(sys.executable).parent
    path = f"{programs}:{hub.environment.get('PATH', os.defpath)}"
    return {"PATH": path, "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32)}


def culler_options_of(plan: Plan) -> dict[str, Any]:
    """Return the culler's config file, as JSON."""
    return culler_options(
        idle_seconds=plan.settings.idle_seconds,
        activity_seconds=plan.settings.activity_seconds,
        warn_url=f"http://{LOOPBACK}:{plan.webhook_port}/",
        state_file=str(plan.directory / "culler-state.json"),
        decision_log=str(plan.decision_log),
    )


def _own_cluster_arguments(settings: Settings) -> tuple[str, ...]:
    """On a real cluster pods outlive the demo, so the hub removes them when it ends."""
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
    """Our environment without variables that lead to another cluster or hub."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KUBERNETES_", "JUPYTERHUB_"))
    }
    # Somebody's own configuration may read this variable, and keeps its own limit.
    idle = {} if plan.settings.is_own_config else {"K8S_HUB_IDLE_SECONDS": str(plan.settings.idle_seconds)}
    return ours | {
        MARKER: plan.marker,
        PASSWORD: plan.password,
        "CONFIGPROXY_AUTH_TOKEN": plan.proxy_token,
        "KUBECONFIG": str(plan.kubeconfig),
        "K8S_HUB_ADDRESS": plan.settings.hub_address,
        **idle,
    }
