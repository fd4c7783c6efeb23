"""``k8s-hub cull``: the culler, and what explains it."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime

import pytest

from devkit.testing.realhub import RealHub
from k8s_hub.cli.main import main
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.explain import Explain


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], "cull explain USER"),
        (["cull", "--help"], "--cull-every=<number>"),
        (["cull", "--help"], "k8s-hub cull explain USER[/SERVER] [flags]"),
        (["cull", "--help-all"], "k8s-hub cull explain USER[/SERVER] [flags]"),
        (["cull", "explain", "--help"], "explain USER[/SERVER]"),
    ],
)
def test_help(capsys, arguments, words):
    try:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
    finally:
        for kind in (Explain, IdleCuller):
            kind.clear_instance()
    assert caught.value.code == 0
    assert words in capsys.readouterr().out


@pytest.mark.hub
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["explain", "alice"], 128 + signal.SIGPIPE), (["--once", "--dry-run"], -signal.SIGPIPE)],
)
async def test_a_reader_that_has_enough_is_no_failed_decision(monkeypatch, arguments, code):
    reading, writing = os.pipe()
    os.close(reading)
    command = (sys.executable, "-m", "k8s_hub", "cull", *arguments, "--timeout=3600")
    async with RealHub() as hub:
        await hub.start_server("alice")
        await hub.wait_ready("alice")
        hub.set_activity("alice", datetime(2020, 1, 1, tzinfo=UTC))
        monkeypatch.setenv("PYTHONUNBUFFERED", "1")
        monkeypatch.setenv("JUPYTERHUB_API_URL", hub.api_url)
        monkeypatch.setenv(
            "JUPYTERHUB_API_TOKEN", hub.token(scopes=["list:users", "read:servers", "delete:servers"])
        )
        process = await asyncio.create_subprocess_exec(
            *command, stdout=writing, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
    os.close(writing)
    assert process.returncode == code, errors.decode()
    assert b"Traceback" not in errors
    assert b"could not decide" not in errors
