"""Performs the steps of a scenario on one user's server, as its user, as an administrator, or as the cluster."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from devkit.chaos.world import World
from devkit.perturb.invariants import CLAIMS, PODS, Change, Told, Trial, of_user, present
from devkit.perturb.scenarios import COMMANDS, ORPHAN_GRACE, Scenario, Step
from devkit.realcluster.credentials import write_kubeconfig
from devkit.testing.eventually import eventually
from k8s_hub.naming.ownership import SERVERNAME_ANNOTATION, USERNAME_ANNOTATION
from k8s_hub.objects.keys import key_of, metadata_of
from k8s_hub.objects.raw import Raw

PATIENCE = 40.0
"""Seconds that a step may take."""


class StepFailedError(Exception):
    """A step was refused, or did not end in time."""


@dataclass(kw_only=True)
class Actor:
    """One user with one server."""

    world: World
    scenario: Scenario
    user: str
    #: Filled by the observer.
    history: list[Change]
    servername: str = ""
    names: set[str] = field(default_factory=set)
    #: The process of a command of k8s-hub, while it runs.
    command: asyncio.subprocess.Process | None = None
    _options: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.servername = self.scenario.servername
        self.names.add(self.user)

    @property
    def trial(self) -> Trial:
        return Trial(names=frozenset(self.names), may_delete_claims=self.scenario.may_delete_claims)

    async def create(self) -> None:
        await self._ask("POST", self._path())

    async def do_all(self, steps: Iterable[Step]) -> None:
        for step in steps:
            await self.do(step)

    async def do(self, step: Step) -> None:
        """Perform a step; raise StepFailedError, or HubAwayError where the hub is needed and away."""
        match step:
            case Step.START | Step.START_UNSCHEDULABLE:
                await self._start(may_wait=step is Step.START_UNSCHEDULABLE)
            case Step.STOP:
                await self._ask("DELETE", self._server())
                await self._until(self._is("stopped"), "it did not stop")
            case Step.RENAME_USER:
                self.names.add(f"{self.user}-new")
                await self._ask("PATCH", self._path(), {"name": f"{self.user}-new"})
                self.user = f"{self.user}-new"
            case Step.RENAME_SERVER:
                await self._ask("PATCH", self._server(), {"name": f"{self.servername}-new"})
                self.servername = f"{self.servername}-new"
            case Step.DELETE_USER:
                await self._until(self._is_deleted, "the user was not deleted")
            case Step.GROW:
                self._options["large"] = True
                await self._until(self._are_bound, "the claims are not bound")
            case Step.WAIT_GONE:
                await self._until(lambda: self._has_pods(0), "its pod is not gone")
            case Step.WAIT:
                await asyncio.sleep(ORPHAN_GRACE + 3)
            case Step.PRUNE | Step.REMOVE_ORPHANS:
                await self.run_command(step)
            case _:
                await self._act_as_cluster(step)

    async def told(self) -> Told:
        """Return what the hub says of the server now."""
        reply = await self.world.hub.api("GET", f"{self._path()}?include_stopped_servers=1")
        if reply.status == 404:
            return Told(state="no user")
        server = reply.body["servers"].get(self.servername)
        if server is None or server.get("stopped"):
            return Told(state="stopped")
        routes = (await self.world.hub.api("GET", "/proxy?limit=200")).body
        route = routes.get(server["url"], {})
        state = "ready" if server["ready"] else f"pending {server['pending']}"
        return Told(state=state, target=route.get("target"))

    async def run_command(self, step: Step) -> None:
        """Run a command of k8s-hub to its end, however it ends."""
        hub, network = self.world.hub, self.world.network
        kubeconfig = write_kubeconfig(
            self.world.folder / "command.kubeconfig",
            url=f"https://127.0.0.1:{network.port}",
            token=hub.token_file.read_text(),
            ca_certificate=self.world.plane.ca_certificate,
            namespace=self.world.namespace,
        )
        users, *_ = hub.settings["traits"]["JupyterHub"]["services"]
        options = (
            f"--url={hub.url}/hub/api",
            f"--kubeconfig={kubeconfig}",
            f"--namespace={self.world.namespace}",
        )
        with (self.world.folder / "command.log").open("ab") as log:
            self.command = await asyncio.create_subprocess_exec(
                *(hub.subject.python, "-m", "devkit.perturb.spawner", *COMMANDS[step], *options),
                env={**os.environ, "JUPYTERHUB_API_TOKEN": users["api_token"]},
                stdout=log,
                stderr=log,
            )
        try:
            await asyncio.wait_for(self.command.wait(), PATIENCE)
        finally:
            if self.command.returncode is None:
                self.command.kill()

    def kill_command(self) -> None:
        assert self.command is not None
        self.command.kill()

    def pods(self) -> list[Raw]:
        return present(of_user(self.history, frozenset(self.names)))[PODS]

    # --- Steps ---

    async def _start(self, *, may_wait: bool) -> None:
        await self._ask("POST", self._server(), {"no_machine": may_wait, **self._options})
        if may_wait:
            await self._until(lambda: self._has_pods(1), "its pod was not created")
            return
        await self._until(self._is("ready"), "it did not start")

    async def _is_deleted(self) -> bool:
        reply = await self.world.hub.api("DELETE", self._path())
        if reply.status not in {204, 400, 404, 500}:  # 400: a start or stop is pending
            raise StepFailedError(f"DELETE {self._path()}: {reply.status} {reply.body}")
        return reply.status in {204, 404}

    async def _act_as_cluster(self, step: Step) -> None:
        admin, namespace = self.world.plane.admin, f"/api/v1/namespaces/{self.world.namespace}"
        pods = f"{namespace}/pods"
        if step is Step.PLANT_CLAIM:
            await asyncio.to_thread(admin.create, f"{namespace}/{CLAIMS}", self._claim())
            return
        if step is Step.PLANT:
            await asyncio.to_thread(admin.create, pods, self._earlier_pod())
            await self._until(lambda: any(_phase(pod) == "Running" for pod in self.pods()), "it does not run")
            return
        (pod,) = self.pods()
        path = f"{pods}/{key_of(pod).name}"
        if step is Step.END:
            ended = {"name": "notebook", "ready": False, "restartCount": 0, "image": "x", "imageID": "x"}
            ended["state"] = {"terminated": {"exitCode": 0, "reason": "Completed"}}
            status = {"phase": "Succeeded", "containerStatuses": [ended]}
            await asyncio.to_thread(admin.patch, f"{path}/status", {"status": status})
        else:
            await asyncio.to_thread(admin.delete, path, {"gracePeriodSeconds": 0})
            uid = metadata_of(pod)["uid"]
            await self._until(
                lambda: uid not in {metadata_of(each)["uid"] for each in self.pods()}, "the pod is not gone"
            )

    def _earlier_pod(self) -> Raw:
        """Return a pod as an earlier hub's spawner would have made it for the server."""
        container = {
            "name": "notebook",
            "image": "x",
            "ports": [{"name": "notebook-port", "containerPort": 8888}],
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"jupyter-{self.user}", **self._marks()},
            "spec": {"containers": [container]},
        }

    def _claim(self) -> Raw:
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"claim-{self.user}", **self._marks()},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
        }

    def _marks(self) -> Raw:
        """Return labels and annotations of the server's objects."""
        labels = {USERNAME_ANNOTATION: self.user, "release": "jhub", "app.kubernetes.io/instance": "jhub"}
        annotations = {USERNAME_ANNOTATION: self.user, SERVERNAME_ANNOTATION: self.servername}
        return {"labels": {"component": "singleuser-server", **labels}, "annotations": annotations}

    # --- Waiting ---

    def _is(self, state: str) -> Callable[[], Awaitable[bool]]:
        async def is_so() -> bool:
            told = (await self.told()).state
            if state == "ready" and told == "stopped":
                raise StepFailedError("the start failed")
            return told == state

        return is_so

    def _has_pods(self, count: int) -> bool:
        return len(self.pods()) == count

    def _are_bound(self) -> bool:
        claims = present(of_user(self.history, frozenset(self.names)))[CLAIMS]
        return bool(claims) and all(_phase(claim) == "Bound" for claim in claims)

    async def _until(self, condition: Callable[[], Any], complaint: str) -> None:
        try:
            await eventually(condition, seconds=PATIENCE)
        except TimeoutError:
            raise StepFailedError(f"{complaint} within {PATIENCE:g} s") from None

    async def until_old(self) -> None:
        """Wait until what was planted can be an orphan."""
        await asyncio.sleep(ORPHAN_GRACE + 1)

    async def _ask(self, method: str, path: str, body: Any = None) -> None:
        reply = await self.world.hub.api(method, path, body if body is not None else {})
        if reply.status >= 400:
            raise StepFailedError(f"{method} {path}: {reply.status} {reply.body}")

    def _path(self) -> str:
        return f"/users/{quote(self.user, safe='')}"

    def _server(self) -> str:
        return f"{self._path()}/servers/{self.servername}" if self.servername else f"{self._path()}/server"


def _phase(obj: Raw) -> str | None:
    status: Raw = obj.get("status") or {}
    return status.get("phase")
