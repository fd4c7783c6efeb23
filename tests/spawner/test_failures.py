import pytest
from jupyterhub.utils import format_exception
from prometheus_client import REGISTRY

from k8s_hub.diagnosis.diagnosis import Diagnosis, Reason, Stage
from k8s_hub.spawner.failures import SpawnException, hub_error

NOT_FOUND = Diagnosis.failed(
    Stage.PULLING, Reason.IMAGE_NOT_FOUND, "The image <b>x</b> does not exist.", detail="manifest unknown"
)
AWAY = Diagnosis.failed(Stage.REQUEST, Reason.CLUSTER_UNAVAILABLE, "The cluster does not answer.")


def test_the_page_shows_the_sentence_and_never_its_markup():
    text, html = format_exception(hub_error(NOT_FOUND, {}))

    assert text == "The image <b>x</b> does not exist."
    assert html == "<p>The image &lt;b&gt;x&lt;/b&gt; does not exist.</p>"


def test_the_log_has_the_reason_and_the_detail():
    logged = str(hub_error(NOT_FOUND, {}))

    assert "[image_not_found] manifest unknown" in logged


@pytest.mark.skipif(SpawnException is None, reason="JupyterHub 5 has no SpawnException")
def test_hub_6_is_told_a_failure_that_it_does_not_count():
    settings = {"failure_count": 2}
    error = hub_error(NOT_FOUND, settings)

    assert isinstance(error, SpawnException)
    assert error.reason == "image_not_found"
    assert settings == {"failure_count": 2}


@pytest.mark.hub
@pytest.mark.skipif(SpawnException is not None, reason="JupyterHub 6 does not count a SpawnException")
def test_hub_5_counts_every_failure_so_the_count_is_taken_back():
    settings = {"failure_count": 2}
    error = hub_error(NOT_FOUND, settings)

    assert error.status_code == 400
    assert settings == {"failure_count": 1}


@pytest.mark.hub
def test_a_cluster_that_does_not_answer_counts():
    settings = {}

    assert hub_error(AWAY, settings).status_code == 503
    assert settings == {}


def test_a_start_without_a_request_has_no_count_to_take_back():
    assert hub_error(NOT_FOUND, None).jupyterhub_message


def test_failures_are_counted_by_reason():
    def counted():
        return REGISTRY.get_sample_value("k8s_hub_spawn_failures_total", {"reason": "image_not_found"}) or 0

    before = counted()
    hub_error(NOT_FOUND, None)

    assert counted() == before + 1
