"""IdleCuller: the command, and its configuration from flags, a config file and the environment of a hub service."""

import logging
import os
import re
import ssl
import sys
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from inspect import unwrap
from logging.handlers import RotatingFileHandler, TimedRotatingFileHandler
from pathlib import Path
from traceback import extract_tb
from typing import Any, NoReturn
from urllib.parse import urlsplit

from traitlets import Bool, Integer, TraitError, TraitType, Unicode, default
from traitlets.config import Application, Config
from traitlets.config.application import LevelFormatter
from traitlets.config.loader import ArgumentError, DeferredConfig, LazyConfigValue

from k8s_hub._version import __version__
from k8s_hub.clock import utcnow
from k8s_hub.culler.beside import TOKEN, culler_of, environment_of_hub
from k8s_hub.culler.core import needs
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.flags import UsageError, normalised
from k8s_hub.culler.core.page_settings import BadPageSettings, PageSettings
from k8s_hub.culler.core.probing import BadTemplate
from k8s_hub.culler.core.reading import RULES_FILES, BadRulesFile, every, parse_rules_file
from k8s_hub.culler.core.rules import LIMIT_KEYS, BadRule, Limits, Rules, parse_duration, sections
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.notifications import WarningSettings
from k8s_hub.culler.options import (
    GROUPS,
    LONGEST,
    PARTS,
    SECRETS,
    WITHOUT_FLAG,
    CareOptions,
    HubOptions,
    LimitOptions,
    LogOptions,
    MonitoringOptions,
    ProbeOptions,
    UserOptions,
    WarningOptions,
    help_lines,
    option_names,
)
from k8s_hub.culler.parent import hub_that_started_us
from k8s_hub.culler.probe import ProbeSettings
from k8s_hub.culler.service import SPREAD_PART
from k8s_hub.culler.sweep import SweepOptions
from k8s_hub.culler.wiring import CannotStart, Plan, serve, serve_problem_page
from k8s_hub.hub.connection import (
    HubConnectionSettings,
    internal_ssl_context,
    servers_ssl_context,
)
from k8s_hub.signals import run_until_told
from k8s_hub.text import has_credentials, is_http_url, printable, quoted

DEFAULT_CONFIG_FILE = "idle_culler_config.py"

_OF_TRAITLETS = frozenset({"help", "help-all", "h", "version", "V", "show-config", "show-config-json"})
"""Flags that traitlets handles."""

_OPTIONS: Mapping[str, TraitType[Any, Any]] = {
    "generate_config": Bool(),
    **{name: group.class_traits()[name] for group in GROUPS.values() for name in option_names(group)},
}
_FLAGGED = [name for name in _OPTIONS if name not in WITHOUT_FLAG]
_SWITCHES = [name for name in _FLAGGED if isinstance(_OPTIONS[name], Bool)]


_ROTATION = re.compile("[SMHD]|W[0-6]|midnight", re.IGNORECASE)


class BadOptions(SystemExit):
    """Options are invalid, and the errors were printed."""

    def __init__(self, sentences: Sequence[str], code: int) -> None:
        super().__init__(code)
        self.sentences = tuple(sentences)

    @property
    def paragraph(self) -> str:
        """The errors, one after the other."""
        return ". ".join(self.sentences)


class LineFormatter(LevelFormatter):
    """Keeps each message in one line, whatever names it quotes; a traceback keeps its own lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the lines of a traceback."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


def _flag(trait: str) -> str:
    return trait.replace("_", "-")


class IdleCuller(
    LimitOptions,
    UserOptions,
    ProbeOptions,
    WarningOptions,
    CareOptions,
    MonitoringOptions,
    LogOptions,
    HubOptions,
    Application,
):
    """Stops idle servers of a JupyterHub. Volumes stay."""

    clock: Callable[[], datetime] = staticmethod(utcnow)
    """The only clock of the culler."""

    name = "idle-culler"
    version = __version__
    description = (
        "Stops idle servers of a JupyterHub. Volumes stay.\n\n"
        "k8s-hub cull explain USER[/SERVER] [flags] shows why a server stops, or not."
    )
    examples = """
As a service that the hub starts, with the scopes list:users, read:servers and delete:servers:
        c.JupyterHub.services = [{"name": "idle-culler", "command": ["python3", "-m", "k8s_hub.culler"]}]
    """

    hub_pid = Integer(
        None, allow_none=True, help="PID of the hub that started this process; None: no hub started it."
    )
    config_file = Unicode(
        DEFAULT_CONFIG_FILE, config=True, help="A Python or JSON file to load, if it exists."
    )
    generate_config = Bool(
        default_value=False, config=True, help="Print a config file with all options, and exit."
    )

    aliases = {  # noqa: RUF012 - as traitlets declares it
        "log-level": "Application.log_level",
        "logging": "Application.log_level",  # of idle-culler 1.4
        "config": "IdleCuller.config_file",
        **{_flag(name): f"IdleCuller.{name}" for name in _FLAGGED},
    }
    flags = {  # noqa: RUF012 - as above
        "debug": ({"Application": {"log_level": logging.DEBUG}}, "Log every decision."),
        **{_flag(name): ({"IdleCuller": {name: True}}, "Same as true.") for name in _SWITCHES},
    }
    raise_config_file_errors = True
    _log_formatter_cls = LineFormatter
    _is_reading = False
    _read_from = ""  # what errors of the options that are being read begin with
    _gathers = False  # whether the caller of `_refuse` gathers what others refuse, too

    def __init__(self, **kwargs: Any) -> None:
        self._invalid: dict[str, str] = {}  # the errors of options, until all are read
        super().__init__(**kwargs)

    @classmethod
    def class_own_traits(cls, **metadata: Any) -> dict[str, TraitType[Any, Any]]:
        """Return the options of all groups as this class's own, so that --generate-config lists them."""
        groups = cls.class_traits(**metadata) if cls is IdleCuller else {}
        return super().class_own_traits(**metadata) | {
            name: trait for name, trait in groups.items() if trait.this_class in GROUPS.values()
        }

    def emit_options_help(self) -> Generator[str, None, None]:
        """Yield the help of all options, by group."""
        yield from help_lines()

    @default("url")
    def _url_default(self) -> str:
        return self.environment.get("JUPYTERHUB_API_URL", "")

    @default("hub_pid")
    def _hub_pid_default(self) -> int | None:
        return hub_that_started_us()

    @default("log_level")
    def _log_level_default(self) -> int:
        return logging.INFO

    @default("log_format")
    def _log_format_default(self) -> str:
        return "[%(levelname)1.1s %(asctime)s %(name)s] %(message)s"

    @default("logging_config")
    def _logging_config_default(self) -> dict[str, Any]:
        return {
            "loggers": {
                "k8s_hub": {"level": "DEBUG", "handlers": ["console"]},
                "tornado": {"level": "WARNING", "handlers": ["console"]},  # the page's web server
            },
        }

    # --- Reading the configuration ---

    def initialize(self, argv: Sequence[str] | None = None) -> None:
        """Read flags and the config file; flags override the file. Exit if one is invalid."""
        arguments = sys.argv[1:] if argv is None else argv
        try:
            flags = normalised(
                arguments,
                switches=_OF_TRAITLETS | set(self.flags),
                valued=set(self.aliases) | _trait_flags(),
                secrets=_secret_flags(),
            )
        except UsageError as error:
            self._refuse(str(error))
        self._is_reading = True
        try:
            unwrap(Application.parse_command_line)(self, flags)  # see _load
        except (TraitError, ArgumentError) as error:
            self._refuse(str(error), code=1)
        self._take(self.extra_args)
        if self._invalid and self.generate_config:
            self._refuse(*self._invalid.values(), code=1)
        if not self.generate_config:
            self._read_config_file()
            self._refuse_mistakes()
            self._warn_of_unused()
            if self.log_file_prefix:
                self._log_to_file()

    def _load_config(
        self,
        cfg: Config,
        section_names: list[str] | None = None,
        traits: dict[str, TraitType[Any, Any]] | None = None,
    ) -> None:
        """Set the options as traitlets does, but note each invalid one: traitlets stops at the first."""
        if not self._is_reading:
            super()._load_config(cfg, section_names, traits)
            return
        options, valid = self.traits(config=True), Config()
        for name, given in self._find_my_config(cfg).items():
            error = self._error_of(given, options[name]) if name in options else ""
            if error:
                self._invalid.setdefault(name, self._read_from + error)
            else:
                valid[name] = given
        super()._load_config(Config({type(self).__name__: valid}), None, traits)

    def _error_of(self, given: Any, option: TraitType[Any, Any]) -> str:
        if isinstance(given, DeferredConfig):  # of a flag
            given = given.get_value(option)
        elif isinstance(given, LazyConfigValue):  # such as c.IdleCuller.rules.append(...)
            given = given.get_value(getattr(self, option.name or ""))
        try:
            option._validate(self, given)  # noqa: SLF001 - what setting it does
        except TraitError as error:
            return f"{error}{_unit(given, option)}"
        return ""

    def _log_to_file(self) -> None:
        try:
            handler = self._log_file()
        except OSError as error:
            self._refuse(f"log_file_prefix {self.log_file_prefix!r} cannot be written: {error.strerror}")
        handler.setFormatter(LineFormatter(self.log_format, self.log_datefmt))
        for logger in (self.log, logging.getLogger("k8s_hub")):
            if not self.log_to_stderr:
                logger.handlers.clear()
            logger.addHandler(handler)

    def _log_file(self) -> logging.Handler:
        backups = self.log_file_num_backups
        if self.log_rotate_mode == "time":
            return TimedRotatingFileHandler(
                self.log_file_prefix,
                when=self.log_rotate_when,
                interval=self.log_rotate_interval,
                backupCount=backups,
                encoding="utf-8",
            )
        return RotatingFileHandler(
            self.log_file_prefix, maxBytes=self.log_file_max_size, backupCount=backups, encoding="utf-8"
        )

    def _take(self, arguments: Sequence[str]) -> None:
        """Read the positional arguments."""
        if arguments:
            self._refuse(f"unexpected argument {arguments[0]!r}")

    def _read_config_file(self) -> None:
        path = Path(self.config_file)
        if path.suffix not in {".py", ".json"}:
            self._refuse(f"config must name a .py or .json file, not {self.config_file!r}")
        if path.is_file():
            self._load(path)
        elif self.config_file != DEFAULT_CONFIG_FILE:
            self._refuse(f"config file {self.config_file!r} does not exist")

    def _load(self, path: Path) -> None:
        self._read_from = f"config file {self.config_file!r}: "
        try:
            # Unwrapped: at level DEBUG, traitlets would log the whole configuration with an invalid value.
            unwrap(Application.load_config_file)(self, str(path))
        except TraitError as error:
            self._refuse(f"config file {self.config_file!r}: {error}", code=1)
        except Exception as error:  # noqa: BLE001 - the admin's Python file may raise anything
            lines = [
                step.lineno
                for step in extract_tb(error.__traceback__)
                if Path(step.filename).name == path.name
            ]
            where = f", line {lines[-1]}" if lines else ""
            self._refuse(f"config file {self.config_file!r}{where}: {type(error).__name__}: {error}")
        self._check_sections()

    def _check_sections(self) -> None:
        """Warn about unknown sections of the config file; traitlets warns about unknown options only."""
        for name in self.config.keys() - {owner.__name__ for owner in type(self).mro()}:
            self.log.warning(
                "config file %r: section %s has no effect: set the culler's options in the section %s",
                self.config_file,
                quoted(name),
                IdleCuller.__name__,
            )

    def _refuse(self, *sentences: str, code: int = 2) -> NoReturn:
        if not self._gathers:
            for sentence in sentences:
                print(printable(f"{self.name}: {sentence}"), file=sys.stderr)  # noqa: T201 - usage, before any log
        raise BadOptions(sentences, code)

    def _refused_by(self, steps: Iterable[Callable[[], object]]) -> list[str]:
        """Run all steps; return what they refuse, each once."""
        sentences: list[str] = []
        for step in steps:
            try:
                with self._gathering():
                    step()
            except BadOptions as refused:
                sentences += refused.sentences
        return list(dict.fromkeys(sentences))

    @contextmanager
    def _gathering(self) -> Iterator[None]:
        before, self._gathers = self._gathers, True
        try:
            yield
        finally:
            self._gathers = before

    # --- The plan ---

    def plan(self) -> Plan:
        """Return the checked options. Exit if they contradict each other."""
        if refused := self._refused_by(self._steps_of_plan()):
            self._refuse(*refused)
        return Plan(
            hub=self.connection_settings(),
            sweep_options=self.sweep_options,
            decider=self.decider,
            every=self.every,
            activity_interval=_time(self.activity_interval),
            probe=self._probe_settings() if self.ask_servers else None,
            warning=self._warning() if self.warn_before and not self.only_shows else None,
            extension_limits=ExtensionLimits(
                longest=timedelta(seconds=self.keep_longest), per_week=self.keep_per_week
            ),
            state_file=Path(self.state_file) if self.state_file else None,
            once=self.once,
            decision_log=self.decision_log,
            metrics_ip=self.metrics_ip,
            metrics_port=self.metrics_port,
            page=self._page() if _has_page() else None,
        )

    def _steps_of_plan(self) -> Iterator[Callable[[], object]]:
        yield lambda: self.decider
        yield self._checked_url
        yield self._token
        yield self._request_timeout
        if self.ssl_enabled:
            yield lambda: self._ssl_context(internal_ssl_context)
        if self.ask_servers:
            yield self._probe_settings
        if _has_page():
            yield self._page

    @property
    def only_shows(self) -> bool:
        """Whether it only shows decisions, without stops, deletions and warnings."""
        return self.dry_run

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with URL and token. What only shows decisions also takes those of a culler that runs beside it."""
        return environment_of_hub() if self.only_shows else os.environ

    @property
    def sweep_options(self) -> SweepOptions:
        """The options of each sweep."""
        return SweepOptions(
            concurrency=self.concurrency,
            page_size=self.api_page_size,
            cull_users=self.cull_users,
            remove_named_servers=self.remove_named_servers,
            dry_run=self.dry_run,
            brake_percent=self.brake_percent,
            spread=self.every * SPREAD_PART if self.spread else timedelta(),
        )

    @property
    def decider(self) -> Decider:
        """The decider, with all limits and rules."""
        limits = Limits(
            **{
                name: key.read(int(getattr(self, name)), name)  # traitlets accepts False as an integer
                for name, key in LIMIT_KEYS.items()
                if self.has_trait(name)
            },
            default_servers=self.cull_default_servers,
            named_servers=self.cull_named_servers,
            admins=self.cull_admin_users,
        )
        (rules, user_rules), notice = self._rules(), _time(self.warn_before)
        for rule in rules.rules:
            timeout = rule.limits.get("timeout")
            if notice is not None and timeout is not None and timeout <= notice:
                self._refuse(
                    f"warn_before must be less than the timeout of each rule, not {self.warn_before}: the timeout of "
                    f"{rule.name} is {int(timeout.total_seconds())}. Otherwise the culler would warn active users"
                )
        return Decider(
            limits=limits,
            rules=rules,
            user_limits=self._user_limits(limits) if self._has_user_limits else None,
            user_rules=user_rules,
            hook=self.cull_arbiter_hook,
            notice=notice,
        )

    @property
    def _has_user_limits(self) -> bool:
        return self.user_timeout is not None or self.user_max_age is not None

    def _user_limits(self, limits: Limits) -> Limits:
        """Return the limits for deleting users; by default those of servers, without rules."""
        return replace(
            limits,
            timeout=limits.timeout if self.user_timeout is None else timedelta(seconds=self.user_timeout),
            max_age=limits.max_age if self.user_max_age is None else _time(self.user_max_age),
        )

    @property
    def every(self) -> timedelta:
        """The time between two sweeps."""
        return timedelta(seconds=self.cull_every or max(1, self.timeout // 2))

    def _rules(self) -> tuple[Rules, Rules]:
        """Return the rules for servers, and those for users."""
        try:
            if not self.rules_file:
                of_servers, of_users, places = self.rules, self.user_rules, ("rules", "user_rules")
            else:
                of_servers, of_users = sections(self._content_of_rules_file(), self.rules_file)
                places = (f"{self.rules_file}: rules", f"{self.rules_file}: users")
            rules, user_rules = every(
                lambda: Rules.parse(of_servers, places[0]), lambda: Rules.parse_users(of_users, places[1])
            )
        except BadRule as error:
            self._refuse(*error.sentences)
        except BadRulesFile as error:
            self._refuse(str(error))
        return rules, user_rules

    def _content_of_rules_file(self) -> Any:
        path = Path(self.rules_file)
        if path.suffix not in RULES_FILES:
            self._refuse(f"rules_file {str(path)!r} must be a .yaml or .json file")
        try:
            content = path.read_bytes()
        except OSError as error:
            self._refuse(f"rules_file {str(path)!r} cannot be read: {error.strerror}")
        return parse_rules_file(content, path)

    def _probe_settings(self) -> ProbeSettings:
        try:
            return ProbeSettings(
                token=self._token() if self.ask_with_own_token else "",
                timeout_seconds=self.ask_timeout,
                concurrency=self.ask_concurrency,
                per_sweep=self.ask_limit,
                url_template=self.server_url_template,
                ssl_context=self._ssl_context(servers_ssl_context) if self.ssl_enabled else None,
            )
        except BadTemplate as error:
            self._refuse(str(error))

    def _page(self) -> PageSettings:
        try:
            return PageSettings.of(os.environ, api_url=self._checked_url(), token=self._token())
        except BadPageSettings as error:
            self._refuse(str(error))

    def _warning(self) -> WarningSettings:
        return WarningSettings(url=self.warn_url, hook=self.warn_hook, keep_url=_keep_url())

    def _refuse_mistakes(self) -> None:
        """Refuse all that is wrong with the options at once, so that nobody corrects them one by one."""
        mistakes = [*self._invalid.values()]
        with_null = list(self._with_null_characters())  # no further check can use these
        mistakes += with_null or [
            sentence
            for options, sentence in self._contradictions()
            if self._invalid.keys().isdisjoint(options)
        ]
        if mistakes and not with_null:
            mistakes += self._refused_by(self._steps_of_plan())
        if mistakes:
            self._refuse(*dict.fromkeys(mistakes), code=1 if self._invalid else 2)

    def _contradictions(self) -> Iterator[tuple[Sequence[str], str]]:
        """Yield options that are wrong together, and the error: void if one of them is invalid by itself."""
        yield from self._set_twice()
        yield from self._wrong_alone()
        yield from self._wrong_warnings()

    def _with_null_characters(self) -> Iterator[str]:
        """Yield null characters, because Python's own error would not name the option."""
        for name in _FLAGGED:
            value = getattr(self, name)
            if isinstance(value, str) and "\0" in value:
                yield f"{name} {quoted(value)} has a null character"

    def _set_twice(self) -> Iterator[tuple[Sequence[str], str]]:
        for name, given in (("rules", self.rules), ("user_rules", self.user_rules)):
            if given and self.rules_file:
                yield (
                    (name, "rules_file"),
                    f"{name} and rules_file {self.rules_file!r} are both set: set only one of them",
                )
        if self.warn_url and self.warn_hook is not None:
            yield ("warn_url", "warn_hook"), "warn_url and warn_hook are both set: set only one of them"

    def _wrong_alone(self) -> Iterator[tuple[Sequence[str], str]]:
        if self.warn_url and not is_http_url(self.warn_url):
            # Without the value, which may be a secret.
            yield ("warn_url",), "warn_url must be a URL such as https://example.org/warnings"
        if self.log_file_prefix and not _ROTATION.fullmatch(self.log_rotate_when):
            yield (
                ("log_rotate_when",),
                f"log_rotate_when must be S, M, H, D, W0 to W6 or midnight, not {self.log_rotate_when!r}",
            )

    def _wrong_warnings(self) -> Iterator[tuple[Sequence[str], str]]:
        ways = ("warn_before", "warn_url", "warn_hook")
        has_way = bool(self.warn_url) or self.warn_hook is not None
        if self.warn_before and not has_way and (sentence := self._without_way()):
            yield ways, sentence
        if has_way and not self.warn_before:
            yield (
                ways,
                "warn_url or warn_hook is set, but warn_before is 0: set warn_before to the seconds between warning and stop",
            )
        if self.warn_before and self.once and not (self.state_file or self.only_shows):
            yield (
                ("warn_before", "once", "state_file"),
                f"once with warn_before {self.warn_before} needs a state_file: without it, each run would warn again and never stop a server",
            )
        if self.warn_before >= self.timeout:
            yield (
                ("warn_before", "timeout"),
                f"warn_before must be less than timeout ({self.timeout}), not {self.warn_before}. Otherwise the culler would warn active users",
            )

    def _without_way(self) -> str:
        """Return what is wrong with warnings that have no way to the users; empty: nothing."""
        sentence = f"warn_before is {self.warn_before}, but neither warn_url nor warn_hook is set"
        if not self.only_shows:
            return f"{sentence}: set one of them"
        beside = None if self.dry_run else culler_of(self.url, self.environment.get(TOKEN, "").strip())
        if beside is None:
            self.log.warning(
                "%s: without one of them, a culler stops no servers. Set %s here, too, if the culler has it",
                sentence,
                SECRETS["warn_url"],
            )
        elif not beside.has_warn_url:
            return (
                f"{sentence}, and the culler that runs here has neither: it stops no servers. Set one of them"
            )
        return ""

    def _warn_of_unused(self) -> None:
        given = self.config.get(IdleCuller.__name__, {})
        for name, needed in PARTS.items():
            if given.get(name) and not getattr(self, needed):
                self.log.warning("%s is set, but has no effect without %s", name, needed)

    def connection_settings(self) -> HubConnectionSettings:
        """Return how to reach the hub. Exit if an option for it is missing or invalid."""
        return HubConnectionSettings(
            url=self._checked_url(),
            token=self._token(),
            request_timeout=self._request_timeout(),
            ssl_context=self._ssl_context(internal_ssl_context) if self.ssl_enabled else None,
        )

    def _checked_url(self) -> str:
        if not self.url:
            self._refuse(
                "the hub's URL is not set: set --url or JUPYTERHUB_API_URL, such as http://localhost:8081/hub/api"
            )
        if has_credentials(self.url):
            self._refuse(
                "url must be a URL such as http://localhost:8081/hub/api, without user and password: the API token "
                "replaces them in the Authorization header"
            )
        if not is_http_url(self.url):
            self._refuse(f"url must be a URL such as http://localhost:8081/hub/api, not {self.url!r}")
        return self.url

    def _token(self) -> str:
        token = self.environment.get("JUPYTERHUB_API_TOKEN", "").strip()
        if not token:
            self._refuse(
                "JUPYTERHUB_API_TOKEN is not set: set it to the API token of the service. The hub sets it for services that it starts"
            )
        if not (token.isascii() and token.isprintable()):
            self._refuse("JUPYTERHUB_API_TOKEN holds a character that cannot be part of a token")
        return token

    def _request_timeout(self) -> int:
        written = os.environ.get("JUPYTERHUB_REQUEST_TIMEOUT", "")
        digits = (written.strip() or "60").removeprefix("+")
        # Compare the length first: int() refuses very long numbers.
        if not digits.isdecimal() or len(digits) > len(str(LONGEST)) or int(digits) == 0:
            self._refuse(
                f"JUPYTERHUB_REQUEST_TIMEOUT must be a whole number of seconds, not {quoted(written)}"
            )
        return int(digits)

    def _ssl_context(self, of: Callable[[Path], ssl.SSLContext]) -> ssl.SSLContext:
        try:
            return of(Path(self.internal_certs_location))
        except OSError as error:
            self._refuse(
                f"ssl-enabled needs the hub's certificates in {self.internal_certs_location!r}: {error}"
            )

    @property
    def scope_options(self) -> needs.Options:
        """The options that need scopes of the token, without URL and token."""
        return needs.Options(
            culls_users=self.cull_users,
            is_dry_run=self.dry_run,
            of_rules=self.decider.scopes,
            asks_servers=self.ask_servers,
            has_template=bool(self.server_url_template),
            shows_own_token=self.ask_with_own_token,
        )

    # --- Running ---

    @classmethod
    def launch_instance(cls, argv: Sequence[str] | None = None, **kwargs: Any) -> None:
        """Run the command; exit with its code.

        A service with a page shows invalid options there instead of exiting: a hub exits if a service exits while the
        hub starts.
        """
        app = cls.instance(**kwargs)
        try:
            app.initialize(argv)
            app.start()
        except BadOptions as refused:
            page = app.page_for_problems(sys.argv[1:] if argv is None else argv)
            if page is None:
                raise
            for sentence in refused.sentences:
                app.log.error("culler: stops no servers until it is restarted: %s", sentence)  # noqa: TRY400 - the sentence is complete
            try:
                sys.exit(run_until_told(serve_problem_page(page, refused.paragraph, app.hub_pid)))
            except CannotStart as error:
                app.log.error("%s", error)  # noqa: TRY400 - the message is complete
                raise refused from None

    def page_for_problems(self, arguments: Sequence[str]) -> PageSettings | None:
        """Return the settings of this service's page, or None if the environment names no valid one."""
        if not _has_page() or "--once" in arguments:
            return None
        api_url = os.environ.get("JUPYTERHUB_API_URL", "")
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "").strip()
        try:
            page = PageSettings.of(os.environ, api_url=api_url, token=token)
        except BadPageSettings:
            return None
        return page if token and is_http_url(api_url) else None

    def start(self) -> None:
        """Run until stopped, or until the hub that manages this service is gone."""
        if self.generate_config:
            print(self.generate_config_file())  # noqa: T201 - output of the command
            return
        try:
            sys.exit(run_until_told(self.serve(self.hub_pid)))
        except CannotStart as error:
            self._refuse(str(error))

    def serve(self, hub_pid: int | None = None) -> Coroutine[Any, Any, int]:
        """Return a coroutine that runs the culler and returns the exit code, or raises CannotStart.

        hub_pid: exit after the end of this process; None: exit on a signal only.
        """
        return serve(self.plan(), self.clock, hub_pid)


def _trait_flags() -> set[str]:
    """Return the long names of flags, such as ``IdleCuller.timeout`` for ``--timeout``."""
    return {
        f"{owner.__name__}.{trait}"
        for owner in (Application, IdleCuller)
        for trait in owner.class_trait_names(config=True)
    }


def _secret_flags() -> dict[str, str]:
    """Return by flag what to use instead, for options that are secrets."""
    return {
        flag: f"set {variable} in the environment, or c.IdleCuller.{name} in the config file"
        for name, variable in SECRETS.items()
        for flag in (_flag(name), f"{IdleCuller.__name__}.{name}")
    }


def _unit(given: Any, option: TraitType[Any, Any]) -> str:
    """Return how to write a duration for an option in seconds, which takes no other unit; empty for all else."""
    if not isinstance(option, Integer) or "seconds" not in str(option.help).lower() or isinstance(given, int):
        return ""
    try:
        meant = int(parse_duration(given).total_seconds())
    except BadRule:
        return " It is a number of seconds."
    return f" It is a number of seconds: did you mean {meant}?"


def _time(seconds: int) -> timedelta | None:
    """Return a duration; 0 means none."""
    return timedelta(seconds=seconds) if seconds else None


def _has_page() -> bool:
    """Return whether this service has an address; some hubs give a service without one port 0."""
    url = os.environ.get("JUPYTERHUB_SERVICE_URL", "")
    try:
        return bool(url) and urlsplit(url).port != 0
    except ValueError:
        return True  # PageSettings reports the error


def _keep_url() -> str | None:
    """Return the URL of the page; without a host if the hub does not know its public URL."""
    if not _has_page():
        return None
    return os.environ.get("JUPYTERHUB_PUBLIC_URL") or os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
