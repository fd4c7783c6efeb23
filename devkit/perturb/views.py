"""Spoils the views of a hub while it decides: old ones, ones that went back in time, ones that missed an event.

The cases are data, `SpoiledViews` is what the fault proxy decides about lists and watches, `run_view_case` runs one.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import count

from devkit.chaos.fault_proxy import Answer, ApiRequest, Fate, Pass, Status, pass_all
from devkit.chaos.world import World
from devkit.perturb import invariants
from devkit.perturb.campaign import Stage, hub_log
from devkit.perturb.invariants import CLAIMS, PODS, Violation
from devkit.perturb.scenarios import PLAIN, Scenario, Step
from devkit.testing.eventually import eventually
from k8s_hub.objects.keys import is_terminating, uid_of

AGE = 30.0
"""Seconds that an old view is old when the hub decides."""

LISTS = {PODS: "?labelSelector=component%3Dsingleuser-server", CLAIMS: ""}
"""The selectors of the hub's views."""

PAST = 10.0
"""Seconds for which a view that went back hears nothing."""


class Fault(StrEnum):
    """What is wrong with the views of pods and claims."""

    OLD = "old"
    """For 30 s and while the hub decides, the open watches hear nothing."""
    BACK = "back"
    """The watches end, and the next list is an earlier one; the watch that follows it hears nothing at first."""
    MISSED = "missed"
    """An object comes or goes, and the views do not hear of it; all else comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewCase:
    """One decision that is made by a spoiled view."""

    decision: str
    fault: Fault
    #: What the spoiled view still shows.
    seen: tuple[Step, ...] = ()
    #: What it does not show.
    unseen: tuple[Step, ...]
    act: tuple[Step, ...]
    #: Whether the pod that is there after `unseen` or `act` must survive.
    keeps_pod: bool = False

    def __str__(self) -> str:
        return f"{self.decision}, view {self.fault}"

    @property
    def scenario(self) -> Scenario:
        return Scenario(str(self), PLAIN, self.seen, self.act, ())


START, STOP, PLANT, DELETE, WAIT = Step.START, Step.STOP, Step.PLANT, Step.DELETE_POD, Step.WAIT
BACK = Fault.BACK


def _forward(
    decision: str, seen: tuple[Step, ...], unseen: Step, *more: Step, act: tuple[Step, ...], **options
):
    """Return the two cases in which the view lacks what happened last."""
    return [
        ViewCase(decision=decision, fault=fault, seen=seen, unseen=(unseen, *more), act=act, **options)
        for fault in (Fault.OLD, Fault.MISSED)
    ]


VIEW_CASES = (
    *_forward("poll", (START,), DELETE, act=(WAIT,)),
    ViewCase(decision="poll", fault=BACK, unseen=(START,), act=(WAIT,), keeps_pod=True),
    *_forward("start over a pod", (START, STOP), PLANT, act=(START,)),
    ViewCase(decision="start over a pod", fault=BACK, seen=(START,), unseen=(STOP,), act=(START,)),
    *_forward("stop", (START,), DELETE, PLANT, act=(STOP,)),
    ViewCase(decision="stop", fault=BACK, unseen=(START,), act=(STOP,)),
    *_forward("remove orphans", (START, STOP, PLANT), DELETE, act=(START, WAIT), keeps_pod=True),
    ViewCase(
        decision="remove orphans",
        fault=BACK,
        seen=(START,),
        unseen=(STOP,),
        act=(START, WAIT),
        keeps_pod=True,
    ),
    *_forward("choose the home", (), Step.PLANT_CLAIM, act=(START,)),
    ViewCase(decision="choose the home", fault=BACK, unseen=(START, STOP), act=(START,)),
)


@dataclass(kw_only=True)
class SpoiledViews:
    """The lists and watches of pods and claims, as the hub hears them."""

    world: World
    #: The watches that hear nothing, by their number.
    silent: set[int] = field(default_factory=set)
    #: Whether those that are opened now hear nothing.
    opens_silent: bool = False
    #: A part of the one event that gets lost, such as the name of its object; None: nothing does.
    loses: bytes | None = None
    _past: dict[str, bytes] = field(default_factory=dict)
    _opened: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=count)
    _must_list: set[str] = field(default_factory=set)

    async def decide(self, request: ApiRequest) -> Fate:
        """Return the fate of a request."""
        resource = request.resource
        if resource in LISTS:
            if request.verb == "watch" and resource in self._must_list:
                return Status(410)
            if request.verb == "list" and resource in self._must_list:
                self._must_list.discard(resource)
                return Answer(self._past[resource])
            if request.verb == "watch":
                self._opened.add(resource)
                number = next(self._numbers)
                if self.opens_silent:
                    self.silent.add(number)
                return Pass(keep=partial(self._keeps, number))
        return Pass()

    async def intercept(self) -> None:
        """Have the hub open its watches again, through these views."""
        self._opened.clear()
        self.world.network.cut("watch")
        await eventually(lambda: self._opened == LISTS.keys())

    async def remember(self) -> None:
        """Keep the lists of now, for `go_back`."""
        for resource, selector in LISTS.items():
            path = f"/api/v1/namespaces/{self.world.namespace}/{resource}{selector}"
            async with self.world.admin.get(path) as reply:
                self._past[resource] = await reply.read()

    async def go_back(self) -> None:
        """Have the hub see what was remembered, and hear nothing of later."""
        self.opens_silent, self._must_list = True, set(LISTS)
        await self.intercept()
        self.opens_silent = False

    def heal(self) -> None:
        """End what makes the views old; a lost event stays lost."""
        if self.silent:
            self.silent.clear()
            self.world.network.cut("watch")

    def fall_silent(self) -> None:
        """Have the watches that are open hear nothing; those that are opened later hear everything."""
        self.silent = set(range(next(self._numbers)))

    def _keeps(self, watch: int, line: bytes) -> bool:
        if self.loses is not None and self.loses in line:
            event = json.loads(line)
            if event["type"] in {"ADDED", "DELETED"}:
                self.loses = None
                return False
            if is_terminating(event["object"]):  # the deletion begins: it is of the event that gets lost
                return False
        return watch not in self.silent


async def run_view_case(stage: Stage, case: ViewCase) -> list[Violation]:
    """Run a case; return what does not hold."""
    views = SpoiledViews(world=stage.world)
    stage.world.network.decide = views.decide
    try:
        return await _run(stage, case, views)
    finally:
        views.heal()
        stage.world.network.decide = pass_all


async def _run(stage: Stage, case: ViewCase, views: SpoiledViews) -> list[Violation]:
    await views.intercept()
    actor = await stage.actor(case.scenario)
    await actor.do_all(case.seen)
    match case.fault:
        case Fault.OLD:
            views.fall_silent()
        case Fault.BACK:
            await views.remember()
        case Fault.MISSED:
            views.loses = f'-{actor.user}"'.encode()  # the end of its objects' names
    await actor.do_all(case.unseen)
    match case.fault:
        case Fault.OLD:
            await asyncio.sleep(AGE)
        case Fault.BACK:
            await views.go_back()
            asyncio.get_running_loop().call_later(PAST, views.heal)
    pods, mark = actor.pods(), len(hub_log(stage.world))
    for step in case.act:
        await actor.do(step)
        pods = actor.pods() if step is Step.START else pods
    views.heal()
    found = await stage.settled(actor)
    if views.loses is not None:
        found.append(Violation("not struck", "no event was lost"))
    if case.keeps_pod and set(map(uid_of, pods)) != set(map(uid_of, actor.pods())):
        found.append(
            Violation("the pod was lost", f"{len(pods)} before, {len(actor.pods())} now, or another one")
        )
    if PLANT not in (*case.seen, *case.unseen):
        found += stage.rescued(mark)
    return found + await stage.again(actor) + invariants.always(stage.history, actor.trial)


async def run_views(stage: Stage, *, cases: Iterable[ViewCase], say: Callable[[str], None]) -> None:
    """Run the cases."""
    await stage.keep_one()
    for case in cases:
        say(await stage.reported(str(case), run_view_case(stage, case)))
