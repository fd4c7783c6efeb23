"""``k8s-hub doctor``: usage, and what it says where there is no cluster and no hub."""

import json

import pytest

from k8s_hub.cli import doctor
from k8s_hub.culler import beside


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    for name in ("KUBERNETES_SERVICE_HOST", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.setattr(beside, "PROCESSES", tmp_path / "proc")  # no culler of this machine


def test_without_a_cluster_it_says_where_it_looked_and_checks_the_rest(capsys, tmp_path):
    (tmp_path / "config.py").write_text("c.KubeSpawner.image = 'a'\n")
    arguments = [f"--hub-config={tmp_path}/config.py", f"--db-url=sqlite:///{tmp_path}/none.sqlite"]
    assert doctor.run(["--json", *arguments]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    (wrong,) = (one for one in found if one["status"] == "wrong")
    assert (wrong["check"], wrong["subject"]) == ("cluster", "API server")
    assert "missing" in wrong["message"]
    assert {"configuration", "database", "versions", "culler"} <= {one["check"] for one in found}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--claim-template=claim-{user}"], "--claim-template: "),
        (["--pod-template={"], "--pod-template: "),
        (["--port=many"], "'many'"),
        (["--port=99999"], "'99999' is not a port from 0 to 65535"),
        (["--nonsense"], "--nonsense"),
        (["--service-account=jhub/"], "'jhub/' is not a service account, such as hub or jhub/hub"),
        (["--service-account="], "'' is not a service account"),
        (["--service-account=system/jhub/hub"], "'system/jhub/hub' is not a service account"),
        (["--culler-flags=--timeout=1h"], "of an IdleCuller instance expected an int, not the str '1h'"),
        (["--culler-flags=--help"], "they end before the culler starts, as --help does"),
    ],
)
def test_wrong_usage(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        doctor.run(arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_token_without_an_address_is_wrong_usage(monkeypatch, capsys):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    with pytest.raises(SystemExit) as caught:
        doctor.run([])
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert "JUPYTERHUB_API_URL" in printed
    assert "secret" not in printed


def test_all_mistakes_of_a_culler_s_flags_are_found_and_those_of_its_rules_file(tmp_path):
    rules = tmp_path / "r.yaml"
    rules.write_text("- {timeout: 1:30, match: {usr: x}}\n")
    said = doctor._mistakes_in(["--timout=60", "--concurrency=-1", f"--rules-file={rules}"])
    words = ("unknown flag '--timout=60'", "'concurrency'", "'1:30'", "match.usr: is unknown")
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True)), said
    assert doctor._mistakes_in(["--rules-file=of-its-folder.yaml"]) == ()


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfc.KubeSpwner.image = 'a'",
        "# coding: latin-1\nc.KubeSpwner.image = 'Zürich'".encode("latin-1"),
    ],
)
def test_a_hub_s_configuration_is_read_as_python_reads_it(tmp_path, content):
    (tmp_path / "config.py").write_bytes(content)
    (found,) = doctor._of_configuration(tmp_path / "config.py")
    assert "did you mean KubeSpawner?" in found.message
