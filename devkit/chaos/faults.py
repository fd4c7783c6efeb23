"""The faults, one at a time, and the drawing of their order.

Each is a function that plays one fault in a world and returns, once it is over, a note for the reader.
"""

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from devkit.chaos.fault_proxy import (
    ApiRequest,
    Decide,
    Delay,
    DropReply,
    DropRequest,
    Fate,
    Mute,
    Pass,
    Status,
    pass_all,
)
from devkit.chaos.observer import Observer
from devkit.chaos.record import OTHER_HUB, now
from devkit.chaos.world import HubAwayError, World
from devkit.realcluster.controlplane import RBAC
from devkit.realcluster.nodes import KWOK_SELECTOR
from devkit.realcluster.process import Process
from k8s_hub.diagnosis.pod_life import is_ready_to_serve

SECONDS = 12.0
"""How long most faults last."""
AWAY_SECONDS = 20.0
WEBHOOK_SECONDS = 3
HELD_SECONDS = 6.0
OTHER_HUB_SECONDS = 60.0
OTHER_USERS = 6
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}


@dataclass(kw_only=True)
class Stage:
    """What the faults play on."""

    world: World
    observer: Observer
    chance: random.Random
    #: The running culler.
    culler: Process
    make_culler: Callable[[], Process]
    #: Copies of the hub's database, oldest first, with the times at which they were made.
    copies: list[tuple[float, Path]] = field(default_factory=list)
    #: True while the hub is down because of a fault.
    hub_is_down: bool = False

    async def admin(self, method: str, path: str, body: object = None) -> int:
        """Ask the API server as an administrator, past the fault proxy; return the status."""
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        async with self.world.admin.request(
            method, path, data=json.dumps(body), headers={"Content-Type": content}
        ) as reply:
            await reply.read()
            return reply.status

    @asynccontextmanager
    async def without_kwok(self) -> AsyncIterator[None]:
        """Kill what plays the machines, and start it after the context."""
        [kwok] = [each for each in self.world.plane.controllers if each.name == "kwok"]
        await asyncio.to_thread(kwok.kill)
        try:
            yield
        finally:
            await asyncio.to_thread(kwok.start)

    async def set_ready(self, path: str, uid: str, status: str, reason: str = "") -> None:
        """Set the condition Ready of a node or pod, unless it is gone."""
        condition = {"type": "Ready", "status": status, "reason": reason}
        async with self.world.admin.patch(
            f"{path}/status",
            data=json.dumps({"metadata": {"uid": uid}, "status": {"conditions": [condition]}}),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        ) as reply:
            await reply.read()

    @property
    def core(self) -> str:
        return f"/api/v1/namespaces/{self.world.namespace}"

    @property
    def rbac(self) -> str:
        return f"{RBAC}/namespaces/{self.world.namespace}"

    def some_pods(self, count: int) -> list[str]:
        """Draw the names of pods that run."""
        names = sorted(
            pod.name
            for pod in self.observer.present.values()
            if pod.resource == "pods" and pod.is_alive and pod.is_ready and pod.release == "jhub"
        )
        return self.chance.sample(names, min(count, len(names)))

    async def restart_hub(self, between: Callable[[], None] = lambda: None) -> None:
        """Kill the hub; act; start it again."""
        self.hub_is_down = True
        try:
            await self.world.hub.kill()
            await asyncio.to_thread(between)
            await asyncio.sleep(self.chance.uniform(0, 2))
            await self.world.hub.start()
        finally:
            self.hub_is_down = False


Play = Callable[[Stage], Awaitable[str]]


def network(decide: Callable[[Stage], Decide], *, cut: bool = False, seconds: float = SECONDS) -> Play:
    """Return a fault of the network between hub and API server."""

    async def play(stage: Stage) -> str:
        stage.world.network.decide = decide(stage)
        if cut:
            stage.world.network.cut()
        await asyncio.sleep(seconds)
        stage.world.network.decide = pass_all
        return ""

    return play


def share(chance: float, fate: Fate, *verbs: str) -> Callable[[Stage], Decide]:
    """Return a decision that a share of requests, of these verbs or all, meet this fate."""

    def of(stage: Stage) -> Decide:
        async def decide(request: ApiRequest) -> Fate:
            is_met = (not verbs or request.verb in verbs) and stage.chance.random() < chance
            return fate if is_met else Pass()

        return decide

    return of


def slow_and_torn(stage: Stage) -> Decide:
    """Delay most requests, and reset some of them before or after the API server has acted."""

    async def decide(_request: ApiRequest) -> Fate:
        fates: Sequence[Fate] = (Delay(stage.chance.uniform(0, 2)), DropRequest(), DropReply())
        return stage.chance.choices(fates, (8, 1, 1))[0]

    return decide


async def watches_silent(stage: Stage) -> str:
    """Open watches go silent without an end; those that are opened later work."""
    muted = stage.world.network.mute()
    await asyncio.sleep(SECONDS)
    return f"{muted} watches"


async def watches_all_silent(stage: Stage) -> str:
    """All watches are silent, also those that are opened now; the silent ones never end."""
    stage.world.network.mute()
    return await network(share(1, Mute(), "watch"))(stage)


async def api_killed(stage: Stage) -> str:
    await asyncio.to_thread(stage.world.plane.restart_apiserver)
    return ""


async def api_away(stage: Stage) -> str:
    absence = stage.world.plane.absent_apiserver()
    await asyncio.to_thread(absence.__enter__)
    try:
        await asyncio.sleep(AWAY_SECONDS)
    finally:
        await asyncio.to_thread(absence.__exit__, None, None, None)
    return ""


async def api_frozen(stage: Stage) -> str:
    with stage.world.plane.paused_apiserver():
        await asyncio.sleep(SECONDS)
    return ""


async def history_forgotten(stage: Stage) -> str:
    await asyncio.to_thread(stage.world.plane.forget_history)
    return ""


async def pods_deleted(stage: Stage) -> str:
    names = stage.some_pods(4)
    for name in names:
        await stage.admin("DELETE", f"{stage.core}/pods/{name}", {"gracePeriodSeconds": 1})
    return ", ".join(names)


async def pods_remade(stage: Stage) -> str:
    """Delete pods while the watch is mute; create half of them again under their names."""
    stage.world.network.mute()
    names = stage.some_pods(4)
    for number, name in enumerate(names):
        async with stage.world.admin.get(f"{stage.core}/pods/{name}") as reply:
            pod = await reply.json()
        await stage.admin("DELETE", f"{stage.core}/pods/{name}", {"gracePeriodSeconds": 0})
        if number % 2 and "spec" in pod:
            kept = {key: pod["metadata"].get(key, {}) for key in ("name", "labels", "annotations")}
            pod["spec"].pop("nodeName", None)
            body = {"metadata": kept, "spec": pod["spec"]}
            for _ in range(20):
                if await stage.admin("POST", f"{stage.core}/pods", body) != 409:
                    break
                await asyncio.sleep(0.2)
    stage.world.network.cut()
    return ", ".join(names)


async def pods_evicted(stage: Stage) -> str:
    """End pods as a kubelet does that runs out of memory or disk: they stay, in phase Failed."""
    names = stage.some_pods(3)
    for name in names:
        await stage.admin("PATCH", f"{stage.core}/pods/{name}/status", {"status": EVICTED})
    return ", ".join(names)


async def pods_out_of_memory(stage: Stage) -> str:
    """End pods as a kubelet does whose kernel has killed them."""
    names = stage.some_pods(3)
    terminated = {"exitCode": 137, "reason": "OOMKilled"}
    for name in names:
        async with stage.world.admin.get(f"{stage.core}/pods/{name}") as reply:
            containers = (await reply.json()).get("status", {}).get("containerStatuses", [])
        ended = [{**each, "ready": False, "state": {"terminated": terminated}} for each in containers]
        status = {"phase": "Failed", "containerStatuses": ended}
        await stage.admin("PATCH", f"{stage.core}/pods/{name}/status", {"status": status})
    return ", ".join(names)


async def pods_preempted(stage: Stage) -> str:
    """Delete pods as the scheduler does that makes room for others: the reason is in their conditions."""
    names = stage.some_pods(4)
    for name in names:
        async with stage.world.admin.get(f"{stage.core}/pods/{name}") as reply:
            conditions = (await reply.json()).get("status", {}).get("conditions", [])
        why = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
        status = {"conditions": [*conditions, why]}
        await stage.admin("PATCH", f"{stage.core}/pods/{name}/status", {"status": status})
        await stage.admin("DELETE", f"{stage.core}/pods/{name}")
    return ", ".join(names)


async def evictions_with_stuck_deletes(stage: Stage) -> str:
    """End pods while nothing can be deleted: their deletes wait in the background, and their users start again."""
    names = stage.some_pods(8)
    stage.world.network.decide = share(1, Status(503), "delete")(stage)
    for name in names:
        await stage.admin("PATCH", f"{stage.core}/pods/{name}/status", {"status": EVICTED})
    await asyncio.sleep(SECONDS)
    stage.world.network.decide = pass_all
    return f"{len(names)} pods"


async def node_drained(stage: Stage) -> str:
    names = stage.some_pods(5)
    for name in names:
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        await stage.admin("POST", f"{stage.core}/pods/{name}/eviction", body)
    return ", ".join(names)


async def hub_killed(stage: Stage) -> str:
    await stage.restart_hub()
    return ""


async def hub_frozen(stage: Stage) -> str:
    stage.world.hub.process.pause()
    await asyncio.sleep(SECONDS)
    stage.world.hub.process.resume()
    return ""


async def database_back(stage: Stage) -> str:
    """The hub starts again with a database of a minute ago."""
    if not stage.copies:
        return "there was no copy"
    _, copy = stage.copies[0]
    await stage.restart_hub(lambda: stage.world.hub.restore_database(copy))
    return copy.name


async def quota(stage: Stage) -> str:
    """Allow three pods more than there are."""
    pods = sum(each.resource == "pods" for each in stage.observer.present.values())
    body = {"metadata": {"name": "chaos"}, "spec": {"hard": {"pods": str(pods + 3)}}}
    await stage.admin("POST", f"{stage.core}/resourcequotas", body)
    await asyncio.sleep(SECONDS)
    await stage.admin("DELETE", f"{stage.core}/resourcequotas/chaos")
    return f"{pods + 3} pods"


async def rights_taken(stage: Stage) -> str:
    """Take the hub's rights and give them back."""
    async with stage.world.admin.get(f"{stage.rbac}/rolebindings/hub") as reply:
        binding = await reply.json()
    await stage.admin("DELETE", f"{stage.rbac}/rolebindings/hub")
    await asyncio.sleep(SECONDS)
    body = {"metadata": {"name": "hub"}, "roleRef": binding["roleRef"], "subjects": binding["subjects"]}
    await stage.admin("POST", f"{stage.rbac}/rolebindings", body)
    return ""


async def creates_denied(stage: Stage) -> str:
    """An admission policy refuses pods."""
    place = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "no pods now"}],
    }
    binding = {"policyName": "chaos", "validationActions": ["Deny"]}
    await stage.admin("POST", f"{place}ies", {"metadata": {"name": "chaos"}, "spec": spec})
    await stage.admin("POST", f"{place}ybindings", {"metadata": {"name": "chaos"}, "spec": binding})
    await asyncio.sleep(SECONDS)
    await stage.admin("DELETE", f"{place}ybindings/chaos")
    await stage.admin("DELETE", f"{place}ies/chaos")
    return ""


async def creates_held(stage: Stage) -> str:
    """New pods are held up on their way to the API server, and every user cancels the start before they are there."""
    stage.world.hub.patience = HELD_SECONDS / 3

    async def decide(request: ApiRequest) -> Fate:
        return Delay(HELD_SECONDS) if str(request).startswith("create pods") else Pass()

    stage.world.network.decide = decide
    try:
        await asyncio.sleep(2 * SECONDS)
    finally:
        stage.world.hub.patience = math.inf
        stage.world.network.decide = pass_all
    return ""


async def webhook_slow(stage: Stage) -> str:
    """Each new pod waits for a webhook that accepts connections and never answers, until the API server gives it up."""
    place = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    webhook = {
        "name": "slow.example.org",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
        "rules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        ],
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": WEBHOOK_SECONDS,
    }
    async with server:
        await stage.admin("POST", place, {"metadata": {"name": "chaos"}, "webhooks": [webhook]})
        await asyncio.sleep(SECONDS)
        await stage.admin("DELETE", f"{place}/chaos")
    return ""


async def kubelets_stopped(stage: Stage) -> str:
    """No pod starts or ends on its machine."""
    [kwok] = [each for each in stage.world.plane.controllers if each.name == "kwok"]
    kwok.pause()
    await asyncio.sleep(SECONDS)
    kwok.resume()
    return ""


async def node_not_ready(stage: Stage) -> str:
    """A node gives no sign of life, and comes back: none of its pods is ready meanwhile, and none ends."""
    pods = [pod for pod in await stage.world.objects("pods") if "nodeName" in pod["spec"]]
    if not pods:
        return "there was no pod"
    [(node, _)] = Counter(pod["spec"]["nodeName"] for pod in pods).most_common(1)
    path, (played, _, value) = f"/api/v1/nodes/{node}", KWOK_SELECTOR.partition("=")
    async with stage.world.admin.get(path) as reply:
        uids = {path: (await reply.json())["metadata"]["uid"]}
    uids |= {
        f"{stage.core}/pods/{pod['metadata']['name']}": pod["metadata"]["uid"]
        for pod in pods
        if pod["spec"]["nodeName"] == node and is_ready_to_serve(pod)
    }
    async with stage.without_kwok():  # it plays the nodes that have the annotation when it starts
        await stage.admin("PATCH", path, {"metadata": {"annotations": {played: None}}})
        for each, uid in uids.items():
            await stage.set_ready(each, uid, "Unknown" if each == path else "False", "NodeStatusUnknown")
    await asyncio.sleep(AWAY_SECONDS)
    async with stage.without_kwok():
        await stage.admin("PATCH", path, {"metadata": {"annotations": {played: value}}})
        for each, uid in uids.items():
            await stage.set_ready(each, uid, "True")
    return f"{node} with {len(uids) - 1} pods"


async def disk_full(stage: Stage) -> str:
    """The hub's database cannot grow."""
    with stage.world.hub.full_disk():
        await asyncio.sleep(SECONDS)
    return ""


async def other_hub(stage: Stage) -> str:
    """A hub of another release works in the namespace, for users of the same names; some of its servers outlive it."""
    until = now() + OTHER_HUB_SECONDS
    async with stage.world.other_hub() as hub:
        await hub.start()
        users = [f"u{number:03}" for number in range(OTHER_USERS)]
        with suppress(HubAwayError):
            await hub.api("POST", "/users", {"usernames": users})
            for server in cycle(("server", "servers/lab")):
                paths = [f"/users/{user}/{server}" for user in users]
                for path in paths:
                    await hub.api("POST", path, {})
                await asyncio.sleep(SECONDS)
                if now() > until:
                    break
                for path in paths[::2]:
                    await hub.api("DELETE", path)
    servers = [change for change in stage.observer.present.values() if change.release == OTHER_HUB]
    return f"{len(servers)} objects"


async def culler_killed(stage: Stage) -> str:
    """Kill the culler, wherever it is in its sweep, and start it again."""
    await asyncio.to_thread(stage.culler.kill)
    await asyncio.sleep(stage.chance.uniform(0, 5))
    await asyncio.to_thread(stage.culler.start)
    return ""


async def two_cullers(stage: Stage) -> str:
    second = stage.make_culler()
    await asyncio.to_thread(second.start)
    await asyncio.sleep(2 * SECONDS)
    await asyncio.to_thread(second.kill)
    return ""


async def proxy_restarted(stage: Stage) -> str:
    """The hub's proxy starts again with an empty table."""
    await asyncio.to_thread(stage.world.hub.proxy.kill)
    await asyncio.to_thread(stage.world.hub.proxy.start)
    return ""


FAULTS: dict[str, Play] = {
    "API server killed": api_killed,
    "API server away 20 s": api_away,
    "API server frozen": api_frozen,
    "history forgotten": history_forgotten,
    "open watches silent": watches_silent,
    "all watches silent": watches_all_silent,
    "nothing is answered": network(share(1, Mute())),
    "latency and resets": network(slow_and_torn, cut=True),
    "replies lost": network(share(0.5, DropReply(), "create", "delete")),
    "429": network(share(0.7, Status(429))),
    "429 with Retry-After": network(share(0.7, Status(429, 2))),
    "500": network(share(0.7, Status(500))),
    "503": network(share(0.7, Status(503))),
    "503 with Retry-After": network(share(0.7, Status(503, 2))),
    "410": network(share(0.5, Status(410), "watch", "list"), cut=True),
    "token refused (401)": network(share(1, Status(401)), cut=True),
    "creates held, starts cancelled": creates_held,
    "rights taken": rights_taken,
    "quota": quota,
    "pods denied": creates_denied,
    "pods deleted": pods_deleted,
    "pods made again, watch cut": pods_remade,
    "pods evicted": pods_evicted,
    "pods out of memory": pods_out_of_memory,
    "pods preempted": pods_preempted,
    "kubelets stopped": kubelets_stopped,
    "node not ready": node_not_ready,
    "webhook slow": webhook_slow,
    "pods evicted, deletes refused": evictions_with_stuck_deletes,
    "node drained": node_drained,
    "hub killed": hub_killed,
    "hub frozen": hub_frozen,
    "disk full": disk_full,
    "another hub": other_hub,
    "database back by a minute": database_back,
    "culler killed": culler_killed,
    "two cullers": two_cullers,
    "proxy restarted": proxy_restarted,
}


def schedule(seed: int) -> Iterator[str]:
    """Yield the names of faults for a seed, without end: each comes before any comes twice."""
    chance = random.Random(f"{seed}/faults")
    while True:
        yield from chance.sample(tuple(FAULTS), len(FAULTS))
