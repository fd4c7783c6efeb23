"""Which objects have no server: every rule, and every doubt that keeps an object."""

from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_hub.hub.users import user_of
from k8s_hub.kube.core.resources import PODS, SECRETS, SERVICES
from k8s_hub.naming.ownership import USER_ID_ANNOTATION, UserId
from k8s_hub.objects.keys import Key, key_of
from k8s_hub.orphans.plan import GRACE, HubServers, doubt_about_the_whole, find_lost, find_orphans
from tests.orphans.objects import NOW, RELEASE, facts, hub, obj, orphans, owned

OTHER = {"app.kubernetes.io/instance": "other", "release": "other"}


@pytest.mark.parametrize(
    "pod, cause",
    [
        (obj(), "the hub has stopped the server ada"),
        (obj(server="gpu"), "the hub has stopped the server ada/gpu"),
        (obj(server="new"), "the hub has no server ada/new"),
        (obj(user="gone"), "the hub has no user 'gone'"),
    ],
)
def test_a_pod_without_a_running_server_is_an_orphan(pod, cause):
    found = orphans(facts(hub("bob", stopped=["ada/gpu"])), pod)["jupyter-ada"]
    assert found.cause == cause
    assert found.doubt is None
    assert str(found) == "Pod jhub/jupyter-ada"


@pytest.mark.parametrize("server", ["", "gpu"])
def test_a_server_that_runs_or_is_pending_keeps_its_pod_even_if_its_saved_state_was_lost(server):
    active = f"ada/{server}" if server else "ada"
    assert not orphans(facts(hub(active)), obj(server=server))
    assert orphans(facts(hub("ada/other")), obj(server=server))


def test_a_pod_that_is_being_deleted_is_no_orphan():
    assert not orphans(facts(hub()), obj(deletionTimestamp="2026-07-01T11:59:00Z"))


def test_only_an_old_object_can_be_an_orphan():
    young = obj("young", created=NOW - GRACE + timedelta(seconds=1))
    old = obj("old", created=NOW - GRACE)
    unknown = obj("unknown", creationTimestamp=None)
    odd = obj("odd", creationTimestamp="yesterday")
    assert set(orphans(facts(hub()), young, old, unknown, odd)) == {"old"}


def test_an_object_without_an_owner_annotation_is_never_an_orphan():
    assert not orphans(facts(hub()), obj(user=None))


@pytest.mark.parametrize("resource", [SECRETS, SERVICES])
def test_a_secret_of_a_person_is_never_an_orphan_and_one_of_a_start_is(resource):
    of_person, of_start = obj("of-person", annotations={}), obj("of-start")
    del of_person["metadata"]["annotations"]["hub.jupyter.org/start-attempt"]
    assert set(orphans(facts(hub()), of_person, of_start, resource=resource)) == {"of-start"}
    assert set(orphans(facts(hub()), of_person)) == {"of-person"}  # a pod of KubeSpawner


def test_another_release_is_never_touched_and_does_not_count():
    found = find_orphans(
        [(PODS, obj("other", labels=OTHER)), (PODS, obj("ours")), (PODS, obj("gone", "gone", labels=OTHER))],
        facts(hub()),
    )
    assert [orphan.key.name for orphan in found.orphans] == ["ours"]
    assert found.total == 1


@pytest.mark.parametrize("pod_labels, hub_labels", [({}, {}), ({}, RELEASE)])
def test_without_a_common_release_label_the_pod_of_an_unknown_user_may_belong_to_another_hub(
    pod_labels, hub_labels
):
    pods = obj("gone", "gone", labels=pod_labels), obj("ada", labels=pod_labels)
    found = orphans(facts(hub(), labels=hub_labels), *pods)
    assert found["ada"].doubt is None
    assert "may belong to another hub" in found["gone"].doubt


def test_a_hub_without_a_release_keeps_the_pods_of_releases():
    """Two hubs of one namespace have users of the same names."""
    found = orphans(facts(hub(), labels={}), obj("ada", labels=OTHER))
    assert found["ada"].doubt == "it may belong to another hub, because its labels name the release other"


class TestRenamed:
    """The annotations of a running pod keep the earlier name of its user."""

    def test_the_pod_belongs_to_the_server_that_has_its_uid(self):
        renamed = hub("eve", users=["eve"], by_pod_uid={"uid-1": "eve"})
        assert not orphans(facts(renamed), obj(uid="uid-1"))
        assert orphans(facts(renamed), obj(uid="uid-2"))

    def test_a_new_user_of_the_earlier_name_does_not_keep_it(self):
        stopped = hub("ada", users=["ada", "eve"], stopped=["eve"], by_pod_uid={"uid-1": "eve"})
        found = orphans(facts(stopped), obj(uid="uid-1"))
        assert found["jupyter-ada"].cause == "the hub has stopped the server eve"

    def test_the_pod_that_has_the_name_of_a_running_servers_pod_is_that_servers(self):
        starting = hub("eve", users=["eve"], active_pods=["jupyter-ada"])
        assert not orphans(facts(starting), obj())
        assert orphans(facts(starting), obj("jupyter-bob"))

    def test_what_its_pod_owns_stays_even_if_no_view_shows_the_pod(self):
        renamed = hub("eve", users=["eve"], by_pod_uid={"uid-1": "eve"})
        assert not orphans(facts(renamed), owned("tls", "uid-1"), resource=SECRETS)
        assert orphans(facts(renamed), owned("tls", "uid-2"), resource=SECRETS)


def test_what_an_existing_pod_owns_goes_with_it():
    gone, here = owned("gone", "uid-gone"), owned("here", "uid-pod")
    assert set(orphans(facts(hub(), pods=["uid-pod"]), gone, here, resource=SERVICES)) == {"gone"}


@pytest.mark.parametrize("phase, has_ended", [("Failed", True), ("Succeeded", True), ("Running", False)])
def test_whether_it_has_ended(phase, has_ended):
    assert orphans(facts(hub()), obj(phase=phase))["jupyter-ada"].has_ended is has_ended


def test_what_the_rest_api_says_of_the_servers():
    state = {"pod_uid": "uid-1", "pod_name": "jupyter-ada", "namespace": "jhub"}
    ada = {
        "name": "ada",
        "servers": {
            "": {"ready": True, "state": state},
            "starting": {"ready": False, "pending": "spawn", "state": {}},
            "lab": {"ready": False, "stopped": True, "state": {"pod_uid": "uid-2", "pod_name": "x"}},
        },
    }
    known = HubServers.of(map(user_of, [ada, {"name": "bob", "servers": {}}]))
    assert known.users == {"ada", "bob"}
    assert known.servers == {("ada", ""), ("ada", "starting"), ("ada", "lab")}
    assert known.active == {("ada", ""), ("ada", "starting")}
    assert known.by_pod_uid == {"uid-1": ("ada", ""), "uid-2": ("ada", "lab")}
    assert Key("jhub", "jupyter-ada") in known.active_pods
    assert "x" not in {key.name for key in known.active_pods}


class TestTheWhole:
    """Nothing is removed where the hub is likely to have lost its database."""

    def test_a_hub_without_users_removes_nothing(self):
        nobody = hub(users=[])
        found = find_orphans([(PODS, obj(phase="Failed"))], facts(nobody))
        assert doubt_about_the_whole(found.orphans, found.total, nobody) == "the hub has no users"

    @pytest.mark.parametrize(
        "gone, running, is_in_doubt",
        [(3, 0, False), (4, 4, False), (4, 3, True), (5, 4, True), (500, 501, False)],
    )
    def test_a_hub_removes_no_more_than_half_of_what_it_has(self, gone, running, is_in_doubt):
        servers = hub(*(f"here-{n}" for n in range(running)))
        pods = [obj(f"gone-{n}", f"gone-{n}") for n in range(gone)]
        pods += [obj(f"here-{n}", f"here-{n}") for n in range(running)]
        pods += [obj(f"other-{n}", f"here-{n}", labels=OTHER) for n in range(running)]
        found = find_orphans([(PODS, pod) for pod in pods], facts(servers))
        assert len(found.orphans) == gone
        doubt = doubt_about_the_whole(found.orphans, found.total, servers)
        assert (doubt is not None) is is_in_doubt
        if doubt:
            assert doubt.startswith(f"{gone} of the hub's {gone + running} objects")

    def test_pods_that_have_ended_do_not_count(self):
        servers = hub()
        ended = [(PODS, obj(f"gone-{n}", "gone", phase="Failed")) for n in range(9)]
        found = find_orphans(ended, facts(servers))
        assert (len(found.orphans), found.total) == (9, 0)
        assert doubt_about_the_whole(found.orphans, found.total, servers) is None


def test_500_orphans_among_2000_servers_and_another_hubs_2000():
    """A mixture of every kind of owner: all orphans are found, and nothing else."""
    running = [f"user-{n}" for n in range(1500)] + [f"user-{n}/gpu" for n in range(500)]
    servers = hub(*running, by_pod_uid={f"renamed-{n}": f"user-{n}" for n in range(100)})
    good, bad = [], []
    for n in range(1500):
        earlier = n < 100
        good.append(
            obj(f"a-{n}", f"old-{n}" if earlier else f"user-{n}", uid=f"renamed-{n}" if earlier else None)
        )
    good += [obj(f"b-{n}", f"user-{n}", "gpu") for n in range(500)]
    bad += [obj(f"c-{n}", f"user-{n}", "gone") for n in range(200)]
    bad += [obj(f"d-{n}", f"left-{n}") for n in range(200)]
    bad += [obj(f"e-{n}", "ada", phase="Failed") for n in range(100)]
    foreign = [obj(f"f-{n}", f"left-{n}", labels=OTHER) for n in range(2000)]
    found = find_orphans([(PODS, pod) for pod in (*good, *bad, *foreign)], facts(servers))
    assert {orphan.key.name for orphan in found.orphans} == {pod["metadata"]["name"] for pod in bad}
    assert all(orphan.doubt is None for orphan in found.orphans)
    assert found.total == 2400
    assert doubt_about_the_whole(found.orphans, found.total, servers) is None


class TestLost:
    """Pods that live although the hub does not know of their start."""

    ADA = UserId(number=1, created=NOW)

    def names(self, hub, *pods):
        def name_of(user_id):
            return "ada" if user_id == self.ADA else None

        return [(key_of(pod).name, server) for pod, server in find_lost(pods, facts(hub), name_of)]

    def pod(self, name="jupyter-ada", *, user_id=ADA, ready=False, annotations=None, **more):
        marked = {**(annotations or {}), **({} if user_id is None else {USER_ID_ANNOTATION: str(user_id)})}
        made = obj(name, annotations=marked, **more)
        made["spec"] = {"containers": [{"name": "notebook"}]}
        state = {"running": {}} if ready else {"waiting": {}}
        statuses = [{"name": "notebook", "ready": ready, "started": ready, "state": state}]
        conditions = [{"type": "Ready", "status": str(ready)}]
        made["status"] |= {"containerStatuses": statuses, "conditions": conditions, "podIP": "127.1.0.1"}
        return made

    def test_its_server_is_stopped_or_not_there(self):
        assert self.names(hub("bob"), self.pod()) == [("jupyter-ada", ("ada", ""))]
        assert self.names(hub("bob"), self.pod(server="new")) == [("jupyter-ada", ("ada", "new"))]

    def test_the_hub_knows_of_another_start_only(self):
        known = hub("ada", active_pods=["jupyter-ada"])
        assert self.names(known, self.pod()) == []
        assert self.names(replace(known, last_starts={("ada", ""): "a1"}), self.pod()) == []
        assert self.names(replace(known, last_starts={("ada", ""): "a0"}), self.pod()) != []

    def test_the_user_id_says_whose_it_is(self):
        assert self.names(hub("bob"), self.pod(user="eve")) == [("jupyter-ada", ("ada", ""))]
        other = UserId(number=1, created=NOW - timedelta(days=1))
        assert self.names(hub("bob"), self.pod(user_id=other), self.pod(user_id=None)) == []

    @pytest.mark.parametrize(
        "no", [{"labels": OTHER}, {"phase": "Failed"}, {"deletionTimestamp": "2026-07-01T11:59:00Z"}]
    )
    def test_another_hubs_or_one_that_has_ended(self, no):
        assert self.names(hub("bob"), self.pod(**no)) == []

    def test_those_that_serve_come_first_then_the_youngest(self):
        pods = [
            self.pod("old", created=NOW - timedelta(hours=3)),
            self.pod("young", server="b"),
            self.pod("serves", server="c", created=NOW - timedelta(hours=2), ready=True),
        ]
        assert [name for name, _ in self.names(hub("bob"), *pods)] == ["serves", "young", "old"]
