"""Each check, on facts as the API server and the hub tell them."""

from dataclasses import replace
from pathlib import Path

import pytest

from k8s_hub.doctor.checks import homes, network, pods, rights, storage, versions
from k8s_hub.doctor.checks.findings import Status
from k8s_hub.hub.users import user_of
from k8s_hub.naming.ownership import RELEASE_LABELS
from k8s_hub.naming.templates import SlugScheme
from tests.volumes.objects import claim, server

REPOSITORY = Path(__file__).parents[2]
FINE, NOTED, UNKNOWN, WRONG = Status.FINE, Status.NOTED, Status.UNKNOWN, Status.WRONG


def seen(findings):
    return [(found.subject, found.status) for found in findings]


# --- Versions ---


@pytest.mark.parametrize(
    ("name", "version", "status"),
    [
        ("Python", "3.11.0", FINE),
        ("Python", "3.10.14", WRONG),
        ("jupyterhub", "5.5.4", FINE),
        ("jupyterhub", "5.4.3", WRONG),
        ("jupyterhub", "6.1.1", FINE),
        ("jupyterhub (running)", "6.1.1", FINE),
        ("jupyterhub (running)", "5.4.3", WRONG),
        ("jupyterhub (running)", None, UNKNOWN),
        ("kubernetes-asyncio", "36.1.0", FINE),
        ("kubernetes-asyncio", "35.0.1", WRONG),
        ("Kubernetes", "1.32.0", FINE),
        ("Kubernetes", "1.31.9-gke.1", WRONG),
        ("Kubernetes", None, UNKNOWN),
        ("k8s_hub", "0.2.0.dev0", FINE),
    ],
)
def test_versions(name, version, status):
    assert seen(versions.check_versions({name: version})) == [(name, status)]


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("5.5.0", "5.5.4"),
        ("5.5.3", "5.5.4"),
        ("5.5.4rc1", "5.5.4"),
        ("5.5.4.dev0", "5.5.4"),
        ("5.5.4", None),
        ("5.5.10", None),
        ("5.6.0", "6.1.1"),  # a minor version that never got it
        ("6.0.0", "6.1.1"),
        ("6.0.9", "6.1.1"),
        ("6.1", "6.1.1"),
        ("6.1.0", "6.1.1"),
        ("6.1.1b2", "6.1.1"),
        ("6.1.1", None),
        ("6.1.1.post1", None),
        ("6.2.0.dev0", None),
        ("6.10.0", None),
        ("7.0.0", None),
    ],
)
@pytest.mark.parametrize("where", ["jupyterhub", "jupyterhub (running)"])
def test_a_hub_older_than_its_security_release_is_wrong(where, version, release):
    (found,) = versions.check_versions({where: version})
    assert found.subject == where
    if release is None:
        assert (found.status, found.message) == (FINE, version)
    else:
        assert found.status is WRONG
        assert found.message == f"{version} is older than the security release {release}"
        assert found.advice == f"upgrade to {release} or later"


def test_the_hubs_that_the_tests_run_with_lack_no_security_release():
    for hub in (5, 6):
        pinned = (REPOSITORY / f"requirements/hub-{hub}.in").read_text()
        assert (
            seen(versions.check_versions({"jupyterhub": pinned.strip().removeprefix("jupyterhub==")}))[0][1]
            is FINE
        )


@pytest.mark.parametrize(
    "version", ["", "unknown", "x.y.z", "9" * 5_000, "v", "1.2.3\x1b[2J", "1.2.3.4 " + "x" * 100]
)
def test_what_is_no_version_is_unknown_and_told_shortly(version):
    (found,) = versions.check_versions({"Kubernetes": version})
    assert found.status is UNKNOWN
    assert found.message.isprintable()
    assert len(found.message) < 250


@pytest.mark.parametrize(
    "version", ["1.37.2", "v1.35.1+k3s1", "1.34.2-gke.1234567", "1.33.1-eks-abc123", "1.32"]
)
def test_distributions_name_their_kubernetes_in_their_own_ways(version):
    (found,) = versions.check_versions({"Kubernetes": version})
    assert (found.status, found.message) == (FINE, version)


# --- Rights ---


def test_rights():
    needed, optional = rights.NEEDED[0], rights.OPTIONAL[0]
    answers = {needed: True, rights.NEEDED[1]: False, rights.NEEDED[2]: None, optional: False}
    assert [found.status for found in rights.check_rights(answers)] == [FINE, WRONG, UNKNOWN, NOTED]


def test_an_api_server_that_says_nothing_of_rights_is_one_finding():
    assert [found.status for found in rights.check_rights(dict.fromkeys(rights.NEEDED))] == [UNKNOWN]


def test_the_rights_that_are_needed_are_in_the_charts_role():
    from devkit.realcluster.controlplane import RULES

    granted = {(verb, kind) for rule in RULES for verb in rule["verbs"] for kind in rule["resources"]}
    needed = {(right.verb, right.resource) for right in rights.NEEDED}
    unused = {("get", "events"), ("watch", "secrets"), ("watch", "services")}
    assert (needed | unused, needed & unused) == (granted, set())


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
    assert [found.status for found in storage.check_storage(classes, wanted)] == statuses


def test_a_class_that_is_marked_as_default_by_the_older_annotation_is_the_default():
    old = storage_class("fast")
    old["metadata"]["annotations"]["storageclass.beta.kubernetes.io/is-default-class"] = "true"
    assert [(found.status, found.message) for found in storage.check_storage([old], None)] == [(FINE, "fast")]


@pytest.mark.parametrize(
    ("classes", "wanted", "status"),
    [([], None, NOTED), ([storage_class("slow")], None, NOTED), ([], "slow", WRONG)],
)
def test_a_hub_that_has_made_no_claims_may_need_no_default_class(classes, wanted, status):
    (found,) = storage.check_storage(classes, wanted, has_claims=False)
    assert found.status is status


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
        ([policy(HUB, policyTypes=[OUT], egress=[{"ports": [{"port": "notebook-port"}]}])], [FINE, FINE]),
        ([policy(HUB, policyTypes=[OUT], egress=[{"ports": [{"port": "http"}]}])], [FINE, WRONG]),
        ([policy(HUB, policyTypes=[OUT], egress=[{"ports": [{"port": 443}]}])], [FINE, WRONG]),
        ([policy(HUB, policyTypes=[INTO, OUT])], [FINE, WRONG]),
        (None, [UNKNOWN]),
    ],
)
def test_network(policies, statuses):
    assert [found.status for found in network.check_network(policies, [], 8888)] == statuses


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
    assert [found.message for found in network.check_network(others, [], 8888)] == [
        "no policy restricts it"
    ] * 2


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
    assert [found.status for found in network.check_network([closed], [running], 8888)] == [WRONG, FINE]


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
    found = list(rights.check_scopes(held, "service x"))
    assert [one.status for one in found] == statuses
    assert held is None or all(one.message.startswith("service x") for one in found)


def test_a_token_that_may_be_of_another_service_lacks_nothing_for_certain():
    (found,) = rights.check_scopes({"list:users", "read:servers"}, "service x", is_of_culler=False)
    assert (found.status, found.advice.endswith("--culler-flags")) == (UNKNOWN, True)
    assert found.message.startswith("service x: if this is the culler's token: The API token lacks the scope")


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


def pod(name, username=None, servername="", *, release="jhub", component="singleuser-server", uid=""):
    annotations = {} if username is None else {"hub.jupyter.org/username": username}
    if servername:
        annotations["hub.jupyter.org/servername"] = servername
    labels = {"component": component, "release": release}
    metadata = {"name": name, "namespace": "jhub", "uid": uid, "annotations": annotations, "labels": labels}
    return {"metadata": metadata}


def judged_pods(found, *users, **settings):
    return seen(
        pods.check_pods(found, list(homes.expected_pods(users, replace(SETTINGS, **settings))), users)
    )


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


def test_the_pod_of_a_renamed_user_that_still_runs_is_their_own():
    """It carries the old name, and its server knows it by its uid."""
    running = pod("jupyter-ada", "ada", uid="u-1")
    state = server("claim-ada", pod="jupyter-ada", pod_uid="u-1")
    augusta = user("augusta", default=state, ready={"default"})
    assert judged_pods([running], augusta) == [("servers' pods", FINE)]

    stopped = user("augusta", default=state)
    assert judged_pods([running], stopped) == [("jupyter-ada", NOTED)]

    other = pod("jupyter-ada", "ada", uid="u-2")
    assert ("jupyter-ada", WRONG) in judged_pods([other], augusta)


def test_the_slug_scheme_names_pods():
    foreign = pod("jupyter-user-2d1", component="web")
    assert judged_pods([foreign], user("user-1")) == [("servers' pods", FINE)]
    assert judged_pods([foreign], user("user-1"), slug_scheme=SlugScheme.ESCAPE) == [
        ("jupyter-user-2d1", WRONG)
    ]


def test_the_pod_of_a_server_in_another_namespace_is_not_looked_for():
    elsewhere = user("ada", default=server("claim-ada", pod="jupyter-ada", namespace="of-ada"))
    assert judged_pods([pod("jupyter-ada", component="web")], elsewhere) == [("servers' pods", FINE)]


def judged_homes(claims, *users, **settings):
    findings = homes.check_claims(users, claims, replace(SETTINGS, **settings))
    return [(one.subject, one.status, one.message) for one in findings]


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
    assert "the saved state names claim-ada, which does not exist" in message


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
    """... and the new user of that name gets none of it: a first home of their own."""
    home = claim("claim-ada", "ada", created="2026-01-02T00:00:00Z")
    augusta = user("augusta", created="2026-01-01T00:00:00Z", default=server("claim-ada"))
    ada = user("ada", created="2026-03-01T00:00:00Z")
    assert judged_homes([home], ada, augusta) == [
        ("augusta", FINE, "claim-ada: the saved state names it"),
        ("claims", FINE, "ada gets a new, empty claim at the next start"),
    ]


def test_without_claims_there_is_nothing_to_change():
    assert judged_homes([]) == [("claims", FINE, "no server has a claim yet")]
    assert judged_homes([], user("ada")) == [
        ("claims", FINE, "ada gets a new, empty claim at the next start")
    ]


def test_claims_of_which_none_is_a_home_are_noted():
    """The hub may have another template than the doctor was told."""
    ada, bob = user("ada", default=server(None)), user("bob", default=server(None))
    ((subject, status, message),) = judged_homes([claim("home-ada"), claim("home-bob")], ada, bob)
    assert (subject, status) == ("claims", NOTED)
    assert message == (
        "ada and 1 more get a new, empty claim at the next start; none of the existing claims (home-ada, ...) "
        "is a server's home"
    )


# --- The options that decide about homes ---


def test_the_slug_scheme_names_homes():
    user_1 = user("user-1", default=server(None))
    ((_, status, message),) = judged_homes(
        [claim("claim-user-2d1", "user-1")], user_1, slug_scheme=SlugScheme.ESCAPE
    )
    assert (status, message) == (FINE, "claim-user-2d1: the template names it")


def test_without_legacy_names_a_home_under_one_is_found_by_its_annotation_or_not_at_all():
    user_1 = user("user-1", default=server(None))
    annotated, prepared = claim("claim-user-2d1", "user-1"), claim("claim-user-2d1")

    ((_, status, message),) = judged_homes([annotated], user_1, handle_legacy_names=False)
    assert (status, message) == (NOTED, "claim-user-2d1: its annotations name this server")

    assert judged_homes([prepared], user_1)[0][:2] == ("user-1", NOTED)
    assert judged_homes([prepared], user_1, handle_legacy_names=False)[0][:2] == ("claims", NOTED)


def test_without_remembered_names_the_saved_state_names_nothing():
    ada = user("ada", default=server("claim-of-a-hook", extra_claims={"data": "data--ada"}))
    claims = [claim("claim-of-a-hook"), claim("claim-ada", "ada")]

    assert judged_homes(claims, ada)[0][1:] == (FINE, "claim-of-a-hook: the saved state names it")
    assert judged_homes(claims, ada, remember_pvc_name=False) == [
        ("ada", FINE, "claim-ada: the template names it")
    ]


def test_what_another_server_has_in_its_state_is_taken_also_where_names_are_not_remembered():
    ada = user("ada", default=server("claim-ada--gpu"), gpu=server(None))
    (home, others) = judged_homes([claim("claim-ada--gpu", "ada")], ada, remember_pvc_name=False)
    assert home[2].startswith("claim-ada--gpu: ")
    assert others == ("claims", FINE, "ada/gpu gets a new, empty claim at the next start")


@pytest.mark.parametrize(
    "state", [{"pvc_name": 7}, {"pvc_name": ["claim-ada"]}, {"pvc_name": ""}, {"pvc_name": None}]
)
def test_a_saved_name_that_is_no_text_is_none(state):
    """As the spawner reads it."""
    ada = user("ada", default=server(None, **state))
    assert judged_homes([claim("claim-ada", "ada")], ada) == [
        ("ada", FINE, "claim-ada: the template names it")
    ]


def test_servers_in_other_namespaces_are_said_and_not_judged():
    ada = user("ada", default=server("claim-ada", namespace="of-ada"))
    bob = user("bob", default=server("claim-bob", namespace="of-bob"))
    ((subject, status, message),) = judged_homes([], ada, bob)
    assert (subject, status) == ("other namespaces", UNKNOWN)
    assert "of-ada and 1 more" in message


def test_a_claim_that_a_server_elsewhere_has_in_its_state_is_not_taken_here():
    ada = user("ada", created="2026-03-01T00:00:00Z", default=server(None))
    bob = user("bob", default=server("claim-ada", namespace="of-bob"))
    old = claim("claim-ada", "ada", created="2026-01-01T00:00:00Z")
    rows = judged_homes([old], ada, bob)
    assert rows[0][:2] == ("ada", FINE)


def test_names_with_the_number_of_a_user_are_unknown_until_they_are_saved():
    """The hub's API does not tell the number."""
    ada = user("ada", default=server("claim-1", pod="jupyter-1"))
    numbered = {"claim_template": "claim-{userid}", "pod_template": "jupyter-{userid}"}
    claims = [claim("claim-1"), claim("claim-2")]
    assert judged_homes(claims, ada, user("bob"), user("zoe"), **numbered) == [
        ("ada", FINE, "claim-1: the saved state names it"),
        (
            "claims of first starts",
            UNKNOWN,
            "bob and 1 more: not checked: the template has {userid}, and the hub does not tell the users' numbers",
        ),
    ]
    settings = replace(SETTINGS, **numbered)
    assert [pod.name for pod in homes.expected_pods([ada, user("bob")], settings)] == ["jupyter-1"]
    (unnamed,) = homes.unnamed_pods([ada, user("bob")], settings)
    assert (unnamed.check, unnamed.status, unnamed.message[:5]) == (pods.CHECK, UNKNOWN, "bob: ")
    assert list(homes.unnamed_pods([ada], settings)) == []
    assert list(homes.unnamed_pods([user("bob")], SETTINGS)) == []


# --- Claims besides the home ---


def extra(name, user=None, server="", *, use="data", **more):
    made = claim(name, user, server, **more)
    made["metadata"]["annotations"]["hub.jupyter.org/extra-claim"] = use
    return made


def with_data(name="ada", data="data--ada"):
    return user(name, default=server(f"claim-{name}", extra_claims={"data": data}))


def rows_of_data(claims, *users):
    return [row for row in judged_homes(claims, *users) if row[0].endswith(", data")]


def test_an_extra_claim_that_is_there_is_fine():
    ((subject, status, message),) = rows_of_data([extra("data--ada", "ada")], with_data())
    assert (subject, status) == ("ada, data", FINE)
    assert message == "data--ada: the saved state names it"


def test_an_extra_claim_that_is_gone_is_wrong():
    ((_, status, message),) = rows_of_data([claim("claim-ada", "ada")], with_data())
    assert status is WRONG
    assert "the saved state names data--ada, which does not exist" in message


@pytest.mark.parametrize(
    ("trouble", "word"),
    [({"deletionTimestamp": "2026-01-03T00:00:00Z"}, "being deleted"), ({"phase": "Lost"}, "volume is gone")],
)
def test_an_extra_claim_that_cannot_be_used_is_wrong(trouble, word):
    ((_, status, message),) = rows_of_data([extra("data--ada", "ada", **trouble)], with_data())
    assert status is WRONG
    assert word in message


@pytest.mark.parametrize("other", [extra("data--ada", "ada", use="models"), claim("data--ada", "ada")])
def test_a_claim_of_another_use_is_wrong(other):
    ((_, status, message),) = rows_of_data([other], with_data())
    assert status is WRONG
    assert "not as hub.jupyter.org/extra-claim: data" in message


def test_the_extra_claim_of_somebody_else_is_wrong():
    bob = user("bob", default=server("claim-bob"))
    ((_, status, _),) = rows_of_data(
        [extra("data--ada", "bob", created="2026-02-01T00:00:00Z")], with_data(), bob
    )
    assert status is WRONG


def test_an_extra_claim_that_users_share_is_fine_for_all():
    users = [with_data("ada", "shared"), with_data("bob", "shared")]
    rows = rows_of_data([extra("shared", "ada", created="2026-02-01T00:00:00Z")], *users)
    assert [row[1] for row in rows] == [FINE, FINE]


def test_an_extra_claim_is_no_home_for_another_server():
    """The spawner does not take it, because a server's state names it."""
    ada = user("ada", default=server("claim-ada", extra_claims={"data": "claim-ada--gpu"}), gpu=server(None))
    rows = judged_homes([claim("claim-ada", "ada"), extra("claim-ada--gpu", "ada")], ada)
    assert [row[:2] for row in rows] == [("ada", FINE), ("ada, data", FINE), ("claims", FINE)]
    assert rows[-1][2] == "ada/gpu gets a new, empty claim at the next start"
