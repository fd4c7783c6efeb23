"""The user of a server that ended by itself reads when and why, until the next start has succeeded."""

import pytest
from markupsafe import Markup

from devkit.minicluster.faults import refuse
from devkit.minicluster.resources import PODS
from devkit.testing.eventually import eventually
from devkit.testing.runs import NAMESPACE, NO_WAIT, failed_start, restart_process, struck, takes
from k8s_hub.objects.keys import Key

pytestmark = [pytest.mark.looptime, pytest.mark.hub]

POD = Key(NAMESPACE, "jupyter-ada")
CAUSE = "it needed more memory than its limit of 2 GiB"
ENDED_AT = "2099-12-31T23:48:00Z"
PROFILES = {"profile_list": [{"display_name": "Small"}]}
FORBIDDEN = refuse({"kind": "Status", "code": 422, "reason": "Invalid", "message": "no such pod"})


def out_of_memory(pod):
    terminated = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ENDED_AT}
    container = {"name": "notebook", "state": {"terminated": terminated}, "restartCount": 0}
    return {**pod, "status": {"phase": "Failed", "containerStatuses": [container]}}


async def run_until_end(hub, cluster, change=out_of_memory):
    await hub.start_server("ada")
    await hub.wait_ready("ada")
    if change is None:
        cluster.database.remove(PODS, POD)
    else:
        cluster.database.update(PODS, POD, change)
    await eventually(lambda: hub.spawner("ada") is None or not hub.spawner("ada").active, seconds=60)


def saved(hub):
    return hub.app.users["ada"].orm_spawners[""].state.get("last_end")


def next_spawner(hub):
    return hub.app.users["ada"].spawners[""]


async def first_message(hub, cluster):
    """Start the server; return the first message of its progress page."""
    takes(cluster, pull=40)
    await hub.start_server("ada")
    progress = next_spawner(hub).progress()
    first = await anext(progress)
    await progress.aclose()
    await hub.wait_ready("ada", seconds=60)
    return first["message"]


@pytest.fixture
def limited(hub):
    """A function that opens a hub whose servers have 2 GiB."""
    return lambda **options: hub(hub=NO_WAIT, mem_limit="2G", poll_interval=300, **options)


@pytest.mark.parametrize("is_restarted", [False, True], ids=["same hub", "after a restart of the hub"])
async def test_the_form_says_how_the_last_server_ended(limited, cluster, is_restarted):
    async with limited(**PROFILES) as hub:
        await run_until_end(hub, cluster)
        assert saved(hub) == {"at": ENDED_AT, "cause": CAUSE}
        if is_restarted:
            await hub.kill()
            await restart_process()
            await hub.boot()

        form = await next_spawner(hub).get_options_form()

        assert f'<time datetime="{ENDED_AT}">2099-12-31 23:48 UTC</time>: {CAUSE}.</p>' in form
        assert form.index("Your last server ended") < form.index("Choose a server")
        assert "Your last server ended" not in await first_message(hub, cluster)


async def test_the_markup_above_a_form_of_markup_stays_markup(limited, cluster):
    """`str + Markup` would escape the first."""
    async with limited(options_form=lambda _spawner: Markup("<b>Choose</b>")) as hub:
        await run_until_end(hub, cluster)
        form = await next_spawner(hub).get_options_form()
        assert form.startswith("<p ")
        assert form.endswith("<b>Choose</b>")


async def test_without_a_form_the_progress_page_says_it_first(limited, cluster):
    async with limited() as hub:
        await run_until_end(hub, cluster)
        assert await next_spawner(hub).get_options_form() == ""

        assert await first_message(hub, cluster) == f"Your last server ended 12 min ago: {CAUSE}."


async def test_a_failed_start_keeps_it_and_a_successful_one_forgets_it(limited, cluster):
    async with limited(**PROFILES) as hub:
        await run_until_end(hub, cluster)
        with struck(cluster, FORBIDDEN, verb="create", resource="pods"):
            await failed_start(hub)
        assert saved(hub)["cause"] == CAUSE

        await hub.start_server("ada")
        await hub.wait_ready("ada")
        assert saved(hub) is None
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        assert saved(hub) is None
        assert "Your last server ended" not in await next_spawner(hub).get_options_form()


async def test_a_pod_that_somebody_deleted(hub, cluster):
    async with hub(poll_interval=300) as hub:
        await run_until_end(hub, cluster, change=None)
        assert saved(hub)["cause"] == "it was deleted from the cluster"


async def test_a_start_that_the_hub_did_not_survive(hub, cluster):
    async with hub(hub=NO_WAIT) as hub:
        await hub.start_server("ada")
        await hub.kill()
        await restart_process()
        await hub.boot()
        await hub.wait_stopped("ada")
        assert saved(hub)["cause"] == "JupyterHub was restarted while it was starting"
