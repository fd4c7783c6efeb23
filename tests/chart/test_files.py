"""The files in helm-values/: what each changes, alone and with the others, in any order."""

import json
from copy import deepcopy
from datetime import timedelta
from functools import partial
from itertools import combinations, permutations
from pathlib import Path

import jsonschema
import pytest
import yaml
from jupyterhub.app import JupyterHub
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Engine

from devkit.chart.evaluation import CULLER, evaluate, object_name
from devkit.chart.values import FILES, extra_files, schema, values_with
from k8s_hub import KubeSpawner
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.core import needs
from k8s_hub.volumes.inventory import SCOPES as SCOPES_OF_DOCTOR
from tests.chart.test_evaluation import as_json

PATHS = sorted(FILES.glob("*.yaml"))
WAYS = [path for path in PATHS if path.stem.startswith("code-from-")]
SWITCHES = [path for path in PATHS if path not in WAYS]
SCHEMA = schema()
CLASSES = {"JupyterHub": JupyterHub, "KubeSpawner": KubeSpawner, "Spawner": KubeSpawner}


def combined() -> list[tuple[Path, ...]]:
    """No switch, each, each two of them, and all; with each way to bring in the code, or none.

    What is wrong between more of them is wrong between two.
    """
    sets = [chosen for size in (0, 1, 2, len(SWITCHES)) for chosen in combinations(SWITCHES, size)]
    alone = [(*chosen, *way) for chosen in (sets[0], sets[-1]) for way in ((one,) for one in WAYS)]
    return [*sets, *alone]


def name_of(paths: tuple[Path, ...]) -> str:
    return "+".join(path.stem for path in paths) or "none"


@pytest.mark.parametrize(
    "path", [*PATHS, *sorted((FILES / "rbac").glob("*.yaml"))], ids=lambda path: path.stem
)
def test_a_file_begins_with_what_it_does_in_three_lines(path):
    lines = path.read_text().splitlines()
    assert [line.startswith("# ") for line in lines[:4]] == [True, True, True, False]
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize("paths", combined(), ids=name_of)
def test_files_combine_in_any_order_to_values_that_the_chart_has(paths):
    values = values_with(*paths)
    assert values == values_with(*reversed(paths))
    jsonschema.validate(values, SCHEMA)


@pytest.mark.parametrize("paths", combined(), ids=name_of)
def test_files_set_traits_that_there_are(paths):
    """JupyterHub itself only warns of others."""
    config = evaluate(values_with(*paths))
    for section, traits in config.items():
        if section in CLASSES:
            assert set(traits) <= set(CLASSES[section].class_trait_names(config=True))
    known = {*CLASSES, "Authenticator"}
    assert set(config) <= known


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"cull": {"maxage": 5}}, "maxage"),
        ({"hub": {"extraconfig": {}}}, "extraconfig"),
        ({"singleuser": {"cloudMetadata": {"blockWithIpTables": False}}}, "blockWithIpTables"),
    ],
)
def test_a_key_that_the_chart_does_not_have_is_found(wrong, word):
    """Otherwise the tests above would say nothing."""
    with pytest.raises(jsonschema.ValidationError, match=word):
        jsonschema.validate(values_with(wrong), SCHEMA)


def test_the_spawner_is_switched_and_the_pod_stays_as_it_is():
    before, after = evaluate(values_with()), evaluate(values_with(FILES / "spawner.yaml"))
    assert after.JupyterHub.spawner_class == "k8s_hub.KubeSpawner"
    assert as_json(after.KubeSpawner) == {**as_json(before.KubeSpawner), "delete_pvc": False}
    assert after.JupyterHub.services == before.JupyterHub.services


@pytest.mark.parametrize("name", ["spawner", "large-hub"])
@pytest.mark.parametrize(
    ("mount", "pragmas"),
    [
        ("/dev/sdb /srv/jupyterhub ext4 rw 0 0", ("wal", 1)),
        ("10.0.0.1:/ /srv/jupyterhub nfs4 rw 0 0", ("delete", 2)),
        ("10.0.0.1:/ /home nfs4 rw 0 0", ("wal", 1)),
    ],
)
def test_sqlite_gets_a_write_ahead_log_where_its_disk_is_no_network_volume(
    name, mount, pragmas, tmp_path, monkeypatch
):
    piece = values_with(FILES / f"{name}.yaml")["hub"]["extraConfig"]["40-k8s-hub-sqlite"]
    exec(piece, pieces := {})
    monkeypatch.setattr(Path, "read_text", lambda _: f"overlay / overlay rw 0 0\n{mount}\n")
    try:
        engine = create_engine(f"sqlite:///{tmp_path}/hub.sqlite")
        with engine.connect() as connection:
            found = [
                connection.execute(text(f"PRAGMA {one}")).scalar() for one in ("journal_mode", "synchronous")
            ]
        engine.dispose()
    finally:
        event.remove(Engine, "connect", pieces["write_ahead"])
    assert tuple(found) == pragmas


def test_the_piece_for_sqlite_leaves_other_databases_alone():
    piece = values_with(FILES / "spawner.yaml")["hub"]["extraConfig"]["40-k8s-hub-sqlite"]
    exec(piece, pieces := {})
    event.remove(Engine, "connect", pieces["write_ahead"])
    pieces["write_ahead"](object(), None)  # it has no method of SQLite's


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """What the hub gives its service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://localhost:8081/hub/api")


def culler_of(values, config=None):
    """Return the one culler of a release, configured as in the hub's pod; the files are in the working directory."""
    (service,) = (evaluate(values) if config is None else config).JupyterHub.services
    assert service["command"][:3] == ["python3", "-m", "k8s_hub.culler"]
    words = service["command"][3:]
    for path, content in extra_files(values).items():
        Path(Path(path).name).write_text(content.replace("/srv/jupyterhub", "."))
        words = [word.replace(path, Path(path).name) for word in words]
    culler = IdleCuller()
    culler.initialize(words)
    assert culler.plan()
    return culler


CULL = {
    "timeout": [0, 1800],
    "every": [0, 300],
    "concurrency": [0, 20],
    "maxAge": [0, 86400],
    "users": [False, True],
    "adminUsers": [True, False],
    "removeNamedServers": [False, True],
}
FLAGS = {
    "timeout": "timeout",
    "every": "cull_every",
    "concurrency": "concurrency",
    "maxAge": "max_age",
    "users": "cull_users",
    "adminUsers": "cull_admin_users",
    "removeNamedServers": "remove_named_servers",
}


ROWS = [{key: values[number] for key, values in CULL.items()} for number in (0, 1)]


@pytest.mark.parametrize(
    "cull",
    [
        *ROWS,
        *(ROWS[0] | {key: ROWS[1][key]} for key in CULL),
    ],
    ids=str,
)
@pytest.mark.parametrize("names", [("culler",), ("culler-page",), ("culler", "culler-page")], ids="+".join)
def test_the_culler_is_switched_and_every_value_goes_on_to_work(cull, names, environment):
    culler = culler_of(values_with(*(FILES / f"{name}.yaml" for name in names), {"cull": cull}))
    assert culler.url == "http://localhost:8081/hub/api"
    defaults = IdleCuller()
    for value, trait in FLAGS.items():
        expected = getattr(defaults, trait) if CULL[value][0] == 0 and not cull[value] else cull[value]
        assert getattr(culler, trait) == expected


def test_the_culler_alone_never_takes_a_claim_along_with_a_user():
    """The chart's own spawner would."""
    config = evaluate(values_with(FILES / "culler.yaml", {"cull": {"users": True}}))
    assert config.JupyterHub.spawner_class == "kubespawner.KubeSpawner"
    assert config.KubeSpawner.delete_pvc is False


def test_of_a_large_hub_the_culler_knows_how_rarely_servers_report(environment):
    """It stops nothing for as long after an outage."""
    values = values_with(FILES / "large-hub.yaml", FILES / "culler.yaml")
    seconds = values["singleuser"]["extraEnv"]["JUPYTERHUB_ACTIVITY_INTERVAL"]
    assert culler_of(values).activity_interval == int(seconds)
    (other,) = evaluate(values_with(FILES / "large-hub.yaml")).JupyterHub.services
    assert "jupyterhub_idle_culler" in other["command"]
    assert not [word for word in other["command"] if word.startswith(("--config", "--activity"))]


def test_prometheus_reaches_the_port_of_the_culler_and_the_hubs(environment):
    port = culler_of(values_with(FILES / "metrics.yaml", FILES / "culler.yaml")).plan().metrics_port
    service, policy = yaml.safe_load_all((FILES / "monitoring/prometheus.yaml").read_text())
    (of_service,) = service["spec"]["ports"]
    assert (of_service["port"], of_service["targetPort"]) == (port, port)
    assert service["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    assert service["spec"]["selector"] == policy["spec"]["podSelector"]["matchLabels"]
    (rule,) = policy["spec"]["ingress"]
    assert {one["port"] for one in rule["ports"]} == {8081, port}
    page = (FILES.parent / "docs/howto/metrics.md").read_text()
    assert f"{service['metadata']['name']}.{service['metadata']['namespace']}:{port}" in page


def test_a_hub_without_a_culler_stays_without_one():
    config = evaluate(
        values_with(FILES / "culler.yaml", FILES / "culler-page.yaml", {"cull": {"enabled": False}})
    )
    assert config.JupyterHub.services == []
    assert [role["name"] for role in config.JupyterHub.load_roles] == ["user"]


def test_a_piece_is_taken_out_by_an_empty_one():
    """A null would not do: Helm keeps it, and the chart would run it."""
    own = {"hub": {"extraConfig": {"50-k8s-hub-culler": ""}}}
    (service,) = evaluate(values_with(FILES / "culler.yaml", own)).JupyterHub.services
    assert "jupyterhub_idle_culler" in service["command"]


def test_other_services_stay_as_they_are():
    """Also one whose command has the culler's old name in it."""
    mine = {"command": ["python3", "-m", "jupyterhub_idle_culler", "--timeout=5"]}
    config = evaluate(values_with(FILES / "culler.yaml", {"hub": {"services": {"mine": mine}}}))
    assert {"name": "mine", **mine} in config.JupyterHub.services


def test_the_page_has_its_port_in_service_and_policies_of_hub_and_proxy():
    values = values_with(FILES / "culler.yaml", FILES / "culler-page.yaml")
    (service,) = evaluate(values).JupyterHub.services
    port = int(service["url"].rpartition(":")[2])
    assert service["url"] == f"http://hub:{port}"
    (of_service,) = values["hub"]["service"]["extraPorts"]
    assert (of_service["port"], of_service["targetPort"]) == (port, port)
    (ingress,) = values["hub"]["networkPolicy"]["ingress"]
    (own,) = values["hub"]["networkPolicy"]["egress"]
    (egress,) = values["proxy"]["chp"]["networkPolicy"]["egress"]
    assert [one["port"] for rule in (ingress, own, egress) for one in rule["ports"]] == [port] * 3
    # The hub, too: JupyterHub asks a service for its page when it has started it, and ends where nobody answers.
    proxy, hub = ({"podSelector": {"matchLabels": {"component": one}}} for one in ("proxy", "hub"))
    assert ingress["from"] == [proxy, hub]
    assert egress["to"] == own["to"] == [hub]


def test_the_page_is_at_the_service_of_a_hub_with_another_name():
    values = values_with(FILES / "culler-page.yaml", {"fullnameOverride": "lab"})
    (service,) = evaluate(values).JupyterHub.services
    assert service["url"] == "http://lab-hub:10101"


def test_with_the_page_users_may_open_it_and_nothing_else_is_lost():
    config = evaluate(values_with(FILES / "culler.yaml", FILES / "culler-page.yaml"))
    roles = {role["name"]: role["scopes"] for role in config.JupyterHub.load_roles}
    assert roles["user"] == ["self", f"access:services!service={CULLER}"]
    assert {"list:users", "read:servers", "delete:servers", "admin:server_state"} <= set(roles[CULLER])
    assert not {"tokens", "access:servers"} & set(roles[CULLER])
    assert config.KubeSpawner.save_access_token is True


def test_a_restricted_pod_has_no_privileged_container():
    config = evaluate(values_with(FILES / "spawner.yaml", FILES / "restricted.yaml"))
    assert config.KubeSpawner.init_containers == []
    assert config.KubeSpawner.security_profile == "restricted"


def test_no_file_is_without_a_row_in_the_readme():
    readme = (FILES / "README.md").read_text()
    names = [path.relative_to(FILES) for path in FILES.rglob("*.yaml")]
    assert [name for name in names if f"]({name})" not in readme] == []


@pytest.mark.parametrize("path", sorted((FILES / "rbac").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_rights_are_those_of_the_page_that_explains_them(path):
    """... which the tests of that feature take from there to the real API server."""
    pages = [page.read_text() for page in (FILES.parent / "docs").rglob("*.md")]
    objects = [one for one in yaml.safe_load_all(path.read_text()) if one]
    assert objects
    blocks = [block.partition("```")[0] for page in pages for block in page.split("```yaml\n")[1:]]
    explained = [
        one for block in blocks if block.startswith("# rights:") for one in yaml.safe_load_all(block)
    ]
    assert [one for one in objects if one not in explained] == []


# --- The pieces of the culler: any of them, in any order, also twice ---


def of_the_guide():
    """Return the values that the guide shows for the chart."""
    page = (FILES.parent / "docs/howto/culling.md").read_text()
    (block,) = (block for block in page.split("```yaml\n")[1:] if block.startswith("hub:"))
    return yaml.safe_load(block.partition("```")[0])


PIECES = {
    **{name: FILES / f"{name}.yaml" for name in ("culler", "culler-page", "large-hub")},
    "guide": of_the_guide(),
    "guide of 0.1.0": {
        "hub": {
            "extraConfig": {
                "50-k8s-hub-culler": """
for service in c.JupyterHub.services:
    if service["name"] == "jupyterhub-idle-culler":
        service["command"] = [
            "k8s_hub.culler" if word == "jupyterhub_idle_culler" else word for word in service["command"]
        ]
        service["command"] += ["--ask-servers", "--state-file=/srv/jupyterhub/culler.json"]
        service["url"] = "http://hub:10101"
        service["oauth_no_confirm"] = True
for role in c.JupyterHub.load_roles:
    if role["name"] == "jupyterhub-idle-culler":
        role["scopes"] += ["admin:server_state"]
"""
            },
            "loadRoles": {"user": {"scopes": ["self", f"access:services!service={CULLER}"]}},
        }
    },
}


def test_the_roles_of_the_guide_have_the_scopes_that_its_rules_need(environment):
    values = values_with(FILES / "culler.yaml", of_the_guide())
    roles = [role for role in evaluate(values).JupyterHub.load_roles if CULLER in role.get("services", ())]
    held = {scope for role in roles for scope in role["scopes"]}
    plan = culler_of(values).plan()
    assert plan.decider.scopes
    wanted = needs.Options(of_rules=plan.decider.scopes).needs(held)
    assert [*needs.lacking([*wanted], held)] == []


def test_the_culler_reads_the_functions_of_the_guide_beside_its_other_options(environment):
    page = (FILES.parent / "docs/howto/culling.md").read_text()
    (block,) = (block for block in page.split("    ```yaml\n")[1:] if "k8s-hub-culler-functions" in block)
    functions = yaml.safe_load(block.partition("```")[0])
    culler = culler_of(values_with(FILES / "culler.yaml", of_the_guide(), functions))
    assert culler.warn_before == 600
    hour = timedelta(hours=1)
    decided = [culler.cull_arbiter_hook(hour, hour, {"name": name}) for name in ("thesis", "")]
    assert decided == [False, True]


def test_the_role_in_the_guide_of_the_doctor_lets_it_see_pods_and_homes():
    page = (FILES.parent / "docs/howto/doctor.md").read_text()
    (block,) = (block for block in page.split("```yaml\n")[1:] if block.startswith("hub:"))
    config = evaluate(values_with(FILES / "culler.yaml", yaml.safe_load(block.partition("```")[0])))
    roles = [role for role in config.JupyterHub.load_roles if CULLER in role.get("services", ())]
    held = {scope for role in roles for scope in role["scopes"]}
    assert set(SCOPES_OF_DOCTOR) - held == set()


SUBSETS = [chosen for size in range(1, len(PIECES) + 1) for chosen in combinations(PIECES, size)]


@pytest.mark.parametrize("names", SUBSETS, ids="+".join)
def test_the_pieces_of_the_culler_combine_to_one_that_runs(names, environment):
    chosen = [PIECES[name] for name in names]
    in_each_order = [values_with(*order) for order in (chosen, reversed(chosen))]
    different = {json.dumps(values["hub"], sort_keys=True): values for values in in_each_order}
    # That of 0.1.0 replaces a piece of the same name: there the last one wins.
    assert len(different) <= (2 if "guide of 0.1.0" in names else 1)
    for values in different.values():
        pieces = {
            name: code for name, code in values["hub"]["extraConfig"].items() if "k8s-hub-culler" in name
        }
        for order in permutations(pieces):
            for times in (1, 2):
                assert_runs(values, [pieces[name] for name in order] * times, names)


def assert_runs(values, codes, names):
    config = evaluate({**values, "hub": {**values["hub"], "extraConfig": {}}})
    before = deepcopy(config.JupyterHub.services)
    for code in codes:
        exec(code, {"c": config, "get_name": partial(object_name, values)})
    (service,) = config.JupyterHub.services
    if not codes:
        assert config.JupyterHub.services == before
        return
    culler = culler_of(values, config)
    (role,) = (role for role in config.JupyterHub.load_roles if role["name"] == CULLER)
    has_page = any(":10101" in code for code in codes)
    assert ("url" in service, culler.ask_servers) == (has_page,) * 2
    has_state = has_page or "culler" in names
    assert bool(culler.state_file) is has_state
    assert ("admin:server_state" in role["scopes"]) is has_page
    assert culler.timeout == 3600
    reads_the_file = culler.config_file.endswith("k8s-hub-culler.json")
    assert bool(culler.plan().decider.rules.rules) is (reads_the_file and "guide" in names)
    assert (culler.plan().warning is not None) is (reads_the_file and "guide" in names)
    assert (culler.activity_interval == 600) is (reads_the_file and "large-hub" in names)
    if "guide of 0.1.0" not in names:
        flags = [word.partition("=")[0] for word in service["command"][3:]]
        assert len(flags) == len(set(flags))
        assert len(role["scopes"]) == len(set(role["scopes"]))
