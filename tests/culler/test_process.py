"""The culler as a process: what it loads, how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CULLER = [sys.executable, "-m", "k8s_hub.culler"]
NOWHERE = "http://127.0.0.1:9/hub/api"


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTERHUB_")}
    return {**kept, "JUPYTERHUB_API_TOKEN": "secret", "JUPYTERHUB_API_URL": NOWHERE, **more}


def test_it_is_light():
    """It needs neither the hub's code, nor Kubernetes', nor the spawner's: tens of MB it does not hold."""
    program = "import sys, k8s_hub.culler.application; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "traitlets" in loaded
    assert loaded.isdisjoint(
        {"jupyterhub", "kubernetes_asyncio", "tornado", "sqlalchemy", "jinja2", "yaml", "prometheus_client"}
    )
    assert not any(name in done.stdout.split() for name in ("k8s_hub.spawner", "k8s_hub.kube"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--version"], 0, r"^\d+\.\d+"),
        (["--help"], 0, "--cull-every"),
        (["--timout=3"], 2, "^idle-culler: unknown flag '--timout=3'; did you mean --timeout\\?$"),
        (["--timeout=soon"], 1, "'soon'"),
    ],
)
def test_exit_codes(arguments, code, words):
    done = subprocess.run(
        [*CULLER, *arguments], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert re.search(words, done.stdout + done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_without_a_traceback(number, code):
    with started() as culler:
        culler.send_signal(number)
        _, printed = culler.communicate(timeout=10)
    assert culler.returncode == code
    assert "Traceback" not in printed


def test_the_token_is_not_logged():
    with started("--debug") as culler:
        culler.terminate()
        _, printed = culler.communicate(timeout=10)
    assert "secret" not in printed


class started:  # noqa: N801 - it reads as a verb
    """A culler that has begun its first sweep; killed at the end, whatever happens."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*CULLER, *arguments], env=environment(), stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> subprocess.Popen[str]:
        assert "idle for 10 min" in self.process.stderr.readline()
        return self.process

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


HUB = """
import subprocess, sys, time
culler = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, text=True, start_new_session=True)
culler.stderr.readline()  # it runs
print(culler.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_managed", [True, False])
def test_a_managed_culler_ends_when_its_hub_is_killed(is_managed):
    """The next hub starts its own. One that runs beside the hub stays: whoever started it does not matter."""
    name = {"JUPYTERHUB_SERVICE_NAME": "idle-culler"} if is_managed else {}
    hub = subprocess.Popen(
        [sys.executable, "-c", HUB, *CULLER], env=environment(**name), stdout=subprocess.PIPE, text=True
    )
    try:
        culler = int(hub.stdout.readline())
    finally:
        hub.kill()
        hub.wait()
        hub.stdout.close()
    try:
        if is_managed:
            assert is_gone_within(10, culler)
        else:
            assert not is_gone_within(2.5, culler)
    finally:
        if not is_gone_within(0, culler):
            os.kill(culler, signal.SIGKILL)


SHELL = """
%s python -c '
import os, sys
print(os.getpid(), flush=True)
os.execv(sys.argv[1], sys.argv[1:])
' %s 2>"$LOG" &
until grep -q "idle for 10 min" "$LOG"; do sleep 0.1; done
"""


@pytest.mark.slow
@pytest.mark.parametrize("starter", ["", "nohup", "setsid"])
def test_an_external_service_outlives_the_shell_that_started_it(tmp_path, starter):
    """For its page it has the name of a service, as one that a hub starts; the shell ends once it runs."""
    folder = Path(sys.executable).parent
    shell = subprocess.Popen(
        ["sh", "-c", SHELL % (starter, " ".join(CULLER))],
        env=environment(
            JUPYTERHUB_SERVICE_NAME="idle-culler",
            LOG=str(tmp_path / "log"),
            PATH=f"{folder}{os.pathsep}{os.environ['PATH']}",
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    culler = int(shell.stdout.readline())
    try:
        assert shell.wait(timeout=30) == 0
        assert not is_gone_within(2.5, culler)
    finally:
        shell.stdout.close()
        os.kill(culler, signal.SIGKILL)


LOADS_SLOWLY = """
import os, runpy, sys
parent = os.getppid()

class Waits:
    def find_spec(self, name, path=None, target=None):
        if name == "k8s_hub.culler.application":
            print("loads", file=sys.stderr, flush=True)
            while os.getppid() == parent:
                pass

sys.meta_path.insert(0, Waits())
runpy.run_module("k8s_hub.culler", run_name="__main__")
"""


def test_a_culler_whose_hub_is_killed_while_it_loads_ends_too():
    """On a busy machine that takes seconds."""
    hub = subprocess.Popen(
        [sys.executable, "-c", HUB, sys.executable, "-c", LOADS_SLOWLY],
        env=environment(JUPYTERHUB_SERVICE_NAME="idle-culler"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        culler = int(hub.stdout.readline())
    finally:
        hub.kill()
        hub.wait()
        hub.stdout.close()
    try:
        assert is_gone_within(10, culler)
    finally:
        if not is_gone_within(0, culler):
            os.kill(culler, signal.SIGKILL)


def is_gone_within(seconds: float, pid: int) -> bool:
    """True when the process has ended; a zombie that nobody has waited for has ended."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except FileNotFoundError:
            return True
        if stat.rpartition(")")[2].split()[0] == "Z":
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
