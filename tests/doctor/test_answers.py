"""The examination with an API server and a hub that refuse, fail or answer oddly: each check stands for itself."""

import contextlib
import io
import json

import pytest
from aiohttp import web

from k8s_hub.cli import doctor
from k8s_hub.culler import beside
from k8s_hub.hub.api import SERVICE_SCOPES
from k8s_hub.volumes.inventory import SCOPES

CULLER = ("list:users", "read:servers", "delete:servers")
CREATED = "2026-07-01T12:00:00Z"
HUB = "/hub/api"
LISTS = {"pods": "Pod", "persistentvolumeclaims": "PersistentVolumeClaim"}
OF_CLUSTER = {"networkpolicies": "NetworkPolicy", "storageclasses": "StorageClass"}


class Place:
    """An API server and a hub in one process. All is well, except the answers that a test sets."""

    def __init__(self):
        #: By the end of the path: status and body.
        self.answers = {}
        #: Of the hub, by token.
        self.only_for = {}
        #: How many first pages are followed by the deletion of a user.
        self.leave = 0
        self.url = ""
        self.scopes = [*dict.fromkeys((*CULLER, *SCOPES, *SERVICE_SCOPES))]
        self.users = ["ada"]
        self.objects = {
            "storageclasses": [
                made("fast", annotations={"storageclass.kubernetes.io/is-default-class": "true"})
            ],
        }

    async def answer(self, request):
        path = request.path.rstrip("/")
        for end in filter(path.endswith, self.answers):
            code, body = self.answers[end]
            return web.Response(status=code, text=body if isinstance(body, str) else json.dumps(body))
        token = request.headers.get("Authorization", "").removeprefix("token ")
        if path.startswith(HUB) and token in self.only_for:
            code, body = self.only_for[token]
            return web.Response(status=code, text=body)
        if path.startswith(HUB):
            return web.json_response(self._of_hub(path, request))
        return web.json_response(await self._of_cluster(path, request))

    def _of_hub(self, path, request):
        match path.removeprefix(HUB):
            case "":
                return {"version": "6.1.1"}
            case "/user":
                return {"kind": "service", "name": "some", "scopes": self.scopes}
            case "/services":
                return {}
            case "/users":
                offset = int(request.query["offset"])
                listed = page(self.users, offset)
                if not offset and self.leave:
                    self.users, self.leave = self.users[1:], self.leave - 1
                return listed

    async def _of_cluster(self, path, request):
        name = path.rpartition("/")[2]
        if name == "version":
            return {"gitVersion": "v1.33.1"}
        if request.method == "POST":
            return {**await request.json(), "status": {"allowed": True}}
        kind = (LISTS | OF_CLUSTER)[name]
        label, _, value = request.query.get("labelSelector", "").partition("=")
        items = [
            item
            for item in self.objects.get(name, [])
            if not label or item["metadata"]["labels"].get(label) == value
        ]
        return {
            "kind": f"{kind}List",
            "apiVersion": "v1",
            "metadata": {"resourceVersion": "1"},
            "items": items,
        }


def made(name, **metadata):
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "creationTimestamp": CREATED,
            **metadata,
        },
        "reclaimPolicy": "Retain",
    }


def page(users, offset, limit=50):
    items = [{"name": name, "created": CREATED, "servers": {}} for name in users[offset : offset + limit]]
    end = offset + limit
    following = {"offset": end, "limit": limit} if end < len(users) else None
    return {
        "items": items,
        "_pagination": {"offset": offset, "limit": limit, "total": len(users), "next": following},
    }


def status(code, reason):
    return code, {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": reason}


@pytest.fixture
async def place(tmp_path, monkeypatch):
    place = Place()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", place.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    place.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [context],
        "clusters": [{"name": "c", "cluster": {"server": place.url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("JUPYTERHUB_API_URL", place.url + HUB)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "given")
    monkeypatch.setattr(beside, "PROCESSES", tmp_path / "proc")
    yield place
    await runner.cleanup()


async def found_in(_place, *arguments):
    """Return the doctor's exit code, and status, message and advice by check and subject."""
    parsed, printed = doctor._parser().parse_args(["--json", *arguments]), io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = await doctor._run(parsed, doctor._hub_settings(parsed))
    found = json.loads(printed.getvalue())["findings"]
    return code, {
        (one["check"], one["subject"]): (one["status"], one["message"], one["advice"]) for one in found
    }


def of(found, *statuses):
    return {key for key, one in found.items() if one[0] in statuses}


async def test_all_is_well(place):
    code, found = await found_in(place)
    assert (code, of(found, "wrong", "unknown")) == (0, set())


# --- The API server ---


@pytest.mark.parametrize(
    "refused", [("version", "reviews", *LISTS, *OF_CLUSTER), ("reviews",), ("storageclasses",)]
)
async def test_credentials_that_the_api_server_rejects_are_wrong(place, refused):
    place.answers = dict.fromkeys(refused, status(401, "Unauthorized"))
    code, found = await found_in(place)
    assert code == 1
    assert found["cluster", "API server"][:2] == ("wrong", "Unauthorized")


BROKEN = (500, "boom")
NO_HUB_CHECK = {("pods", "servers' pods"), ("homes", "claims")}


@pytest.mark.parametrize(
    ("broken", "unknown"),
    [
        ("version", {("versions", "Kubernetes")}),
        ("reviews", {("rights", "the hub's account")}),
        ("storageclasses", {("storage", "default class")}),
        ("networkpolicies", {("network", "network policies")}),
        ("pods", NO_HUB_CHECK),
        ("persistentvolumeclaims", NO_HUB_CHECK),
    ],
)
@pytest.mark.parametrize("answer", [BROKEN, (200, "<html>"), (429, "busy"), status(405, "MethodNotAllowed")])
async def test_one_answer_that_is_missing_leaves_the_other_checks(place, broken, unknown, answer):
    place.answers = {broken: answer}
    code, found = await found_in(place)
    assert (code, of(found, "wrong"), of(found, "unknown")) == (0, set(), unknown)
    assert found["culler", "scopes of the token"][0] == "ok"


async def test_a_cluster_that_rejects_the_credentials_leaves_the_checks_of_the_hub(place):
    place.answers = dict.fromkeys(("version", "reviews", *LISTS, *OF_CLUSTER), status(401, "Unauthorized"))
    _, found = await found_in(place)
    assert found["culler", "scopes of the token"][0] == "ok"
    assert found["versions", "jupyterhub (running)"][0] == "ok"
    assert of(found, "wrong") == {("cluster", "API server")}
    assert "Unauthorized" in found["homes", "claims"][1]


@pytest.mark.parametrize(
    ("labels", "answers", "said"),
    [
        ({"component": "singleuser-storage"}, {}, "wrong"),
        ({"component": "database"}, {}, "note"),
        (None, {}, "note"),
        (None, {"persistentvolumeclaims": status(403, "Forbidden")}, "wrong"),
    ],
)
async def test_without_a_default_class_the_claims_tell_whether_the_hub_needs_one(
    place, labels, answers, said
):
    place.objects = {} if labels is None else {"persistentvolumeclaims": [made("claim-ada", labels=labels)]}
    place.answers = answers
    code, found = await found_in(place)
    assert (code, found["storage", "default class"][0]) == (said == "wrong", said)


async def test_without_a_cluster_the_hub_is_checked(place, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    code, found = await found_in(place)
    assert (code, of(found, "wrong")) == (1, {("cluster", "API server")})
    assert found["culler", "scopes of the token"][0] == "ok"
    assert "/nowhere" in found["homes", "claims"][1]


# --- The hub ---

LOG, TOKEN_AND_URL = "its log says why", "--url and the token belong to the hub"


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ((503, "<html>busy"), LOG),
        ((502, ""), LOG),
        ((200, "<html>login"), TOKEN_AND_URL),
        ((403, ""), TOKEN_AND_URL),
    ],
)
@pytest.mark.parametrize("path", ["/user", "/users"])
async def test_what_to_do_about_a_hub_depends_on_its_answer(place, path, answer, advice):
    place.answers = {HUB + path: answer}
    code, found = await found_in(place)
    if path == "/users" and answer[0] == 200:  # see below
        assert found["homes", "claims"][0] == "unknown"
        return
    assert code == 1
    assert found["hub", "REST API"][0] == "wrong"
    assert advice in found["hub", "REST API"][2]


@pytest.mark.parametrize("answer", [BROKEN, (403, "Forbidden"), (200, "[]")])
async def test_services_that_are_not_told_leave_pods_and_homes(place, answer):
    place.answers = {f"{HUB}/services": answer}
    code, found = await found_in(place)
    assert (code, of(found, "wrong"), of(found, "unknown")) == (0, set(), {("culler", "process")})
    assert found["homes", "claims"][0] == "ok"


@pytest.mark.parametrize("deletions", [1, 2])
async def test_a_user_who_is_deleted_between_two_pages_is_no_failure_of_the_hub(place, deletions):
    place.users = [f"user-{number}" for number in range(120)]
    place.leave = deletions
    code, found = await found_in(place)
    assert (code, of(found, "wrong")) == (0, set())
    assert found["homes", "claims"][0] == ("ok" if deletions == 1 else "unknown")


def beside_it(place, tmp_path, *flags):
    """Start a culler of the hub beside the command."""
    folder = tmp_path / "proc" / "12"
    (folder / "cwd").mkdir(parents=True)
    (folder / "cmdline").write_text("\0".join(["python3", "-m", "k8s_hub.culler", *flags, ""]))
    (folder / "environ").write_text(f"JUPYTERHUB_API_URL={place.url}{HUB}\0JUPYTERHUB_API_TOKEN=of-culler\0")


async def test_a_hub_that_fails_to_tell_the_culler_s_scopes_has_no_foreign_culler(place, tmp_path):
    beside_it(place, tmp_path)
    place.only_for["of-culler"] = BROKEN
    code, found = await found_in(place)
    assert code == 0
    assert found["culler", "scopes of the token"][0] == "unknown"
    assert LOG in found["culler", "scopes of the token"][2]
    assert found["homes", "claims"][0] == "ok"


# --- The culler that runs beside the command ---


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("sys.exit(3)", "sys.exit(3)"),
        ("sys.exit()", "they end before the culler starts"),
        ("print('hello')", None),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
async def test_a_culler_s_config_file_that_exits_or_prints_changes_no_other_finding(
    place, tmp_path, line, why
):
    beside_it(place, tmp_path, "--config=c.py")
    (tmp_path / "proc" / "12" / "cwd" / "c.py").write_text(f"import sys\n{line}\n")
    code, found = await found_in(place)
    assert code == 0
    said = found["culler", "options"][1]
    assert said.startswith("the scopes are judged by ")
    assert "flags and files" in said if why is None else why in said


@pytest.mark.parametrize(("line", "code"), [("sys.exit(3)", 2), ("print('hello')", None)])
def test_a_config_file_in_culler_flags_does_not_end_the_doctor_silently(tmp_path, capsys, line, code):
    (tmp_path / "c.py").write_text(f"import sys\n{line}\n")
    arguments = [f"--culler-flags=--config={tmp_path}/c.py"]
    if code is None:
        doctor._parser().parse_args(arguments)
    else:
        with pytest.raises(SystemExit) as ended:
            doctor._parser().parse_args(arguments)
        assert ended.value.code == code
        assert "sys.exit(3)" in capsys.readouterr().err
    assert capsys.readouterr().out == ""


# --- The token ---


SERVICE = {"command": ["python3", "-m", "k8s_hub.culler"], "pid": 0}
TOKEN = ("culler", "scopes of the token")


@pytest.mark.parametrize(
    ("more_scopes", "services", "flags", "said"),
    [
        ((), {}, [], "unknown"),
        (SERVICE_SCOPES, {}, [], "unknown"),
        (SERVICE_SCOPES, {"other": SERVICE}, [], None),
        (SERVICE_SCOPES, {"some": SERVICE}, [], "wrong"),
        ((), {}, ["--culler-flags="], "wrong"),
    ],
)
async def test_the_token_that_the_doctor_advises_is_not_wrong_as_a_culler_s(
    place, more_scopes, services, flags, said
):
    place.scopes = [*SCOPES, *more_scopes]
    place.answers = {"/services": (200, services)}
    code, found = await found_in(place, *flags)
    assert found["homes", "claims"][0] == "ok"
    if said is None:
        assert TOKEN not in found
    else:
        assert found[TOKEN][0] == said
        assert "delete:servers" in found[TOKEN][1]
        assert code == (said == "wrong")
