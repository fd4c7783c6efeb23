"""The migration guide and the page about subclasses are right: their code runs, their names and files exist."""

import re
import subprocess
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from jupyterhub.app import JupyterHub
from tornado.web import HTTPError
from traitlets.config import Config

from devkit.minicluster.resources import CLAIMS, PODS, SECRETS
from devkit.testing.bare import bare_spawner
from k8s_hub import KubeSpawner, diagnosis
from k8s_hub.cli.main import main
from k8s_hub.diagnosis import Observation, Reason, Refusal
from k8s_hub.diagnosis.diagnosis import at_deadline
from k8s_hub.diagnosis.rules import diagnose
from k8s_hub.spawner.compat.removed_names import INSTEAD
from tests.diagnosis.samples import event, seen, unscheduled
from tests.spawner.conftest import NAMESPACE

DOCS = Path(__file__).parent.parent.parent / "docs"
MIGRATION = DOCS / "howto" / "migrate-from-kubespawner.md"
SUBCLASSES = DOCS / "reference" / "subclassing.md"
PROGRESS = DOCS / "howto" / "progress.md"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def run(code):
    """Return what a piece of jupyterhub_config.py has configured."""
    c = Config()
    exec(code, {"c": c})
    return c


def spawner_class_of(c):
    return JupyterHub(config=c).spawner_class if "spawner_class" in c.JupyterHub else KubeSpawner


PIECES = [
    (page, code)
    for page in (MIGRATION, SUBCLASSES, PROGRESS)
    for code in blocks(page, "python")
    if "def test_" not in code
]


def test_the_pages_have_code():
    assert len(PIECES) > 8


@pytest.mark.slow
@pytest.mark.looptime
@pytest.mark.hub
@pytest.mark.parametrize(("page", "code"), [piece for piece in PIECES if "custom_object" not in piece[1]])
async def test_a_server_starts_with_each_piece_of_configuration(hub, cluster, page, code):
    c = run(code)
    spawner_class = spawner_class_of(c)
    if spawner_class.__module__.startswith("kubespawner"):
        return
    formatters = {"RuleEventFormatter": c.RuleEventFormatter} if "RuleEventFormatter" in c else {}
    async with hub(spawner_class=spawner_class, **c.KubeSpawner, **formatters) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")

        (pod,) = cluster.database.all(PODS, NAMESPACE)
        (claim,) = cluster.database.all(CLAIMS, NAMESPACE)
    for label in selectors(page):
        assert label in pod["metadata"]["labels"].items() | claim["metadata"]["labels"].items()


def selectors(page):
    return {tuple(each.split("=")) for each in re.findall(r"--selector (\S+)", page.read_text())}


@pytest.mark.looptime
@pytest.mark.hub
async def test_the_hook_of_the_guide_mounts_the_licence(hub, cluster):
    (code,) = (code for code in blocks(MIGRATION, "python") if "mount_licence" in code)
    async with hub(**run(code).KubeSpawner) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (before,) = cluster.database.all(PODS, NAMESPACE)
        api = hub.spawner("ada").api
        await api.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "licence"}})
        assert [each["metadata"]["name"] for each in cluster.database.all(SECRETS, NAMESPACE)] == ["licence"]
        await hub.start_server("bob")
        await hub.wait_ready("bob")
        (after,) = (pod for pod in cluster.database.all(PODS, NAMESPACE) if pod != before)

    assert "licence" not in str(before["spec"])
    assert {"name": "licence", "mountPath": "/licence"} in after["spec"]["containers"][0]["volumeMounts"]


@pytest.mark.looptime
@pytest.mark.hub
async def test_the_subclass_of_the_guide_marks_its_pods(hub, cluster):
    (code,) = (code for code in blocks(MIGRATION, "python") if "OurSpawner" in code)
    async with hub(spawner_class=run(code).JupyterHub.spawner_class) as hub:
        await hub.start_server("ada")
        await hub.wait_ready("ada")
        (pod,) = cluster.database.all(PODS, NAMESPACE)

    assert pod["metadata"]["annotations"]["cost-centre"] == "physics"


@pytest.mark.looptime
@pytest.mark.hub
async def test_the_hook_with_another_api_class_reaches_the_cluster(hub, cluster, caplog):
    (code,) = (code for code in blocks(SUBCLASSES, "python") if "custom_object" in code)
    async with hub(**run(code).KubeSpawner) as hub:
        await hub.start_server("ada")
        with pytest.raises(HTTPError):
            await hub.wait_ready("ada")
    assert "KubeSpawner.pre_spawn_hook failed" in caplog.text
    assert "kubernetes_asyncio.client.exceptions.ApiException: (404)" in caplog.text


def test_the_rules_of_the_guide_know_their_queue_and_their_webhook():
    (code,) = (code for code in blocks(PROGRESS, "python") if "c.KubeSpawner.diagnosis_rules" in code)
    rules = run(code).KubeSpawner.diagnosis_rules
    gated = unscheduled("Scheduling is blocked due to non-empty scheduling gates")
    gated["status"]["conditions"][0]["reason"] = "SchedulingGated"
    queued = diagnose(seen(gated, second=30), rules)
    refusal = {"code": 403, "message": 'admission webhook "gate.example.org" denied the request: E1017'}
    refused = diagnose(replace(seen(), refusal=Refusal.of(refusal, "Pod", "jupyter-ada")), rules)

    assert queued.sentence == "Your server is in the queue for GPUs, which usually takes 10 minutes."
    assert at_deadline(queued, timedelta(minutes=5)).sentence == (
        "Your server was still in the queue after 5 min. Try again after 6 PM."
    )
    assert refused.sentence == "Your image was not scanned yet. Ask for a scan at https://example.org/scan."
    assert diagnose(seen(unscheduled("1 Insufficient cpu")), rules).reason is Reason.UNSCHEDULABLE


def test_the_words_of_the_guide_are_those_of_its_events():
    (code,) = (code for code in blocks(PROGRESS, "python") if "RuleEventFormatter" in code)
    c = run(code)
    spawner = bare_spawner(config=c)
    told = event("Granted", "seat 7 of 20", reportingComponent="licence-controller", type="Warning")

    message = spawner.event_formatter.format_event(told)
    assert message == "Your licence is seat 7 of 20."
    assert spawner.decorate_progress_message(spawner, told, message) == {
        "message": "Your licence is seat 7 of 20. Help: https://example.org/help"
    }


def names_in_tables(page):
    cells = re.findall(r"^\| (`.+?) \|", page.read_text(), re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


def test_the_guide_names_what_rules_are_made_of():
    public = vars(diagnosis).keys() & set(diagnosis.__all__)
    assert {"Diagnosis", "Observation", "Reason", "Refusal", "Stage"} == public
    for name in names_in_tables(PROGRESS) - public:
        assert name in dir(Observation) or name in Observation.__dataclass_fields__, name


@pytest.mark.parametrize("text", blocks(MIGRATION, "yaml"))
def test_the_chart_s_values_configure_this_spawner(text):
    values = yaml.safe_load(text)["hub"]
    configured = values["config"]
    c = Config({"KubeSpawner": {"extra_labels": {"hub.jupyter.org/network-access-hub": "true"}}})
    for code in values.get("extraConfig", {}).values():
        exec(code, {"c": c})

    assert configured.get("KubeSpawner", {}).keys() <= set(KubeSpawner.class_trait_names(config=True))
    assert len(c.KubeSpawner.extra_labels) == 1 + ("extraConfig" in values)
    if "JupyterHub" in configured:
        assert JupyterHub(config=Config(configured)).spawner_class is KubeSpawner


@pytest.mark.parametrize("commands", blocks(MIGRATION, "bash"))
def test_the_commands_are_commands(commands):
    subprocess.run(["bash", "-n"], input=commands, text=True, check=True)

    for line in commands.splitlines():
        if line.startswith("k8s-hub "):
            with pytest.raises(SystemExit) as end:
                main([*line.split()[1:], "--help"])
            assert end.value.code == 0


def dotted_names():
    text = MIGRATION.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return sorted({name for row in rows for name in re.findall(r"`((?:kubespawner|k8s_hub)\.[\w.]+)`", row)})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", dotted_names())
def test_what_the_table_of_imports_names_exists(name):
    module, _, attribute = name.rpartition(".")
    if name.count(".") == 1:
        import_module(name)
    else:
        assert getattr(import_module(module), attribute)


@pytest.mark.parametrize("page", [MIGRATION, SUBCLASSES, PROGRESS, DOCS / "reference" / "traits.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]*)(?:#[\w-]+)?\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_page_about_subclasses_is_complete():
    text = SUBCLASSES.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text, re.MULTILINE))

    assert INSTEAD.items() <= rows.items()
    kept = {
        name
        for cell in re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)", cell)
    }
    assert not [
        name for name in kept - INSTEAD.keys() if not hasattr(KubeSpawner, name) and name not in ON_INSTANCES
    ]


ON_INSTANCES = {
    *("pod_name", "dns_name", "secret_name", "pvc_name", "pod_id", "name", "server"),
    *("user", "hub", "log", "user_options", "namespace"),
}
