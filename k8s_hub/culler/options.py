"""Options of the culler, in the groups in which ``--help`` shows them."""

import os
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from traitlets import Bool, Callable, Enum, HasTraits, Integer, List, TraitError, TraitType, Unicode, default

LONGEST = 1_000_000_000
"""In seconds: 31 years. What is longer is a mistake, and leads to dates that do not exist."""


class _SecretText(Unicode[str, Any]):
    """Text that no error shows."""

    def error(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse a value without showing it."""
        raise TraitError(f"{self.name} must be text")


class LimitOptions(HasTraits):
    """Limits of time, and which servers have them."""

    timeout = Integer(
        600, min=1, max=LONGEST, config=True, help="Seconds without activity after which a server is stopped."
    )
    max_age = Integer(
        0,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds after which a server is stopped even if it is in use; 0: never.",
    )
    cull_default_servers = Bool(
        default_value=True, config=True, help="False: default servers are never stopped."
    )
    cull_named_servers = Bool(default_value=True, config=True, help="False: named servers are never stopped.")
    remove_named_servers = Bool(
        default_value=False,
        config=True,
        help="Forget named servers when they are stopped. The spawner may then delete their volumes.",
    )
    rules: List[Any] = List(
        config=True,
        help="""
        Other limits for some servers: a list of rules, of which the first that matches decides. Without one,
        timeout and max_age do.

        A rule matches users, groups, server names and profiles, and sets limits, always or at some hours. See
        docs/howto/culling.md. Rules that match groups need the scope read:users:groups, those that match profiles
        or options admin:server_state.
        """,
    )
    rules_file = Unicode(
        config=True,
        help="A .yaml or .json file with the list of rules, in place of rules; under users, in place of user_rules.",
    )
    cull_arbiter_hook = Callable(
        None,
        allow_none=True,
        config=True,
        help="""
        Decides in place of timeout: a function, sync or async, of inactive (timedelta since the last activity),
        inactive_limit (timeout, in seconds) and server (the hub's description of it); true stops the server.
        One that also has an argument user gets the hub's description of the user in it.

        It is asked about ready servers of known activity, and again right before one is stopped. max_age goes
        before it.
        """,
    )


class UserOptions(HasTraits):
    """Whether users are deleted, too."""

    cull_users = Bool(
        default_value=False,
        config=True,
        help="Also delete users without activity once all their servers are stopped. For temporary users. "
        "Needs the scopes read:users:activity, read:users and delete:users.",
    )
    user_timeout = Integer(
        None,
        allow_none=True,
        min=1,
        max=LONGEST,
        config=True,
        help="Seconds without activity after which cull_users deletes a user. By default timeout.",
    )
    user_max_age = Integer(
        None,
        allow_none=True,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds after their creation after which cull_users deletes a user, active or not; 0: never. "
        "By default max_age.",
    )
    user_rules: List[Any] = List(
        config=True,
        help="Other limits for some users, as rules are for servers: each matches user, group or admin, and sets "
        "timeout, max_age or exempt. Limits in rules delete nobody; whom a rule exempts is not deleted either.",
    )
    cull_admin_users = Bool(
        default_value=True,
        config=True,
        help="False: admins are not deleted by cull_users. Their servers are stopped.",
    )


class ProbeOptions(HasTraits):
    """The second source: what a server itself says."""

    ask_servers = Bool(
        default_value=False,
        config=True,
        help="Ask servers that run longer than their limit what they do: a busy kernel keeps a server, an open "
        "tab in which nothing runs does not. Needs the scope admin:server_state, and servers that were started with "
        "KubeSpawner.save_access_token.",
    )
    ask_with_own_token = Bool(
        default_value=False,
        config=True,
        help="Show the culler's own token to servers that have none in their state. Needs the scope access:servers. "
        "Who reads the token at their own server can open the servers of all others, and stop them.",
    )
    ask_timeout = Integer(5, min=1, max=60, config=True, help="Seconds for a server to answer.")
    ask_concurrency = Integer(20, min=1, max=1000, config=True, help="Servers asked at the same time.")
    ask_limit = Integer(
        1000, min=1, config=True, help="Servers asked in one sweep. The others wait for the next."
    )
    busy_limit = Integer(
        86400,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds for which a busy kernel that prints nothing keeps its server; 0: for ever.",
    )
    server_url_template = Unicode(
        config=True,
        help="""
        The address at which a server is asked, where the hub does not tell it: such as
        http://{pod_name}.{namespace}:8888. By default the address that KubeSpawner saves in the server's state.
        """,
    )


class WarningOptions(HasTraits):
    """How users are warned, and what they can do."""

    warn_before = Integer(
        0,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds before a stop at which its user is warned, with warn_url or warn_hook, once in an idle "
        "period, and once more before an extension ends; 0: never. A server is not stopped earlier than "
        "this after the warning.",
    )
    warn_url = _SecretText(
        config=True,
        help="A webhook: each warning is sent there as JSON with user, server, reason, stop_at, "
        "seconds_left, keep_url, cause, rule and text, which chats such as Slack and Mattermost show. It is a secret: "
        "set it here or in $IDLE_CULLER_WARN_URL.",
    )
    warn_hook: Any = Callable(
        None,
        allow_none=True,
        config=True,
        help="In place of warn_url: a function, sync or async, with the keys of warn_url's JSON as keyword "
        "arguments; text only if it has an argument of that name. stop_at is a datetime there.",
    )
    state_file = Unicode(
        config=True,
        help="A file for extensions, warnings and stops, so that they survive restarts of the culler. "
        "In the chart it belongs on the hub's volume.",
    )

    @default("warn_url")
    def _warn_url_default(self) -> str:
        return os.environ.get(SECRETS["warn_url"], "").strip()

    keep_longest = Integer(
        28800,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds that an extension lasts at most, at the service's page; 0: there are none. "
        "max_age goes before it.",
    )
    keep_per_week = Integer(
        5,
        min=0,
        config=True,
        help="How many extensions a user has within seven days; 0: none. It does not bind admins, whose extensions of "
        "a user's server do not count for the user.",
    )


class CareOptions(HasTraits):
    """What keeps the load low and mistakes small."""

    cull_every = Integer(
        0, min=0, max=LONGEST, config=True, help="Seconds between two sweeps; 0: half of timeout."
    )
    concurrency = Integer(
        10,
        min=0,
        config=True,
        help="Servers stopped at the same time; 0: no limit. While the hub answers slowly, fewer are.",
    )
    spread = Bool(
        default_value=False,
        config=True,
        help="Spread the stops of a sweep over the time until the next, in place of one after another at once.",
    )
    brake_percent = Integer(
        50,
        min=0,
        max=100,
        config=True,
        help="A sweep that would stop more than this part of all servers, which the sweep before saw in use, "
        "stops none of them: something is wrong with the times. The next goes on. 0: no brake.",
    )
    activity_interval = Integer(
        300,
        min=0,
        max=LONGEST,
        config=True,
        help="Seconds between two reports of activity to the hub. After a longer outage of the hub nothing is "
        "stopped for this time. 0: at once.",
    )


class MonitoringOptions(HasTraits):
    """What it shows of itself."""

    dry_run = Bool(
        default_value=False,
        config=True,
        help="Decide and print, but stop, delete and warn nobody.",
    )
    once = Bool(
        default_value=False,
        config=True,
        help="One sweep, then end: with 0, or with 1 where something failed.",
    )
    decision_log = Unicode(
        config=True,
        help="A file that gets each decision as one line of JSON, made for its owner only; -: standard output.",
    )
    metrics_port = Integer(
        0,
        min=0,
        max=65535,
        config=True,
        help="Port for Prometheus: /metrics, and /health, which fails when three sweeps in a row did; 0: none.",
    )
    metrics_ip = Unicode(config=True, help="The address for metrics_port; by default all addresses.")


class LogOptions(HasTraits):
    """Where the log goes, as in idle-culler 1.4."""

    log_file_prefix = Unicode(config=True, help="A file for the log, in place of standard error.")
    log_to_stderr = Bool(
        default_value=False, config=True, help="Log to standard error also where there is a log_file_prefix."
    )
    log_rotate_mode = Enum(
        ["size", "time"], "size", config=True, help="What ends a log file: its size, or the time."
    )
    log_file_max_size = Integer(
        100_000_000, min=1, config=True, help="Bytes of a log file, with the log_rotate_mode size."
    )
    log_file_num_backups = Integer(10, min=0, config=True, help="Earlier log files that are kept.")
    log_rotate_when = Unicode(
        "midnight", config=True, help="Unit of the log_rotate_mode time: S, M, H, D, W0 to W6 or midnight."
    )
    log_rotate_interval = Integer(1, min=1, config=True, help="So many units are one log file.")


class HubOptions(HasTraits):
    """Where the hub is."""

    url = Unicode(config=True, help="URL of the hub's REST API. By default $JUPYTERHUB_API_URL.")
    api_page_size = Integer(
        0, min=0, config=True, help="Users asked for at once; 0: 50. The hub allows 200 at most."
    )
    ssl_enabled = Bool(default_value=False, config=True, help="True where the hub runs with internal_ssl.")
    internal_certs_location = Unicode(
        "internal-ssl", config=True, help="The hub's internal_certs_location, for ssl_enabled."
    )

    @default("url")
    def _url_default(self) -> str:
        return os.environ.get("JUPYTERHUB_API_URL", "")


GROUPS: Mapping[str, type[HasTraits]] = {
    "What is stopped, and when": LimitOptions,
    "Users that are deleted": UserOptions,
    "Running work and open tabs": ProbeOptions,
    "Users warned and in control": WarningOptions,
    "How often, how fast, how careful": CareOptions,
    "Seeing what it does": MonitoringOptions,
    "The log": LogOptions,
    "The hub": HubOptions,
}
"""By heading."""

PARTS: Mapping[str, str] = {
    **dict.fromkeys(("user_timeout", "user_max_age", "user_rules"), "cull_users"),
    **dict.fromkeys(("ask_with_own_token", "ask_timeout", "ask_concurrency", "ask_limit"), "ask_servers"),
    **dict.fromkeys(("busy_limit", "server_url_template"), "ask_servers"),
    "metrics_ip": "metrics_port",
}
"""Options that do nothing where another is off, which the value names."""

SECRETS: Mapping[str, str] = {"warn_url": "IDLE_CULLER_WARN_URL"}
"""Options that stand on no command line, with the environment variable that can give them."""

WITHOUT_FLAG = frozenset({"cull_arbiter_hook", "rules", "user_rules", "warn_hook", *SECRETS})
"""Options that only the config file can give."""


def option_names(group: type[HasTraits]) -> list[str]:
    """Return the names of a group's options in the order in which they are written."""
    options = group.class_traits(config=True)
    return [name for name in vars(group) if name in options]


WIDTH = 100
INDENT = " " * 4

PROGRAM = """\
The program
-----------
--config=<path>  (default 'idle_culler_config.py')
    Python or JSON file to load, if it exists.
--generate-config
    Print a config file with every setting, and end.
--log-level=<level>, --debug
    DEBUG, INFO (default), WARN, ERROR or CRITICAL; --debug logs every decision.
--help, --help-all, --version, --show-config
"""


def help_lines() -> Iterator[str]:
    """Return the help of all options."""
    yield "Each option is a flag, and a setting of the config file, such as c.IdleCuller.timeout = 600."
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
