"""The plan: the checked configuration of a culler, made from its options and the environment."""

import logging
import os
import re
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from k8s_hub.culler.beside import TOKEN, culler_of, cullers_here
from k8s_hub.culler.core import needs
from k8s_hub.culler.core.extensions import ExtensionLimits
from k8s_hub.culler.core.mistakes import BadOption, every
from k8s_hub.culler.core.page_settings import PageSettings, has_page
from k8s_hub.culler.core.probing import Template, needs_state
from k8s_hub.culler.core.reading import RULES_FILES, parse_rules_file, without_misread
from k8s_hub.culler.core.rules import LIMIT_KEYS, LONGEST, Limits, Rules, sections
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.notifications import WarningSettings
from k8s_hub.culler.options import SECRETS, CullerOptions
from k8s_hub.culler.probe import ProbeSettings
from k8s_hub.culler.service import SPREAD_PART
from k8s_hub.culler.sweep import SweepOptions
from k8s_hub.hub.connection import HubConnectionSettings, internal_ssl_context, servers_ssl_context
from k8s_hub.text import has_credentials, is_http_url, quoted

log = logging.getLogger(__name__)

_ROTATION = re.compile("[SMHD]|W[0-6]|midnight", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The checked configuration. None and empty values switch a part off."""

    hub: HubConnectionSettings
    sweep_options: SweepOptions
    decider: Decider
    interval: timedelta  # between two sweeps
    activity_interval: timedelta | None
    probe: ProbeSettings | None
    warning: WarningSettings | None
    extension_limits: ExtensionLimits
    state_file: Path | None
    once: bool
    decision_log: str
    metrics_ip: str
    metrics_port: int
    page: PageSettings | None
    scope_options: needs.Options


def make_plan(options: CullerOptions, environment: Mapping[str, str]) -> Plan:
    """Make the plan; raise one BadOption with all mistakes. environment: has the hub's token."""
    if mistakes := list(_with_null_characters(options)):  # no further check can use these
        raise BadOption(*mistakes)
    token = environment.get(TOKEN, "").strip()
    decider, hub, probe, page = every(
        lambda: decider_of(options),
        lambda: _hub(options, token),
        lambda: _probe(options, token) if options.ask_servers else None,
        lambda: (
            PageSettings.of(os.environ, api_url=options.url, token=token) if has_page(os.environ) else None
        ),
    )
    interval = timedelta(seconds=options.cull_every or max(1, options.timeout // 2))
    return Plan(
        hub=hub,
        sweep_options=SweepOptions(
            concurrency=options.concurrency,
            page_size=options.api_page_size,
            cull_users=options.cull_users,
            remove_named_servers=options.remove_named_servers,
            dry_run=options.dry_run,
            brake_percent=options.brake_percent,
            spread=interval * SPREAD_PART if options.spread else timedelta(),
        ),
        decider=decider,
        interval=interval,
        activity_interval=_time(options.activity_interval),
        probe=probe,
        warning=(
            WarningSettings(url=options.warn_url, hook=options.warn_hook, keep_url=_keep_url())
            if options.warn_before and not options.only_shows
            else None
        ),
        extension_limits=ExtensionLimits(
            longest=timedelta(seconds=options.keep_longest), per_week=options.keep_per_week
        ),
        state_file=Path(options.state_file) if options.state_file else None,
        once=options.once,
        decision_log=options.decision_log,
        metrics_ip=options.metrics_ip,
        metrics_port=options.metrics_port,
        page=page,
        scope_options=scope_options(options, decider),
    )


def scope_options(options: CullerOptions, decider: Decider) -> needs.Options:
    """Return the options that need scopes of the token."""
    return needs.Options(
        culls_users=options.cull_users,
        is_dry_run=options.dry_run,
        of_rules=decider.scopes,
        asks_servers=options.ask_servers,
        has_template=bool(options.server_url_template) and not needs_state(options.server_url_template),
        shows_own_token=options.ask_with_own_token,
    )


def _time(seconds: int) -> timedelta | None:
    """Return a duration; 0 means none."""
    return timedelta(seconds=seconds) if seconds else None


def _keep_url() -> str | None:
    """Return the URL of the page; without a host if the hub does not know its public URL."""
    if not has_page(os.environ):
        return None
    return os.environ.get("JUPYTERHUB_PUBLIC_URL") or os.environ.get("JUPYTERHUB_SERVICE_PREFIX")


# --- Limits and rules ---


def decider_of(options: CullerOptions) -> Decider:
    """Return the decider, with all limits and rules; raise BadOption."""
    limits = Limits(
        **{
            name: key.read(int(getattr(options, name)), name)  # traitlets accepts False as an integer
            for name, key in LIMIT_KEYS.items()
            if options.has_trait(name)
        },
        default_servers=options.cull_default_servers,
        named_servers=options.cull_named_servers,
        admins=options.cull_admin_users,
    )
    (rules, user_rules), notice = rules_of(options), _time(options.warn_before)
    for rule in rules.rules:
        timeout = rule.limits.get("timeout")
        if notice is not None and timeout is not None and timeout <= notice:
            raise BadOption(
                f"warn_before must be less than the timeout of each rule, not {options.warn_before}: the timeout of "
                f"{rule.name} is {int(timeout.total_seconds())}. Otherwise the culler would warn active users"
            )
    return Decider(
        limits=limits,
        rules=rules,
        user_limits=_user_limits(options, limits),
        user_rules=user_rules,
        hook=options.cull_arbiter_hook,
        notice=notice,
    )


def _user_limits(options: CullerOptions, limits: Limits) -> Limits | None:
    """Return the limits for deleting users; None: those of servers, without rules."""
    timeout, max_age = options.user_timeout, options.user_max_age
    if timeout is None and max_age is None:
        return None
    return replace(
        limits,
        timeout=limits.timeout if timeout is None else timedelta(seconds=timeout),
        max_age=limits.max_age if max_age is None else _time(max_age),
    )


def rules_of(options: CullerOptions) -> tuple[Rules, Rules]:
    """Return the rules for servers, and those for users; raise BadOption."""
    if not options.rules_file:
        return _parsed(options.rules, options.user_rules, "rules", "user_rules")
    name = options.rules_file
    content, mistakes = _content_of(name)
    try:
        rules = _parsed(*sections(content, name), f"{name}: rules", f"{name}: users")
    except BadOption as error:
        raise BadOption(
            *mistakes, *(without_misread(error.sentences) if mistakes else error.sentences)
        ) from None
    if mistakes:
        raise BadOption(*mistakes)
    return rules


def _parsed(of_servers: Any, of_users: Any, place: str, place_of_users: str) -> tuple[Rules, Rules]:
    rules, user_rules = every(
        lambda: Rules.parse(of_servers, place), lambda: Rules.parse_users(of_users, place_of_users)
    )
    return rules, user_rules


def _content_of(rules_file: str) -> tuple[Any, list[str]]:
    path = Path(rules_file)
    if path.suffix not in RULES_FILES:
        raise BadOption(f"rules_file {str(path)!r} must be a .yaml or .json file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadOption(f"rules_file {str(path)!r} cannot be read: {error.strerror}") from None
    return parse_rules_file(content, path)


# --- Connections ---


def _hub(options: CullerOptions, token: str) -> HubConnectionSettings:
    _, _, request_timeout, ssl_context = every(
        lambda: _check_url(options.url),
        lambda: _check_token(options, token),
        _request_timeout,
        lambda: _ssl_context(options, internal_ssl_context),
    )
    return HubConnectionSettings(
        url=options.url, token=token, request_timeout=request_timeout, ssl_context=ssl_context
    )


def _check_url(url: str) -> None:
    if not url:
        raise BadOption(
            "the hub's URL is not set: set --url or JUPYTERHUB_API_URL, such as http://localhost:8081/hub/api"
        )
    if has_credentials(url):
        raise BadOption(
            "url must be a URL such as http://localhost:8081/hub/api, without user and password: the API token "
            "replaces them in the Authorization header"
        )
    if not is_http_url(url):
        raise BadOption(f"url must be a URL such as http://localhost:8081/hub/api, not {url!r}")


def _check_token(options: CullerOptions, token: str) -> None:
    if not token and options.only_shows:
        raise BadOption(
            f"JUPYTERHUB_API_TOKEN is not set, and {cullers_here()}: set it to the API token of a service of the hub"
        )
    if not token:
        raise BadOption(
            "JUPYTERHUB_API_TOKEN is not set: set it to the API token of the service. The hub sets it for services that it starts"
        )
    if not (token.isascii() and token.isprintable()):
        raise BadOption("JUPYTERHUB_API_TOKEN holds a character that cannot be part of a token")


def _request_timeout() -> int:
    written = os.environ.get("JUPYTERHUB_REQUEST_TIMEOUT", "")
    digits = (written.strip() or "60").removeprefix("+")
    # Compare the length first: int() refuses very long numbers.
    if not digits.isdecimal() or len(digits) > len(str(LONGEST)) or int(digits) == 0:
        raise BadOption(
            f"JUPYTERHUB_REQUEST_TIMEOUT must be a whole number of seconds, not {quoted(written)}"
        )
    return int(digits)


def _ssl_context(options: CullerOptions, of: Callable[[Path], ssl.SSLContext]) -> ssl.SSLContext | None:
    if not options.ssl_enabled:
        return None
    try:
        return of(Path(options.internal_certs_location))
    except OSError as error:
        raise BadOption(
            f"ssl-enabled needs the hub's certificates in {options.internal_certs_location!r}: {error}"
        ) from None


def _probe(options: CullerOptions, token: str) -> ProbeSettings:
    return ProbeSettings(
        token=token if options.ask_with_own_token else "",
        timeout_seconds=options.ask_timeout,
        concurrency=options.ask_concurrency,
        per_sweep=options.ask_limit,
        template=Template.parse(options.server_url_template) if options.server_url_template else None,
        ssl_context=_ssl_context(options, servers_ssl_context),
    )


# --- Options that are valid one by one, but wrong together ---


def wrong_together(
    options: CullerOptions, environment: Mapping[str, str], *, invalid: Collection[str]
) -> list[str]:
    """Return the mistakes. invalid: options whose value was refused: no mistake is about their defaults."""
    token = environment.get(TOKEN, "").strip()
    found = (*_wrong_pairs(options), *_wrong_warnings(options, token))
    return [
        *_with_null_characters(options),
        *(mistake for names, mistake in found if set(names).isdisjoint(invalid)),
    ]


def _with_null_characters(options: CullerOptions) -> Iterator[str]:
    """Yield null characters, because Python's own error would not name the option."""
    for name in CullerOptions.class_trait_names(config=True):
        value = getattr(options, name)
        if isinstance(value, str) and "\0" in value and name not in SECRETS:
            yield f"{name} {quoted(value)} has a null character"


def _wrong_pairs(options: CullerOptions) -> Iterator[tuple[Sequence[str], str]]:
    """Yield options that are wrong together or for another's sake, and the mistake; so does the next function."""
    for name, given in (("rules", options.rules), ("user_rules", options.user_rules)):
        if given and options.rules_file:
            yield (
                (name, "rules_file"),
                f"{name} and rules_file {options.rules_file!r} are both set: set only one of them",
            )
    if options.warn_url and options.warn_hook is not None:
        yield ("warn_url", "warn_hook"), "warn_url and warn_hook are both set: set only one of them"
    if options.warn_url and not is_http_url(options.warn_url):
        # Without the value, which may be a secret.
        yield ("warn_url",), "warn_url must be a URL such as https://example.org/warnings"
    if options.log_file_prefix and not _ROTATION.fullmatch(options.log_rotate_when):
        yield (
            ("log_rotate_when",),
            f"log_rotate_when must be S, M, H, D, W0 to W6 or midnight, not {options.log_rotate_when!r}",
        )


def _wrong_warnings(options: CullerOptions, token: str) -> Iterator[tuple[Sequence[str], str]]:
    warn_before, ways = options.warn_before, ("warn_before", "warn_url", "warn_hook")
    has_way = bool(options.warn_url) or options.warn_hook is not None
    if warn_before and not has_way and (mistake := _without_way(options, token)):
        yield ways, mistake
    if has_way and not warn_before:
        yield (
            ways,
            "warn_url or warn_hook is set, but warn_before is 0: set warn_before to the seconds between warning and stop",
        )
    if warn_before and options.once and not (options.state_file or options.only_shows):
        yield (
            ("warn_before", "once", "state_file"),
            (
                f"once with warn_before {warn_before} needs a state_file: "
                "without it, each run would warn again and never stop a server"
            ),
        )
    if warn_before >= options.timeout:
        yield (
            ("warn_before", "timeout"),
            (
                f"warn_before must be less than timeout ({options.timeout}), not {warn_before}. "
                "Otherwise the culler would warn active users"
            ),
        )


def _without_way(options: CullerOptions, token: str) -> str:
    """Return what is wrong with warnings that have no way to the users; empty: nothing."""
    mistake = f"warn_before is {options.warn_before}, but neither warn_url nor warn_hook is set"
    if not options.only_shows:
        return f"{mistake}: set one of them"
    beside = None if options.dry_run else culler_of(options.url, token)
    if beside is None:
        log.warning(
            "%s: without one of them, a culler stops no servers. Set %s here, too, if the culler has it",
            mistake,
            SECRETS["warn_url"],
        )
    elif not beside.has_warn_url:
        return f"{mistake}, and the culler that runs here has neither: it stops no servers. Set one of them"
    return ""
