"""``k8s-hub doctor``: problems of a cluster and a hub, and how to solve them."""

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, chdir, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from k8s_hub.cli import numbers, sources
from k8s_hub.culler.application import BadOptions, IdleCuller
from k8s_hub.culler.beside import RunningCuller, culler_of, environment_of_hub, named_hub, running_cullers
from k8s_hub.culler.core.needs import Options
from k8s_hub.doctor.checks import configuration
from k8s_hub.doctor.checks.findings import Finding, findings_table, is_well, unknown
from k8s_hub.doctor.checks.homes import Settings
from k8s_hub.doctor.database import findings_of_database
from k8s_hub.doctor.examination import Examination, findings_of
from k8s_hub.hub.api import HubApi
from k8s_hub.hub.connection import HubConnection, HubConnectionSettings
from k8s_hub.kube.api import KubeApi
from k8s_hub.kube.configuration import pod_namespace
from k8s_hub.kube.core.errors import KubeError
from k8s_hub.naming.ownership import RELEASE_LABELS
from k8s_hub.naming.templates import Names, SlugScheme, TemplateError, expand
from k8s_hub.signals import run_until_told
from k8s_hub.volumes.inventory import SCOPES

PAGE_SECONDS = 5.0
"""The culler's page answers within this time."""


def run(arguments: Sequence[str]) -> int:
    """Return 0 if nothing is wrong, 1 if something is, 2 for wrong usage."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    try:
        where = _hub_settings(parsed)
        for option in ("claim_template", "pod_template"):
            _check_template(option, getattr(parsed, option))
    except ValueError as error:
        parser.error(str(error))
    return run_until_told(_run(parsed, where))


async def _run(parsed: argparse.Namespace, where: HubConnectionSettings | None) -> int:
    findings = await _findings(parsed, where)
    if parsed.json:
        print(json.dumps({"findings": [found.as_json() for found in findings]}, indent=2))
    else:
        print("\n".join(findings_table(findings)))
    return 0 if is_well(findings) else 1


async def _findings(parsed: argparse.Namespace, where: HubConnectionSettings | None) -> list[Finding]:
    async with AsyncExitStack() as stack:
        kube: KubeApi | KubeError
        try:
            connection = await sources.open_cluster(parsed)
        except KubeError as error:
            kube = error
        else:
            kube = KubeApi(connection)
            stack.push_async_callback(connection.close)
        hub = None if where is None else HubApi(await stack.enter_async_context(HubConnection(where)))
        beside = None if where is None else culler_of(where.url, where.token)
        others = [] if beside is not None else [*running_cullers()]
        culler = culler_page = None
        if where is not None and beside is not None:
            as_culler = replace(where, token=beside.token)
            culler = HubApi(await stack.enter_async_context(HubConnection(as_culler)))
            if beside.page:
                as_page = replace(as_culler, url=beside.page, request_timeout=PAGE_SECONDS)
                culler_page = await stack.enter_async_context(HubConnection(as_page))
        settings = Settings(
            namespace=parsed.namespace or pod_namespace() or "default",
            release_labels=dict.fromkeys(RELEASE_LABELS, parsed.release) if parsed.release else {},
            claim_template=parsed.claim_template,
            pod_template=parsed.pod_template,
            slug_scheme=SlugScheme(parsed.slug_scheme),
            remember_pvc_name=parsed.remember_pvc_name,
            handle_legacy_names=parsed.handle_legacy_names,
        )
        culler_options, judged_by = _options_to_judge(parsed.culler_flags, beside)
        examination = Examination(
            kube=kube,
            hub=hub,
            culler=culler,
            culler_page=culler_page,
            culler_of_another=named_hub(others[0].url) if len(others) == 1 else "",
            mistakes_in=_mistakes_in,
            settings=settings,
            account=parsed.service_account,
            storage_class=parsed.storage_class,
            port=parsed.port,
            culler_options=culler_options,
            judged_by=judged_by,
        )
        return [
            *_of_configuration(parsed.hub_config),
            *findings_of_database(parsed.db_url),
            *await findings_of(examination),
        ]


def _of_configuration(path: Path | None) -> Iterator[Finding]:
    if path is None:
        return
    try:
        content = path.read_bytes()  # as Python reads it: its first lines may name an encoding
    except OSError as error:
        yield unknown(configuration.CHECK, str(path), f"cannot be read: {error}")
        return
    yield from configuration.check_sections(content, str(path))


def _culler_options(flags: str) -> Options:
    """Read the flags of a culler, as `k8s-hub cull explain` takes them; exit if they are invalid."""
    culler = JudgedCuller()
    try:
        with redirect_stdout(sys.stderr):  # for a config file that prints
            culler.initialize(shlex.split(flags))
    except ValueError as error:  # an unmatched quote
        raise argparse.ArgumentTypeError(f"{flags!r}: {error}") from error
    except BadOptions as refused:  # and printed
        raise BadOptions(refused.sentences, 2) from None
    except SystemExit as error:
        raise argparse.ArgumentTypeError(f"{flags!r}: {_why_it_exits(error)}") from None
    return culler.scope_options


class JudgedCuller(IdleCuller):
    """The options of a culler that runs elsewhere."""

    name = "k8s-hub doctor: --culler-flags"

    @property
    def only_shows(self) -> bool:
        """True: it warns nobody."""
        return True

    def _log_to_file(self) -> None:
        """Do nothing: the file is the culler's."""


class CullerBeside(JudgedCuller):
    """The options of a culler that runs here, without its variables."""

    def _mistakes_together(self, _mistakes: Sequence[str], *, is_complete: bool) -> Sequence[str]:  # noqa: ARG002
        """Return none: the variables may have the rest."""
        return ()

    def _warn_of_unused(self) -> None:
        """Do nothing, as above."""

    def _refuse(self, *sentences: str, code: int = 2) -> NoReturn:
        """Print nothing: the finding has the sentences."""
        raise BadOptions(sentences, code)


class JudgedFlags(CullerBeside):
    """The flags of a culler by themselves: its folder is not known, either."""

    def _read_config_file(self) -> None:
        """Do nothing."""

    def _mistakes_together(self, _mistakes: Sequence[str], *, is_complete: bool) -> Sequence[str]:  # noqa: ARG002
        """Return the mistakes in a rules file that has the same path in every folder."""
        path = Path(self.rules_file)
        return self._mistakes_of_plan(is_complete=False) if path.is_absolute() and path.is_file() else ()


def _options_to_judge(given: Options | None, beside: RunningCuller | None) -> tuple[Options | None, str]:
    """Return the options to judge the scopes by, and a sentence about whose they are; None: the default ones.

    given: those of ``--culler-flags``.
    """
    if given is not None:
        return given, "the scopes are judged by --culler-flags"
    if beside is None or beside.flags is None:
        return None, ""
    culler = CullerBeside()
    try:
        # A config file is a program: what it prints is no output of the doctor.
        with chdir(beside.directory), redirect_stdout(sys.stderr):
            culler.initialize(list(beside.flags))
            options = culler.scope_options
    except (SystemExit, OSError) as error:
        why = str(error.strerror) if isinstance(error, OSError) else _why_it_exits(error)
        return (
            None,
            f"the scopes are judged by the default options; the options of the culler that runs here: {why}",
        )
    return options, "the scopes are judged by the flags and files of the culler that runs here"


def _why_it_exits(exit_: SystemExit) -> str:
    """Return why a culler's options were refused, or that its config file has ended the reading."""
    if isinstance(exit_, BadOptions):
        return exit_.paragraph
    if not exit_.code:
        return "they end before the culler starts, as --help does"
    return f"their reading ended with sys.exit({exit_.code!r}), as in a config file"


def _mistakes_in(flags: Sequence[str]) -> Sequence[str]:
    try:
        JudgedFlags().initialize(list(flags))
    except BadOptions as refused:
        return refused.sentences
    return ()


def _hub_settings(parsed: argparse.Namespace) -> HubConnectionSettings | None:
    """Return the settings for the hub, with the token of a culler that runs here if none is set; None without a token."""
    environment = environment_of_hub(parsed.url or "")
    has_token = bool(environment.get("JUPYTERHUB_API_TOKEN", "").strip())
    if not has_token and next(running_cullers(), None) is None:
        return None
    return sources.hub_settings(parsed.url, parsed.certificates, scopes=SCOPES, environment=environment)


def _check_template(option: str, template: str) -> None:
    try:
        expand(template, Names.of(username="ada", userid=1, hub_namespace="default"))
    except TemplateError as error:
        raise ValueError(f"--{option.replace('_', '-')}: {template!r} {error}") from error


def _service_account(text: str) -> str:
    if not all(text.split("/")) or text.count("/") > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a service account, such as hub or jhub/hub")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="k8s-hub doctor",
        description="Checks a cluster and a hub for problems, and says how to solve them. It changes nothing.",
        epilog="Set JUPYTERHUB_API_TOKEN to the culler's token to check its scopes. "
        "To check users' pods and claims, the token needs the scopes " + ", ".join(SCOPES) + ".",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--culler-flags",
        type=_culler_options,
        metavar="FLAGS",
        help="the culler's flags in quotes, as for cull explain, such as '--config=culler.py --cull-users': judge its "
        "scopes by them (default: by the flags of the culler that runs here, or else by the default options)",
    )
    parser.add_argument(
        "--hub-config",
        type=Path,
        metavar="FILE",
        help="jupyterhub_config.py: find typing errors in the names of classes; it is not run",
    )
    parser.add_argument(
        "--db-url",
        metavar="URL",
        help="JupyterHub.db_url: measure how long the hub waits for SQLite's disk (default: jupyterhub.sqlite in this "
        "directory, if it is here)",
    )
    sources.add_arguments(parser)
    parser.add_argument(
        "--namespace", metavar="NAME", help="namespace of users' pods (default: this pod's, or default)"
    )
    parser.add_argument(
        "--service-account",
        type=_service_account,
        metavar="NAME",
        help="service account to check: NAME, or NAMESPACE/NAME if it is not in --namespace (default: the account that "
        "runs this command)",
    )
    parser.add_argument(
        "--storage-class", metavar="NAME", help="KubeSpawner.storage_class (default: the cluster's default)"
    )
    parser.add_argument(
        "--claim-template",
        default="claim-{user_server}",
        metavar="TEMPLATE",
        help="KubeSpawner.pvc_name_template (default: %(default)s)",
    )
    parser.add_argument(
        "--pod-template",
        default="jupyter-{user_server}",
        metavar="TEMPLATE",
        help="KubeSpawner.pod_name_template (default: %(default)s)",
    )
    parser.add_argument(
        "--slug-scheme",
        choices=[str(scheme) for scheme in SlugScheme],
        default=str(SlugScheme.SAFE),
        help="KubeSpawner.slug_scheme (default: %(default)s)",
    )
    for trait in ("remember_pvc_name", "handle_legacy_names"):
        parser.add_argument(
            f"--{trait.replace('_', '-')}",
            action=argparse.BooleanOptionalAction,
            default=True,
            help=f"KubeSpawner.{trait} (default: yes)",
        )
    sources.add_release(parser, "pods and claims of all releases are checked")
    parser.add_argument(
        "--port", type=numbers.port, default=8888, help="KubeSpawner.port (default: %(default)s)"
    )
    return parser
