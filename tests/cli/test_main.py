import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from k8s_hub._version import __version__
from k8s_hub.cli import main as command
from k8s_hub.culler.application import IdleCuller


@pytest.fixture(autouse=True)
def _no_application_left():
    """An application is one per process: the culler's would be in the way of a test's hub."""
    yield
    IdleCuller.clear_instance()


def test_the_version(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"k8s-hub {__version__}\n"


def test_an_unknown_verb_is_wrong_usage_and_the_verbs_are_named(capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["spawn"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "'spawn'" in error
    assert all(verb in error for verb in command.VERBS)


def test_no_verb_is_wrong_usage():
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert ended.value.code == 2


@pytest.mark.parametrize("verb", command.VERBS)
def test_each_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([verb, "--help"])
    assert ended.value.code == 0
    assert "--" in capsys.readouterr().out


def test_python_dash_m_is_the_same_command():
    answer = subprocess.run(
        [sys.executable, "-m", "k8s_hub", "--version"], capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"k8s-hub {__version__}\n"


def test_the_culler_does_not_pay_for_the_spawner():
    code = (
        "import sys; from k8s_hub.cli.main import main\n"
        "try: main(['cull', '--version'])\n"
        "except SystemExit: pass\n"
        "packages = {name.split('.')[1] for name in sys.modules if name.startswith('k8s_hub.')}\n"
        "print(sorted(packages & {'spawner', 'kube'}), 'culler' in packages)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "[] True"


def test_ctrl_c_while_a_verb_is_still_being_loaded_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "import_module", interrupted)
    assert command.main(["cull"]) == 130
    assert capsys.readouterr().err == ""


@pytest.fixture
def _no_hub(monkeypatch):
    """A hub where nothing listens, so that the command asks no culler of this machine for another."""
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://127.0.0.1:9/hub/api")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "of-no-hub")


PRINTING = pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", "--kubeconfig", "/nowhere"],
        ["cull", "--help"],
        ["cull", "--generate-config"],
    ],
    ids=" ".join,
)


def printing_to(output, arguments, *, before="exec"):
    """Run the command with this output, and return its exit code and what it says of it."""
    command_line = ["sh", "-c", f'{before} "$@"', "sh", sys.executable, "-m", "k8s_hub", *arguments]
    ended = subprocess.run(command_line, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.usefixtures("_no_hub")
@PRINTING
def test_a_reader_that_has_enough_ends_the_command_without_a_traceback(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    said = printing_to(writing, arguments)
    os.close(writing)
    assert said == (128 + signal.SIGPIPE, "")


@pytest.mark.usefixtures("_no_hub")
def test_a_name_that_the_output_s_encoding_lacks_is_escaped(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    missing = tmp_path / "zoë"
    ended = subprocess.run(
        [sys.executable, "-m", "k8s_hub", "doctor", "--kubeconfig", str(missing)],
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert b"zo\\xeb" in ended.stdout


@pytest.mark.usefixtures("_no_hub")
@PRINTING
def test_a_disk_that_is_full_is_one_sentence(arguments):
    with Path("/dev/full").open("w") as full:
        said = printing_to(full, arguments)
    assert said == (1, "k8s-hub: the output cannot be written: No space left on device\n")


@pytest.mark.usefixtures("_no_hub")
@pytest.mark.parametrize("arguments", [["doctor", "--kubeconfig", "/nowhere"]])
def test_without_an_output_a_command_works(arguments):
    assert printing_to(None, arguments, before="exec >&-;") == (1, "")
