"""``python -m devkit demo``: the whole story on this machine, interactively or as a check of itself."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from devkit.demo import check, settings
from devkit.demo.failure import DemoError
from devkit.demo.plan import Plan, make_plan
from devkit.demo.settings import Pods, Settings
from devkit.demo.stack import running
from k8s_hub.cli import numbers
from k8s_hub.signals import run_until_told


def run(arguments: Sequence[str]) -> int:
    """Run the demo; a reason not to is one sentence on stderr and exit code 1."""
    parsed = _parser().parse_args(arguments)
    try:
        return _run(_settings(parsed), is_check=parsed.check)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _run(wanted: Settings, *, is_check: bool) -> int:
    settings.check(wanted)
    with settings.claimed(wanted.directory):
        return run_until_told(check.check(wanted) if is_check else show_interactively(wanted))


def _settings(parsed: argparse.Namespace) -> Settings:
    return Settings(
        directory=parsed.directory,
        port=parsed.port,
        idle_seconds=parsed.idle,
        activity_seconds=max(1, min(10, parsed.idle // 6)),
        pods=Pods(parsed.pods),
        kubeconfig=parsed.kubeconfig,
        image=parsed.image,
        namespace=parsed.namespace,
        hub_address=parsed.hub_address,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devkit demo",
        description="JupyterHub with k8s_hub, a proxy, the idle culler and a mini cluster, on this machine.",
    )
    parser.add_argument("--check", action="store_true", help="run the whole story by itself and exit")
    parser.add_argument(
        "--idle",
        type=numbers.seconds,
        default=600,
        metavar="SECONDS",
        help="after which an unused pod is removed (default: %(default)s; --check has its own)",
    )
    parser.add_argument(
        "--port", type=numbers.port, default=8000, help="where to log in (default: %(default)s)"
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(".demo"), help="for data and logs (default: %(default)s)"
    )
    own = parser.add_argument_group("on a cluster of your own, instead of the mini cluster")
    own.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="of a cluster whose pods this machine reaches"
    )
    own.add_argument("--image", help="with jupyterhub-singleuser")
    own.add_argument("--namespace", default="default", help="for pods and claims (default: %(default)s)")
    own.add_argument(
        "--hub-address",
        default=settings.LOOPBACK,
        metavar="ADDRESS",
        help="of this machine, as pods reach it (default: %(default)s)",
    )
    own.add_argument(
        "--pods",
        choices=list(Pods),
        default=Pods.PROCESS,
        help="listener: pods only answer on their port, so nobody opens JupyterLab (default: %(default)s)",
    )
    return parser


async def show_interactively(settings: Settings) -> None:
    """Start everything, say what to do, and stay; DemoError when a part ends by itself."""
    plan = make_plan(settings)
    async with running(plan) as stack:
        print("\n".join(_introduction(plan)), flush=True)
        await stack.watch()


def _introduction(plan: Plan) -> tuple[str, ...]:
    """Return the five lines: where, what happens, where to look, how to stop, what this is not."""
    settings = plan.settings
    password = f"the password {plan.password}" if plan.password else "any password"
    return (
        f"Log in at  {plan.url}  as ada, grace or anybody else, with {password}: JupyterLab opens in a pod of yours.",
        f"Close the tab, and after {settings.idle_seconds} idle seconds the pod is removed; log in again, and your files are there.",
        _where_to_look(plan),
        f"Stop with Ctrl-C: {_what_stays(settings)}",
        _what_it_is_not(settings),
    )


def _where_to_look(plan: Plan) -> str:
    directory = plan.settings.directory
    if plan.settings.kubeconfig is None:
        # The mini cluster does not describe itself in the way that kubectl asks for.
        return f"Look inside {directory}: the log of every part is there, and so are the users' files."
    return (
        f"Look inside with  KUBECONFIG={plan.kubeconfig} kubectl get pods,pvc ; the logs are in {directory}."
    )


def _what_stays(settings: Settings) -> str:
    if settings.kubeconfig is None:
        return f"no process is left, files stay in {settings.directory}."
    return f"no process and no pod is left, the claims stay in namespace {settings.namespace}."


def _what_it_is_not(settings: Settings) -> str:
    if settings.kubeconfig is None:
        return "The mini cluster is for trying out: it isolates processes no further than the operating system does."
    return "The demo is for trying out: whoever knows the password can log in under any name."
