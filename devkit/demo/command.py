"""``python -m devkit demo``: the demo on this machine, interactive or as an automatic check."""

import argparse
import asyncio
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from devkit.demo import check, settings
from devkit.demo.configuration import Outcome
from devkit.demo.failure import DemoError
from devkit.demo.gather import gather
from devkit.demo.narrator import narrate
from devkit.demo.plan import Plan, make_plan
from devkit.demo.process import program
from devkit.demo.settings import Pods, Settings, Use
from devkit.demo.showcase import ADMIN
from devkit.demo.stack import running
from devkit.demo.webhook import open_webhook
from k8s_hub.cli import numbers
from k8s_hub.clock import utcnow
from k8s_hub.signals import run_until_told
from k8s_hub.text import format_duration

DIRECTORY = Path(".demo")
OWN_DIRECTORY = DIRECTORY / "own"
IDLE_SECONDS = 60
INTERRUPTED = 128 + signal.SIGINT


def run(arguments: Sequence[str]) -> int:
    """Run the demo. Return 1 with one sentence on stderr after an error, and 0 after Ctrl-C."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.check and parsed.config is not None:
        parser.error("--check tells the demo's own story: omit --config")
    if parsed.check and parsed.idle is not None:
        parser.error("--check has an idle limit of its own: omit --idle")
    if parsed.idle is not None and parsed.config is not None:
        parser.error("--idle has no effect with --config: set the timeout of your configuration's culler")
    wanted = _settings(parsed)
    try:
        code = _run(wanted, is_check=parsed.check)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    if code == INTERRUPTED and not parsed.check:
        print(f"The demo has stopped: {_what_stays(wanted)}")
        return 0
    return code


def _run(wanted: Settings, *, is_check: bool) -> int:
    with settings.claimed(wanted.directory):
        settings.check(wanted)
        return run_until_told(check.check(wanted) if is_check else show_interactively(wanted))


def _settings(parsed: argparse.Namespace) -> Settings:
    idle = IDLE_SECONDS if parsed.idle is None else parsed.idle
    usual = DIRECTORY if parsed.config is None else OWN_DIRECTORY
    wanted = Settings(
        directory=parsed.directory or usual,
        port=parsed.port,
        idle_seconds=idle,
        activity_seconds=max(1, min(10, idle // 12)),
        pods=Pods(parsed.pods),
        kubeconfig=parsed.kubeconfig,
        image=parsed.image,
        namespace=parsed.namespace,
        hub_address=parsed.hub_address,
        use=Use.SHOWN,
    )
    return wanted if parsed.config is None else replace(wanted, hub_config=parsed.config, use=Use.FITTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devkit demo",
        description="Runs JupyterHub with k8s_hub, a proxy, the idle culler and a mini cluster on this machine.",
    )
    parser.add_argument("--check", action="store_true", help="run the whole story automatically and exit")
    parser.add_argument(
        "--idle",
        type=numbers.seconds,
        metavar="SECONDS",
        help=f"seconds without activity after which the culler stops a server (default: {IDLE_SECONDS}); not for --check and --config",
    )
    parser.add_argument(
        "--port", type=numbers.port, default=8000, help="port of the login page (default: %(default)s)"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        help=f"directory for data and logs (default: {DIRECTORY}, with --config {OWN_DIRECTORY})",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="run a jupyterhub_config.py of your own on the mini cluster, without the demo's profiles and rules",
    )
    parser.add_argument(
        "--pods",
        choices=list(Pods),
        default=Pods.PROCESS,
        help="process runs JupyterLab; listener only answers on the pod's port (default: %(default)s)",
    )
    own = parser.add_argument_group("on a cluster of your own, instead of the mini cluster")
    own.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="kubeconfig of a cluster whose pods this machine can reach",
    )
    own.add_argument("--image", help="image with jupyterhub-singleuser")
    own.add_argument(
        "--namespace", default="default", help="namespace for pods and claims (default: %(default)s)"
    )
    own.add_argument(
        "--hub-address",
        default=settings.LOOPBACK,
        metavar="ADDRESS",
        help="address at which pods reach this machine (default: %(default)s)",
    )
    return parser


async def show_interactively(settings: Settings) -> None:
    """Start everything, print instructions, and tell what happens; raise DemoError if a part ends by itself."""
    plan = make_plan(settings)
    begun = time.monotonic()
    cluster = "a mini Kubernetes, " if settings.kubeconfig is None else ""
    print(f"Starting {cluster}a proxy and the hub ...", flush=True)
    async with open_webhook(plan.webhook_port) as warnings, running(plan) as stack:
        print("\n".join(_introduction(plan, time.monotonic() - begun)), flush=True)
        with _told_when_stopped():
            await gather(stack.watch(), narrate(plan, warnings, _tell))


@contextmanager
def _told_when_stopped() -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        print("\nStopping the demo ...", flush=True)
        raise


def _tell(sentence: str) -> None:
    print(f"{utcnow().astimezone():%H:%M:%S}  {sentence}", flush=True)


# --- What is said at the beginning and at the end ---


def _introduction(plan: Plan, seconds: float) -> Iterator[str]:
    """Yield the instructions: where to log in, what to try, where to look, how to stop, what not to use it for."""
    outcome = Outcome.read(plan.outcome)
    yield from (_about_own_config if plan.settings.is_own_config else _about_demo)(plan, seconds, outcome)
    yield ""
    yield from _commands(plan, outcome)
    if plan.settings.kubeconfig is None:
        yield "If doctor advises an administrator's kubeconfig, ignore that: the mini cluster has no rights to check."
    yield ""
    yield f"Logs{_and_files(plan.settings)} are in {plan.settings.directory}. Press Ctrl-C to stop."
    yield _what_it_is_not(plan.settings)
    yield ""
    yield "What happens from now on:"


def _about_demo(plan: Plan, seconds: float, _outcome: Outcome) -> Iterator[str]:
    idle = plan.settings.idle_seconds
    warns = f"warns after {_length(idle - idle // 3)} without activity and " if idle // 3 else ""
    yield f"The demo is ready after {seconds:.0f} s. Open  {plan.url}  in a browser."
    yield ""
    yield f'  1. Log in as ada or under any other name, with {_password(plan)}. Choose "Small": JupyterLab opens.'
    yield f"  2. Save a file and close the tab. The culler {warns}stops the server after {_length(idle)}."
    yield "  3. Log in again: the files are still there."
    yield '  Try the profiles "Too large" and "Broken" to see a start fail. "Long work" has a culling rule.'
    yield f"  The culler's page is  {plan.culler_page} . The user {ADMIN} sees all servers at  {plan.culler_page}all ."


def _about_own_config(plan: Plan, seconds: float, outcome: Outcome) -> Iterator[str]:
    yield f"The hub with {plan.settings.hub_config} is ready after {seconds:.0f} s. Open  {plan.url}  in a browser."
    yield f"Log in under any name, with {_password(plan)}. Each server is the JupyterLab of this environment."
    if outcome.left_out:
        yield f"The demo replaces these settings: {', '.join(outcome.left_out)}."
    if outcome.culler_page:
        page = plan.url + outcome.culler_page
        yield f"The culler's page is  {page} . Admins see all servers at  {page}all ."
    yield f"To start afresh, stop the demo and run  rm -r {shlex.quote(str(plan.settings.directory))}"


def _commands(plan: Plan, outcome: Outcome) -> Iterator[str]:
    k8s_hub = program("k8s-hub")
    namespace = plan.settings.namespace
    where = [] if namespace == "default" else ["--namespace", namespace]
    yield "Paste these lines into another terminal, in this folder:"
    yield (
        f"  export KUBECONFIG={shlex.quote(str(plan.kubeconfig))} JUPYTERHUB_API_URL={plan.hub_api} "
        f"JUPYTERHUB_API_TOKEN={plan.token}"
    )
    yield f"  {shlex.join([k8s_hub, 'doctor', *where])}"
    yield f"  {shlex.join([k8s_hub, 'volumes', 'list', *where])}"
    if outcome.has_culler:
        yield f"  {_explain_command(k8s_hub, outcome)}"
    else:
        yield "This configuration has no culler: no server is stopped because it is idle."


def _explain_command(k8s_hub: str, outcome: Outcome) -> str:
    """Return the command with the folder, the variables and the token of the culler, so that it answers as the culler does.

    Those of the terminal stay as they are.
    """
    arguments = ["cull", "explain", "ada", *outcome.culler_flags]
    first = [shlex.join([".", outcome.culler_variables])]
    if outcome.culler_directory not in {"", str(Path.cwd())}:
        first.append(shlex.join(["cd", outcome.culler_directory]))
    return f"({' && '.join([*first, shlex.join([str(Path(k8s_hub).absolute()), *arguments])])})"


def _password(plan: Plan) -> str:
    return f"the password {plan.password}" if plan.password else "any password"


def _length(seconds: int) -> str:
    return format_duration(timedelta(seconds=seconds))


def _and_files(settings: Settings) -> str:
    return " and users' files" if settings.kubeconfig is None else ""


def _what_stays(settings: Settings) -> str:
    if settings.kubeconfig is None:
        return f"no process is left. Users' files stay in {settings.directory} for the next time."
    return f"no process and no pod is left. The claims stay in namespace {settings.namespace}."


def _what_it_is_not(settings: Settings) -> str:
    if settings.kubeconfig is None:
        return "Use the mini cluster for trials only: it isolates processes no further than the operating system does."
    return "Use this demo for trials only: anybody with the password can log in under any name."
