"""Quantities as the server writes them."""

import pytest

from devkit.minicluster.amounts import canonical, wrong_amounts


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("2G", "2G"),
        ("2000M", "2G"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("2147483648", "2147483648"),
        ("0.5", "500m"),
        ("2000m", "2"),
        ("0.0001", "1m"),
        (3, "3"),
        ("0", "0"),
    ],
)
def test_a_quantity_is_a_whole_number_with_the_largest_unit(written, shown):
    assert canonical(written) == shown


def test_every_mistake_of_every_container_is_told():
    big = {
        "name": "a",
        "resources": {"requests": {"cpu": 2, "memory": "2G"}, "limits": {"cpu": 1, "memory": "1G"}},
    }
    spec = {"containers": [{"name": "b", "resources": None}, big], "initContainers": [big]}
    assert [field for field, _, _ in wrong_amounts(spec)] == [
        "spec.containers[1].resources.requests",
        "spec.containers[1].resources.requests",
        "spec.initContainers[0].resources.requests",
        "spec.initContainers[0].resources.requests",
    ]
