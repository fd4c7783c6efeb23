"""URL and token of a culler that runs beside a command, in the hub's pod."""

import pytest

from k8s_hub.cli import sources, volumes
from k8s_hub.cli.main import main
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
    monkeypatch.setattr(sources, "PROCESSES", tmp_path)
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
    assert sources.environment_of_hub()["JUPYTERHUB_API_TOKEN"] == "of-the-culler"


@pytest.mark.parametrize("module", ["k8s_hub.culler", "jupyterhub_idle_culler"])
@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ([], "http://hub:8081/hub/api"),
        ([f"--url={URL}"], URL),
        (["--url=http://other", f"--url={URL}", "--cull-users"], URL),
    ],
)
def test_a_flag_of_the_culler_overrides_its_variable(processes, module, flags, url):
    chart_culler(processes, module, flags)
    assert sources.environment_of_hub()["JUPYTERHUB_API_URL"] == url


def test_a_token_of_ones_own_is_used_with_an_address_of_ones_own(processes, monkeypatch):
    chart_culler(processes)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "mine")
    environment = sources.environment_of_hub()
    assert environment["JUPYTERHUB_API_TOKEN"] == "mine"
    assert "JUPYTERHUB_API_URL" not in environment


def test_where_no_culler_runs_there_is_nothing(processes, capsys):
    started(processes, 7, ["python3", "-m", "jupyterhub"], JUPYTERHUB_API_TOKEN="of-a-server")
    assert sources.environment_of_culler(processes) == {}
    with pytest.raises(SystemExit):
        volumes.run(["list", "--url", URL])
    assert "no culler runs here" in capsys.readouterr().err


def test_volumes_and_explain_ask_with_it(processes, capsys):
    """... until they find no cluster, and no hub at its address."""
    chart_culler(processes)
    assert volumes.run(["list"]) == 1
    assert "missing" in capsys.readouterr().err

    with pytest.raises(SystemExit) as ended:
        main(["cull", "explain", "ada", "--timeout=3600"])
    Explain.clear_instance()
    assert ended.value.code == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
