"""IdleCuller: the command, and its configuration from flags, a config file and the environment of a hub service."""

import logging
import os
import re
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from datetime import datetime
from inspect import unwrap
from logging.handlers import RotatingFileHandler, TimedRotatingFileHandler
from pathlib import Path
from traceback import extract_tb
from typing import Any, NoReturn

from traitlets import Bool, Integer, TraitError, TraitType, Unicode, default
from traitlets.config import Application, Config
from traitlets.config.application import LevelFormatter
from traitlets.config.loader import ArgumentError, DeferredConfig, LazyConfigValue

from k8s_hub._version import __version__
from k8s_hub.clock import utcnow
from k8s_hub.culler.beside import environment_of_hub
from k8s_hub.culler.core import needs
from k8s_hub.culler.core.flags import normalised
from k8s_hub.culler.core.mistakes import BadOption, every
from k8s_hub.culler.core.page_settings import PageSettings, has_page
from k8s_hub.culler.core.rules import parse_duration
from k8s_hub.culler.options import (
    GROUPS,
    PARTS,
    SECRETS,
    WITHOUT_FLAG,
    CullerOptions,
    help_lines,
    option_names,
)
from k8s_hub.culler.parent import hub_that_started_us
from k8s_hub.culler.plan import Plan, decider_of, make_plan, rules_of, scope_options, wrong_together
from k8s_hub.culler.wiring import CannotStart, serve, serve_problem_page
from k8s_hub.signals import run_until_told
from k8s_hub.text import is_http_url, nearest, paragraph_of, printable, quoted

EXPLAIN = "explain"
"""The verb after ``k8s-hub cull``."""

DEFAULT_CONFIG_FILE = "idle_culler_config.py"

_OF_TRAITLETS = frozenset({"help", "help-all", "h", "version", "V", "show-config", "show-config-json"})
"""Flags that traitlets handles."""

_OPTIONS: Mapping[str, TraitType[Any, Any]] = {
    "generate_config": Bool(),
    **{name: group.class_traits()[name] for group in GROUPS.values() for name in option_names(group)},
}
_FLAGGED = [name for name in _OPTIONS if name not in WITHOUT_FLAG]
_SWITCHES = [name for name in _FLAGGED if isinstance(_OPTIONS[name], Bool)]


class BadOptions(SystemExit):
    """Options are invalid, and the errors were printed."""

    def __init__(self, sentences: Sequence[str], code: int) -> None:
        super().__init__(code)
        self.sentences = tuple(sentences)

    @property
    def paragraph(self) -> str:
        """The errors, one after the other."""
        return paragraph_of(self.sentences)


class LineFormatter(LevelFormatter):
    """Keeps each message in one line, whatever names it quotes; a traceback keeps its own lines.

    A ``log_format`` of idle-culler may name tornado's fields ``color`` and ``end_color``; they are empty.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line."""
        vars(record).update(color="", end_color="")
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the lines of a traceback."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


def _flag(trait: str) -> str:
    return trait.replace("_", "-")


class IdleCuller(CullerOptions, Application):
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
        """Read flags and the config file; flags override the file. Exit with all mistakes."""
        flags, mistakes = normalised(
            sys.argv[1:] if argv is None else argv,
            switches=_OF_TRAITLETS | set(self.flags),
            valued=set(self.aliases) | _trait_flags(),
            secrets=_secret_flags(),
        )
        self._is_reading = True
        try:
            unwrap(Application.parse_command_line)(self, flags)  # see _load
            if mistakes:  # an argument may be the value of a flag that was left out
                self._read_config_file()
            else:
                every(lambda: self._take(self.extra_args), self._read_config_file)
        except (TraitError, ArgumentError) as error:
            self._refuse(*mistakes, str(error), code=1)
        except BadOption as error:
            mistakes += error.sentences
        # Otherwise options may be missing, and no mistake may blame their defaults.
        is_complete = not mistakes
        mistakes += self._invalid.values()
        if self.generate_config:
            self._refuse_any(mistakes)
            return
        mistakes += self._mistakes_together(mistakes, is_complete=is_complete)
        self._refuse_any(mistakes)
        self._warn_of_unused()
        if self.log_file_prefix:
            self._log_to_file()

    def _mistakes_together(self, mistakes: Sequence[str], *, is_complete: bool) -> Sequence[str]:
        """Return what is wrong with options that are valid by themselves; ``mistakes`` are those found before."""
        found = wrong_together(self, self.environment, invalid=self._invalid) if is_complete else []
        if not mistakes and not found:
            return ()  # `plan` refuses the rest
        return [*found, *self._mistakes_of_plan(is_complete=is_complete)]

    def _mistakes_of_plan(self, *, is_complete: bool) -> Sequence[str]:
        """Return what `plan` would refuse; if options may be missing, of the rules only."""
        try:
            if is_complete:
                make_plan(self, self.environment)
            else:
                rules_of(self)
        except BadOption as error:
            return error.sentences
        return ()

    def _refuse_any(self, mistakes: Sequence[str]) -> None:
        if mistakes:
            self._refuse(*mistakes, code=1 if self._invalid else 2)

    def plan(self) -> Plan:
        """Return the checked configuration. Exit with all mistakes."""
        try:
            return make_plan(self, self.environment)
        except BadOption as error:
            self._refuse(*error.sentences)

    @property
    def scope_options(self) -> needs.Options:
        """The options that need scopes of the token; exit if the rules are invalid."""
        try:
            return scope_options(self, decider_of(self))
        except BadOption as error:
            self._refuse(*error.sentences)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with URL and token. What only shows decisions also takes those of a culler that runs beside it."""
        given = self.url if self.trait_has_value("url") else ""  # else its default asks for this
        return environment_of_hub(given) if self.only_shows else os.environ

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
            # An admin knows the class by the sections of config files, not the one that shows or judges.
            said = re.sub(rf"\ban? {type(self).__name__} instance", "an IdleCuller instance", str(error))
            return f"{said}{_unit(given, option)}"
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
            raise BadOption(f"unexpected argument {arguments[0]!r}{_verb_meant(arguments[0])}")

    def _read_config_file(self) -> None:
        if self.generate_config:
            return
        path = Path(self.config_file)
        if path.suffix not in {".py", ".json"}:
            raise BadOption(f"config must name a .py or .json file, not {self.config_file!r}")
        if path.is_file():
            self._load(path)
        elif self.config_file != DEFAULT_CONFIG_FILE:
            raise BadOption(f"config file {self.config_file!r} does not exist")

    def _load(self, path: Path) -> None:
        self._read_from = f"config file {self.config_file!r}: "
        try:
            # Unwrapped: at level DEBUG, traitlets would log the whole configuration with an invalid value.
            unwrap(Application.load_config_file)(self, str(path))
        except TraitError as error:
            raise BadOption(f"config file {self.config_file!r}: {error}") from None
        except Exception as error:  # noqa: BLE001 - the admin's Python file may raise anything
            lines = [
                step.lineno
                for step in extract_tb(error.__traceback__)
                if Path(step.filename).name == path.name
            ]
            where = f", line {lines[-1]}" if lines else ""
            raise BadOption(
                f"config file {self.config_file!r}{where}: {type(error).__name__}: {error}"
            ) from None
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

    def _warn_of_unused(self) -> None:
        given = self.config.get(IdleCuller.__name__, {})
        for name, needed in PARTS.items():
            if given.get(name) and not getattr(self, needed):
                self.log.warning("%s is set, but has no effect without %s", name, needed)

    def _refuse(self, *sentences: str, code: int = 2) -> NoReturn:
        for sentence in dict.fromkeys(sentences):
            print(printable(f"{self.name}: {sentence}"), file=sys.stderr)  # noqa: T201 - usage, before any log
        raise BadOptions(sentences, code)

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
            page = app.page_for_problems()
            if page is None:
                raise
            for sentence in refused.sentences:
                app.log.error("culler: stops no servers until it is restarted: %s", sentence)  # noqa: TRY400 - the sentence is complete
            try:
                sys.exit(run_until_told(serve_problem_page(page, refused.paragraph, app.hub_pid)))
            except CannotStart as error:
                app.log.error("%s", error)  # noqa: TRY400 - the message is complete
                raise refused from None

    def page_for_problems(self) -> PageSettings | None:
        """Return the settings of this service's page, or None for one sweep, or if the environment names no valid one."""
        if self.once or not has_page(os.environ):
            return None
        api_url = os.environ.get("JUPYTERHUB_API_URL", "")
        token = os.environ.get("JUPYTERHUB_API_TOKEN", "").strip()
        try:
            page = PageSettings.of(os.environ, api_url=api_url, token=token)
        except BadOption:
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


def _verb_meant(argument: str) -> str:
    if argument == EXPLAIN:
        return f": write {EXPLAIN} before the flags"
    return f"; did you mean {EXPLAIN}?" if nearest(argument, [EXPLAIN]) else ""


def _unit(given: Any, option: TraitType[Any, Any]) -> str:
    """Return how to write a duration for an option in seconds, which takes no other unit; empty for all else."""
    if not isinstance(option, Integer) or "seconds" not in str(option.help).lower() or isinstance(given, int):
        return ""
    try:
        meant = int(parse_duration(given).total_seconds())
    except BadOption:
        return " It is a number of seconds."
    return f" It is a number of seconds: did you mean {meant}?"
