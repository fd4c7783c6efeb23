"""The demo for a person at a browser: five lines, then it runs until it is told to stop."""

from devkit.demo.plan import Plan, make_plan
from devkit.demo.settings import Settings
from devkit.demo.stack import running


async def show(settings: Settings) -> None:
    """Start everything, say what to do, and stay; DemoError when a part ends by itself."""
    plan = make_plan(settings)
    async with running(plan) as stack:
        print("\n".join(introduction(plan)), flush=True)
        await stack.watch()


def introduction(plan: Plan) -> tuple[str, ...]:
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
