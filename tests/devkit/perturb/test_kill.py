import pytest

from devkit.chaos.fault_proxy import ApiRequest, DropReply, DropRequest, Pass
from devkit.perturb.cases import Moment, Write
from devkit.perturb.kill import Kill


def create(plural):
    return ApiRequest(method="POST", path=f"/api/v1/namespaces/hub/{plural}")


def delete(plural):
    return ApiRequest(method="DELETE", path=f"/api/v1/namespaces/hub/{plural}/jupyter-ada")


LOOK = ApiRequest(method="GET", path="/api/v1/namespaces/hub/pods/jupyter-ada")


@pytest.fixture
def kills():
    return []


def kill_at(moment, kills, write=None):
    return Kill(write=write or Write("create", "pods"), moment=moment, kill=lambda: kills.append("dead"))


async def test_before_the_api_server_hears_nothing(kills):
    kill = kill_at(Moment.BEFORE, kills)
    assert isinstance(await kill.decide(create("persistentvolumeclaims")), Pass)
    assert kills == []
    assert isinstance(await kill.decide(create("pods")), DropRequest)
    assert kills == ["dead"]
    assert kill.struck.is_set()


async def test_once_it_is_committed_the_reply_is_lost(kills):
    kill = kill_at(Moment.COMMITTED, kills)
    fate = await kill.decide(create("pods"))
    assert isinstance(fate, DropReply)
    assert kills == []
    fate.then()
    assert kills == ["dead"]


@pytest.mark.looptime
async def test_after_the_reply_nothing_else_is_written(kills):
    kill = kill_at(Moment.REPLIED, kills)
    fate = await kill.decide(create("pods"))
    assert isinstance(fate, Pass)
    fate.then()
    assert isinstance(await kill.decide(LOOK), Pass)
    assert kills == []
    assert isinstance(await kill.decide(create("secrets")), DropRequest)
    assert kills == ["dead"]


async def test_the_write_of_this_number_is_struck(kills):
    kill = kill_at(Moment.BEFORE, kills, Write("delete", "pods", 2))
    assert isinstance(await kill.decide(delete("pods")), Pass)
    assert isinstance(await kill.decide(delete("secrets")), Pass)
    assert isinstance(await kill.decide(delete("pods")), DropRequest)
    assert kills == ["dead"]
