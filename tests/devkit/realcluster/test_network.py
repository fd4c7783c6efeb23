from ipaddress import IPv4Network

import pytest

from devkit.realcluster.build import ClusterUnavailableError
from devkit.realcluster.network import CANDIDATES, Network, bridge_of, free_network


def test_a_network_is_taken_that_no_route_covers_in_part_or_whole():
    routes = ["default", "127.0.0.0/8", "10.210.0.0/24", "10.210.1.128/25", "10.210.2.7", "192.0.2.0/24"]
    assert free_network(routes) == IPv4Network("10.210.3.0/24")


def test_where_all_are_taken_it_says_so():
    with pytest.raises(ClusterUnavailableError, match=r"10\.210\.0\.0/16 is in use"):
        free_network([str(CANDIDATES)])


def test_the_gateway_is_the_networks_first_address():
    network = Network(bridge="khb-x", pods=IPv4Network("10.210.3.0/24"))
    assert str(network.gateway) == "10.210.3.1"


def test_a_bridge_has_a_name_short_enough_for_a_link_and_of_its_box():
    assert bridge_of("k8s-hub-box-abcd_123") == "khb-abcd_123"
    assert len(bridge_of("k8s-hub-box-abcd_123")) <= 15
