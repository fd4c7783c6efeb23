"""URL and token of a culler that runs beside a command, in the hub's pod."""

import pytest

from k8s_hub.cli import volumes
from k8s_hub.cli.main import main
from k8s_hub.culler import beside
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.explain import Explain

URL = "http://127.0.0.1:9/hub/api"  # nothing listens there


@pytest.fixture
def processes(monkeypatch, tmp_path):
    """Return a folder like /proc; this process has neither URL nor token."""
    for name in ("JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL", "KUBERNETES_SERVICE_HOST"):
        # Set first: the command may set it, and the end of the test removes it again.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.setattr(beside, "PROCESSES", tmp_path)
    return tmp_path


def started(processes, number, command, **environment):
    """Add a process."""
    folder = processes / str(number)
    folder.mkdir()
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))
    (folder / "environ").write_text("".join(f"{name}={value}\0" for name, value in environment.items()))


def chart_culler(processes, module="k8s_hub.culler", flags=(f"--url={URL}", "--timeout=3600")):
    """Add the culler of the chart, whose flag and variable name different addresses."""
    started(
        processes,
        12,
        ["python3", "-m", module, *flags],
        JUPYTERHUB_API_TOKEN="of-the-culler",
        JUPYTERHUB_API_URL="http://hub:8081/hub/api",
    )


@pytest.mark.parametrize("other", [b"LANG=C.UTF-8", "PLACE=Zürich".encode("latin-1"), b"without-a-value"])
def test_the_token_is_found_beside_variables_of_any_bytes(processes, other):
    started(processes, 3, ["sh", "-c", "k8s_hub.culler --once"], JUPYTERHUB_API_TOKEN="of-a-shell")
    chart_culler(processes)
    environ = processes / "12" / "environ"
    environ.write_bytes(other + b"\0" + environ.read_bytes())
    assert beside.environment_of_hub()["JUPYTERHUB_API_TOKEN"] == "of-the-culler"


@pytest.mark.parametrize("module", ["k8s_hub.culler", "jupyterhub_idle_culler"])
@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ([], "http://hub:8081/hub/api"),
        ([f"--url={URL}"], URL),
        (["--url=http://other", f"--url={URL}", "--cull-users"], URL),
        (["--url", URL, "--cull-users"], URL),
        ([f"--IdleCuller.url={URL}"], URL),
        (["--IdleCuller.url", URL], URL),
        ([f"-url={URL}"], URL),
        (["--cull-users", "url", URL], "http://hub:8081/hub/api"),
    ],
)
def test_a_flag_of_the_culler_overrides_its_variable(processes, module, flags, url):
    chart_culler(processes, module, flags)
    assert beside.environment_of_hub()["JUPYTERHUB_API_URL"] == url


def test_a_token_of_ones_own_is_used_with_an_address_of_ones_own(processes, monkeypatch):
    chart_culler(processes)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "mine")
    environment = beside.environment_of_hub()
    assert environment["JUPYTERHUB_API_TOKEN"] == "mine"
    assert "JUPYTERHUB_API_URL" not in environment


ELSEWHERE = "https://other.example.org/hub/api"


@pytest.mark.parametrize("url", [URL, f"{URL}/", URL.replace("127.0.0.1", "localhost")])
@pytest.mark.parametrize("is_flag", [True, False])
def test_the_address_that_is_given_chooses_the_culler(processes, monkeypatch, url, is_flag):
    started(
        processes,
        11,
        ["python3", "-m", "k8s_hub.culler"],
        JUPYTERHUB_API_TOKEN="of-another",
        JUPYTERHUB_API_URL=ELSEWHERE,
    )
    chart_culler(processes)
    if not is_flag:
        monkeypatch.setenv("JUPYTERHUB_API_URL", url)
    environment = beside.environment_of_hub(url if is_flag else "")
    assert environment["JUPYTERHUB_API_TOKEN"] == "of-the-culler"


@pytest.mark.parametrize("is_flag", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        ["volumes", "list"],
        ["orphans", "list"],
        ["doctor"],
        ["cull", "explain", "ada"],
        ["cull", "--dry-run", "--once"],
    ],
    ids=" ".join,
)
def test_the_token_of_a_culler_is_never_sent_to_another_hub(
    processes, monkeypatch, capsys, arguments, is_flag
):
    chart_culler(processes)
    if is_flag:
        arguments = [*arguments, f"--url={ELSEWHERE}"]
    else:
        monkeypatch.setenv("JUPYTERHUB_API_URL", ELSEWHERE)
    assert ended(arguments) == 2
    said = capsys.readouterr().err
    assert f"JUPYTERHUB_API_TOKEN is not set, and the culler that runs here is of the hub {URL}" in said


def test_hubs_are_named_without_secrets(processes):
    for number, url in enumerate(["http://ada:hush@a:1/hub/api?hush", "http://[::1", "http://b/hub/api"]):
        started(
            processes,
            number,
            ["python3", "-m", "k8s_hub.culler"],
            JUPYTERHUB_API_TOKEN="t",
            JUPYTERHUB_API_URL=url,
        )
    hubs = "http://a:1, http://b/hub/api, without a valid URL"
    assert beside.cullers_here() == f"the cullers that run here are of the hubs {hubs}"


def test_where_no_culler_runs_there_is_nothing(processes, capsys):
    started(processes, 7, ["python3", "-m", "jupyterhub"], JUPYTERHUB_API_TOKEN="of-a-server")
    assert list(beside.running_cullers()) == []
    with pytest.raises(SystemExit):
        volumes.run(["list", "--url", URL])
    assert "no culler runs here" in capsys.readouterr().err


def test_a_culler_without_a_token_hides_none_that_has_one(processes):
    """As a dry run whose own variable is empty."""
    started(processes, 11, ["python3", "-m", "k8s_hub.culler", "--dry-run"], JUPYTERHUB_API_TOKEN=" ")
    chart_culler(processes)
    assert beside.environment_of_hub()["JUPYTERHUB_API_TOKEN"] == "of-the-culler"


def test_without_an_address_the_variable_is_named(processes, capsys):
    with pytest.raises(SystemExit) as ended:
        volumes.run(["list"])
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "the hub's URL is not set, and no culler runs here: set --url or JUPYTERHUB_API_URL" in printed


def ended(arguments):
    """Run the command, and return its exit code."""
    try:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
    finally:
        for kind in (Explain, IdleCuller):
            kind.clear_instance()
    return ended.value.code


def test_volumes_asks_with_it(processes, capsys):
    """... until it finds no cluster."""
    chart_culler(processes)
    assert volumes.run(["list"]) == 1
    assert "missing" in capsys.readouterr().err


def test_explain_asks_with_it(processes, capsys):
    """... until it finds no hub at its address."""
    chart_culler(processes)
    assert ended(["cull", "explain", "ada", "--timeout=3600"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize("switch", [["--dry-run"], ["--dry_run=true"], ["--config=dry.json"]])
def test_a_dry_run_asks_with_it(processes, monkeypatch, tmp_path, switch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dry.json").write_text('{"IdleCuller": {"dry_run": true}}')
    chart_culler(processes)
    culler = IdleCuller()
    culler.initialize(["--once", "--timeout=3600", *switch])
    settings = culler.plan().hub
    assert (settings.url, settings.token) == (URL, "of-the-culler")


def test_a_culler_that_stops_servers_needs_a_token_of_its_own(processes, capsys):
    chart_culler(processes)
    assert ended(["cull", "--once", "--timeout=3600", f"--url={URL}"]) == 2
    assert "JUPYTERHUB_API_TOKEN is not set" in capsys.readouterr().err


@pytest.mark.parametrize("has_url", [True, False])
def test_explain_judges_warnings_as_the_culler_that_runs_beside_it(
    processes, monkeypatch, tmp_path, capfd, has_url
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IDLE_CULLER_WARN_URL", raising=False)
    monkeypatch.delenv("JUPYTERHUB_SERVICE_URL", raising=False)
    chart_culler(processes)
    if has_url:
        environ = processes / "12" / "environ"
        environ.write_text(f"{environ.read_text()}IDLE_CULLER_WARN_URL=https://chat.example.org/hook\0")
        Explain().initialize(["ada", "--warn-before=60"])
        assert capfd.readouterr().err == ""
        return
    with pytest.raises(SystemExit):
        Explain().initialize(["ada", "--warn-before=60"])
    said = capfd.readouterr().err
    assert (
        "warn_before is 60, but neither warn_url nor warn_hook is set, and the culler that runs here" in said
    )


@pytest.mark.parametrize(("kind", "argument"), [(Explain, "ada"), (IdleCuller, "--dry-run")])
def test_without_a_culler_beside_it_a_way_to_warn_that_is_not_seen_is_told(
    processes, monkeypatch, tmp_path, capfd, kind, argument
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IDLE_CULLER_WARN_URL", raising=False)
    if kind is IdleCuller:  # it is a culler itself, maybe the one that runs here
        chart_culler(processes)
    kind().initialize([argument, "--warn-before=60"])
    said = capfd.readouterr().err
    assert "neither warn_url nor warn_hook is set: without one of them, a culler stops no servers" in said
    assert "Set IDLE_CULLER_WARN_URL here, too" in said


# --- The processes of cullers ---


@pytest.mark.parametrize(
    ("command", "is_culler"),
    [
        (["python3", "-m", "k8s_hub.culler"], True),
        (["python3", "-m", "jupyterhub_idle_culler", "--timeout=9"], True),
        (["/bin/python3", "/bin/k8s-hub", "cull", "--timeout=9"], True),
        (["python3", "-m", "k8s_hub", "cull"], True),
        (["/usr/bin/python3", "/usr/local/bin/jupyterhub-idle-culler", "--timeout=9"], True),
        (["jupyterhub-idle-culler"], True),
        (["python3.11", "-u", "/srv/cull_idle_servers.py", "--timeout=9"], True),
        (["/srv/cull_idle_servers.py"], True),
        (["vim", "/srv/cull_idle_servers.py"], False),
        (["python3", "-m", "jupyterhub", "--config=cull_idle_servers.py"], False),
        (["python3", "-m", "k8s_hub", "cull", "explain", "ada"], False),
        (["k8s-hub", "volumes", "list"], False),
        ([], False),
    ],
)
def test_the_command_of_a_culler(command, is_culler):
    assert beside.is_culler(command) is is_culler


def test_the_state_of_a_culler_s_process(processes):
    chart_culler(processes)
    started(processes, 13, ["python3", "-m", "jupyterhub"])
    started(processes, 14, [])
    for number, state in ((12, "S"), (13, "S"), (14, "Z")):
        (processes / str(number) / "stat").write_text(f"{number} (a (strange) name) {state} 1 1")
    states = [beside.state_of(number) for number in (12, 13, 14, 15)]
    assert states == [
        beside.ProcessState.RUNS,
        beside.ProcessState.ABSENT,
        beside.ProcessState.ENDED,
        beside.ProcessState.ABSENT,
    ]
