"""What the guides of the culler say is tried: rules, configurations, flags, scopes, metrics and causes exist."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from jupyterhub.app import JupyterHub
from jupyterhub.scopes import scope_definitions
from traitlets.config import Config

from devkit.chart.evaluation import CULLER_SCOPES
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.core import needs
from k8s_hub.culler.core.decision import Decision
from k8s_hub.culler.core.mistakes import BadOption
from k8s_hub.culler.core.policy import Cause, Facts, Verdict
from k8s_hub.culler.core.rules import Limits, MatchedRule, Rules, sections
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.metrics import Metrics
from k8s_hub.culler.notifications import warning_payload
from k8s_hub.hub.users import user_of

DOCS = Path(__file__).parent.parent.parent / "docs"
CULLING = DOCS / "howto" / "culling.md"
MIGRATION = DOCS / "howto" / "migrate-from-idle-culler.md"
PAGE = DOCS / "howto" / "culling-page.md"
CHECKS = DOCS / "howto" / "culling-checks.md"
PAGES = (CULLING, PAGE, CHECKS, MIGRATION)

DEFAULTS = Limits(timeout=timedelta(hours=1))
WEDNESDAY_NOON = datetime(2026, 7, 1, 10, tzinfo=UTC)  # noon in Berlin
WEDNESDAY_EVENING = datetime(2026, 7, 1, 17, tzinfo=UTC)  # between the hours of two rules
WEDNESDAY_NIGHT = datetime(2026, 7, 1, 21, tzinfo=UTC)
FRIDAY_EVENING = datetime(2026, 7, 3, 17, tzinfo=UTC)
EXAM = datetime(2026, 7, 15, 10, tzinfo=UTC)
SUNDAY_NOON = datetime(2026, 7, 5, 10, tzinfo=UTC)


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def rules_of_the_guide():
    (text,) = (text for text in blocks(CULLING, "yaml") if text.startswith("rules:"))
    return yaml.safe_load(text)


# --- Rules ---


def user_model(**fields):
    return {"name": "ada", "admin": False, "groups": [], "servers": {}, **fields}


def matched(now=WEDNESDAY_EVENING, *, groups=(), name="", options=None):
    server = {"name": name, "ready": True, "user_options": options or {}, "state": {}}
    user = user_of(user_model(groups=list(groups), servers={name: server}))
    return Rules.parse(rules_of_the_guide()).for_server(user.servers[0], user, DEFAULTS, now)


HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


@pytest.mark.parametrize(
    "found, rule, limits",
    [
        (matched(groups=["staff"]), "staff", Limits(timeout=HOUR, exempt=True)),
        (matched(options={"profile": "gpu-small"}), "gpu", Limits(timeout=20 * MINUTE, max_age=24 * HOUR)),
        (
            matched(options={"profile": "ds", "image": "lab:nightly"}),
            "trial image",
            Limits(timeout=20 * MINUTE),
        ),
        (matched(options={"profile": "ds", "image": "lab:4"}), None, DEFAULTS),
        (matched(WEDNESDAY_NIGHT), "nights", Limits(timeout=15 * MINUTE)),
        (matched(WEDNESDAY_NOON), "workdays", Limits(timeout=3 * HOUR)),
        (matched(SUNDAY_NOON), "weekend", Limits(timeout=30 * MINUTE)),
        (matched(FRIDAY_EVENING), "weekend", Limits(timeout=30 * MINUTE)),
        (matched(EXAM), "workdays", Limits(timeout=3 * HOUR)),
        (matched(EXAM, groups=["statistics-101"]), "exam", Limits(timeout=6 * HOUR)),
        (matched(name="ml-course-7"), "course", Limits(timeout=6 * HOUR, busy_limit=12 * HOUR)),
        (matched(), None, DEFAULTS),
    ],
)
def test_the_rules_of_the_guide_do_what_it_says(found, rule, limits):
    assert (found.name, found.limits) == (rule, limits)


def test_the_users_of_the_guide_are_deleted_as_it_says():
    (text,) = (text for text in blocks(CULLING, "yaml") if text.startswith("users:"))
    _, users = sections(yaml.safe_load(text), "guide")
    decider = Decider(
        limits=DEFAULTS, user_limits=Limits(timeout=60 * 24 * HOUR), user_rules=Rules.parse_users(users)
    )

    def limits_of(name, *groups):
        user = user_of(user_model(name=name, groups=list(groups)))
        return decider.decide_user(user, SUNDAY_NOON).matched.limits

    assert limits_of("guest-7").timeout == 24 * HOUR
    assert limits_of("ada").timeout == 60 * 24 * HOUR
    assert limits_of("ada", "staff").exempt


def test_no_role_of_a_guide_or_of_a_file_has_the_power_to_do_everything():
    """With the scope tokens the culler can make itself a token of an admin; with access:servers it opens all servers."""
    folders = (DOCS / "howto", DOCS.parent / "helm-values")
    texts = [
        path.read_text()
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in {".md", ".yaml"}
    ]
    granted = [scopes for text in texts for scopes in re.findall(r'scopes"?\]? ?[:+=]+ ?(\[[^]]*\])', text)]
    assert len(granted) >= 4
    assert not [scopes for scopes in granted if "tokens" in scopes or "access:servers" in scopes]


def test_every_guide_that_asks_servers_gives_them_tokens():
    texts = [text for page in PAGES for kind in ("python", "yaml") for text in blocks(page, kind)]
    texts += [path.read_text() for path in (DOCS.parent / "helm-values").glob("*.yaml")]
    probe = [text for text in texts if re.search(r"--ask-servers|ask_servers: true", text)]
    assert len(probe) >= 2
    assert all("save_access_token" in text and "admin:server_state" in text for text in probe)


def test_the_guide_says_what_each_scope_can_do():
    table = CULLING.read_text().split("| scope | is the power to |")[1].split("\n\n")[0]
    told = set(
        re.findall(r"`([\w:]+)`", " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    )
    known = {
        value
        for name, value in vars(needs).items()
        if name[0] != "_" and name.isupper() and isinstance(value, str)
    }
    of_the_chart = set(CULLER_SCOPES) | {"admin:users"}
    assert told == known | of_the_chart


def test_the_guide_explains_every_key_of_a_match():
    table = CULLING.read_text().split("| key of `match` |")[1].split("\n\n")[0]
    with pytest.raises(BadOption, match="known keys are ") as refused:
        Rules.parse([{"match": {"xyz": "*"}, "timeout": 1}])
    keys = str(refused.value).rpartition("known keys are ")[2].split(", ")
    assert set(keys) == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_what_makes_no_sense_is_refused_as_the_guide_shows():
    (shown,) = (text.strip() for text in blocks(CULLING, "text"))
    fine = {"match": {"user": "ada"}, "timeout": 1}
    with pytest.raises(BadOption) as refused:
        Rules.parse([fine, fine, {"match": {"usr": "ada"}, "timeout": 1}])
    assert str(refused.value) == shown


def test_the_arbiter_of_the_guide_answers():
    (code,) = (code for code in blocks(CULLING, "python") if "def arbiter" in code)
    hook = configured(code).IdleCuller.cull_arbiter_hook
    answers = [
        hook(inactive=1.5 * HOUR, inactive_limit=3600, server={}, user=user_model(groups=groups))
        for groups in ([], ["teachers"])
    ]
    assert answers == [True, False]


# --- Configurations ---


def configured(code, c=None):
    c = Config() if c is None else c
    exec(code, {"c": c})
    return c


def refuse_nothing(command):
    """Start a culler with these flags as far as reading them goes."""
    arguments = command[command.index("k8s_hub.culler") + 1 :]
    IdleCuller().initialize(arguments)


SERVICES = [
    (page, code) for page in PAGES for code in blocks(page, "python") if "JupyterHub.services" in code
]


@pytest.mark.parametrize(("page", "code"), SERVICES)
def test_services_of_the_guides_have_flags_that_exist(page, code, monkeypatch):
    hub = JupyterHub(config=configured(code))
    (service,) = hub.services
    for name, value in service.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    refuse_nothing(service["command"])
    for role in hub.load_roles:
        assert all_exist(role["scopes"])


def all_exist(scopes):
    return {scope.partition("!")[0] for scope in scopes} <= scope_definitions.keys()


def test_the_scopes_of_the_guide_exist():
    table = CULLING.read_text().split("| for | scopes |")[1].split("\n\n")[0]
    cells = [line.split("|")[2] for line in table.splitlines() if line.count("|") == 3]
    scopes = [scope for cell in cells for scope in re.findall(r"`([^`]+)`", cell)]
    assert len(scopes) >= 8
    assert all_exist(scopes)


def test_the_options_for_the_chart_are_options(monkeypatch, tmp_path):
    """What the chart makes of all pieces together is tried in tests/chart."""
    (text,) = (text for text in blocks(CULLING, "yaml") if text.startswith("hub:"))
    (file,) = yaml.safe_load(text)["hub"]["extraFiles"].values()
    (options,) = file["data"].values()
    assert options.keys() <= set(IdleCuller.class_trait_names(config=True))
    (tmp_path / "options.json").write_text(json.dumps(file["data"]))
    for name, value in {"API_TOKEN": "secret", "API_URL": "http://localhost:8081/hub/api"}.items():
        monkeypatch.setenv(f"JUPYTERHUB_{name}", value)
    culler = IdleCuller()
    culler.initialize([f"--config={tmp_path}/options.json", "--timeout=3600"])
    plan = culler.plan()
    assert plan.warning.url == options["warn_url"]
    assert plan.decider.rules.rules


@pytest.mark.parametrize("commands", [text for page in PAGES for text in blocks(page, "bash")])
def test_the_commands_are_commands(commands):
    subprocess.run(["bash", "-n"], input=commands, text=True, check=True)
    for line in commands.splitlines():
        refuse_nothing(line.split())


@pytest.mark.parametrize("page", PAGES)
def test_flags_and_links_lead_somewhere(page):
    text = page.read_text()
    flags = {flag.replace("_", "-") for flag in re.findall(r"`[^`\n]*?--([a-z_-]+)", text)}
    known = {"debug", *IdleCuller.aliases, *IdleCuller.flags}
    assert flags <= known, flags - known
    for target, part in re.findall(r"\]\(([^)#]*)(?:#([\w-]+))?\)", text):
        assert "://" in target or not target or (page.parent / target).exists(), target
        if not target:
            assert part in anchors(text), part


def anchors(text):
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


# --- What it says of itself ---


def test_the_metrics_of_the_guide_exist():
    named = set(re.findall(r"`(k8s_hub_culler_\w+)`", CHECKS.read_text()))
    metrics = list(Metrics().registry.collect())
    there = {metric.name + ("_total" if metric.type == "counter" else "") for metric in metrics}
    assert named
    assert named <= there, named - there


def test_every_cause_to_keep_a_server_has_a_row():
    table = CHECKS.read_text().split("| cause | meaning |")[1].split("\n\n")[0]
    causes = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    words = {cause.value for cause in Cause} - {Cause.IDLE.value, Cause.OLD.value, Cause.OUTAGE_GRACE.value}
    assert not [each for each in words if each not in causes]
    assert "after an outage" in causes


def test_a_warning_has_the_keys_that_the_guide_shows():
    (shown,) = (json.loads(text) for text in blocks(PAGE, "json"))
    active = "2026-07-01T11:00:00Z"
    server = {"name": "", "ready": True, "started": active, "last_activity": active}
    user = user_of(user_model(servers={"": server}))
    now = datetime(2026, 7, 1, 11, 50, tzinfo=UTC)
    decision = Decision(
        facts=Facts(server=user.servers[0], user=user),
        matched=MatchedRule(limits=DEFAULTS),
        verdict=Verdict.keep(Cause.IN_USE, "was active 50 min ago"),
        at=now,
    )
    said = warning_payload(decision, now + 10 * MINUTE, shown["keep_url"])
    assert shown.keys() <= said.keys()
    assert {key: said[key] for key in shown if key != "stop_at"} == {
        key: value for key, value in shown.items() if key != "stop_at"
    }
    assert said["stop_at"] == datetime.fromisoformat(shown["stop_at"])
