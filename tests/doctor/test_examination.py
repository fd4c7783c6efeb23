"""The whole examination beside a hub with KubeSpawner, on the mini cluster: what it serves is judged, the rest unknown."""

import contextlib
import io
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version

import aiohttp
import pytest
from jupyterhub import orm

from devkit.demo.settings import free_port
from devkit.minicluster.resources import CLAIMS
from devkit.testing.eventually import eventually
from devkit.testing.realhub import RealHub
from devkit.testing.runs import HOME, NAMESPACE, listening_cluster
from k8s_hub import KubeSpawner
from k8s_hub.cli import doctor
from k8s_hub.culler import beside as beside_us
from k8s_hub.hub.api import SERVICE_SCOPES
from k8s_hub.kube.api import KubeApi
from k8s_hub.objects.keys import Key
from k8s_hub.volumes.inventory import SCOPES

pytestmark = pytest.mark.hub

ALL = ["list:users", "read:servers", "delete:servers", *SCOPES]


@pytest.fixture
async def cluster(tmp_path, monkeypatch):
    async with listening_cluster(tmp_path, monkeypatch) as cluster:
        yield cluster


@pytest.fixture
def examined(cluster, monkeypatch):
    """A function that starts ada's server with these options, and returns what the command finds beside the hub."""

    @asynccontextmanager
    async def examined(*arguments, scopes=ALL, meanwhile=None, **options):
        config = {"KubeSpawner": {"namespace": NAMESPACE, **HOME, **options}}
        async with RealHub(spawner_class=KubeSpawner, config=config, users=("ada", "user-1")) as hub:
            for user in ("ada", "user-1"):
                await hub.start_server(user)
                await hub.wait_ready(user)
            if meanwhile is not None:
                meanwhile(hub)
            monkeypatch.setenv("JUPYTERHUB_API_URL", hub.api_url)
            monkeypatch.setenv("JUPYTERHUB_API_TOKEN", hub.token(scopes=list(dict.fromkeys(scopes))))
            yield await run(f"--namespace={NAMESPACE}", *arguments)

    return examined


async def run(*arguments):
    """Return the command's exit code, and what it found by check and subject."""
    parsed, printed = doctor._parser().parse_args(["--json", *arguments]), io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = await doctor._run(parsed, doctor._hub_settings(parsed))
    found = json.loads(printed.getvalue())["findings"]
    return code, {(one["check"], one["subject"]): (one["status"], one["message"]) for one in found}


async def test_all_is_well_beside_servers_that_run(examined):
    async with examined() as (code, found):
        assert {key: one for key, one in found.items() if one[0] == "wrong"} == {}
        assert code == 0
        assert found["homes", "ada"] == ("ok", "claim-ada: the saved state names it")
        assert found["homes", "user-1"][0] == "ok"
        assert found["pods", "servers' pods"][0] == "ok"
        assert found["culler", "scopes of the token"][0] == "ok"


OTHER_HUB = "http://127.0.0.1:9/hub/api"


@pytest.fixture
def beside(monkeypatch, tmp_path):
    """A function that starts a culler beside the command, with this URL and token."""
    monkeypatch.setattr("k8s_hub.culler.beside.PROCESSES", tmp_path / "proc")

    def start(url, token, *flags, module="k8s_hub.culler"):
        folder = tmp_path / "proc" / "12"
        (folder / "cwd").mkdir(parents=True)
        (folder / "cwd" / "r.json").write_text(GROUP_RULE)
        (folder / "cmdline").write_text("\0".join(["python3", "-m", module, *flags, ""]))
        (folder / "environ").write_text(f"JUPYTERHUB_API_URL={url}\0JUPYTERHUB_API_TOKEN={token}\0")

    return start


@pytest.mark.parametrize("spelt", [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost")])
async def test_the_culler_that_runs_is_judged_and_not_the_token_that_was_given(examined, beside, spelt):
    """As with the lines that the demo prints: its own token has every scope, the culler of a configuration has not."""

    def start(hub):
        beside(hub.api_url.replace(*spelt), hub.token(scopes=["list:users", "read:servers"]))

    async with examined(meanwhile=start) as (code, found):
        assert code == 1
        status, message = found["culler", "scopes of the token"]
        assert status == "wrong"
        assert message.startswith("user ")
        assert ", the culler that runs here: The API token lacks the scope delete:servers" in message
        assert found["homes", "ada"][0] == "ok", "users are read with the token that was given"


async def test_a_culler_that_the_hub_does_not_know_is_wrong(examined, beside):
    async with examined(meanwhile=lambda hub: beside(hub.api_url, "of-yesterday")) as (code, found):
        assert code == 1
        status, message = found["culler", "scopes of the token"]
        assert (status, "the culler that runs here: The API token is not valid" in message) == ("wrong", True)


@pytest.mark.parametrize("is_there", [False, True])
async def test_without_a_culler_of_this_hub_the_given_token_is_judged_and_named(examined, beside, is_there):
    def start(hub):
        if is_there:
            beside(OTHER_HUB, "of-another-hub")

    async with examined(meanwhile=start) as (code, found):
        assert code == 0
        status, message = found["culler", "scopes of the token"]
        assert status == "ok"
        assert message.startswith("JUPYTERHUB_API_TOKEN, user ")
        assert "no culler of this hub runs here" in message
        url = found.get(("culler", "URL of the hub"))
        assert is_there is (url is not None)
        if url is not None:  # it may be another address of this hub
            assert (url[0], f"a culler of {OTHER_HUB} runs here" in url[1]) == ("unknown", True)


GROUP_RULE = '[{"match": {"group": "staff"}, "exempt": true}]'


@pytest.mark.parametrize(
    ("flags", "lacks"),
    [
        ("", []),
        ("--rules-file=r.json --warn-before=60", ["read:users:groups"]),
        ("--cull-users", ["read:users:activity", "delete:users"]),
    ],
)
async def test_scopes_are_judged_by_the_culler_s_flags(examined, monkeypatch, tmp_path, flags, lacks):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.json").write_text(GROUP_RULE)
    (tmp_path / "config.py").write_text("c.KubeSpwner.image = 'a'\n")
    scopes = ["list:users", "read:servers", "delete:servers"]
    arguments = (f"--culler-flags={flags}", "--hub-config=config.py")
    async with examined(*arguments, scopes=scopes) as (code, found):
        status, message = found["culler", "scopes of the token"]
        assert code == 1
        assert found["configuration", "config.py, line 1"][0] == "wrong"
    if lacks:
        assert status == "wrong"
        assert lacks[-1] in message
    else:
        assert (status, message.endswith(": enough for its options and rules")) == ("ok", True)


BY_DEFAULTS = "the scopes are judged by the default options"
OF_ITS_PROCESS = "the scopes are judged by the flags and files of the culler that runs here"


@pytest.mark.parametrize(
    ("flags", "options", "lacks"),
    [
        (["--timeout=60"], OF_ITS_PROCESS, None),
        (["--rules-file=r.json", "--warn-before=60"], OF_ITS_PROCESS, "read:users:groups"),
        (["--timeout", "60", "--cull-users"], OF_ITS_PROCESS, "delete:users"),
        (
            ["--config=none.py"],
            f"{BY_DEFAULTS}; the options of the culler that runs here: config file 'none.py' does not exist",
            None,
        ),
    ],
)
async def test_scopes_are_judged_by_the_flags_of_the_culler_that_runs_here(
    examined, beside, flags, options, lacks
):
    def start(hub):
        beside(hub.api_url, hub.token(scopes=["list:users", "read:servers", "delete:servers"]), *flags)

    async with examined(meanwhile=start) as (code, found):
        status, message = found["culler", "scopes of the token"]
        assert found["culler", "options"] == ("note", options)
    assert (code, status) == ((0, "ok") if lacks is None else (1, "wrong"))
    assert (lacks or ": enough for ") in message


async def test_culler_flags_go_before_those_of_the_culler_that_runs_here(examined, beside):
    def start(hub):
        beside(
            hub.api_url, hub.token(scopes=["list:users", "read:servers", "delete:servers"]), "--cull-users"
        )

    async with examined("--culler-flags=--timeout=60", meanwhile=start) as (code, found):
        assert found["culler", "options"] == ("note", "the scopes are judged by --culler-flags")
        assert (code, found["culler", "scopes of the token"][0]) == (0, "ok")


async def test_a_culler_of_another_package_is_judged_by_the_default_options(examined, beside):
    def start(hub):
        beside(hub.api_url, hub.token(scopes=["list:users"]), "--cull-users", module="jupyterhub_idle_culler")

    async with examined(meanwhile=start) as (code, found):
        assert code == 1
        assert ("culler", "options") not in found


def test_flags_that_the_culler_refuses_are_wrong_usage(capsys):
    with pytest.raises(SystemExit):
        doctor._parser().parse_args(["--culler-flags=--timeout=soon"])
    assert "k8s-hub doctor: --culler-flags: The 'timeout' trait" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        doctor._parser().parse_args(["--culler-flags='"])
    assert "No closing quotation" in capsys.readouterr().err


def test_the_culler_s_log_file_is_left_to_the_culler(tmp_path):
    """It may be in a folder that only the culler's container has."""
    for path in (tmp_path / "cull.log", tmp_path / "absent" / "cull.log"):
        doctor._parser().parse_args([f"--culler-flags=--log_file_prefix={path}"])
    assert list(tmp_path.iterdir()) == []


async def test_the_hub_s_database_is_among_the_findings(examined, tmp_path):
    async with examined(f"--db-url=sqlite:///{tmp_path}/absent.sqlite") as (code, found):
        assert code == 0
        assert found["database", f"{tmp_path}/absent.sqlite"][0] == "unknown"


async def test_what_the_mini_cluster_does_not_serve_is_unknown(examined):
    """... and no other account would see more."""
    async with examined() as (_, found):
        unknown = [key for key, one in found.items() if one[0] == "unknown" and key[0] != "culler"]
        why = [found[key][1] for key in unknown[1:]]
    assert why == [
        f"this API server has no {what}, like the demo's mini cluster"
        for what in ("access reviews", "storage classes", "network policies")
    ]
    assert unknown == [
        ("versions", "Kubernetes"),
        ("rights", "the hub's account"),
        ("storage", "default class"),
        ("network", "network policies"),
    ]


@pytest.mark.parametrize(
    ("account", "home"),
    [("hub", "jupyter-ada"), ("jhub/hub", "jhub")],
    ids=["of the namespace", "of another"],
)
async def test_the_account_may_be_in_another_namespace_than_users_pods(cluster, monkeypatch, account, home):
    asked = []

    async def create(_, kind, namespace, body):
        asked.append(body["spec"])
        return {"status": {"allowed": True}}

    monkeypatch.delenv("JUPYTERHUB_API_TOKEN", raising=False)
    monkeypatch.setattr(KubeApi, "create", create)
    await run("--namespace=jupyter-ada", f"--service-account={account}")
    (user,) = {spec["user"] for spec in asked}
    assert user == f"system:serviceaccount:{home}:hub"
    assert f"system:serviceaccounts:{home}" in asked[0]["groups"]
    assert asked[0]["resourceAttributes"]["namespace"] == "jupyter-ada"


async def test_the_running_hubs_version_is_told_beside_the_installed_one(examined):
    async with examined() as (_, found):
        assert found["versions", "jupyterhub"] == ("ok", version("jupyterhub"))
        assert found["versions", "jupyterhub (running)"] == ("ok", version("jupyterhub"))


async def test_an_old_hub_that_runs_elsewhere_is_wrong(examined, monkeypatch):
    monkeypatch.setattr("jupyterhub.apihandlers.hub.__version__", "6.1.0")
    async with examined() as (code, found):
        assert code == 1
        assert found["versions", "jupyterhub"][0] == "ok"
        assert found["versions", "jupyterhub (running)"] == (
            "wrong",
            "6.1.0 is older than the security release 6.1.1",
        )


async def test_the_slug_scheme_is_the_spawners(examined):
    """With the wrong one, the doctor would not know the pod that stands in the way of a server that was stopped."""
    async with examined("--slug-scheme=escape", slug_scheme="escape") as (code, found):
        assert code == 0
        assert found["homes", "user-1"] == ("ok", "claim-user-2d1: the saved state names it")


EXTRA = [{"name": "data", "capacity": "1Gi", "mount_path": "/data"}]


async def test_extra_claims_are_read_from_the_saved_state(examined):
    async with examined(extra_claims=EXTRA) as (code, found):
        assert code == 0
        assert found["homes", "ada, data"] == ("ok", "data--ada: the saved state names it")


async def test_an_extra_claim_that_is_lost_is_wrong(examined, cluster):
    def lose_the_data(_hub):
        cluster.database.remove(CLAIMS, Key(NAMESPACE, "data--ada"))

    async with examined(extra_claims=EXTRA, meanwhile=lose_the_data) as (code, found):
        assert code == 1
        assert found["homes", "ada, data"][0] == "wrong"
        assert found["homes", "user-1, data"][0] == "ok"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [([], "the saved state names it"), (["--no-remember-pvc-name"], "its annotations name this server")],
)
async def test_what_a_hook_named_is_remembered_unless_the_hub_does_not(examined, arguments, why):
    async def hook(spawner):
        spawner.pvc_name = f"of-a-hook-{spawner.user.name}"

    async with examined(*arguments, pre_spawn_hook=hook) as (_, found):
        assert found["homes", "ada"][1] == f"of-a-hook-ada: {why}"


async def test_a_running_server_of_a_renamed_user_is_no_leftover(examined):
    def rename(hub):
        orm.User.find(hub.app.db, "ada").name = "augusta"
        hub.app.db.commit()

    async with examined(meanwhile=rename) as (code, found):
        assert code == 0
        assert found["pods", "servers' pods"][0] == "ok"


# --- A culler that the hub starts ---


@asynccontextmanager
async def with_culler(*flags, page=False):
    """A hub that starts a culler, and a function that examines both with a token of another service."""
    service = {"name": "culler", "command": [sys.executable, "-m", "k8s_hub.culler", *flags]}
    if page:
        service["url"] = f"http://127.0.0.1:{free_port()}"
    roles = [{"name": "culler", "services": ["culler"], "scopes": ALL}]
    config = {"JupyterHub": {"services": [service], "load_roles": roles}}
    async with RealHub(users=("ada",), config=config) as hub:
        yield hub, hub.app._service_map["culler"].spawner.proc.pid


async def found_by_doctor(hub, monkeypatch, scopes=(*ALL, *SERVICE_SCOPES)):
    monkeypatch.setenv("JUPYTERHUB_API_URL", hub.api_url)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", hub.token(scopes=list(dict.fromkeys(scopes))))
    return await run(f"--namespace={NAMESPACE}")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ([], "the last lines of the service in the hub's log say why"),
        (["--timeout=soon"], "The 'timeout' trait of"),
        (["--timout=3600"], "unknown flag '--timout=3600'; did you mean --timeout?"),
        (["--config=in-its-folder.py", "--warn-before=60"], "the last lines of the service"),
    ],
)
async def test_a_culler_that_has_ended_is_wrong(monkeypatch, flags, why):
    async with with_culler(*flags) as (hub, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        await eventually(lambda: beside_us.state_of(pid) is beside_us.ProcessState.ENDED)
        code, found = await found_by_doctor(hub, monkeypatch)
        assert code == 1
        status, message = found["culler", "process"]
        assert status == "wrong"
        assert message.startswith(f"service culler has ended by itself, and stops no servers: {why}")
        assert ("culler", "scopes of the token") not in found, "the token is of somebody else"

        code, found = await found_by_doctor(hub, monkeypatch, scopes=ALL)
        assert code == 0
        status, message = found["culler", "process"]
        assert (status, message) == (
            "unknown",
            "no culler of this hub runs here; it may run elsewhere, or have ended",
        )


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
async def test_a_culler_whose_page_says_that_it_is_not_running_is_wrong(monkeypatch):
    async with with_culler("--timout=3600", page=True) as (hub, _):
        await eventually(lambda: asks_page(hub, "not-the-token"))
        code, found = await found_by_doctor(hub, monkeypatch)
        assert code == 1
        assert found["culler", "sweeps"] == (
            "wrong",
            "service culler stops no servers: unknown flag '--timout=3600'; did you mean --timeout?",
        )


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
async def test_a_culler_that_sweeps_is_well(monkeypatch):
    async with with_culler(page=True) as (hub, _):
        await eventually(lambda: asks_page(hub, "not-the-token"))
        code, found = await found_by_doctor(hub, monkeypatch)
        assert code == 0
        status, message = found["culler", "sweeps"]
        assert (status, message.startswith("service culler: ")) == ("ok", True)


async def asks_page(hub, token):
    """Return whether the culler's page answers; it tells its health to the culler's own token only."""
    address = hub.app._service_map["culler"].url + "/services/culler/health"
    async with aiohttp.ClientSession(headers={"Authorization": f"token {token}"}) as session:
        try:
            async with session.get(address) as reply:
                assert reply.status == 403
        except aiohttp.ClientConnectionError:
            return False
    return True
