"""Runs the cases of one setting in one world: an undisturbed run of each scenario first, then one run for each kill."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devkit.chaos.fault_proxy import pass_all
from devkit.chaos.world import HubAwayError, Subject, World, open_world
from devkit.perturb import invariants
from devkit.perturb.actor import Actor, StepFailedError
from devkit.perturb.cases import Case, cases_of, surprises, writes_of
from devkit.perturb.invariants import STOPPED, Change, Violation
from devkit.perturb.kill import Kill
from devkit.perturb.observer import observed
from devkit.perturb.scenarios import COMMANDS, PLAIN, Scenario, Setting, Step
from devkit.realcluster.audit import Request, requests_of

SETTLED = 60.0
"""Seconds after which whatever was killed must be right again: the grace of orphans, and start_timeout."""

CALM = 0.5
"""Seconds for which it must stay right."""

RESCUED = "deleted because it had no server"
"""What the hub's log says of an orphan."""

SPAWNER = "devkit.perturb.spawner.PerturbedSpawner"
RULES = [{"apiGroups": [""], "resources": ["*"], "verbs": ["*"]}]
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass(kw_only=True)
class Report:
    """What a campaign found."""

    cases: list[Case] = field(default_factory=list)
    #: By the name of the case.
    results: dict[str, str] = field(default_factory=dict)
    #: By the name of the case or scenario.
    violations: dict[str, list[str]] = field(default_factory=dict)
    #: Differences between audit log and scenarios, and writes that no case has.
    gaps: list[str] = field(default_factory=list)
    #: Everything that the hubs asked for.
    requests: list[Request] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.violations or self.gaps)

    def note(self, name: str, found: Iterable[Violation]) -> bool:
        """Note violations; return whether there are any."""
        lines = [str(violation) for violation in found]
        if lines:
            self.violations.setdefault(name, []).extend(lines)
        return bool(lines)


@dataclass(kw_only=True)
class Stage:
    """One world with one setting of the hub."""

    world: World
    history: list[Change]
    report: Report
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _may_delete: set[str] = field(default_factory=set)

    async def actor(self, scenario: Scenario) -> Actor:
        """Return a new user."""
        user = f"u{next(self._numbers)}"
        actor = Actor(world=self.world, scenario=scenario, user=user, history=self.history)
        await actor.create()
        if scenario.may_delete_claims:
            self._may_delete.add(user)
        return actor

    async def keep_one(self) -> None:
        """Start a server that runs on: a hub without one has no views, and does not look for orphans."""
        keeper = await self.actor(Scenario("keeper", PLAIN, (), (Step.START,), ()))
        await keeper.do(Step.START)

    def requests(self) -> list[Request]:
        return list(requests_of(self.world.audit_log, account="hub", namespace=self.world.namespace))

    async def undisturbed(self, scenario: Scenario) -> list[Case]:
        """Perform a scenario and return its cases, which the audit log has."""
        actor = await self._prepared(scenario)
        before = len(self.requests())
        await actor.do_all(scenario.act)
        found = writes_of(self.requests()[before:])
        self.report.gaps += surprises(scenario, found)
        self.report.note(scenario.name, await self.settled(actor))
        await self._cleared(actor)
        return cases_of(scenario, found)

    async def reported(self, name: str, running: Awaitable[list[Violation]]) -> str:
        """Run a case and note what it found; return a line about it."""
        begun = time.monotonic()
        try:
            found = await running
        except (StepFailedError, HubAwayError, TimeoutError) as error:
            found = [Violation("a step failed", str(error) or type(error).__name__)]
        self.report.results[name] = "VIOLATED" if self.report.note(name, found) else "ok"
        return f"{self.report.results[name]:10} {time.monotonic() - begun:5.1f} s  {name}"

    async def run(self, case: Case, scenario: Scenario) -> list[Violation]:
        """Run a case; return what does not hold."""
        actor = await self._prepared(scenario)
        hub, network = self.world.hub, self.world.network
        is_command = any(step in COMMANDS for step in scenario.act)
        kill = Kill(
            write=case.write,
            moment=case.moment,
            kill=actor.kill_command if is_command else hub.process.kill,
        )
        mark = len(hub_log(self.world))
        network.decide = kill.decide
        try:
            if not await _until_struck(actor, kill):
                return [Violation("not struck", "the write did not come")]
        finally:
            network.decide = pass_all
        if is_command:
            await actor.do_all(scenario.act)
        else:
            await hub.start()
        await actor.do_all(scenario.then)
        found = await self.settled(actor)
        if not found and Step.START in scenario.act and case.has_pod:
            found = invariants.survived(await actor.told())
        found = found or await self.again(actor)
        found += invariants.always(self.history, actor.trial)
        if Step.PLANT not in scenario.setup and scenario.setting.collects_garbage:
            found += self.rescued(mark)
        return found

    def rescued(self, mark: int) -> list[Violation]:
        """Return whether the search for orphans had to remove what was left, after this place of the hub's log."""
        if RESCUED not in hub_log(self.world)[mark:]:
            return []
        return [Violation("without a server", "only the search for orphans removed what was left")]

    async def _prepared(self, scenario: Scenario) -> Actor:
        actor = await self.actor(scenario)
        await actor.do_all(scenario.setup)
        if Step.REMOVE_ORPHANS in scenario.act:
            await actor.until_old()
        return actor

    async def settled(self, actor: Actor) -> list[Violation]:
        """Return what does not come right in time."""
        deadline, right_since = time.monotonic() + SETTLED, None
        while True:
            told = await actor.told()
            found = invariants.in_the_end(self.history, actor.trial, told)
            now = time.monotonic()
            right_since = None if found else right_since or now
            if right_since is not None and now - right_since >= CALM:
                return []
            if now > deadline:
                return found
            await asyncio.sleep(0.1)

    async def again(self, actor: Actor) -> list[Violation]:
        """Have the user stop and start again: it must work, with the same home."""
        if Step.DELETE_USER in actor.scenario.act:
            await actor.do(Step.DELETE_USER)
            return await self.settled(actor)
        told = await actor.told()
        if told.state == "no user":
            return []
        try:
            if told.state == "ready":
                await actor.do(Step.STOP)
            await actor.do(Step.START)
        except StepFailedError as error:
            return [Violation("cannot start again", str(error))]
        found = await self.settled(actor) + invariants.with_its_home(self.history, actor.trial)
        await self._cleared(actor)
        return found

    async def _cleared(self, actor: Actor) -> None:
        """Stop what runs."""
        if (await actor.told()).state not in STOPPED:
            with suppress(StepFailedError):
                await actor.do(Step.STOP)

    def end(self) -> None:
        """Note what concerns the whole run."""
        self.report.requests += self.requests()
        self.report.note("all users", invariants.of_others(self.history, self._may_delete))


async def _until_struck(actor: Actor, kill: Kill) -> bool:
    """Perform the scenario until the kill; return False if it does not come."""
    acting = asyncio.create_task(actor.do_all(actor.scenario.act))
    striking = asyncio.create_task(kill.struck.wait())
    await asyncio.wait({acting, striking}, return_when=asyncio.FIRST_COMPLETED)
    if not kill.struck.is_set():  # the last write may be a reply that was just read
        await asyncio.wait({striking}, timeout=1)
    for task in (acting, striking):
        task.cancel()
        with suppress(asyncio.CancelledError, HubAwayError, StepFailedError):
            await task
    return kill.struck.is_set()


def hub_log(world: World) -> str:
    """Return the hub's log so far."""
    return (world.folder / "hub.log").read_text(errors="replace")


@asynccontextmanager
async def opened(setting: Setting, hub: int, folder: Path, report: Report) -> AsyncIterator[Stage]:
    """Open a world for a setting."""
    traits = {
        "JupyterHub": {"spawner_class": SPAWNER, "last_activity_interval": 3600},
        "Spawner": {"poll_interval": 2},
        "KubeSpawner": setting.options,
    }
    async with open_world(Subject(hub=hub), folder, traits=traits) as world:
        admin = world.plane.admin
        if setting.may_do_all:
            _give_rights(admin, world.namespace)
        if not setting.collects_garbage:
            await asyncio.to_thread(_end_garbage_collection, world)
        _add_growing_class(admin)
        async with observed(world.admin) as history:
            yield Stage(world=world, history=history, report=report)


def _give_rights(admin: Any, namespace: str) -> None:
    name = {"name": "perturbed"}
    admin.create(f"{RBAC}/clusterroles", {"metadata": name, "rules": RULES})
    admin.create(
        f"{RBAC}/clusterrolebindings",
        {
            "metadata": name,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **name},
            "subjects": [{"kind": "ServiceAccount", "name": "hub", "namespace": namespace}],
        },
    )


def _end_garbage_collection(world: World) -> None:
    manager = next(each for each in world.plane.controllers if each.name == "kube-controller-manager")
    manager.stop()
    manager.command = [*manager.command, "--controllers=*,-garbage-collector-controller"]
    manager.start()


def _add_growing_class(admin: Any) -> None:
    admin.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        {
            "metadata": {"name": "growing"},
            "provisioner": "kubernetes.io/host-path",
            "allowVolumeExpansion": True,
        },
    )


async def run_kills(
    stage: Stage,
    *,
    scenarios: Iterable[Scenario],
    is_wanted: Callable[[str], bool],
    say: Callable[[str], None],
) -> None:
    """Run all cases of the scenarios of one setting."""
    await stage.keep_one()
    made: list[Case] = []
    for scenario in scenarios:
        try:
            cases = await stage.undisturbed(scenario)
        except (StepFailedError, HubAwayError) as error:
            stage.report.gaps.append(f"{scenario.name}: the undisturbed run failed: {error}")
            continue
        made += cases
        for case in cases:
            if is_wanted(str(case)):
                say(await stage.reported(str(case), stage.run(case, scenario)))
                if not stage.world.hub.process.is_alive:
                    await stage.world.hub.start()
    stage.report.cases += made
    stage.end()
