"""What goes away under running containers: the API server, the hub, the node's kubelet. Nobody's server goes with it."""

import asyncio
import urllib.error
import urllib.request

import pytest

from devkit.testing.eventually import eventually
from tests.containers.test_failures import ANSWER, PORT, shell
from tests.failures import Row
from tests.fates import Outcome, failures, follow, kept_log, page_of, placeless, stage_with_hub
from tests.outages import AWAY, SILENT, kill_the_hub, restart_the_api_server

pytestmark = [pytest.mark.cluster, pytest.mark.containers, pytest.mark.hub]
WHERE = "containers"
LOOK = 5  # seconds between two polls
IMPATIENT = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    for key in ("unreachable", "not-ready")
]
UNTOUCHED = "(Nothing: the server answers.)"


@pytest.fixture
def server(user_image):
    """The options of a server that answers."""
    return {"image": user_image, "port": PORT, **shell(f"exec {ANSWER}")}


async def test_the_api_server_restarts_during_twenty_starts(
    container_cluster, server, tmp_path, failure_table
):
    seen = await restart_the_api_server(container_cluster.plane, tmp_path, **server)

    assert seen.read[SILENT]
    assert not seen.reasons
    assert seen.failure_count == 0
    failure_table.slow_callbacks[f"API server restarted, {WHERE}"] = seen.slow_callbacks
    failure_table.see(seen.row(WHERE))


async def test_the_hub_is_killed_during_twenty_starts(container_cluster, server, tmp_path, failure_table):
    def some_run(stage):
        return sum(pod["status"]["phase"] == "Running" for pod in stage.all("pods").values()) > 5

    seen = await kill_the_hub(container_cluster.plane, tmp_path, some_run, **server)

    assert seen.ready >= seen.pods, "whatever had a pod has its server again"
    failure_table.slow_callbacks[f"hub killed, {WHERE}"] = seen.slow_callbacks
    failure_table.see(seen.row(f"{WHERE}, some of which run"))


def answers(address):
    """Does the server itself answer, whatever the cluster knows of it?"""
    try:
        with urllib.request.urlopen(f"http://{address}:{PORT}/", timeout=5) as reply:
            return reply.status == 200
    except urllib.error.URLError:
        return False


class Lost:
    """A node whose kubelet is silent, for the users of one hub; seconds count from its last word."""

    def __init__(self, stage, hub, table, log) -> None:
        self.stage, self.hub, self.table, self.log = stage, hub, table, log
        self.clock = asyncio.get_running_loop().time
        self.begin = self.clock()

    def line(self, words):
        return next((line for line in self.log if words in line), "")

    def see(self, what, sentence, log, *, reason="", user="ada", seconds=None):
        line = self.line(log)
        assert line, f"the log does not say {log!r}"
        text = placeless(line.partition(": ")[2] if not reason else line.partition(f"[{reason}] ")[2], user)
        after = self.clock() - self.begin if seconds is None else seconds
        self.table.see(
            Row(topic=AWAY, what=what, sentence=sentence, log=text, reason=reason, seconds=f"{after:.1f}")
        )

    async def is_noticed(self, user):
        """Has the control plane noticed that the pod's node is silent?"""
        pod = await self.stage.pod(user)
        conditions = {one["type"]: one["status"] for one in pod["status"]["conditions"]}
        return conditions["Ready"] == "False"


async def test_a_lost_node_takes_no_server_with_it(container_cluster, server, tmp_path, failure_table):
    """Its kubelet is stopped; containers go on, and the cluster knows nothing."""
    traits = {
        "ada-tom": {"tolerations": IMPATIENT},
        "ada-eve": {"start_timeout": 40},
        "ada-bob": {"stop_timeout": 10, "start_timeout": 40},
    }

    def give_traits(spawner):
        for name, value in traits.get(spawner.user.name, {}).items():
            setattr(spawner, name, value)

    users = ("ada-amy", *traits)
    options = {"pre_spawn_hook": give_traits, "poll_interval": LOOK, **server}
    async with stage_with_hub(container_cluster.plane, tmp_path, users=users, **options) as (stage, hub):
        with kept_log() as log:
            before = failures()
            for user in ("ada-amy", "ada-bob", "ada-tom"):
                await hub.start_server(user)
            for user in ("ada-amy", "ada-bob", "ada-tom"):
                await hub.wait_ready(user, seconds=120)
            amy = await stage.pod("ada-amy")
            address = amy["status"]["podIP"]

            await asyncio.to_thread(container_cluster.stop_kubelet)
            try:
                lost = Lost(stage, hub, failure_table, log)
                await loses(lost, address)
            finally:
                await asyncio.to_thread(container_cluster.start_kubelet)

            for user in ("ada-bob", "ada-tom"):
                await eventually(lambda user=user: is_gone(stage, user), seconds=180)
            for user in ("ada-bob", "ada-tom"):
                await hub.start_server(user)
                await hub.wait_ready(user, seconds=120)
            await asyncio.sleep(2 * LOOK)
            assert hub.spawner("ada-amy").ready
            assert (await stage.pod("ada-amy"))["metadata"]["uid"] == amy["metadata"]["uid"]
            assert not [line for line in log if "ada-amy" in line and "ended" in line]
            assert set(stage.all("pods")) == {"jupyter-ada-amy", "jupyter-ada-bob", "jupyter-ada-tom"}
            assert failures() - before == {"unschedulable": 1, "old_server": 1}
            assert hub.failure_count == 0


async def is_gone(stage, user):
    return await stage.pod(user) is None


def taint(stage):
    """As the control plane does by itself while there are other nodes; where all are lost, it may doubt itself."""
    [node] = stage.plane.admin.get("/api/v1/nodes")["items"]
    unreachable = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    taints = node["spec"].get("taints", [])
    if not any(unreachable.items() <= taint.items() for taint in taints):
        taints = [*taints, unreachable]
    stage.plane.admin.patch(f"/api/v1/nodes/{node['metadata']['name']}", {"spec": {"taints": taints}})


async def loses(lost, address):
    """All that happens while the node is silent."""
    hub = lost.hub
    await eventually(lambda: lost.is_noticed("ada-amy"), seconds=120)
    await eventually(lambda: lost.line("is not responding; the server may still run"), seconds=60)
    assert await hub.spawner("ada-amy").poll() is None
    assert hub.spawner("ada-amy").ready
    assert "/user/ada-amy/" in hub.routes
    assert await asyncio.to_thread(answers, address)
    lost.see("The machine of a server does not answer.", UNTOUCHED, "jupyter-ada-amy: node", user="ada-amy")

    starting = Outcome()
    begin = lost.clock()
    await hub.start_server("ada-eve")
    reading = asyncio.create_task(follow(hub, "ada-eve", starting, begin))

    await asyncio.to_thread(taint, lost.stage)
    await hub.wait_stopped("ada-tom", seconds=120)
    lost.see(
        "The machine of a server does not answer for longer than the pod tolerates (5 minutes, unless configured).",
        await page_of(hub, "ada-tom"),
        "jupyter-ada-tom: the server has ended: DeletionByTaintManager",
        user="ada-tom",
    )

    begin = lost.clock()
    await hub.stop_server("ada-bob")
    await hub.wait_stopped("ada-bob", seconds=120)
    lost.see(
        "A user stops a server whose machine does not answer (`stop_timeout` is 10 seconds here).",
        await page_of(hub, "ada-bob"),
        "jupyter-ada-bob: the pod is not gone after 10 s",
        user="ada-bob",
        seconds=lost.clock() - begin,
    )
    again = Outcome()
    begin = lost.clock()
    await hub.start_server("ada-bob")
    await follow(hub, "ada-bob", again, begin)
    lost.see(
        "The user then starts it again, and the machine still does not answer.",
        again.sentence,
        "ada-bob's server",
        reason="old_server",
        user="ada-bob",
        seconds=again.read[-1][0],
    )
    assert "because its machine did not respond" in again.sentence

    await reading
    assert "No machine that accepts your server became available" in starting.sentence
    lost.see(
        "A start while the only machine does not answer.",
        starting.sentence,
        "ada-eve's server",
        reason="unschedulable",
        user="ada-eve",
        seconds=starting.read[-1][0],
    )
