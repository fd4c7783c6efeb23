import pytest

from k8s_hub.objects.owners import owner_reference, owner_uids

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "jupyter-ada", "uid": "u-1"}}


def test_a_reference_names_the_owner_and_its_uid():
    assert owner_reference(POD) == {"apiVersion": "v1", "kind": "Pod", "name": "jupyter-ada", "uid": "u-1"}


def test_what_is_not_created_yet_owns_nothing():
    with pytest.raises(ValueError, match="'jupyter-ada' has no uid"):
        owner_reference({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "jupyter-ada"}})


def test_the_owners_of_an_object_are_found_by_uid():
    assert owner_uids({"metadata": {"ownerReferences": [owner_reference(POD)]}}) == {"u-1"}
    assert owner_uids({"metadata": {"ownerReferences": None}}) == frozenset()
