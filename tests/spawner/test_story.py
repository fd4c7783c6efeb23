import pytest

pytestmark = [pytest.mark.looptime, pytest.mark.hub]


async def test_a_server_starts_stops_and_starts_again_with_the_same_claim(hub, cluster):
    async with hub() as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        print(hub.spawner("ada").get_state(), hub.spawner("ada").server.url)
        await hub.stop_server("ada")
        await hub.wait_stopped("ada")
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        print(hub.spawner("ada").get_state(), hub.spawner("ada").server.url)
