"""Full collections do not visit what a hub is made of."""

import gc

import pytest

from k8s_hub.kube.pool import InformerPool, exempt_what_is_there


@pytest.fixture(autouse=True)
def _as_in_a_new_process():
    gc.unfreeze()
    exempt_what_is_there.cache_clear()


async def test_the_first_connection_exempts_what_the_process_is_made_of(settings):
    pool = InformerPool()
    await pool.api(settings)
    assert gc.get_freeze_count() > 10_000
    await pool.close()


def test_once_only_so_that_a_later_cycle_is_collected():
    exempt_what_is_there()
    cycle: list[object] = []
    cycle.append(cycle)
    exempt_what_is_there()
    del cycle
    assert gc.collect() > 0
