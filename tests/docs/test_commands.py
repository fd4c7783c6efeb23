"""Every command in the documentation is tried, or marked as one for a cluster of the reader's own."""

import re
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import yaml
from traitlets.config import Config

from k8s_hub import KubeSpawner
from k8s_hub.cli.main import VERBS
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.explain import Explain
from k8s_hub.doctor.checks.rights import NEEDED

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "helm-values/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MARK = re.compile(r"on a\s+cluster\s+of\s+your\s+own", re.IGNORECASE)
SHELLS = {"sh", "bash", "shell", "console"}
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ .*$", re.MULTILINE)
INDENTED = re.compile(r"\n\n((?:    make .*\n)+)")
PROGRAMS = ("$ ", "kubectl ", "helm ", "docker ", "k8s-hub ", "make ", "curl ")


def blocks():
    """Each block of commands: its page, whether it is marked, and its lines."""
    for page in PAGES:
        text, section = page.read_text(), ""
        end = 0
        for found in FENCED.finditer(text):
            # A mark holds for what follows it in its section.
            section = HEADING.split(section + text[end : found.start()])[-1]
            is_marked = bool(MARK.search(section))
            end = found.end()
            lines = found[3].splitlines()
            if found[2] in SHELLS or (
                not found[2] and any(line.strip().startswith(PROGRAMS) for line in lines)
            ):
                yield page, is_marked, lines
        for found in INDENTED.finditer(text):
            yield page, False, found[1].splitlines()


def commands(lines):
    """The commands among the lines, without comments; where some have a prompt, the others are output."""
    joined = re.sub(r"\\\n|(?<=[|&])\n", " ", "\n".join(lines)).splitlines()
    prompted = [line.strip().removeprefix("$ ") for line in joined if line.strip().startswith("$ ")]
    for line in prompted or joined:
        words = shlex.split(line.removeprefix(".venv/bin/"), comments=True)
        for is_operator, command in groupby(words, {"&&", "||"}.__contains__):
            if not is_operator:
                yield list(command)


TRIED = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}: {shlex.join(words)}")
    for page, is_marked, lines in blocks()
    if not is_marked
    for words in commands(lines)
]


def test_there_are_commands():
    assert len(TRIED) > 12
    assert sum(is_marked for _, is_marked, _ in blocks()) > 8


@pytest.mark.parametrize("words", TRIED)
def test_a_command_that_is_not_marked_is_one_that_there_is(words, monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    match words:
        case ["make", *_]:
            made = subprocess.run(
                [*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert made.returncode == 0, made.stderr
        case ["python3", "-m", "k8s_hub.culler", *arguments]:
            IdleCuller().parse_command_line(arguments)
        case ["export", *assignments]:
            assert all(re.match(r"[A-Z_]+=", one) for one in assignments)
        case [".", ".demo/own/culler-variables.sh"]:
            pass  # tests/devkit/demo/test_command.py reads it
        case ["pytest", *_, "/path/to/your/tests"]:
            pass  # test_own_tests.py runs it
        case ["k8s-hub", "cull", "explain", *arguments]:
            Explain().initialize(arguments)
        case ["k8s-hub", verb, *arguments]:
            assert verb in VERBS
            import_module(f"k8s_hub.cli.{verb}")._parser().parse_args(arguments)
        case _:
            pytest.fail(
                f"nobody tries {shlex.join(words)!r}: try it here, or mark it as one for a cluster of one's own"
            )


MARKED = [words for _, is_marked, lines in blocks() if is_marked for words in commands(lines)]


def following(words, option):
    """What stands behind each of these options."""
    return [value for name, value in pairwise(words) if name == option]


def test_the_marked_commands_of_this_package_are_such_that_there_are():
    found = [words[words.index("doctor") + 1 :] for words in MARKED if "doctor" in words]
    assert len(found) >= 3
    for arguments in found:
        import_module("k8s_hub.cli.doctor")._parser().parse_args(arguments)


def test_the_marked_commands_name_one_namespace():
    of_clusters = [words for words in MARKED if words[0] in {"kubectl", "helm"} and "repo" not in words]
    named = {
        name for words in of_clusters for option in ("--namespace", "-n") for name in following(words, option)
    }
    assert len(of_clusters) > 15
    assert named == {"jhub"}


def test_the_recipe_for_the_chart_names_files_that_there_are():
    upgrades = [words for words in MARKED if words[:2] == ["helm", "upgrade"]]
    files = {file for words in upgrades for file in following(words, "-f")}
    (written,) = {words[-1] for words in MARKED if words[:3] == ["helm", "get", "values"]}
    assert written in files
    assert len(files) >= 4
    assert all((ROOT / file).is_file() for file in files - {written})
    # Helm takes the last of two values: the reader's own.
    assert all(words[-1] == written for words in upgrades)


def test_the_recipe_for_the_chart_makes_what_its_first_file_mounts():
    values = yaml.safe_load((ROOT / "helm-values/code-from-wheel.yaml").read_text())["hub"]
    (volume,), (mount,) = values["extraVolumes"], values["extraVolumeMounts"]
    made = [words for words in MARKED if {"create", "configmap"} <= {*words}]
    assert made
    for words in made:
        name, source = words[words.index("configmap") + 1 :][:2]
        assert name == volume["configMap"]["name"]
        assert source.startswith(f"--from-file={mount['subPath']}=")


def test_the_copy_of_the_database_has_what_only_its_log_has(tmp_path):
    """With helm-values/large-hub.yaml the last commits are in jupyterhub.sqlite-wal."""
    (code,) = {
        words[words.index("-c") + 1] for words in MARKED if "sqlite3" in " ".join(words) and "-c" in words
    }
    (copied,) = {words[words.index("cat") + 1] for words in MARKED if "cat" in words}
    assert copied in code
    there = str(tmp_path / "jupyterhub.sqlite")
    with closing(sqlite3.connect(there)) as hub:
        hub.execute("PRAGMA journal_mode=WAL")
        hub.execute("CREATE TABLE users (name)")
        hub.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        hub.execute("INSERT INTO users VALUES ('ada')")
        hub.commit()
        shutil.copy(there, tmp_path / "alone.sqlite")
        exec(re.sub(r'"/(srv/jupyterhub|tmp)/', f'"{tmp_path}/', code), {})
    users = [names_in(tmp_path / name) for name in ("alone.sqlite", Path(copied).name)]
    assert users == [[], [("ada",)]]


def names_in(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT name FROM users").fetchall()


# --- On your cluster, without the chart ---

OWN = (ROOT / "docs/howto/own-cluster.md").read_text()


def test_the_role_has_what_the_doctor_asks_for():
    (block,) = re.findall(r"```yaml\n(.*?)```", OWN, re.DOTALL)
    (role,) = [one for one in yaml.safe_load_all(block) if one["kind"] == "Role"]
    granted = {(verb, kind) for rule in role["rules"] for verb in rule["verbs"] for kind in rule["resources"]}
    assert granted == {(right.verb, right.resource) for right in NEEDED}


def test_the_configuration_has_options_that_there_are():
    from jupyterhub.app import JupyterHub

    (block,) = re.findall(r"```python\n(.*?)```", OWN, re.DOTALL)
    c = Config()
    exec(block, {"c": c})
    assert set(c.KubeSpawner) <= set(KubeSpawner.class_trait_names(config=True))
    hub = JupyterHub(config=c)
    assert set(c.JupyterHub) <= set(hub.trait_names())
    assert hub.spawner_class is KubeSpawner
