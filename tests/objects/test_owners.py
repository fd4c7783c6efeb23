from k8s_hub.objects.keys import owned_by, owner_uids, reference_to_pod

POD = {"apiVersion": "v1", "kind": "Pod", "name": "jupyter-ada", "uid": "u-1"}


def test_all_owners_count():
    assert owner_uids({"metadata": {"ownerReferences": [POD, {**POD, "uid": "u-2"}]}}) == {"u-1", "u-2"}


def test_an_object_without_owners_follows_nobody():
    assert owner_uids({"metadata": {"ownerReferences": None}}) == frozenset()
    assert owner_uids({}) == frozenset()


def test_a_pods_reference_makes_an_object_follow_it_without_holding_it_back():
    pod = {"metadata": {"name": "p", "namespace": "n", "uid": "1"}}
    obj = {"kind": "Secret", "metadata": {"name": "s", "ownerReferences": [{"uid": "0"}]}}
    owned = owned_by(obj, reference_to_pod(pod))
    assert owned["metadata"] == {
        "name": "s",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "1"}],
    }
    assert owner_uids(owned) == {"1"}
    assert owner_uids(obj) == {"0"}
