"""Objects of any kind: create, get, delete, and the Status of what is refused."""

import re

import pytest

from tests.conformance.server import Server, claim, pod, secret, service, version_of

ANY_UID = "00000000-0000-0000-0000-000000000000"


async def refused(server: Server, method: str, path: str, body=None) -> tuple[int, str, str]:
    """Code, reason and message; the body has to be a complete Status."""
    answer = await server.client.call(method, path, body)
    status = answer.body
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure"), status
    assert status["code"] == answer.code
    return answer.code, status["reason"], status["message"]


async def test_a_created_object_gets_uid_version_time_and_namespace(server):
    made = await server.create("secrets", secret("a"))
    metadata = made["metadata"]
    assert (made["kind"], made["apiVersion"]) == ("Secret", "v1")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["namespace"] == server.namespace
    assert version_of(made) > 0
    assert (await server.client.get(server.path("secrets", "a")))["metadata"]["uid"] == metadata["uid"]


async def test_what_a_hub_writes_into_a_pod_comes_back(server):
    body = pod("a", {"component": "singleuser-server"})
    body["metadata"]["annotations"] = {"hub.jupyter.org/username": "älice@example.test"}
    body["spec"]["containers"][0] |= {"env": [{"name": "A", "value": "b"}], "args": ["--ip=0.0.0.0"]}
    made = await server.create("pods", body)
    assert made["metadata"]["annotations"] == body["metadata"]["annotations"]
    assert made["metadata"]["labels"] == body["metadata"]["labels"]
    container = made["spec"]["containers"][0]
    assert {key: container[key] for key in ("env", "args")} == {
        "env": [{"name": "A", "value": "b"}],
        "args": ["--ip=0.0.0.0"],
    }


async def test_a_secret_keeps_its_strings_as_base64_data(server):
    made = await server.create("secrets", secret("a"))
    assert made["data"] == {"token": "ZXhhbXBsZQ=="}
    assert "stringData" not in made


async def test_a_recreated_object_is_another_one(server):
    first = await server.create("secrets", secret("a"))
    await server.client.delete(server.path("secrets", "a"))
    second = await server.create("secrets", secret("a"))
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert version_of(first) < version_of(second)


@pytest.mark.parametrize(
    ("plural", "body"),
    [
        ("pods", pod("a")),
        ("secrets", secret("a")),
        ("services", service("a")),
        ("persistentvolumeclaims", claim("a")),
    ],
    ids=["pods", "secrets", "services", "claims"],
)
async def test_a_taken_name_is_409_already_exists(server, plural, body):
    await server.create(plural, body)
    code, reason, message = await refused(server, "POST", server.path(plural), body)
    assert (code, reason) == (409, "AlreadyExists")
    assert message == f'{plural} "a" already exists'


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_is_not_there_is_404_and_named(server, method):
    code, reason, message = await refused(server, method, server.path("pods", "nobody"))
    assert (code, reason, message) == (404, "NotFound", 'pods "nobody" not found')


async def test_the_details_of_a_404_name_the_object(server):
    answer = await server.client.call("GET", server.path("pods", "nobody"))
    assert answer.body["details"] == {"name": "nobody", "kind": "pods"}


async def test_generate_name_makes_up_the_rest(server):
    body = secret("ignored")
    body["metadata"] = {"generateName": "token-"}
    made = [(await server.create("secrets", body))["metadata"]["name"] for _ in range(3)]
    assert len(set(made)) == 3
    assert all(re.fullmatch(r"token-[a-z0-9]{5}", name) for name in made)


async def test_a_deletion_meant_for_another_uid_is_409_and_does_nothing(server):
    made = await server.create("secrets", secret("a"))
    body = {"preconditions": {"uid": ANY_UID}}
    code, reason, message = await refused(server, "DELETE", server.path("secrets", "a"), body)
    assert (code, reason) == (409, "Conflict")
    assert ANY_UID in message
    assert made["metadata"]["uid"] in message
    assert (await server.client.get(server.path("secrets", "a")))["metadata"]["uid"] == made["metadata"][
        "uid"
    ]


async def test_a_deletion_meant_for_this_uid_is_done(server):
    made = await server.create("secrets", secret("a"))
    await server.client.delete(server.path("secrets", "a"), preconditions={"uid": made["metadata"]["uid"]})
    await refused(server, "GET", server.path("secrets", "a"))


async def test_deleting_a_secret_answers_success_and_its_uid(server):
    made = await server.create("secrets", secret("a"))
    answer = await server.client.delete(server.path("secrets", "a"))
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": "a", "kind": "secrets", "uid": made["metadata"]["uid"]}


@pytest.mark.parametrize(
    ("plural", "body"), [("pods", pod("a")), ("services", service("a"))], ids=["pods", "services"]
)
async def test_deleting_answers_the_object(server, plural, body):
    made = await server.create(plural, body)
    answer = await server.client.delete(server.path(plural, "a"))
    assert (answer["kind"], answer["metadata"]["uid"]) == (made["kind"], made["metadata"]["uid"])


async def test_a_secret_or_service_is_gone_at_once(server):
    for plural, body in (("secrets", secret("a")), ("services", service("a"))):
        await server.create(plural, body)
        await server.client.delete(server.path(plural, "a"))
        code, _, _ = await refused(server, "GET", server.path(plural, "a"))
        assert code == 404


async def test_malformed_json_is_400(server):
    code, reason, _ = await refused(server, "POST", server.path("secrets"), b'{"metadata": {')
    assert (code, reason) == (400, "BadRequest")


async def test_another_kind_than_the_paths_is_400(server):
    code, reason, message = await refused(server, "POST", server.path("secrets"), pod("a"))
    assert (code, reason) == (400, "BadRequest")
    assert "Pod" in message


async def test_another_namespace_than_the_paths_is_400(server):
    body = secret("a")
    body["metadata"]["namespace"] = "elsewhere"
    code, reason, message = await refused(server, "POST", server.path("secrets"), body)
    assert (code, reason) == (400, "BadRequest")
    assert "namespace" in message


async def test_an_object_without_a_name_is_422(server):
    code, reason, message = await refused(server, "POST", server.path("secrets"), {"metadata": {}})
    assert (code, reason) == (422, "Invalid")
    assert "name or generateName is required" in message


@pytest.mark.parametrize("name", ["Alice", "a_b", "-a", "a" * 254])
async def test_a_name_that_no_object_may_have_is_422_and_says_which_field(server, name):
    code, reason, message = await refused(server, "POST", server.path("secrets"), secret(name))
    assert (code, reason) == (422, "Invalid")
    assert "metadata.name" in message


GPU = "example.test/gpu"


@pytest.mark.parametrize("containers", ["containers", "initContainers"])
@pytest.mark.parametrize(
    ("requests", "limits", "said"),
    [
        (
            {"memory": "2G"},
            {"memory": "1G"},
            'requests: Invalid value: "2G": must be less than or equal to memory limit of 1G',
        ),
        (
            {"cpu": "1.5", "memory": "1Gi"},
            {"cpu": "0.5", "memory": "1Gi"},
            'requests: Invalid value: "1500m": must be less than or equal to cpu limit of 500m',
        ),
        (
            {"memory": "2048Mi"},
            {"memory": "2147483647"},
            'requests: Invalid value: "2Gi": must be less than or equal to memory limit of 2147483647',
        ),
        ({GPU: "2"}, {GPU: "1"}, f'requests: Invalid value: "2": must be equal to {GPU} limit of 1'),
        ({GPU: "1"}, {GPU: "2"}, f'requests: Invalid value: "1": must be equal to {GPU} limit of 2'),
        ({GPU: "1"}, {}, "limits: Required value: Limit must be set for non overcommitable resources"),
    ],
)
async def test_a_request_above_its_limit_is_422_and_says_which(server, containers, requests, limits, said):
    body = pod("a")
    container = {**body["spec"]["containers"][0], "name": "b"}
    body["spec"].setdefault(containers, []).append(container)
    container["resources"] = {"requests": requests, "limits": limits}
    code, reason, message = await refused(server, "POST", server.path("pods"), body)
    place = f"spec.{containers}[{len(body['spec'][containers]) - 1}].resources"
    assert (code, reason, message) == (422, "Invalid", f'Pod "a" is invalid: {place}.{said}')


async def test_a_request_up_to_its_limit_is_taken(server):
    body = pod("a")
    body["spec"]["containers"][0]["resources"] = {
        "requests": {"memory": "1024Mi", "cpu": "100m", GPU: 1},
        "limits": {"memory": "1Gi", "cpu": "1", GPU: "1"},
    }
    assert (await server.create("pods", body))["metadata"]["name"] == "a"


async def test_a_namespace_that_is_not_there_is_404(server):
    code, reason, message = await refused(server, "POST", "/api/v1/namespaces/not-there/pods", pod("a"))
    assert (code, reason, message) == (404, "NotFound", 'namespaces "not-there" not found')


async def test_a_resource_that_does_not_exist_is_404(server):
    answer = await server.client.call("GET", f"{server.core}/notebooks")
    assert answer.code == 404


async def test_a_method_that_a_path_has_not_is_405(server):
    code, reason, _ = await refused(server, "POST", server.path("secrets", "a"), secret("a"))
    assert (code, reason) == (405, "MethodNotAllowed")


async def test_without_a_valid_token_everything_is_401(server):
    answer = await server.client.call("GET", server.path("pods"))
    assert answer.code == 200
    stranger = type(server.client)(
        session=server.client.session, url=server.client.url, token="nobody", tls=server.client.tls
    )
    answer = await stranger.call("GET", server.path("pods"))
    assert (answer.code, answer.body["reason"], answer.body["message"]) == (
        401,
        "Unauthorized",
        "Unauthorized",
    )
