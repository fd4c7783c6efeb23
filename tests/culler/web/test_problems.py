"""A culler that cannot run, but has a page: it shows why, and its hub stays up."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from devkit.demo.settings import free_port
from devkit.testing.eventually import eventually
from devkit.testing.realhub import RealHub
from k8s_hub.culler import wiring
from k8s_hub.culler.application import BadOptions, IdleCuller
from tests.culler.web.visiting import ACCESS, NAME, SCOPES, Visitor

pytestmark = pytest.mark.hub

GENERAL = "it stops no servers, and you cannot extend servers."


@contextlib.asynccontextmanager
async def managed(*flags):
    """A hub that starts the culler as its service, with a page; it would end if the culler did."""
    port = free_port()
    service = {
        "name": NAME,
        "url": f"http://127.0.0.1:{port}",
        "oauth_no_confirm": True,
        "command": [sys.executable, "-m", "k8s_hub.culler", *flags],
    }
    roles = [
        {"name": "culler", "scopes": SCOPES, "services": [NAME]},
        {"name": "user", "scopes": ["self", ACCESS]},
    ]
    config = {"JupyterHub": {"services": [service], "load_roles": roles}}
    prefix = f"/services/{NAME}/"
    async with RealHub(users=("admin", "alice"), config=config) as hub:
        yield SimpleNamespace(
            hub=hub, url=f"http://127.0.0.1:{port}{prefix}", settings=SimpleNamespace(prefix=prefix)
        )


async def test_a_mistake_in_the_options_is_shown_to_admins_and_the_hub_stays_up():
    async with (
        managed("--timout=3600") as site,
        Visitor(site, "admin") as admin,
        Visitor(site, "alice") as alice,
    ):
        shown = await admin.login()
        assert shown.status == 503
        assert GENERAL in shown.message
        assert "unknown flag '--timout=3600'; did you mean --timeout?" in shown.words
        assert (await admin.get("all")).status == 503
        assert (await admin.get("static/page.css")).status == 200
        shown = await alice.login()
        assert shown.status == 503
        assert shown.message.endswith(f"{GENERAL} Tell your administrator.")
        assert "timout" not in shown.text
        assert (
            await alice.post("keep", _xsrf=shown.xsrf, user="alice", server="", seconds="60")
        ).status == 403
        process = site.hub.app._service_map[NAME].spawner.proc
        assert process.poll() is None
        await site.hub.start_server("alice")
        await site.hub.wait_ready("alice")
    await eventually(lambda: process.poll() is not None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--timeout=soon"], "'soon'"),
        (["--timeout=3600", "stop"], "unexpected argument 'stop'"),
        (["--config={folder}/broken.py"], "line 1: ZeroDivisionError"),
        (["--config={folder}/rules.json"], "rules[0].match.usr"),
        (["--rules-file={folder}/none.yaml"], "No such file"),
        (["--state-file={folder}/none/state.json"], "is in a folder that does not exist"),
        (["--decision-log={folder}"], "decision_log"),
        (["--metrics-port=1", "--metrics-ip=192.0.2.1"], "metrics_port 1 on 192.0.2.1 cannot be used"),
        (["--warn-url=https://chat.example.org/t0p-s3cret"], "--warn-url is not a flag"),
    ],
    ids=lambda value: value[0].partition("=")[0] if isinstance(value, list) else "",
)
async def test_whatever_is_wrong_the_hub_stays_up_and_admins_read_why(flags, told, tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "rules.json").write_text('{"IdleCuller": {"rules": [{"match": {"usr": "a"}, "timeout": 1}]}}')
    flags = [flag.format(folder=tmp_path) for flag in flags]
    async with managed(*flags) as site, Visitor(site, "admin") as admin:
        shown = await admin.login()
        assert (shown.status, told in shown.words) == (503, True), shown.words
        assert "s3cret" not in shown.words


@pytest.fixture
def service(monkeypatch, tmp_path, caplog):
    """The environment of a service with a page, whose hub is away."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    monkeypatch.setattr(IdleCuller, "_configure_logging", lambda _self: None)
    monkeypatch.setattr(wiring, "TRY_AGAIN", wiring.TRY_AGAIN / 1000)
    url = f"http://127.0.0.1:{free_port()}"
    for name, value in {"API_TOKEN": "secret", "API_URL": "http://127.0.0.1:9", "SERVICE_NAME": NAME}.items():
        monkeypatch.setenv(f"JUPYTERHUB_{name}", value)
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", url)
    return url


async def test_what_could_not_be_had_is_tried_again(service, tmp_path, caplog):
    app = IdleCuller()
    app.initialize([f"--state-file={tmp_path}/later/state.json"])
    async with running(app):
        await eventually(lambda: "culler: cannot start" in caplog.text)
        (tmp_path / "later").mkdir()
        await eventually((tmp_path / "later" / "state.json").exists)
    assert caplog.text.count("culler: cannot start, retrying every") == 1


def run(*flags):
    """Run the culler in a process of its own; return its exit code and what it printed."""
    command = [sys.executable, "-m", "k8s_hub.culler", *flags]
    ended = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--timout=3"], []], ids=["a mistake", "none"])
def test_where_the_page_s_port_is_taken_the_program_ends_without_a_traceback(service, flags):
    with socket.create_server(("127.0.0.1", urlsplit(service).port)):
        code, printed = run(*flags)
    assert code == 2
    assert "JUPYTERHUB_SERVICE_URL with port" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("more", [[], ["--once"]], ids=["without a page", "once"])
def test_without_a_page_or_for_one_sweep_a_mistake_ends_the_program(service, monkeypatch, more):
    if not more:
        monkeypatch.delenv("JUPYTERHUB_SERVICE_URL")
    code, printed = run("--timout=3", *more)
    assert (code, printed) == (2, "idle-culler: unknown flag '--timout=3'; did you mean --timeout?\n")


@pytest.mark.parametrize(
    ("flags", "options", "has_page"),
    [
        (["--timout=3", "--once=true"], {}, False),
        (["--IdleCuller.once=True", "--timeout=soon"], {}, False),
        (["--once", "stop"], {}, False),
        ([], {"once": True, "timeout": "soon"}, False),
        (["--timout=3"], {"once": True}, False),
        (["--once=no", "--timout=3"], {"once": True}, True),
    ],
    ids=str,
)
def test_one_sweep_has_no_page_of_mistakes_however_it_is_asked_for(
    service, tmp_path, flags, options, has_page
):
    (tmp_path / "culler.json").write_text(json.dumps({"IdleCuller": options}))
    app = IdleCuller()
    with pytest.raises(BadOptions):
        app.initialize([f"--config={tmp_path}/culler.json", *flags])
    assert (app.page_for_problems() is not None) == has_page


@contextlib.asynccontextmanager
async def running(app):
    task = asyncio.create_task(app.serve())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])
