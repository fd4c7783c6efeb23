"""Options of the culler, in the groups in which ``--help`` shows them."""

import os
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from traitlets import Bool, Callable, Enum, HasTraits, Integer, List, TraitError, TraitType, Unicode, default

from k8s_hub.culler.core.rules import LONGEST


class _SecretText(Unicode[str, Any]):
    """A text whose value no error shows."""

    def error(self, *_: Any, **__: Any) -> NoReturn:
        """Raise TraitError without the value."""
        raise TraitError(f"{self.name} must be text")


class LimitOptions(HasTraits):
    """Time limits, and the servers that they apply to."""

    timeout = Integer(
        600,
        min=1,
        max=LONGEST,
        config=True,
        help="Seconds without activity after which the culler stops a server.",
    )
    max_age = Integer(
        0,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds after its start at which the culler stops a server, even if it is in use; 0: never.",
    )
    cull_default_servers = Bool(
        default_value=True, config=True, help="False: the culler never stops default servers."
    )
    cull_named_servers = Bool(
        default_value=True, config=True, help="False: the culler never stops named servers."
    )
    remove_named_servers = Bool(
        default_value=False,
        config=True,
        help="Remove named servers from the hub after stopping them. The spawner may then delete their volumes.",
    )
    rules: List[Any] = List(
        config=True,
        help="""
        Other limits for some servers: a list of rules. The first rule that matches decides; without a match,
        timeout and max_age decide.

        A rule matches users, groups, server names and profiles, and sets limits, always or at some hours. See
        docs/howto/culling.md. Rules that match groups need the scope read:users:groups. Rules that match profiles or
        options need admin:server_state.
        """,
    )
    rules_file = Unicode(
        config=True,
        help="A .yaml or .json file with the list of rules, instead of rules. Its key users replaces user_rules.",
    )
    cull_arbiter_hook = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        A function, sync or async, that decides instead of timeout. Its arguments are inactive (timedelta since the
        last activity), inactive_limit (timeout, in seconds) and server (the hub's model of it); true stops the
        server. If it has an argument user, it also gets the hub's model of the user.

        The culler calls it for ready servers with known activity, and again right before it stops one. max_age
        overrides it.
        """,
    )


class UserOptions(HasTraits):
    """Whether the culler deletes users, too."""

    cull_users = Bool(
        default_value=False,
        config=True,
        help="Also delete inactive users once all their servers are stopped. Meant for temporary users. "
        "Needs the scopes read:users:activity, read:users and delete:users.",
    )
    user_timeout = Integer(
        None,
        allow_none=True,
        min=1,
        max=LONGEST,
        config=True,
        help="Seconds without activity after which cull_users deletes a user; timeout by default.",
    )
    user_max_age = Integer(
        None,
        allow_none=True,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds after which cull_users deletes a user, counted from the user's creation, active or not; 0: never. "
        "max_age by default.",
    )
    user_rules: List[Any] = List(
        config=True,
        help="Other limits for some users, as rules are for servers. Each matches user, group or admin, and sets "
        "timeout, max_age or exempt. The limits in rules delete no user; a rule that exempts a user keeps the user, too.",
    )
    cull_admin_users = Bool(
        default_value=True,
        config=True,
        help="False: cull_users does not delete admins. The culler still stops their servers.",
    )


class ProbeOptions(HasTraits):
    """How the culler asks servers for their activity."""

    ask_servers = Bool(
        default_value=False,
        config=True,
        help="Ask servers that have run longer than their limit what they do. A busy kernel keeps a server; an open "
        "tab in which nothing runs does not. Needs the scope admin:server_state, and servers that started with "
        "KubeSpawner.save_access_token.",
    )
    ask_with_own_token = Bool(
        default_value=False,
        config=True,
        help="Send the culler's own token to servers that have none in their state. Needs the scope access:servers. "
        "A user who reads this token in their own server can open and stop the servers of all others.",
    )
    ask_timeout = Integer(5, min=1, max=60, config=True, help="Seconds to wait for the answer of a server.")
    ask_concurrency = Integer(20, min=1, max=1000, config=True, help="Servers to ask at the same time.")
    ask_limit = Integer(
        1000, min=1, config=True, help="Servers to ask in one sweep. Others wait for the next sweep."
    )
    busy_limit = Integer(
        86400,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds for which a busy kernel without output keeps its server; 0: no limit.",
    )
    server_url_template = Unicode(
        config=True,
        help="""
        The address of a server, such as http://{pod_name}.{namespace}:8888. By default the culler uses the address that
        KubeSpawner saves in the server's state.
        """,
    )


class WarningOptions(HasTraits):
    """How the culler warns users, and how long users can extend a server."""

    warn_before = Integer(
        0,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds before a stop at which the culler warns the user through warn_url or warn_hook: once in an idle "
        "period, and once more before an extension ends; 0: never. The culler stops no server earlier than this after "
        "its warning.",
    )
    warn_url = _SecretText(
        config=True,
        help="A webhook. The culler posts each warning there as JSON with user, server, reason, stop_at, seconds_left, "
        "keep_url, cause, rule and text; chats such as Slack and Mattermost show text. The URL is a secret: set it here "
        "or in $IDLE_CULLER_WARN_URL.",
    )
    warn_hook: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="A function, sync or async, instead of warn_url. It gets the keys of warn_url's JSON as keyword "
        "arguments, and text only if it has an argument of that name. stop_at is a datetime.",
    )
    state_file = Unicode(
        config=True,
        help="A file for extensions, warnings and stops, so that they survive restarts of the culler. "
        "With the chart, put it on the hub's volume.",
    )

    @default("warn_url")
    def _warn_url_default(self) -> str:
        return os.environ.get(SECRETS["warn_url"], "").strip()

    keep_longest = Integer(
        28800,
        min=0,
        max=LONGEST,
        config=True,
        help="The longest extension on the culler's page, in seconds; 0: no extensions. max_age overrides it.",
    )
    keep_per_week = Integer(
        5,
        min=0,
        config=True,
        help="How many extensions a user has within seven days; 0: none. Admins have no such limit, and their "
        "extensions of a user's server do not count for the user.",
    )


class CareOptions(HasTraits):
    """How often the culler sweeps, how fast it stops servers, and what holds stops back."""

    cull_every = Integer(
        0, min=0, max=LONGEST, config=True, help="Seconds between two sweeps; 0: half of timeout."
    )
    concurrency = Integer(
        10,
        min=0,
        config=True,
        help="Servers to stop at the same time; 0: no limit. While the hub answers slowly, the culler stops fewer.",
    )
    spread = Bool(
        default_value=False,
        config=True,
        help="Spread the stops of a sweep over the time until the next sweep.",
    )
    brake_percent = Integer(
        50,
        min=0,
        max=100,
        config=True,
        help="The brake: if a sweep would stop more than this percentage of all servers although the sweep before saw "
        "them in use, it stops none of them. The next sweep continues. 0: no brake.",
    )
    activity_interval = Integer(
        300,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds between two reports of activity to the hub. After a longer outage of the hub, the culler stops no "
        "server for this time; 0: it continues at once.",
    )


class MonitoringOptions(HasTraits):
    """How the culler reports its work."""

    dry_run = Bool(
        default_value=False,
        config=True,
        help="Dry run: print the decisions, but stop no servers, and delete and warn no users.",
    )
    once = Bool(
        default_value=False,
        config=True,
        help="Sweep once, then exit with code 0, or with code 1 if something failed.",
    )
    decision_log = Unicode(
        config=True,
        help="A file for the decisions, one line of JSON each; only its owner can read it. -: standard output.",
    )
    metrics_port = Integer(
        0,
        min=0,
        max=65535,
        config=True,
        help="Port for Prometheus at /metrics, and for /health, which fails if no sweep succeeded for three intervals; 0: none.",
    )
    metrics_ip = Unicode(config=True, help="The address for metrics_port; all addresses by default.")


class LogOptions(HasTraits):
    """Log files, with the options of idle-culler 1.4."""

    log_file_prefix = Unicode(config=True, help="A file for the log, instead of standard error.")
    log_to_stderr = Bool(
        default_value=False, config=True, help="Log to standard error as well as to log_file_prefix."
    )
    log_rotate_mode = Enum(
        ["size", "time"], "size", config=True, help="When to start a new log file: by size, or by time."
    )
    log_file_max_size = Integer(
        100_000_000, min=1, config=True, help="Bytes per log file, with log_rotate_mode size."
    )
    log_file_num_backups = Integer(10, min=0, config=True, help="How many earlier log files to keep.")
    log_rotate_when = Unicode(
        "midnight",
        config=True,
        help="Unit of time with log_rotate_mode time: S, M, H, D, W0 to W6 or midnight.",
    )
    log_rotate_interval = Integer(1, min=1, config=True, help="How many units of time make one log file.")


class HubOptions(HasTraits):
    """How to reach the hub."""

    url = Unicode(config=True, help="URL of the hub's REST API; $JUPYTERHUB_API_URL by default.")
    api_page_size = Integer(
        0, min=0, config=True, help="Users to ask the hub for at once; 0: 50. The hub allows at most 200."
    )
    ssl_enabled = Bool(default_value=False, config=True, help="True if the hub runs with internal_ssl.")
    internal_certs_location = Unicode(
        "internal-ssl", config=True, help="The hub's internal_certs_location, for ssl_enabled."
    )


GROUPS: Mapping[str, type[HasTraits]] = {
    "Which servers to stop, and when": LimitOptions,
    "Which users to delete": UserOptions,
    "Running work and open tabs": ProbeOptions,
    "Warnings and extensions": WarningOptions,
    "Sweeps, pace and brakes": CareOptions,
    "Dry run, decision log and metrics": MonitoringOptions,
    "Log files": LogOptions,
    "Connection to the hub": HubOptions,
}
"""The groups of options, by heading."""

PARTS: Mapping[str, str] = {
    **dict.fromkeys(("user_timeout", "user_max_age", "user_rules"), "cull_users"),
    **dict.fromkeys(("ask_with_own_token", "ask_timeout", "ask_concurrency", "ask_limit"), "ask_servers"),
    **dict.fromkeys(("busy_limit", "server_url_template"), "ask_servers"),
    "metrics_ip": "metrics_port",
}
"""Options that have no effect without another option, which the value names."""

SECRETS: Mapping[str, str] = {"warn_url": "IDLE_CULLER_WARN_URL"}
"""Secret options, which have no flag, with their environment variables."""

WITHOUT_FLAG = frozenset({"cull_arbiter_hook", "rules", "user_rules", "warn_hook", *SECRETS})
"""Options for the config file only."""


class CullerOptions(
    LimitOptions,
    UserOptions,
    ProbeOptions,
    WarningOptions,
    CareOptions,
    MonitoringOptions,
    LogOptions,
    HubOptions,
):
    """All options."""

    @property
    def only_shows(self) -> bool:
        """Whether the culler only shows decisions, without stops, deletions and warnings."""
        return self.dry_run


def option_names(group: type[HasTraits]) -> list[str]:
    """Return the names of a group's options in source order."""
    options = group.class_traits(config=True)
    return [name for name in vars(group) if name in options]


WIDTH = 100
INDENT = " " * 4

PROGRAM = """\
General
-------
--config=<path>  (default 'idle_culler_config.py')
    A Python or JSON file to load, if it exists.
--generate-config
    Print a config file with all options, and exit.
--log-level=<level>, --debug
    DEBUG, INFO (default), WARN, ERROR or CRITICAL. --debug logs every decision.
--help, --help-all, --version, --show-config
"""


def help_lines() -> Iterator[str]:
    """Yield the help text of all options."""
    yield "Set each option as a flag, or in the config file, such as c.IdleCuller.timeout = 600."
    for heading, group in GROUPS.items():
        yield from ("", heading, "-" * len(heading))
        options = group.class_traits(config=True)
        for name in option_names(group):
            yield from _option(name, options[name])
    yield ""
    yield from PROGRAM.splitlines()
    yield ""


def _option(name: str, option: TraitType[Any, Any]) -> Iterator[str]:
    yield f"{_usage(name, option)}  {_default(option)}".rstrip()
    for paragraph in textwrap.dedent(option.help).strip().split("\n\n"):
        words = " ".join(paragraph.split())
        yield from textwrap.wrap(words, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def _usage(name: str, option: TraitType[Any, Any]) -> str:
    if name in WITHOUT_FLAG:
        return f"c.IdleCuller.{name} = ..."
    flag = "--" + name.replace("_", "-")
    if isinstance(option, Bool):
        return f"{flag}[=true|false]"
    return f"{flag}=<{'number' if isinstance(option, Integer) else 'text'}>"


def _default(option: TraitType[Any, Any]) -> str:
    value = option.default_value_repr()
    return (
        ""
        if value in {"''", "None", "[]", "False"}
        else f"(default {value.lower() if value == 'True' else value})"
    )
