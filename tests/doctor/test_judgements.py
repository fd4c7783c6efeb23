"""Each check, on facts as the API server and the hub tell them."""

import pytest

from k8s_hub.doctor import homes, network, pods, rights, scopes, storage, versions
from k8s_hub.doctor.findings import Status
from k8s_hub.hub.users import user_of
from k8s_hub.naming.ownership import RELEASE_LABELS
from tests.volumes.objects import claim, server

FINE, NOTED, UNKNOWN, WRONG = Status.FINE, Status.NOTED, Status.UNKNOWN, Status.WRONG


def seen(findings):
    return [(found.subject, found.status) for found in findings]


# --- Versions ---


@pytest.mark.parametrize(
    ("name", "version", "status"),
    [
        ("Python", "3.11.0", FINE),
        ("Python", "3.10.14", WRONG),
        ("jupyterhub", "5.5.0", FINE),
        ("jupyterhub", "5.4.3", WRONG),
        ("jupyterhub", "6.1.1", FINE),
        ("kubernetes-asyncio", "36.1.0", FINE),
        ("kubernetes-asyncio", "35.0.1", WRONG),
        ("Kubernetes", "1.32.0", FINE),
        ("Kubernetes", "1.31.9-gke.1", WRONG),
        ("Kubernetes", None, UNKNOWN),
        ("k8s_hub", "0.1.0", FINE),
    ],
)
def test_versions(name, version, status):
    assert seen(versions.judge({name: version})) == [(name, status)]


# --- Rights ---


def test_rights():
    needed, optional = rights.NEEDED[0], rights.OPTIONAL[0]
    answers = {needed: True, rights.NEEDED[1]: False, rights.NEEDED[2]: None, optional: False}
    assert [found.status for found in rights.judge(answers)] == [FINE, WRONG, UNKNOWN, NOTED]


def test_the_rights_that_are_needed_are_those_of_the_charts_role():
    from tests.box.accounts import RULES

    of_role = {(verb, kind) for rule in RULES for verb in rule["verbs"] for kind in rule["resources"]}
    assert {(right.verb, right.resource) for right in rights.NEEDED} == of_role


# --- Storage ---


def storage_class(name, *, default=False, reclaim="Retain"):
    annotations = {storage.DEFAULT: "true"} if default else {}
    return {"metadata": {"name": name, "annotations": annotations}, "reclaimPolicy": reclaim}


@pytest.mark.parametrize(
    ("classes", "wanted", "statuses"),
    [
        (None, None, [UNKNOWN]),
        ([], None, [WRONG]),
        ([storage_class("slow")], None, [WRONG]),
        ([storage_class("fast", default=True)], None, [FINE]),
        ([storage_class("fast", default=True, reclaim="Delete")], None, [FINE, NOTED]),
        ([storage_class("one", default=True), storage_class("two", default=True)], None, [NOTED]),
        ([storage_class("slow")], "slow", [FINE]),
        ([storage_class("fast", default=True)], "slow", [WRONG]),
        ([], "", [NOTED]),
    ],
)
def test_storage(classes, wanted, statuses):
    assert [found.status for found in storage.judge(classes, wanted)] == statuses


# --- Network ---


def policy(labels, **spec):
    return {"metadata": {"name": "some"}, "spec": {"podSelector": {"matchLabels": labels}, **spec}}


SERVERS = {"component": "singleuser-server", "app": "jupyterhub", "release": "jhub"}
HUB = {"component": "hub", "app": "jupyterhub", "release": "jhub"}
INTO, OUT = "Ingress", "Egress"


@pytest.mark.parametrize(
    ("policies", "statuses"),
    [
        ([], [FINE, FINE]),
        (
            [policy(SERVERS, policyTypes=[INTO], ingress=[{"ports": [{"port": "notebook-port"}]}])],
            [FINE, FINE],
        ),
        ([policy(SERVERS, policyTypes=[INTO], ingress=[{"ports": [{"port": 8888}]}])], [FINE, FINE]),
        (
            [policy(SERVERS, policyTypes=[INTO], ingress=[{"ports": [{"port": 8000, "endPort": 9000}]}])],
            [FINE, FINE],
        ),
        ([policy(SERVERS, policyTypes=[INTO], ingress=[{"from": []}])], [FINE, FINE]),
        ([policy(SERVERS, policyTypes=[INTO])], [WRONG, FINE]),
        ([policy({}, policyTypes=[INTO])], [WRONG, FINE]),
        ([policy(SERVERS, ingress=[{"ports": [{"port": "http"}]}])], [WRONG, FINE]),
        ([policy(SERVERS, ingress=[{"ports": [{"port": 8888, "protocol": "UDP"}]}])], [WRONG, FINE]),
        ([policy({"component": "proxy"}, policyTypes=[INTO])], [FINE, FINE]),
        (
            [policy(HUB, policyTypes=[OUT], egress=[{"ports": [{"port": 8888, "protocol": "TCP"}]}])],
            [FINE, FINE],
        ),
        ([policy(HUB, policyTypes=[OUT], egress=[{"ports": [{"port": 443}]}])], [FINE, WRONG]),
        ([policy(HUB, policyTypes=[INTO, OUT])], [FINE, WRONG]),
        (None, [UNKNOWN]),
    ],
)
def test_network(policies, statuses):
    assert [found.status for found in network.judge(policies, [], 8888)] == statuses


def test_a_policy_of_others_is_none_of_ours():
    others = [
        policy({"app": "postgres"}, policyTypes=[INTO]),
        policy({"component": "hub", "app": "jupyterhub"}, policyTypes=[INTO]),
        {"metadata": {"name": "x"}, "spec": {"podSelector": {"matchExpressions": [expression("In", "hub")]}}},
        {
            "metadata": {"name": "x"},
            "spec": {"podSelector": {"matchExpressions": [expression("DoesNotExist")]}},
        },
    ]
    assert [found.message for found in network.judge(others, [], 8888)] == ["no policy restricts it"] * 2


@pytest.mark.parametrize(
    "selector",
    [
        {"matchExpressions": [{"key": "component", "operator": "In", "values": ["singleuser-server"]}]},
        {"matchExpressions": [{"key": "component", "operator": "NotIn", "values": ["hub"]}]},
        {"matchExpressions": [{"key": "component", "operator": "Exists"}]},
        {"matchLabels": {"release": "jhub"}},
    ],
)
def test_a_policy_is_for_pods_by_their_labels(selector):
    closed = {"metadata": {"name": "closed"}, "spec": {"podSelector": selector, "policyTypes": [INTO]}}
    running = pod("jupyter-ada", "ada")
    assert [found.status for found in network.judge([closed], [running], 8888)] == [WRONG, FINE]


def expression(operator, *values):
    return {"key": "component", "operator": operator, "values": list(values)}


# --- Scopes ---


@pytest.mark.parametrize(
    ("held", "statuses"),
    [
        (None, [UNKNOWN]),
        ({"list:users", "read:servers", "delete:servers", "read:users:activity"}, [FINE]),
        ({"list:users", "read:servers"}, [WRONG]),
        ({"list:users!group=a", "delete:servers"}, [WRONG, WRONG]),
    ],
)
def test_scopes(held, statuses):
    assert [found.status for found in scopes.judge(held)] == statuses


# --- Pods and homes ---

SETTINGS = homes.Settings(
    namespace="jhub",
    release_labels=dict.fromkeys(RELEASE_LABELS, "jhub"),
    claim_template="claim-{user_server}",
    pod_template="jupyter-{user_server}",
)


def user(name, *, ready=(), created="2026-01-01T00:00:00Z", **servers):
    named = {
        ("" if key == "default" else key): {**value, "ready": key in ready} for key, value in servers.items()
    }
    return user_of({"name": name, "servers": named, "created": created})


def pod(name, username=None, servername="", *, release="jhub", component="singleuser-server"):
    annotations = {} if username is None else {"hub.jupyter.org/username": username}
    if servername:
        annotations["hub.jupyter.org/servername"] = servername
    labels = {"component": component, "release": release}
    return {"metadata": {"name": name, "namespace": "jhub", "annotations": annotations, "labels": labels}}


def judged_pods(found, *users):
    return seen(pods.judge(found, list(homes.servers_of(users, SETTINGS)), users))


def test_a_pod_of_a_server_that_runs_is_fine():
    ada = user("ada", default=server("claim-ada", pod="jupyter-ada"), ready={"default"})
    assert judged_pods([pod("jupyter-ada", "ada"), pod("hub", component="hub")], ada) == [
        ("servers' pods", FINE)
    ]


@pytest.mark.parametrize(
    "other",
    [
        pod("jupyter-ada", "bob"),
        pod("jupyter-ada", component="web"),
        pod("jupyter-ada", "ada", release="other"),
    ],
)
def test_a_pod_of_a_servers_name_that_is_not_its_own_is_in_the_way(other):
    assert ("jupyter-ada", WRONG) in judged_pods([other], user("ada"))


def test_a_pod_under_the_name_that_the_saved_state_has_counts():
    ada = user("ada", default=server("claim-ada", pod="jupyter-ada--old"))
    assert ("jupyter-ada--old", WRONG) in judged_pods([pod("jupyter-ada--old", component="web")], ada)


@pytest.mark.parametrize("owner", [("ada", ""), ("ada", "gpu"), ("gone", "")])
def test_a_pod_without_a_server_that_runs_is_left_over(owner):
    ada = user("ada", default=server("claim-ada", pod="jupyter-ada"))
    assert judged_pods([pod("jupyter-some", *owner)], ada) == [("jupyter-some", NOTED)]


def test_the_pods_of_another_release_are_not_for_this_hub_to_remove():
    ada = user("ada", default=server("claim-ada", pod="jupyter-ada"))
    assert judged_pods([pod("jupyter-zoe", "zoe", release="other")], ada) == [("servers' pods", FINE)]


def judged_homes(claims, *users):
    return [(one.subject, one.status, one.message) for one in homes.judge(users, claims, SETTINGS)]


def test_the_same_home_as_before_is_fine():
    ada = user("ada", default=server("claim-ada"), gpu=server("claim-ada--gpu"))
    claims = [claim("claim-ada", "ada"), claim("claim-ada--gpu", "ada", "gpu")]
    assert [row[:2] for row in judged_homes(claims, ada)] == [("ada", FINE), ("ada/gpu", FINE)]


def test_a_home_under_an_earlier_name_is_a_note():
    user_1 = user("user-1", default=server(None))
    ((subject, status, message),) = judged_homes([claim("claim-user-2d1", "user-1")], user_1)
    assert (subject, status) == ("user-1", NOTED)
    assert message.startswith("claim-user-2d1: ")


def test_a_home_that_the_state_names_and_that_is_gone_is_wrong():
    ((subject, status, message),) = judged_homes([], user("ada", default=server("claim-ada")))
    assert (subject, status) == ("ada", WRONG)
    assert "claim-ada, which its saved state names, is not there" in message


def test_a_home_that_the_state_names_and_that_was_replaced_is_a_note():
    ada = user("ada", default=server("claim-old"))
    ((_, status, message),) = judged_homes([claim("claim-ada", "ada")], ada)
    assert (status, "claim-old" in message) == (NOTED, True)


def test_the_files_of_somebody_else_are_wrong():
    ((subject, status, message),) = judged_homes(
        [claim("claim-ada", "bob")], user("ada"), user("bob", default=server("claim-bob"))
    )[:1]
    assert (subject, status) == ("ada", WRONG)
    assert "bob" in message


@pytest.mark.parametrize(
    ("trouble", "word"),
    [({"deletionTimestamp": "2026-01-03T00:00:00Z"}, "being deleted"), ({"phase": "Lost"}, "volume is gone")],
)
def test_a_home_that_cannot_be_used_is_wrong(trouble, word):
    ada = user("ada", default=server("claim-ada"))
    ((subject, status, message),) = judged_homes([claim("claim-ada", "ada", **trouble)], ada)
    assert (subject, status) == ("ada", WRONG)
    assert word in message


def test_a_renamed_user_keeps_the_home_that_carries_the_old_name():
    """... and the new user of that name gets none of it: a first home of their own, which is no row."""
    home = claim("claim-ada", "ada", created="2026-01-02T00:00:00Z")
    augusta = user("augusta", created="2026-01-01T00:00:00Z", default=server("claim-ada"))
    ada = user("ada", created="2026-03-01T00:00:00Z")
    assert [row[:2] for row in judged_homes([home], ada, augusta)] == [("augusta", FINE)]


def test_without_claims_there_is_nothing_to_change():
    assert judged_homes([], user("ada")) == [("claims", FINE, "no server has one yet")]
