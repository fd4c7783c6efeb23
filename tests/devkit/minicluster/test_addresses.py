"""Every pod gets an address that is free, or a sentence that says why there is none."""

import socket

import pytest

from devkit.minicluster.addresses import AddressError, Addresses
from tests.devkit.minicluster.material import PODS, is_in, is_waiting_for, main_state, pod, running_cluster


@pytest.fixture
def listener_on():
    sockets = []

    def listen(address, port=0, family=socket.AF_INET):
        listener = socket.socket(family, socket.SOCK_STREAM)
        sockets.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        return listener.getsockname()[1]

    yield listen
    for each in sockets:
        each.close()


def test_addresses_are_distinct_and_on_the_loopback_network():
    addresses = Addresses()
    taken = [addresses.take(8888) for _ in range(600)]
    assert len(set(taken)) == 600
    assert all(address.startswith("127.") for address in taken)


def test_an_address_in_use_is_passed_over_when_all_had_their_turn():
    addresses = Addresses()
    addresses._candidates = iter(["127.9.0.1", "127.9.0.2", "127.9.0.1", "127.9.0.2", "127.9.0.3"])
    assert [addresses.take(8888) for _ in range(2)] == ["127.9.0.1", "127.9.0.2"]
    addresses.give_back("127.9.0.2")
    assert [addresses.take(8888) for _ in range(2)] == ["127.9.0.2", "127.9.0.3"]


def test_an_address_where_somebody_listens_is_passed_over(listener_on):
    addresses = Addresses()
    first = addresses.take(8888)
    head, _, last = first.rpartition(".")
    following = f"{head}.{int(last) + 1}"
    port = listener_on(following)
    assert addresses.take(port) == f"{head}.{int(last) + 2}"


@pytest.mark.parametrize(
    ("family", "everywhere"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")], ids=["ipv4", "ipv6"]
)
def test_a_foreign_listener_on_every_address_is_named(listener_on, family, everywhere):
    port = listener_on(everywhere, family=family)
    with pytest.raises(AddressError, match=rf"listens on port {port} of every address \(0.0.0.0:{port}\)"):
        Addresses().take(port)


@pytest.mark.looptime
async def test_a_pod_says_so_too_and_starts_when_the_port_is_free(tmp_path):
    async with running_cluster(tmp_path) as (_, client):
        with socket.socket() as foreign:
            foreign.bind(("0.0.0.0", 0))
            foreign.listen()
            port = foreign.getsockname()[1]
            await client.create(PODS, pod(container={"ports": [{"containerPort": port}]}))
            found = await client.eventually(f"{PODS}/a", is_waiting_for("RunContainerError"))
            assert (
                f"stop it, or bind it to one address (it is found with: ss -ltnp 'sport = :{port}')"
                in (main_state(found)[1]["message"])
            )
        found = await client.eventually(f"{PODS}/a", is_in("Running"))
        async with client.session.get(f"http://{found['status']['podIP']}:{port}/x/api") as response:
            assert await response.json() == {"version": "listener"}
