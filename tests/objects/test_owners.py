from k8s_hub.objects.owners import owner_uids

POD = {"apiVersion": "v1", "kind": "Pod", "name": "jupyter-ada", "uid": "u-1"}


def test_all_owners_count():
    assert owner_uids({"metadata": {"ownerReferences": [POD, {**POD, "uid": "u-2"}]}}) == {"u-1", "u-2"}


def test_an_object_without_owners_follows_nobody():
    assert owner_uids({"metadata": {"ownerReferences": None}}) == frozenset()
    assert owner_uids({}) == frozenset()
