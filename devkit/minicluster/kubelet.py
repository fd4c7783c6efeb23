"""Scheduler and kubelet of the node: start containers for pods, and write their status.

Each pod has one worker from its creation to its removal. Only the worker writes the pod's status.
"""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from devkit.minicluster.addresses import AddressError, Addresses
from devkit.minicluster.database import Database
from devkit.minicluster.history import Change, ChangeType, Pulse
from devkit.minicluster.node import ImageProblem, Node, image_problem, scheduling_obstacle
from devkit.minicluster.pod_status import (
    PodFacts,
    Running,
    Terminated,
    Waiting,
    is_restarted_after,
    main_container,
    pod_status,
)
from devkit.minicluster.recorder import KUBELET, SCHEDULER, Recorder
from devkit.minicluster.resources import CLAIMS, PODS, SECRETS, Kind
from devkit.minicluster.runtime import Container, Order, Runtime, StartError
from devkit.minicluster.volumes import Volumes
from k8s_hub.objects.keys import Key, is_terminating, key_of, metadata_of, uid_of
from k8s_hub.objects.raw import Raw

DEFAULT_PORT = 8888


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """The node's latencies, in seconds of loop time."""

    schedule: float = 0.0
    pull: float = 0.0
    #: Until the registry reports a missing image.
    refuse: float = 0.0
    start: float = 0.0
    #: From the deletion of a pod until its container gets SIGTERM.
    stop: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """The kubelet's back-off, in seconds of loop time. It is shorter than a real one."""

    initial: float = 1.0
    factor: float = 2.0
    ceiling: float = 30.0

    def seconds(self, attempt: int) -> float:
        """Return the wait after the attempt of this number (1, 2, ...)."""
        return float(min(self.initial * self.factor ** (attempt - 1), self.ceiling))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Settings of the kubelet."""

    node: Node
    runtime: Runtime
    #: Images that exist; None: all but the missing ones.
    known_images: frozenset[str] | None
    missing_images: frozenset[str]
    latencies: Latencies
    back_off: BackOff
    volumes: Volumes
    #: For logs, and for the homes of pods without a claim.
    directory: Path
    now: Callable[[], datetime]


class Kubelet:
    """Owns the workers."""

    def __init__(self, database: Database, recorder: Recorder, settings: NodeSettings) -> None:
        self.database = database
        self.recorder = recorder
        #: Tests may replace it while the cluster runs.
        self.settings = settings
        self.addresses = Addresses()
        #: Beats to retry pods that could not be scheduled.
        self.requeue = Pulse()
        self._workers: dict[str, PodWorker] = {}
        self._new_workers: asyncio.Queue[PodWorker] = asyncio.Queue()

    async def run(self) -> None:
        """Start a worker for each pod until it is cancelled; end all containers first."""
        self.database.subscribe(self._notice)
        async with asyncio.TaskGroup() as tasks:
            while True:
                worker = await self._new_workers.get()
                tasks.create_task(self._run_worker(worker))

    def container(self, key: Key) -> Container | None:
        """Return the pod's running container; None without one."""
        pod = self.database.get(PODS, key)
        worker = self._workers.get(uid_of(pod)) if pod else None
        return worker.container if worker else None

    def _start_worker(self, pod: Raw) -> None:
        """Register the worker at once, so that a deletion reaches it even before it starts."""
        worker = PodWorker(self, pod)
        self._workers[worker.uid] = worker
        self._new_workers.put_nowait(worker)

    async def _run_worker(self, worker: "PodWorker") -> None:
        try:
            await worker.run()
        finally:
            del self._workers[worker.uid]

    def _notice(self, kind: Kind, change: Change) -> None:
        if kind == CLAIMS:
            self.requeue.beat()
        if kind != PODS:
            return
        if change.type is ChangeType.ADDED:
            self._start_worker(change.after.obj)
        worker = self._workers.get(uid_of(change.after.obj))
        if worker and (change.type is ChangeType.DELETED or is_terminating(change.after.obj)):
            worker.cancel()


class PodWorker:
    """The worker of one pod on the node."""

    def __init__(self, kubelet: Kubelet, pod: Raw) -> None:
        self._kubelet = kubelet
        self._pod = pod
        self._key = key_of(pod)
        self.uid = uid_of(pod)
        self._facts = PodFacts()
        self.container: Container | None = None
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """End the pod, which was deleted or is already gone."""
        self._cancelled.set()

    async def run(self) -> None:
        """Run until the pod is deleted, its containers have ended, and it is gone from the database."""
        try:
            async with asyncio.TaskGroup() as tasks:
                life = tasks.create_task(self._live())
                await self._cancelled.wait()
                life.cancel()
            await self._end()
        finally:
            await self._stop(0)
            self._kubelet.addresses.give_back(self._facts.address)
            shutil.rmtree(self._scratch, ignore_errors=True)

    async def _live(self) -> None:
        await self._until_scheduled()
        await self._until_image()
        while True:
            ended = await self._run_once()
            if not is_restarted_after(self._pod, ended.exit_code):
                return
            await self._back_off(ended)

    async def _until_scheduled(self) -> None:
        settings, requeue = self._kubelet.settings, self._kubelet.requeue
        await _pause(settings.latencies.schedule)
        while True:
            beats = requeue.beats
            obstacle = scheduling_obstacle(self._pod, settings.node, self._find_claim)
            if obstacle is None:
                break
            if obstacle != self._facts.unschedulable:
                self._emit_event(SCHEDULER, "FailedScheduling", obstacle, is_warning=True)
                self._update_status(unschedulable=obstacle)
            await requeue.after(beats)
        self._update_status(scheduled=settings.now(), unschedulable="")
        place = f"Successfully assigned {self._key} to {settings.node.name}"
        self._emit_event(SCHEDULER, "Scheduled", place)

    async def _until_image(self) -> None:
        settings = self._kubelet.settings
        image = main_container(self._pod).get("image", "")
        await _pause(settings.latencies.pull)
        attempt = 0
        while problem := self._image_problem(image):
            attempt += 1
            await _pause(settings.latencies.refuse)
            self._emit_event(
                KUBELET, "Failed", f'Failed to pull image "{image}": {problem.message}', is_warning=True
            )
            self._emit_event(KUBELET, "Failed", f"Error: {problem.reason}", is_warning=True)
            self._update_status(state=Waiting(reason=problem.reason, message=problem.message))
            await _pause(settings.back_off.seconds(attempt) / 2)
            message = f'Back-off pulling image "{image}": {problem.reason}: {problem.message}'
            self._emit_event(KUBELET, "BackOff", f'Back-off pulling image "{image}"')
            self._emit_event(KUBELET, "Failed", f"Error: {problem.back_off_reason}", is_warning=True)
            self._update_status(state=Waiting(reason=problem.back_off_reason, message=message))
            await _pause(settings.back_off.seconds(attempt) / 2)
        self._emit_event(KUBELET, "Pulled", f'Container image "{image}" already present on machine')

    def _image_problem(self, image: str) -> ImageProblem | None:
        settings = self._kubelet.settings
        return image_problem(image, settings.known_images, settings.missing_images)

    async def _run_once(self) -> Terminated:
        """Run the container once; write the status before and after."""
        container = await self._until_started()
        started = self._kubelet.settings.now()
        self._update_status(state=Running(since=started))
        name = main_container(self._pod)["name"]
        self._emit_event(KUBELET, "Started", f"Started container {name}")
        how = await container.wait()
        self.container = None
        ended = Terminated(
            exit_code=how.code,
            reason=how.reason,
            message=how.message,
            started=started,
            finished=self._kubelet.settings.now(),
        )
        self._update_status(state=ended)
        return ended

    async def _until_started(self) -> Container:
        settings = self._kubelet.settings
        await _pause(settings.latencies.start)
        attempt = 0
        while True:
            try:
                return await self._start()
            except (StartError, AddressError) as error:
                attempt += 1
                reason = error.reason if isinstance(error, StartError) else "RunContainerError"
                self._emit_event(KUBELET, "Failed", f"Error: {error}", is_warning=True)
                self._update_status(state=Waiting(reason=reason, message=str(error)))
                await _pause(settings.back_off.seconds(attempt))

    async def _start(self) -> Container:
        order = self._order()
        starting = asyncio.ensure_future(self._kubelet.settings.runtime.start(order))
        try:
            self.container = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A start is never left half done: what it started must be known, to be stopped.
            with suppress(StartError):
                self.container = await starting
            raise
        return self.container

    def _order(self) -> Order:
        container = main_container(self._pod)
        port = next((each["containerPort"] for each in container.get("ports") or ()), DEFAULT_PORT)
        if not self._facts.address:
            self._update_status(address=self._kubelet.addresses.take(port))
        return Order(
            pod=self._pod,
            container=container,
            address=self._facts.address,
            port=port,
            home=self._kubelet.settings.volumes.home(self._pod) or self._scratch,
            log=self._kubelet.settings.directory / "logs" / f"{self._key.namespace}_{self._key.name}.log",
            find_secret=lambda name: self._kubelet.database.get(SECRETS, Key(self._key.namespace, name)),
        )

    async def _back_off(self, last: Terminated) -> None:
        """Restart at once the first time, then after increasing waits."""
        settings, restarts = self._kubelet.settings, self._facts.restarts
        if restarts:
            name = main_container(self._pod)["name"]
            seconds = settings.back_off.seconds(restarts)
            message = f"back-off {seconds:g}s restarting failed container={name} pod={self._key}({self.uid})"
            self._emit_event(
                KUBELET, "BackOff", f"Back-off restarting failed container {name}", is_warning=True
            )
            self._update_status(state=Waiting(reason="CrashLoopBackOff", message=message), last=last)
            await _pause(seconds)
        self._update_status(state=Waiting(reason="ContainerCreating"), last=last, restarts=restarts + 1)

    async def _end(self) -> None:
        """End the container with its grace period and remove the pod. If the pod is already gone, kill at once."""
        pod = self._current()
        if pod is None:
            return
        await _pause(self._kubelet.settings.latencies.stop)
        if self.container is not None:
            name = main_container(pod)["name"]
            self._emit_event(KUBELET, "Killing", f"Stopping container {name}")
            await self._stop(metadata_of(pod).get("deletionGracePeriodSeconds", 0))
        if self._current() is not None:
            self._kubelet.database.remove(PODS, self._key)

    async def _stop(self, grace_seconds: float) -> None:
        if self.container is not None:
            await self.container.stop(grace_seconds)
            self.container = None

    def _update_status(self, **facts: Any) -> None:
        """Keep the facts, and write the status if the pod still exists."""
        self._facts = replace(self._facts, **facts)
        if self._current() is not None:
            self._kubelet.database.update(PODS, self._key, self._written)

    def _written(self, pod: Raw) -> Raw:
        settings = self._kubelet.settings
        spec = pod["spec"]
        if self._facts.scheduled:
            spec = {**spec, "nodeName": settings.node.name}
        status = pod_status(pod, self._facts, settings.node.address, settings.now())
        return {**pod, "spec": spec, "status": status}

    def _emit_event(self, by: str, reason: str, message: str, *, is_warning: bool = False) -> None:
        self._kubelet.recorder.emit(
            self._current() or self._pod, reason, message, by=by, is_warning=is_warning
        )

    def _current(self) -> Raw | None:
        """Return the stored pod; None if it is gone, even if another has its name."""
        pod = self._kubelet.database.get(PODS, self._key)
        return pod if pod is not None and uid_of(pod) == self.uid else None

    def _find_claim(self, name: str) -> Raw | None:
        return self._kubelet.database.get(CLAIMS, Key(self._key.namespace, name))

    @property
    def _scratch(self) -> Path:
        return self._kubelet.settings.directory / "pods" / self.uid


async def _pause(seconds: float) -> None:
    """Wait; do not even yield if there is nothing to wait for."""
    if seconds > 0:
        await asyncio.sleep(seconds)
