"""The demo as a person meets it: an introduction, and Ctrl-C or worse at any moment leaves nothing running."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from devkit.demo.process import program
from devkit.demo.settings import claimed, free_port

pytestmark = [pytest.mark.hub, pytest.mark.slow]


@pytest.fixture
def demo(tmp_path):
    """A demo whose pods are listeners, as a process of its own."""
    with started(tmp_path, "--idle", "60") as process:
        yield process


@contextmanager
def started(directory, *options, port=None):
    command = [sys.executable, "-m", "devkit", "demo", "--pods", "listener", *options]
    places = ["--port", str(port or free_port()), "--directory", str(directory / "demo")]
    with subprocess.Popen(
        [*command, *places], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def wait_for_log(directory, name):
    """Return when that part has written its first line: the demo is in the middle of starting."""
    log = directory / "demo" / name
    wait_until(lambda: log.is_file() and log.stat().st_size > 0)


def test_an_introduction_and_ctrl_c(demo, tmp_path):
    lines, family = introduction_and_family(demo, tmp_path)
    text = "".join(lines)
    assert re.search(r"Open  http://127.0.0.1:\d+  in a browser", text)
    assert "The culler warns after 40 s without activity and stops the server after 1 min." in text
    assert "/services/idle-culler/all ." in text
    assert f"Logs and users' files are in {tmp_path}/demo. Press Ctrl-C to stop." in text
    assert "If doctor advises an administrator's kubeconfig" in text
    assert "isolates processes no further than the operating system does" in text

    demo.send_signal(signal.SIGINT)

    assert demo.wait(timeout=60) == 0
    *_, last = demo.stdout.read().splitlines()
    assert last == (
        f"The demo has stopped: no process is left. Users' files stay in {tmp_path}/demo for the next time."
    )
    assert demo.stderr.read() == ""
    assert alive(family) == set()


def test_a_terminal_with_the_pasted_variables_outlives_the_demo(demo, tmp_path):
    lines, family = introduction_and_family(demo, tmp_path)
    (export,) = [line for line in lines if line.startswith("  export ")]
    with subprocess.Popen(["sh", "-ec", f"{export}\nexec sleep 60"]) as terminal:
        wait_until(lambda: b"sleep\0" in Path(f"/proc/{terminal.pid}/cmdline").read_bytes())
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0
        assert terminal.poll() is None
        terminal.kill()
    assert alive(family) == set()


def test_a_culler_that_does_not_end_with_the_hub_is_killed_and_named(tmp_path):
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(99)"
    config = tmp_path / "own.py"
    config.write_text(
        f"c.JupyterHub.services = [{{'name': 'deaf', 'command': [{sys.executable!r}, '-c', {deaf!r}]}}]"
    )
    with started(tmp_path, "--config", str(config)) as demo:
        list(takewhile(lambda line: line != "What happens from now on:\n", demo.stdout))
        wait_until(lambda: "\ndeaf\n" in (tmp_path / "demo/hub.log").read_text())
        (hub,) = [
            pid
            for pid in descendants(demo.pid)
            if b"jupyterhub\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(hub, signal.SIGKILL)
        assert demo.wait(timeout=60) == 1
        (killed,) = [line for line in demo.stdout if line.startswith("The demo killed process ")]
    pid = int(re.search(r"\d+", killed)[0])
    assert "SIG_IGN" in killed
    assert alive({pid}) == set()


def test_the_lines_to_paste_work(demo, tmp_path):
    lines, _ = introduction_and_family(demo, tmp_path)
    pasted = [line for line in lines if line.startswith("  export ") or "k8s-hub" in line]
    assert len(pasted) == 4
    answer = subprocess.run(
        ["sh", "-e"], input="".join(pasted[:3]), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "ok       culler" in answer.stdout
    assert "0 claims" in answer.stdout
    explained = subprocess.run(
        ["sh", "-e"], input=pasted[0] + pasted[3], capture_output=True, text=True, check=False
    )
    assert explained.stderr.startswith("k8s-hub cull explain: the hub has no user 'ada', or ")


OWN = """
c.JupyterHub.authenticator_class = "github"
c.JupyterHub.hub_connect_url = "http://hub:8081"
c.KubeSpawner.namespace = "jhub"
c.KubeSpawner.memory_limits = "1G"
c.JupyterHub.services = [
    {
        "name": "culler",
        "command": [
            *("python3", "-m", "k8s_hub.culler", "--url=http://localhost:8081/hub/api"),
            *("--timeout=90", "--warn-before=30", "--rules-file=rules.json"),
        ],
        "environment": {"IDLE_CULLER_WARN_URL": "http://127.0.0.1:1/secret"},
    },
]
c.JupyterHub.load_roles = [
    {"name": "culler", "services": ["culler"], "scopes": ["list:users", "read:servers", "delete:servers"]}
]
"""


def test_a_configuration_of_ones_own(tmp_path):
    config = tmp_path / "own.py"
    config.write_text(OWN)
    (tmp_path / "rules.json").write_text('[{"match": {"profile": "gpu"}, "timeout": 200}]')
    with started(tmp_path, "--config", str(config)) as demo:
        lines, _ = introduction_and_family(demo, tmp_path)
        pasted = [line for line in lines if line.startswith("  export ") or "cull explain" in line]
        explained = subprocess.run(
            ["sh", "-e"], input="".join(pasted), capture_output=True, text=True, check=False
        )
        token = re.search(
            r"^export JUPYTERHUB_API_TOKEN=(\w+)$",
            (tmp_path / "demo/culler-variables.sh").read_text(),
            re.MULTILINE,
        )[1]
        api = re.search(r"JUPYTERHUB_API_URL=(\S+)", pasted[0])[1]
        asked = Request(f"{api}/user")
        asked.add_header("Authorization", f"token {token}")
        with urlopen(asked) as reply:
            assert json.load(reply)["name"] == "culler"
        told = [next(demo.stdout), next(demo.stdout)]
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 0
    assert {line[10:60] for line in told} == {
        "The hub's log warns: Config option `memory_limits`",
        "The hub's log warns: The API token lacks the scope",
    }
    assert explained.stderr.startswith("k8s-hub cull explain: the hub has no user 'ada', or ")
    assert lines[1].startswith(f"The hub with {config} is ready after ")
    assert lines[3] == (
        "The demo replaces these settings: JupyterHub.authenticator_class, JupyterHub.hub_connect_url, "
        "KubeSpawner.namespace, --url of the service culler.\n"
    )
    assert pasted[1] == (
        f"  (. {tmp_path}/demo/culler-variables.sh && cd {tmp_path} && "
        f"{Path(sys.executable).with_name('k8s-hub')} "
        "cull explain ada --timeout=90 --warn-before=30 --rules-file=rules.json)\n"
    )
    assert "secret" not in "".join(lines)


def test_a_mistake_in_a_configuration_of_ones_own_is_told_in_one_line(tmp_path):
    config = tmp_path / "own.py"
    config.write_text("import no_such_module\n")
    with started(tmp_path, "--config", str(config)) as demo:
        assert demo.wait(timeout=60) == 1
        assert demo.stderr.read() == (
            "demo: the hub ended while starting: ModuleNotFoundError: No module named 'no_such_module' "
            f"in {config}, line 1 ({tmp_path}/demo/hub.log). If a package has this module, install it: "
            f"{program('pip')} install PACKAGE\n"
        )


def test_an_idle_limit_has_no_effect_on_a_configuration_of_ones_own(tmp_path):
    with started(tmp_path, "--config", str(tmp_path / "own.py"), "--idle", "20") as demo:
        assert demo.wait(timeout=60) == 2
        assert demo.stderr.read().endswith(
            "error: --idle has no effect with --config: set the timeout of your configuration's culler\n"
        )


def test_a_second_demo_is_told_of_the_directory_before_the_port(tmp_path):
    in_use = f"demo: --directory {tmp_path}/demo is in use by another demo"
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        claimed(tmp_path / "demo"),
        started(tmp_path, port=taken.getsockname()[1]) as demo,
    ):
        assert demo.wait(timeout=60) == 1
        assert demo.stderr.read().startswith(in_use)


@pytest.mark.parametrize("log", ["mini-cluster.log", "proxy.log", "hub.log"])
def test_told_to_stop_while_a_part_starts(demo, tmp_path, log):
    wait_for_log(tmp_path, log)
    family = descendants(demo.pid)
    demo.terminate()
    assert demo.wait(timeout=60) == 143
    assert demo.stderr.read() == ""
    assert alive(family) == set()


def test_a_killed_demo_takes_everything_with_it(demo, tmp_path):
    _, family = introduction_and_family(demo, tmp_path)
    demo.kill()
    wait_until(lambda: not alive(family))


def test_a_killed_hub_ends_the_demo_with_a_sentence(demo, tmp_path):
    _, family = introduction_and_family(demo, tmp_path)
    (hub,) = [pid for pid in family if b"jupyterhub\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(hub, signal.SIGKILL)
    assert demo.wait(timeout=60) == 1
    assert demo.stderr.read().startswith("demo: the hub ended by itself with code -9: ")
    assert alive(family) == set()


def introduction_and_family(demo, directory):
    """The introduction, and the pids of mini cluster, proxy, hub and culler once the last knows its hub."""
    lines = list(takewhile(lambda line: line != "What happens from now on:\n", demo.stdout))
    log = directory / "demo/hub.log"
    wait_until(lambda: "culler: sweeps " in log.read_text())
    family = descendants(demo.pid)
    assert len(family) == 4
    return lines, family


def descendants(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = {int(child) for task in tasks for child in task.read_text().split()}
    return children.union(*(descendants(child) for child in children))


def alive(pids):
    """The pids that still have a process; zombies have none."""
    return {pid for pid in pids if state_of(pid) not in {"Z", ""}}


def state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_until(question):
    deadline = time.monotonic() + 60
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.02)
