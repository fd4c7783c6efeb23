"""IdleCuller: the culler's configuration, from flags, a config file and the environment of a hub's service."""

import logging
import os
import ssl
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from traceback import extract_tb
from typing import Any, NoReturn
from urllib.parse import urlsplit

from traitlets import Bool, Callable, Integer, Unicode, default
from traitlets.config import Application

from k8s_hub._version import __version__
from k8s_hub.clock import utcnow
from k8s_hub.culler.deciding import Decider
from k8s_hub.culler.flags import UsageError, normalised
from k8s_hub.culler.policy import Limits
from k8s_hub.culler.service import CullerService, parent_is_gone, run_while
from k8s_hub.culler.sweep import Orders, Sweep
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import ConnectionSettings, HubConnection, internal_ssl_context
from k8s_hub.signals import run_until_told

DEFAULT_CONFIG_FILE = "idle_culler_config.py"

LONGEST = 1_000_000_000
"""In seconds: 31 years. What is longer is a mistake, and leads to dates that do not exist."""

_SWITCHES = (
    "cull_admin_users",
    "cull_default_servers",
    "cull_named_servers",
    "cull_users",
    "generate_config",
    "remove_named_servers",
    "ssl_enabled",
)
_VALUES = (
    "api_page_size",
    "concurrency",
    "cull_every",
    "internal_certs_location",
    "max_age",
    "timeout",
    "url",
)

_OF_TRAITLETS = frozenset({"help", "help-all", "h", "version", "V", "show-config", "show-config-json"})
"""Flags that traitlets handles itself."""


def _flag(trait: str) -> str:
    return trait.replace("_", "-")


class IdleCuller(Application):
    """Stops servers of a JupyterHub that nobody uses. Volumes stay."""

    name = "idle-culler"
    version = __version__
    description = __doc__ or ""
    examples = """
    As a service that the hub starts (it needs the scopes list:users, read:servers and delete:servers):
        c.JupyterHub.services = [{"name": "idle-culler", "command": ["python3", "-m", "k8s_hub.culler"]}]
    """

    url = Unicode(config=True, help="URL of the hub's REST API. By default $JUPYTERHUB_API_URL.")
    timeout = Integer(
        600, min=1, max=LONGEST, config=True, help="Seconds without activity after which a server is stopped."
    )
    cull_every = Integer(
        0, min=0, max=LONGEST, config=True, help="Seconds between two sweeps; 0: half of timeout."
    )
    max_age = Integer(
        0,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds after which a server is stopped even if it is in use; 0: never.",
    )
    concurrency = Integer(10, min=0, config=True, help="Servers stopped at the same time; 0: no limit.")
    api_page_size = Integer(
        0, min=0, config=True, help="Users asked for at once; 0: 50. The hub allows 200 at most."
    )
    cull_users = Bool(
        default_value=False,
        config=True,
        help="Also delete users without activity once all their servers are stopped. For temporary users. "
        "Needs the scopes read:users:activity and delete:users.",
    )
    cull_admin_users = Bool(
        default_value=True,
        config=True,
        help="False: admins are not deleted by cull_users. Their servers are stopped.",
    )
    remove_named_servers = Bool(
        default_value=False,
        config=True,
        help="Forget named servers when they are stopped. The spawner may then delete their volumes.",
    )
    cull_default_servers = Bool(
        default_value=True, config=True, help="False: default servers are never stopped."
    )
    cull_named_servers = Bool(default_value=True, config=True, help="False: named servers are never stopped.")
    ssl_enabled = Bool(default_value=False, config=True, help="True where the hub runs with internal_ssl.")
    internal_certs_location = Unicode(
        "internal-ssl", config=True, help="The hub's internal_certs_location, for ssl_enabled."
    )
    cull_arbiter_hook = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Decides in place of timeout: a function, sync or async, of inactive (timedelta since the last activity),
        inactive_limit (timeout, in seconds) and server (the hub's description of it); true stops the server.

        It is asked about ready servers of known activity, and again right before one is stopped. max_age goes
        before it.
        """,
    )
    config_file = Unicode(DEFAULT_CONFIG_FILE, config=True, help="Python or JSON file to load, if it exists.")
    generate_config = Bool(
        default_value=False, config=True, help="Print a config file with every setting, and end."
    )

    aliases = {  # noqa: RUF012 - as traitlets declares it
        "log-level": "Application.log_level",
        "config": "IdleCuller.config_file",
        **{_flag(trait): f"IdleCuller.{trait}" for trait in (*_SWITCHES, *_VALUES)},
    }
    flags = {  # noqa: RUF012 - as above
        "debug": ({"Application": {"log_level": logging.DEBUG}}, "Log every decision."),
        **{_flag(trait): ({"IdleCuller": {trait: True}}, "The same as true.") for trait in _SWITCHES},
    }
    raise_config_file_errors = True

    @default("url")
    def _url_default(self) -> str:
        return os.environ.get("JUPYTERHUB_API_URL", "")

    @default("log_level")
    def _log_level_default(self) -> int:
        return logging.INFO

    @default("log_format")
    def _log_format_default(self) -> str:
        return "[%(levelname)1.1s %(asctime)s %(name)s] %(message)s"

    @default("logging_config")
    def _logging_config_default(self) -> dict[str, Any]:
        return {"loggers": {"k8s_hub": {"level": "DEBUG", "handlers": ["console"]}}}

    # --- Reading the configuration ---

    def initialize(self, argv: Sequence[str] | None = None) -> None:
        """Read flags and the config file; flags go first. Ends the process where one makes no sense."""
        arguments = sys.argv[1:] if argv is None else argv
        try:
            flags = normalised(
                arguments, switches=_OF_TRAITLETS | set(self.flags), valued=set(self.aliases) | _trait_flags()
            )
        except UsageError as error:
            self._refuse(str(error))
        self.parse_command_line(flags)
        if self.extra_args:
            self._refuse(f"unexpected argument {self.extra_args[0]!r}")
        if not self.generate_config:
            self._read_config_file()

    def _read_config_file(self) -> None:
        path = Path(self.config_file)
        if path.suffix not in {".py", ".json"}:
            self._refuse(f"config must name a .py or .json file, not {self.config_file!r}")
        if path.is_file():
            self._load(path)
        elif self.config_file != DEFAULT_CONFIG_FILE:
            self._refuse(f"config file {self.config_file!r} does not exist")

    def _load(self, path: Path) -> None:
        try:
            self.load_config_file(str(path))
        except Exception as error:  # noqa: BLE001 - the file is a program of the admin's: it may raise anything
            lines = [
                step.lineno
                for step in extract_tb(error.__traceback__)
                if Path(step.filename).name == path.name
            ]
            where = f", line {lines[-1]}" if lines else ""
            self._refuse(f"config file {self.config_file!r}{where}: {type(error).__name__}: {error}")

    def _refuse(self, sentence: str) -> NoReturn:
        print(f"{self.name}: {sentence}", file=sys.stderr)  # noqa: T201 - usage, before any log
        sys.exit(2)

    # --- What it means ---

    @property
    def orders(self) -> Orders:
        """What each sweep is to do."""
        return Orders(
            concurrency=self.concurrency,
            page_size=self.api_page_size,
            cull_users=self.cull_users,
            remove_named_servers=self.remove_named_servers,
        )

    @property
    def decider(self) -> Decider:
        """What decides."""
        limits = Limits(
            idle=timedelta(seconds=self.timeout),
            age=timedelta(seconds=self.max_age) if self.max_age else None,
            default_servers=self.cull_default_servers,
            named_servers=self.cull_named_servers,
            admins=self.cull_admin_users,
        )
        return Decider(limits=limits, hook=self.cull_arbiter_hook)

    @property
    def every(self) -> timedelta:
        """The time between two sweeps."""
        return timedelta(seconds=self.cull_every or max(1, self.timeout // 2))

    def connection_settings(self) -> ConnectionSettings:
        """Return how to reach the hub. Ends the process where that is not known."""
        return ConnectionSettings(
            url=self._checked_url(),
            token=self._token(),
            request_timeout=self._request_timeout(),
            ssl_context=self._ssl_context() if self.ssl_enabled else None,
        )

    def _checked_url(self) -> str:
        if not self.url:
            self._refuse(
                "where is the hub? Set --url or JUPYTERHUB_API_URL, such as http://localhost:8081/hub/api"
            )
        if not _is_http_url(self.url):
            self._refuse(f"url must be one such as http://localhost:8081/hub/api, not {self.url!r}")
        return self.url

    def _token(self) -> str:
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "").strip()
        if not token:
            self._refuse("JUPYTERHUB_API_TOKEN is not set: the hub sets it for its services")
        if not (token.isascii() and token.isprintable()):
            self._refuse("JUPYTERHUB_API_TOKEN holds a character that cannot be part of a token")
        return token

    def _request_timeout(self) -> int:
        seconds = os.environ.get("JUPYTERHUB_REQUEST_TIMEOUT", "60")
        if not seconds.isdecimal() or int(seconds) == 0:
            self._refuse(f"JUPYTERHUB_REQUEST_TIMEOUT must be a whole number of seconds, not {seconds!r}")
        return int(seconds)

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            return internal_ssl_context(Path(self.internal_certs_location))
        except OSError as error:
            self._refuse(
                f"ssl-enabled needs the hub's certificates in {self.internal_certs_location!r}: {error}"
            )

    # --- Running ---

    def start(self) -> None:
        """Cull until told to stop, or until the hub that manages this service is gone."""
        if self.generate_config:
            print(self.generate_config_file())  # noqa: T201 - it is what was asked for
            return
        # The hub gives its name to the services that it starts itself. Which process that was is asked first of
        # all: a hub that dies a moment later cannot be told from whoever inherits its children.
        hub_pid = os.getppid() if "JUPYTERHUB_SERVICE_NAME" in os.environ else None
        settings = self.connection_settings()
        sys.exit(run_until_told(self._serve(settings, hub_pid)))

    async def _serve(self, settings: ConnectionSettings, hub_pid: int | None) -> None:
        async with HubConnection(settings) as connection:
            sweep = Sweep(HubApi(connection), self.orders, self.decider, utcnow)
            service = CullerService(sweep.look, sweep.run, every=self.every, now=utcnow)
            self.log.info(
                "Stopping servers of %s that are idle for %d s, every %s", self.url, self.timeout, self.every
            )
            await run_while(service, None if hub_pid is None else parent_is_gone(hub_pid))


def _trait_flags() -> set[str]:
    """Return the long names of the flags: ``--IdleCuller.timeout`` is ``--timeout``."""
    return {
        f"{owner.__name__}.{trait}"
        for owner in (Application, IdleCuller)
        for trait in owner.class_trait_names(config=True)
    }


def _is_http_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # a bracket without its pair, a port beyond 65535
        return False
