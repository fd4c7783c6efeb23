import asyncio
from types import SimpleNamespace

import pytest
from jupyterhub.utils import format_exception
from prometheus_client import REGISTRY

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.spawner.failures import SpawnException, hub_error

NOT_FOUND = Diagnosis.failed(
    Stage.PULLING, Reason.IMAGE_NOT_FOUND, "The image <b>x</b> does not exist.", detail="manifest unknown"
)
NOBODY = SimpleNamespace(handler=None, _spawn_future=None)  # a spawner whose start no request has asked for
AWAY = Diagnosis.failed(Stage.REQUEST, Reason.CLUSTER_UNAVAILABLE, "The cluster does not answer.")


def test_the_page_shows_the_sentence_and_never_its_markup():
    text, html = format_exception(hub_error(NOT_FOUND, NOBODY))

    assert text == "The image <b>x</b> does not exist."
    assert html == "<p>The image &lt;b&gt;x&lt;/b&gt; does not exist.</p>"


def test_the_log_has_the_reason_and_the_detail():
    logged = str(hub_error(NOT_FOUND, NOBODY))

    assert "[image_not_found] manifest unknown" in logged


@pytest.mark.skipif(SpawnException is None, reason="JupyterHub 5 has no SpawnException")
def test_hub_6_is_told_a_failure_that_it_does_not_count():
    error = hub_error(NOT_FOUND, NOBODY)

    assert isinstance(error, SpawnException)
    assert error.reason == "image_not_found"


@pytest.mark.hub
def test_a_cluster_that_does_not_answer_counts():
    assert hub_error(AWAY, NOBODY).status_code == 503


class Spawner:
    """What JupyterHub 5 and a spawner have in common while a server is started."""

    consecutive_failure_limit = 3

    def __init__(self, settings):
        self.handler = SimpleNamespace(settings=settings)
        self._spawn_future = asyncio.get_running_loop().create_future()
        self.limits = []
        self._spawn_future.add_done_callback(self._count)

    def _count(self, spawn):
        settings = self.handler.settings
        settings["failure_count"] = settings.get("failure_count", 0) + 1 if spawn.exception() else 0
        self.limits.append(self.consecutive_failure_limit)

    async def ends(self, error=None):
        """Let the hub hear how it ended."""
        if error is None:
            self._spawn_future.set_result(None)
        else:
            self._spawn_future.set_exception(error)
        await asyncio.sleep(0)


@pytest.mark.hub
@pytest.mark.skipif(SpawnException is not None, reason="JupyterHub 6 does not count a SpawnException")
class TestHub5CountsEveryFailure:
    async def test_so_it_is_taken_back_when_it_has_been_counted(self):
        settings = {"failure_count": 2}
        spawner = Spawner(settings)
        error = hub_error(NOT_FOUND, spawner)
        settings["failure_count"] = 0  # another start succeeds while this one is cleared away
        await spawner.ends(error)

        assert error.status_code == 400
        assert settings == {"failure_count": 0}

    async def test_and_the_hub_does_not_end_itself_for_it(self):
        spawner = Spawner({"failure_count": 2})
        await spawner.ends(hub_error(NOT_FOUND, spawner))

        assert spawner.limits == [0]
        assert spawner.consecutive_failure_limit == 3

    async def test_once_though_a_subclass_tries_twice(self):
        settings = {}
        spawner = Spawner(settings)
        hub_error(NOT_FOUND, spawner)
        await spawner.ends(hub_error(NOT_FOUND, spawner))

        assert settings == {"failure_count": 0}

    async def test_and_not_of_a_start_that_succeeds_after_all(self):
        settings = {}
        spawner = Spawner(settings)
        hub_error(NOT_FOUND, spawner)
        await spawner.ends()

        assert settings == {"failure_count": 0}


def test_failures_are_counted_by_reason():
    def counted():
        return REGISTRY.get_sample_value("k8s_hub_spawn_failures_total", {"reason": "image_not_found"}) or 0

    before = counted()
    hub_error(NOT_FOUND, NOBODY)

    assert counted() == before + 1
