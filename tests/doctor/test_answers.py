"""The examination with an API server and a hub that refuse, fail or answer oddly: each check stands for itself."""

import contextlib
import io
import json

import pytest
from aiohttp import web

from k8s_hub.cli import doctor
from k8s_hub.culler import beside
from k8s_hub.doctor.examination import SCOPES
from k8s_hub.hub.api import SERVICE_SCOPES

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
                return page(self.users, int(request.query["offset"]))

    async def _of_cluster(self, path, request):
        name = path.rpartition("/")[2]
        if name == "version":
            return {"gitVersion": "v1.33.1"}
        if request.method == "POST":
            return {**await request.json(), "status": {"allowed": True}}
        kind = (LISTS | OF_CLUSTER)[name]
        items = self.objects.get(name, [])
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
