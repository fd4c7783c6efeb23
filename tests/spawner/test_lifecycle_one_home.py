"""One server has one pod and one home, also if its user is renamed while the hub's saved state is missing or old."""

import asyncio
import sqlite3

import jupyterhub
import pytest

from devkit.minicluster.faults import CommitAfterDisconnect, FaultRule, MuteWatch, ReplyLost, refuse
from devkit.testing.eventually import eventually
from devkit.testing.runs import NO_WAIT, claims, pods, restart_process, sentence_of, struck, takes
from k8s_hub.objects.keys import key_of, uid_of
from tests.spawner.cells import LOST, UP, cell

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

AWAY = refuse({"kind": "Status", "code": 503, "message": "away"})
SERVERS = pytest.mark.parametrize("server", ["", "gpu"], ids=["default server", "named server"])


def claim_names(cluster):
    return {key_of(claim).name for claim in claims(cluster)}


def claim_of(pod):
    return pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]


async def kill(hub):
    """End the hub's process, with all that it has in memory and open."""
    await hub.kill()
    await restart_process()


async def rename(hub, old, new):
    status, body = await hub.api("PATCH", f"/users/{old}", json={"name": new})
    assert status == 200, body


async def forget(hub, user, server):
    """Restart a hub whose database knows neither that the server runs nor what its claim is."""
    row = hub.app.users[user].orm_spawners[server]
    row.server, row.state = None, {}
    hub.app.db.commit()
    await kill(hub)
    await hub.boot()


async def run_once(hub, user, server):
    await hub.start_server(user, server)
    await hub.wait_ready(user, server)
    await hub.stop_server(user, server)
    await hub.wait_stopped(user, server)


async def running_but_forgotten(hub, cluster, server):
    """Start ada's server, lose its row, rename her; return its pod and the name of its claim."""
    await hub.start_server("ada", server)
    await hub.wait_ready("ada", server)
    (pod,), (home,) = pods(cluster), claim_names(cluster)
    await forget(hub, "ada", server)
    await rename(hub, "ada", "lovelace")
    return pod, home


async def is_the_only_one(hub, cluster, user, server, home):
    """Start the server if it does not run: it has one pod and this home, and leaves no pod behind."""
    await hub.start_server(user, server)
    await hub.wait_ready(user, server, seconds=120)
    (pod,) = pods(cluster)
    assert claim_of(pod) == home
    assert claim_names(cluster) == {home}
    await hub.stop_server(user, server)
    await hub.wait_stopped(user, server)
    assert pods(cluster) == []


@cell("rename of a user", UP)
@SERVERS
@pytest.mark.parametrize("has_run", [False, True], ids=["no state", "an old state"])
async def test_renamed_in_a_start_that_the_hub_does_not_survive(hub, cluster, server, has_run):
    async with hub(hub=NO_WAIT) as hub:
        if has_run:
            await run_once(hub, "ada", server)
        takes(cluster, pull=40)
        await hub.start_server("ada", server)
        await eventually(lambda: pods(cluster))
        (pod,), home = pods(cluster), *claim_names(cluster)
        await rename(hub, "ada", "lovelace")
        await kill(hub)

        await hub.boot()
        await hub.wait_ready("lovelace", server, seconds=60)
        assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]
        await is_the_only_one(hub, cluster, "lovelace", server, home)
        await is_the_only_one(hub, cluster, "lovelace", server, home)


@SERVERS
async def test_renamed_after_a_start_that_the_hub_did_not_survive(hub, cluster, server):
    """The server is adopted under its old name, and found under the new one by the next hub."""
    async with hub(hub=NO_WAIT) as hub:
        takes(cluster, pull=40)
        await hub.start_server("ada", server)
        await eventually(lambda: pods(cluster))
        (pod,), home = pods(cluster), *claim_names(cluster)
        await kill(hub)
        await hub.boot()
        await rename(hub, "ada", "lovelace")
        await kill(hub)
        await hub.boot()

        await hub.wait_ready("lovelace", server, seconds=60)
        assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]
        await is_the_only_one(hub, cluster, "lovelace", server, home)


@SERVERS
async def test_the_claim_of_a_start_that_got_no_further(hub, cluster, server):
    """Killed between the two creates: the hub forgets the server, and its user is renamed."""
    async with hub(hub=NO_WAIT) as hub:
        with struck(cluster, AWAY, verb="create", resource="pods"):
            await hub.start_server("ada", server)
            await eventually(lambda: claims(cluster))
            home, *_ = claim_names(cluster)
            await kill(hub)
        await hub.boot()
        await hub.wait_stopped("ada", server)
        await rename(hub, "ada", "lovelace")

        await is_the_only_one(hub, cluster, "lovelace", server, home)


async def test_a_claim_that_commits_late_is_not_that_of_a_name_that_a_hook_chose_since(hub, cluster):
    chosen = []

    def choose(spawner):
        if chosen:
            spawner.pvc_name = chosen[0]

    async with hub(hub=NO_WAIT, pre_spawn_hook=choose) as hub:
        with struck(
            cluster, CommitAfterDisconnect(seconds=55), "create", "persistentvolumeclaims", count=1
        ) as rule:
            await hub.start_server("ada")
            await eventually(lambda: cluster.faults.hits(rule))
            await hub.stop_server("ada")
            await hub.wait_stopped("ada", seconds=120)
            chosen.append("work-ada")
            await hub.start_server("ada")
            await hub.wait_ready("ada", seconds=120)
        assert [claim_of(pod) for pod in pods(cluster)] == ["work-ada"]


@cell("start cancelled (DELETE, start_timeout)", LOST)
@pytest.mark.parametrize("is_renamed", [False, True], ids=["same name", "renamed"])
@pytest.mark.parametrize("seconds", [1, 20, 55])
async def test_a_claim_that_commits_after_its_start_was_given_up(hub, cluster, seconds, is_renamed):
    """The next start uses its name, even under the user's new one: there is never a second claim."""
    late = CommitAfterDisconnect(seconds=seconds)
    async with hub(hub=NO_WAIT) as hub:
        with struck(cluster, late, "create", "persistentvolumeclaims", count=1) as rule:
            await hub.start_server("ada")
            await eventually(lambda: cluster.faults.hits(rule))
            await hub.stop_server("ada")
            await hub.wait_stopped("ada", seconds=120)
            user = "lovelace" if is_renamed else "ada"
            if is_renamed:
                await rename(hub, "ada", user)
            await hub.start_server(user)
            await hub.wait_ready(user, seconds=120)
        await asyncio.sleep(90)
        assert len(claim_names(cluster)) == 1
        await hub.stop_server(user)
        await hub.wait_stopped(user)
        await is_the_only_one(hub, cluster, user, "", *claim_names(cluster))


@cell("start cancelled (DELETE, start_timeout)", LOST)
async def test_a_claim_that_commits_late_is_not_that_of_a_new_user_of_the_name(hub, cluster):
    late = CommitAfterDisconnect(seconds=55)
    async with hub(hub=NO_WAIT) as hub:
        with struck(cluster, late, "create", "persistentvolumeclaims", count=1) as rule:
            await hub.start_server("ada")
            await eventually(lambda: cluster.faults.hits(rule))
            await hub.stop_server("ada")
            await hub.wait_stopped("ada")
            await rename(hub, "ada", "lovelace")
            await hub.api("POST", "/users/ada")
            for user in ("ada", "lovelace"):
                await hub.start_server(user)
                await hub.wait_ready(user)
        await asyncio.sleep(90)
        assert sorted(map(claim_of, pods(cluster))) == ["claim-ada", "claim-lovelace"]
        assert claim_names(cluster) == {"claim-ada", "claim-lovelace"}


@SERVERS
async def test_a_reply_to_a_create_is_lost_and_the_user_renamed(hub, cluster, server):
    async with hub(hub=NO_WAIT) as hub:
        takes(cluster, pull=40)
        lost = [cluster.faults.add(FaultRule(effect=ReplyLost(), verb="create", count=1)) for _ in "12"]
        await hub.start_server("ada", server)
        await eventually(lambda: pods(cluster))
        await rename(hub, "ada", "lovelace")
        await hub.wait_ready("lovelace", server, seconds=60)
        home, *_ = claim_names(cluster)
        for rule in lost:
            cluster.faults.remove(rule)

        assert len(pods(cluster)) == 1
        await is_the_only_one(hub, cluster, "lovelace", server, home)


@SERVERS
async def test_a_pod_that_the_hub_forgot_is_replaced_under_the_new_name(hub, cluster, server):
    """A hub with an older database has no row of the server: its pod goes before there is another one."""
    async with hub() as hub:
        pod, home = await running_but_forgotten(hub, cluster, server)

        await hub.start_server("lovelace", server)
        await hub.wait_ready("lovelace", server)
        (new,) = pods(cluster)
        assert uid_of(new) != uid_of(pod)
        await is_the_only_one(hub, cluster, "lovelace", server, home)


@SERVERS
async def test_a_claim_that_the_view_has_missed_is_still_the_home(hub, cluster, server):
    """The watch was silent when the claim was created, and the user has another name since."""
    async with hub() as hub:
        await run_once(hub, "bob", server)
        (bobs,) = claim_names(cluster)
        cluster.faults.add(
            FaultRule(effect=MuteWatch(), verb="watch", resource="persistentvolumeclaims", count=1)
        )
        await run_once(hub, "ada", server)
        await rename(hub, "ada", "lovelace")
        await run_once(hub, "lovelace", server)

        assert len(claim_names(cluster) - {bobs}) == 1


class Database:
    """A copy of a hub's database."""

    def __init__(self, hub):
        self._copy = sqlite3.connect(":memory:")
        hub.app.db.commit()
        self._connection(hub).backup(self._copy)

    def restore(self, hub):
        self._copy.backup(self._connection(hub))
        hub._tokens.clear()  # they are younger than the copy

    @staticmethod
    def _connection(hub):
        return hub._session_factory.kw["bind"].raw_connection().driver_connection


@pytest.mark.skipif(jupyterhub.version_info < (6,), reason="this hub cannot rename a server")
async def test_a_claim_that_the_view_has_missed_goes_before_one_that_it_shows(hub, cluster):
    """The server gb was renamed to gpu, whose name an earlier server had, and left a claim."""
    async with hub(hub=NO_WAIT) as hub:
        await run_once(hub, "ada", "gpu")
        await hub.stop_server("ada", "gpu", remove=True)
        cluster.faults.add(
            FaultRule(effect=MuteWatch(), verb="watch", resource="persistentvolumeclaims", count=1)
        )
        await run_once(hub, "ada", "gb")
        status, _ = await hub.api("PATCH", "/users/ada/servers/gb", json={"name": "gpu"})
        assert status == 200
        await hub.start_server("ada", "gpu")
        await hub.wait_ready("ada", "gpu", seconds=120)
        assert [claim_of(pod) for pod in pods(cluster)] == ["claim-ada--gb"]


@SERVERS
@pytest.mark.parametrize("is_running", [True, False], ids=["runs", "stopped"])
async def test_a_database_from_before_the_rename(hub, cluster, server, is_running):
    """The user has the old name again, and the saved state knows nothing of the start under the new one."""
    async with hub() as hub:
        earlier = Database(hub)
        await rename(hub, "ada", "lovelace")
        await hub.start_server("lovelace", server)
        await hub.wait_ready("lovelace", server)
        home, *_ = claim_names(cluster)
        if not is_running:
            await hub.stop_server("lovelace", server)
            await hub.wait_stopped("lovelace", server)
        await kill(hub)
        earlier.restore(hub)
        await hub.boot()

        await is_the_only_one(hub, cluster, "ada", server, home)


# --- Never another user's ---


@SERVERS
async def test_a_new_user_of_the_old_name_gets_no_home_and_no_pod_of_the_renamed_one(hub, cluster, server):
    async with hub() as hub:
        pod, home = await running_but_forgotten(hub, cluster, server)
        await hub.api("POST", "/users/ada")

        await hub.start_server("ada", server)
        error = hub.spawner("ada", server)._spawn_future.exception()
        assert "another user, who had your name before" in sentence_of(error)
        assert [uid_of(each) for each in pods(cluster)] == [uid_of(pod)]

        await run_once(hub, "lovelace", server)
        await hub.start_server("ada", server)
        await hub.wait_ready("ada", server)
        (pod,) = pods(cluster)
        assert claim_of(pod) == f"{home}--2"


@SERVERS
async def test_a_fresh_database_gives_nobody_the_home_of_an_earlier_user_of_its_number(hub, cluster, server):
    async with hub(users=("ada",)) as first:
        await run_once(first, "ada", server)
        number = first.app.users["ada"].id
        homes = claim_names(cluster)
    await restart_process()
    async with hub(users=("zoe",)) as fresh:
        stranger = fresh.app.users[number].name
        assert stranger in {"admin", "zoe"}
        await fresh.start_server(stranger, server)
        await fresh.wait_ready(stranger, server)
        (pod,) = pods(cluster)
        assert claim_of(pod) not in homes
        # Whoever has the name now has the files, as ever.
        await fresh.api("POST", "/users/ada")
        await fresh.stop_server(stranger, server)
        await fresh.wait_stopped(stranger, server)
        await fresh.start_server("ada", server)
        await fresh.wait_ready("ada", server)
        (pod,) = pods(cluster)
        assert claim_of(pod) in homes
