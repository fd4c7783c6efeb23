"""The demo's story as an automatic check.

Each step is a function. The check prints the docstring of a step that succeeded, and ends at the first failure.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from yarl import URL

from devkit.demo import leftovers
from devkit.demo.cluster_reader import ClusterReader, Snapshot, open_cluster_reader
from devkit.demo.failure import DemoError
from devkit.demo.gather import gather
from devkit.demo.kernel import Kernel
from devkit.demo.plan import Plan, make_plan
from devkit.demo.session import Browser, Server, browser
from devkit.demo.settings import Pods, Settings, Use
from devkit.demo.showcase import ADMIN, BROKEN, SMALL
from devkit.demo.stack import Stack, running
from devkit.demo.webhook import Warnings, open_webhook
from devkit.testing.eventually import eventually
from k8s_hub.clock import utcnow
from k8s_hub.kube.core.errors import KubeError

ADA, GRACE, BARBARA = "ada", "grace", "barbara"
USERNAMES = frozenset({ADA, GRACE, BARBARA})
NOTES = "notes.txt"
STEP_DEADLINE = 90.0  # seconds; a step on a slow machine takes 15
CULL_MARGIN = 40.0  # seconds after the idle timeout: the sweep, the stops, and a slow machine
CELL_EVERY = 0.5  # seconds between two cells while the hub is away
IDLE_SECONDS = 30  # longer than a start with a killed hub takes on a slow machine
ACTIVITY_SECONDS = 1


@dataclass(slots=True, kw_only=True)
class Story:
    """The users of the story, and what was seen so far."""

    plan: Plan
    stack: Stack
    cluster: ClusterReader
    ada: Browser
    grace: Browser
    barbara: Browser
    admin: Browser
    warnings: Warnings
    servers: dict[str, Server] = field(default_factory=dict)
    claims: frozenset[Snapshot] = frozenset()

    @property
    def pair(self) -> tuple[Browser, Browser]:
        """The two users of the first steps."""
        return self.ada, self.grace


Step = Callable[[Story], Awaitable[None]]


async def check(settings: Settings) -> None:
    """Run the whole story; raise DemoError at the first step that fails."""
    plan = make_plan(
        replace(settings, idle_seconds=IDLE_SECONDS, activity_seconds=ACTIVITY_SECONDS, use=Use.SHOWN)
    )
    started = time.monotonic()
    async with AsyncExitStack() as unwinding:
        with _told("The login page is there."):
            warnings = await unwinding.enter_async_context(open_webhook(plan.webhook_port))
            stack = await unwinding.enter_async_context(running(plan))
        story = await unwinding.enter_async_context(_cast(plan, stack, warnings))
        await tell(story, steps_for(settings))
        with _told("Everything is stopped, and no process is left."):
            await unwinding.aclose()
            _see_nothing_left(plan, stack)
    print(f"The whole story holds.  ({time.monotonic() - started:.0f} s)")


async def tell(story: Story, steps: Iterable[Step]) -> None:
    """Run the steps and print each docstring after success; raise DemoError with the docstring of the one that fails."""
    for step in steps:
        with _told(str(step.__doc__)):
            async with asyncio.timeout(STEP_DEADLINE):
                await step(story)


@asynccontextmanager
async def _cast(plan: Plan, stack: Stack, warnings: Warnings) -> AsyncIterator[Story]:
    async with (
        open_cluster_reader(plan.kubeconfig, plan.settings.namespace, USERNAMES) as cluster,
        browser(plan.url, ADA) as ada,
        browser(plan.url, GRACE) as grace,
        browser(plan.url, BARBARA) as barbara,
        browser(plan.url, ADMIN) as admin,
    ):
        yield Story(
            plan=plan,
            stack=stack,
            cluster=cluster,
            ada=ada,
            grace=grace,
            barbara=barbara,
            admin=admin,
            warnings=warnings,
        )


@contextmanager
def _told(sentence: str) -> Iterator[None]:
    """Print ``sentence`` after the block succeeds; raise DemoError with it otherwise."""
    started = time.monotonic()
    try:
        yield
    except TimeoutError as error:
        raise DemoError(
            f"failed: {sentence} It took longer than {time.monotonic() - started:.0f} s."
        ) from error
    except (DemoError, KubeError, aiohttp.ClientError, OSError) as error:
        raise DemoError(f"failed: {sentence} {error}") from error
    print(f"ok  {sentence}  ({time.monotonic() - started:.1f} s)", flush=True)


# --- the steps ---


async def log_in_together(story: Story) -> None:
    """Two users log in at the same time, choose a profile, and get a server each."""
    await gather(*(_log_in_and_start(story, user) for user in story.pair))


async def see_pods_and_claims(story: Story) -> None:
    """The Kubernetes API shows one pod and one claim for each of them."""
    pods = await story.cluster.pods()
    story.claims = await story.cluster.claims()
    for user in story.pair:
        pod = _only(pods, user.username)
        claim = _only(story.claims, user.username)
        if pod.claims != {claim.name}:
            raise DemoError(f"pod {pod.name} mounts {set(pod.claims)}, not {claim.name}")


async def write_and_run(story: Story) -> None:
    """Each writes a file through JupyterLab's API and runs a cell that reads it."""
    for user in story.pair:
        server = story.servers[user.username]
        await server.write(NOTES, _notes_of(story, user))
        async with server.kernel() as kernel:
            # The kernel sees the file too: contents API and kernel share the volume.
            printed = await kernel.run(f"print(open({NOTES!r}).read(), 6 * 7)")
        if printed.split() != [*_notes_of(story, user).split(), "42"]:
            raise DemoError(f"{user.username}'s cell printed {printed!r}")


async def refuse_strangers(story: Story) -> None:
    """One user's token opens her own server and is refused at the other's."""
    token = await story.ada.make_token()
    own = await story.servers[ADA].status_for_token(token)
    other = await story.servers[GRACE].status_for_token(token)
    if (own, other) != (200, 403):
        raise DemoError(f"ada's token gets {own} at her own server and {other} at grace's, not 200 and 403")


async def fail_with_reason(story: Story) -> None:
    """A server with a missing image fails to start, and its user reads why."""
    await story.barbara.log_in(story.plan.password)
    reason = await story.barbara.reason_not_to_start(BROKEN)
    if "does not exist" not in reason:
        raise DemoError(f"barbara reads {reason!r}")


async def see_culler_page(story: Story) -> None:
    """The culler's page shows users their own servers, and an admin all of them."""
    await story.admin.log_in(story.plan.password)
    # The hub starts the culler after its own login page, and the page needs a moment more.
    await eventually(lambda: _answers(story.admin, story.plan.culler_page), seconds=STEP_DEADLINE)
    for user, others in ((story.ada, False), (story.admin, True)):
        page = await user.get(URL(story.plan.culler_page))
        all_servers = await user.get(URL(story.plan.culler_page) / "all")
        if page.status != 200 or (all_servers.status == 200) is not others:
            raise DemoError(f"{user.username} gets {page.status}, and {all_servers.status} for all servers")


async def _answers(user: Browser, url: str) -> bool:
    return (await user.get(URL(url))).status not in {404, 503}


async def kill_hub(story: Story) -> None:
    """The hub is killed and restarted: users keep working, and the hub finds all servers again."""
    before = await story.cluster.pods()
    await _while_users_work(story, _kill_and_restart_hub(story, before))


async def kill_hub_during_spawn(story: Story) -> None:
    """The hub is killed during a start and restarted: the server runs, and exactly one culler runs."""
    await story.barbara.log_in(story.plan.password)
    await _while_users_work(story, _interrupt_spawn_of_barbara(story))
    if story.plan.settings.pods is Pods.PROCESS:
        await story.barbara.open_server()


async def start_named_server(story: Story) -> None:
    """A named server gets a pod and a claim of its own."""
    name = "project"
    await story.ada.start_server(name, profile=SMALL)
    await story.ada.follow_progress(name)
    pods = await story.cluster.pods()
    own = [pod for pod in pods if (pod.username, pod.servername) == (ADA, name)]
    others = {claim for pod in pods if pod not in own for claim in pod.claims}
    if len(own) != 1 or not own[0].claims or own[0].claims & others:
        raise DemoError(f"ada's named server has the pods {own}; the others mount {sorted(others)}")


async def wait_for_warnings(story: Story) -> None:
    """The culler warns each user before it stops their servers."""
    awaited = {user.username for user in story.pair}
    async with asyncio.timeout(story.plan.settings.idle_seconds + CULL_MARGIN):
        while awaited:
            warning = await story.warnings.get()
            awaited.discard(warning["user"])
    pods = await story.cluster.pods()
    if not {user.username for user in story.pair} <= {pod.username for pod in pods}:
        raise DemoError(f"the pods are {_names(pods)}: they were stopped before their users were warned")


async def wait_for_cull(story: Story) -> None:
    """The culler stops all idle servers: the pods are gone, the claims remain."""
    before = await story.cluster.claims()
    await story.cluster.wait_for_pods(
        lambda pods: not pods,
        meaning="the removal of idle pods",
        deadline=story.plan.settings.idle_seconds + CULL_MARGIN,
    )
    story.claims = await story.cluster.claims()
    if not before or story.claims != before:
        raise DemoError(f"the claims were {_names(before)} and are {_names(story.claims)}")


async def come_back(story: Story) -> None:
    """Both log in again, and their new pods have the old claims."""
    await log_in_together(story)
    before = story.claims
    await see_pods_and_claims(story)
    if story.claims != before:
        raise DemoError(f"the claims were {_names(before)} and are {_names(story.claims)}")


async def read_again(story: Story) -> None:
    """Both read their files."""
    for user in story.pair:
        found = await story.servers[user.username].read(NOTES)
        if found != _notes_of(story, user):
            raise DemoError(f"{user.username} finds {found!r} in {NOTES}")


STEPS: tuple[Step, ...] = (
    log_in_together,
    see_pods_and_claims,
    write_and_run,
    refuse_strangers,
    fail_with_reason,
    see_culler_page,
    kill_hub,
    kill_hub_during_spawn,
    start_named_server,
    wait_for_warnings,
    wait_for_cull,
    come_back,
    read_again,
)
NEED_JUPYTER: set[Step] = {write_and_run, refuse_strangers, read_again}
NEED_MINI_CLUSTER: set[Step] = {fail_with_reason}


def steps_for(settings: Settings) -> tuple[Step, ...]:
    """Return the steps for these pods: a listener has no files and kernels, and a real registry's errors vary."""
    left_out: set[Step] = set()
    if settings.pods is Pods.LISTENER:
        left_out |= NEED_JUPYTER
    if settings.kubeconfig is not None:
        left_out |= NEED_MINI_CLUSTER
    return tuple(step for step in STEPS if step not in left_out)


# --- what steps share ---


async def _log_in_and_start(story: Story, user: Browser) -> None:
    plan = story.plan
    await user.log_in(plan.password)
    await user.start_server(profile=SMALL)
    await user.follow_progress()
    if plan.settings.pods is Pods.PROCESS:
        story.servers[user.username] = await user.open_server()


async def _while_users_work(story: Story, act: Coroutine[Any, Any, None]) -> None:
    """Let Ada and Grace use their servers during and after ``act``, over websockets that stay open."""
    is_done = asyncio.Event()

    async def act_and_tell() -> None:
        await act
        is_done.set()

    async with AsyncExitStack() as kernels:
        working = [await kernels.enter_async_context(server.kernel()) for server in story.servers.values()]
        await gather(act_and_tell(), _work_until(is_done, story, working))
        await _work(story, working)


async def _work_until(end: asyncio.Event, story: Story, kernels: list[Kernel]) -> None:
    while not end.is_set():
        await _work(story, kernels)
        await asyncio.sleep(CELL_EVERY)


async def _work(story: Story, kernels: list[Kernel]) -> None:
    """Send one request to each server, and run one cell in each kernel."""
    for user in story.pair:
        await user.reach_server()
    for kernel in kernels:
        if (printed := await kernel.run("print('still here')")) != "still here\n":
            raise DemoError(f"a cell printed {printed!r}")


async def _kill_and_restart_hub(story: Story, before: frozenset[Snapshot]) -> None:
    await story.stack.kill_part("hub")
    await story.stack.start_part("hub")
    await _see_all_well(story, before)


async def _interrupt_spawn_of_barbara(story: Story) -> None:
    await gather(_start_and_lose_answer(story.barbara), _kill_hub_at_pod_of(story, BARBARA))
    before = await story.cluster.pods()
    await story.stack.start_part("hub")
    await story.barbara.wait_until_ready()
    await _see_all_well(story, before)


async def _start_and_lose_answer(user: Browser) -> None:
    with suppress(DemoError, aiohttp.ClientError):
        await user.start_server(profile=SMALL)


async def _kill_hub_at_pod_of(story: Story, username: str) -> None:
    await story.cluster.wait_for_pods(
        lambda pods: any(pod.username == username for pod in pods),
        meaning=f"{username}'s pod",
        deadline=STEP_DEADLINE,
    )
    await story.stack.kill_part("hub")


async def _see_all_well(story: Story, before: frozenset[Snapshot]) -> None:
    """Check that the hub knows every server and its activity, that the pods are the same, and that one culler runs."""
    now = utcnow()
    for user in story.pair:
        await user.wait_until_ready(active_since=now)
    after = await story.cluster.pods()
    if after != before:
        raise DemoError(f"the pods were {_names(before)} and are {_names(after)}")
    await leftovers.wait_until(story.plan.marker, lambda found: len(_cullers(found)) == 1)


def _cullers(found: Mapping[int, str]) -> list[int]:
    return [pid for pid, command in found.items() if "k8s_hub.culler" in command]


def _see_nothing_left(plan: Plan, stack: Stack) -> None:
    if stack.left_behind:
        raise DemoError(f"these had to be ended: {stack.left_behind}")
    if found := leftovers.find(plan.marker):
        raise DemoError(f"these are still there: {found}")


def _only(snapshots: frozenset[Snapshot], username: str) -> Snapshot:
    found = [snapshot for snapshot in snapshots if (snapshot.username, snapshot.servername) == (username, "")]
    if len(found) != 1:
        raise DemoError(f"{username} has {len(found)} of them, not one: {_names(frozenset(found))}")
    return found[0]


def _names(snapshots: frozenset[Snapshot]) -> list[str]:
    return sorted(f"{snapshot.name} ({snapshot.uid[:8]})" for snapshot in snapshots)


def _notes_of(story: Story, user: Browser) -> str:
    """Return a text that is unique to this run."""
    return f"written by {user.username} in {story.plan.marker}"
