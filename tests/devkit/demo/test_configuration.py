"""What the hub's configuration becomes: the repository's with more to see, or somebody's own without their cluster."""

import json
import logging
from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from devkit.demo import configuration
from devkit.demo.configuration import DemoRun, Outcome, complete
from devkit.demo.fitting import fit
from devkit.demo.hub_log import HUB
from devkit.demo.leftovers import MARKER
from devkit.demo.plan import HUB_CONFIG
from devkit.demo.settings import REPOSITORY
from devkit.demo.showcase import PROFILES, culler_options
from k8s_hub import KubeSpawner
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.plan import rules_of


@pytest.fixture
def run(tmp_path):
    """A function that makes a run whose outcome is written into the test's folder."""

    def make(config=REPOSITORY / "jupyterhub_config.py", *, is_own=False, is_mini=True):
        return DemoRun(
            config=str(config),
            is_own=is_own,
            is_mini=is_mini,
            marker="m1",
            token="secret",
            activity_seconds=5,
            culler_url="http://127.0.0.1:10101",
            culler_options="/demo/culler.json",
            outcome=str(tmp_path / "outcome.json"),
            culler_variables=str(tmp_path / "culler-variables.sh"),
            repeated=str(tmp_path / "repeated.log"),
        )

    return make


@pytest.fixture(autouse=True)
def hubs_logger(monkeypatch):
    """The logger of a hub, which loading a configuration gives another handler."""
    monkeypatch.setattr(logging.getLogger(HUB), "handlers", [])


def loaded(run, monkeypatch):
    """The configuration as the hub reads it, and what the demo reads of it."""
    monkeypatch.setenv(configuration.VARIABLE, run.as_environment()[configuration.VARIABLE])
    c = PyFileConfigLoader(str(HUB_CONFIG)).load_config()
    return c, Outcome.read(Path(run.outcome))


def named(things, name):
    (found,) = (thing for thing in things if thing["name"] == name)
    return found


def test_the_demo_adds_to_the_repositorys_configuration(run, monkeypatch):
    monkeypatch.setenv("K8S_HUB_IDLE_SECONDS", "60")
    c, outcome = loaded(run(), monkeypatch)
    assert c.KubeSpawner.profile_list == PROFILES
    assert c.Authenticator.admin_users == {"admin"}
    assert c.KubeSpawner.storage_pvc_ensure is True
    culler = named(c.JupyterHub.services, "idle-culler")
    assert culler["url"] == "http://127.0.0.1:10101"
    assert "admin:server_state" in named(c.JupyterHub.load_roles, "idle-culler")["scopes"]
    assert "access:services!service=idle-culler" in named(c.JupyterHub.load_roles, "user")["scopes"]
    assert outcome.left_out == []
    assert outcome.culler_flags == ["--timeout=60", "--cull-every=6", "--config=/demo/culler.json"]


@pytest.mark.parametrize(("is_mini", "seconds"), [(True, 60), (False, 300)])
def test_only_on_the_mini_cluster_a_start_has_a_minute(run, monkeypatch, is_mini, seconds):
    c, _ = loaded(run(is_mini=is_mini), monkeypatch)
    assert c.KubeSpawner.start_timeout == seconds


def test_the_spawner_accepts_the_profiles():
    spawner = KubeSpawner(profile_list=PROFILES)
    assert [profile["slug"] for profile in spawner.profile_list] == [
        "small",
        "long-work",
        "too-large",
        "broken",
    ]


@pytest.mark.parametrize(("idle", "notice"), [(60, 20), (2, 0)])
def test_the_culler_accepts_its_options(idle, notice, tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://127.0.0.1:1/hub/api")
    path = tmp_path / "culler.json"
    options = culler_options(
        idle_seconds=idle,
        activity_seconds=5,
        warn_url="http://127.0.0.1:1/",
        state_file=str(tmp_path / "state"),
        decision_log="-",
    )
    path.write_text(json.dumps(options))
    culler = IdleCuller()
    culler.initialize([f"--timeout={idle}", f"--config={path}"])
    assert culler.warn_before == notice
    assert culler.keep_longest == 5 * idle
    assert culler.activity_interval == 5
    assert [rule.name for rule in rules_of(culler)[0].rules] == ["long work"]


OWN = """
import os
from pathlib import Path

c.JupyterHub.authenticator_class = "github"
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.hub_connect_url = "http://hub:8081"
c.JupyterHub.db_url = "postgresql://db"
c.JupyterHub.concurrent_spawn_limit = 7
c.GitHubOAuthenticator.auto_login = True
c.GitHubOAuthenticator.client_id = "id"
c.ConfigurableHTTPProxy.api_url = "http://proxy-api:8001"
c.KubeSpawner.namespace = "jhub"
c.KubeSpawner.cmd = ["start-singleuser.sh"]
c.KubeSpawner.environment = {"COURSE": Path(__file__).name}
c.MySpawner.port = 9999
c.MySpawner.environment = {"GPU": "1"}
c.JupyterHub.services.append({"name": "culler", "command": ["python3", "-m", "k8s_hub.culler", "--timeout=90"]})
"""


def test_somebodys_own_configuration_loses_what_leads_to_their_cluster(run, tmp_path, monkeypatch):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    c, outcome = loaded(run(path, is_own=True), monkeypatch)
    assert outcome.left_out == [
        "ConfigurableHTTPProxy.api_url",
        "GitHubOAuthenticator.auto_login",
        "JupyterHub.authenticator_class",
        "JupyterHub.db_url",
        "JupyterHub.hub_connect_url",
        "JupyterHub.spawner_class",
        "KubeSpawner.cmd",
        "KubeSpawner.namespace",
        "MySpawner.port",
    ]
    assert c.JupyterHub.spawner_class == "k8s_hub.KubeSpawner"
    assert c.KubeSpawner.cmd == ["jupyterhub-singleuser"]
    assert c.JupyterHub.concurrent_spawn_limit == 7
    assert c.GitHubOAuthenticator.client_id == "id"
    assert "profile_list" not in c.KubeSpawner
    assert outcome.culler_flags == ["--timeout=90"]
    assert outcome.culler_directory == str(Path.cwd())  # the hub runs in the folder of the configuration


def test_servers_of_somebodys_own_configuration_keep_their_environment(run, tmp_path, monkeypatch):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    c, _ = loaded(run(path, is_own=True), monkeypatch)
    ours = {MARKER: "m1", "JUPYTERHUB_ACTIVITY_INTERVAL": "5"}
    assert c.KubeSpawner.environment == {"COURSE": "own.py", **ours}
    assert c.MySpawner.environment == {"GPU": "1", **ours}


@pytest.mark.parametrize("how", ["append({})", "prepend([{}])", "insert(0, {})"])
def test_services_of_somebodys_own_configuration_are_marked_and_keep_their_environment(
    run, tmp_path, monkeypatch, how
):
    path = tmp_path / "own.py"
    culler = {"name": "culler", "command": ["k8s-hub", "cull"], "environment": {"LANG": "C"}}
    path.write_text("c.JupyterHub.services." + how.format(culler))
    c, _ = loaded(run(path, is_own=True), monkeypatch)
    services = c.JupyterHub.services.get_value([])
    assert named(services, "culler")["environment"] == {"LANG": "C", MARKER: "m1"}
    assert "environment" not in named(services, "demo-tools")  # the hub does not start it


def test_services_of_the_repositorys_configuration_are_marked(run, monkeypatch):
    c, _ = loaded(run(), monkeypatch)
    assert named(c.JupyterHub.services, "idle-culler")["environment"] == {MARKER: "m1"}


def test_an_empty_configuration_gets_the_spawner_and_the_service(run, tmp_path, monkeypatch):
    path = tmp_path / "own.py"
    path.write_text("")
    c, outcome = loaded(run(path, is_own=True), monkeypatch)
    assert outcome == Outcome(left_out=[], culler_flags=[], has_culler=False)
    assert c.JupyterHub.spawner_class == "k8s_hub.KubeSpawner"
    assert KubeSpawner(config=c).environment[MARKER] == "m1"
    assert c.JupyterHub.services.get_value([]) == [{"name": "demo-tools", "api_token": "secret"}]


def test_a_subclass_stays():
    class MySpawner(KubeSpawner):
        pass

    c = Config()
    c.JupyterHub.spawner_class = MySpawner
    assert fit(c) == []
    assert c.JupyterHub.spawner_class is MySpawner


def test_the_peers_class_itself_is_replaced():
    peer = pytest.importorskip("kubespawner")
    c = Config()
    c.JupyterHub.spawner_class = peer.KubeSpawner
    assert fit(c) == ["JupyterHub.spawner_class"]
    assert c.JupyterHub.spawner_class == "k8s_hub.KubeSpawner"


def test_what_explain_needs_of_the_culler_is_known(run, tmp_path, monkeypatch):
    own = run(tmp_path / "own.py", is_own=True)
    (tmp_path / "own.py").write_text(
        """
c.JupyterHub.services = [
    {
        "name": "culler",
        "command": ["k8s-hub", "cull", "--url=http://localhost:8081/hub/api", "--rules-file=rules.json"],
        "environment": {"IDLE_CULLER_WARN_URL": "https://chat.example.org/it's-secret"},
        "cwd": "/srv/hub",
        "url": "http://127.0.0.1:10101",
    }
]
"""
    )
    c, outcome = loaded(own, monkeypatch)
    assert outcome == Outcome(
        left_out=["--url of the service culler"],
        culler_flags=["--rules-file=rules.json"],
        culler_directory="/srv/hub",
        culler_variables=own.culler_variables,
        culler_page="/services/culler/",
    )
    assert c.JupyterHub.services[0]["command"] == ["k8s-hub", "cull", "--rules-file=rules.json"]
    # Without the marker: a terminal that runs these lines outlives the demo.
    assert Path(own.culler_variables).read_text() == (
        "export IDLE_CULLER_WARN_URL='https://chat.example.org/it'\"'\"'s-secret'\n"
        f"export JUPYTERHUB_API_TOKEN={c.JupyterHub.services[0]['api_token']}\n"
    )
    assert Path(own.culler_variables).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("own_token", [None, "of-this-culler"])
def test_explain_asks_with_the_token_of_the_culler(run, tmp_path, monkeypatch, own_token):
    """The demo's own token sees more: explain would answer something else than the culler does."""
    culler = {"name": "culler", "command": ["k8s-hub", "cull"], "api_token": own_token}
    (tmp_path / "own.py").write_text(f"c.JupyterHub.services = [{culler!r}]")
    own = run(tmp_path / "own.py", is_own=True)
    c, outcome = loaded(own, monkeypatch)
    token = named(c.JupyterHub.services, "culler")["api_token"]
    assert token == own_token or (own_token is None and len(token) >= 32)
    assert token != own.token
    assert Path(outcome.culler_variables).read_text() == f"export JUPYTERHUB_API_TOKEN={token}\n"
    assert outcome.culler_page == ""


def test_the_token_is_not_shown(run):
    assert "secret" not in repr(run())


def test_complete_writes_what_the_demo_reads(run):
    own = run(is_own=True)
    c = Config()
    c.JupyterHub.port = 80
    complete(c, own)
    assert Outcome.read(Path(own.outcome)).left_out == ["JupyterHub.port"]


def test_a_value_that_the_spawner_refuses_ends_the_start(run, tmp_path, monkeypatch):
    path = tmp_path / "own.py"
    path.write_text('c.KubeSpawner.mem_limit = "lots"')
    with pytest.raises(TraitError, match=r"'mem_limit' trait .* not the str 'lots'"):
        loaded(run(path, is_own=True), monkeypatch)


def test_a_subclass_that_needs_a_user_is_no_mistake():
    class NeedsUser(KubeSpawner):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.cpu_limit = len(self.user.name)

    c = Config()
    c.JupyterHub.spawner_class = NeedsUser
    configuration.try_spawner(c)


def test_a_class_with_a_typing_error_is_told(run, tmp_path, monkeypatch, caplog):
    path = tmp_path / "own.py"
    path.write_text(
        "from k8s_hub import KubeSpawner\n"
        "class CubeSpawner(KubeSpawner): pass\n"
        "c.CubeSpawner.image = 'a'\n"
        "c.KubeSpwner.mem_limit = '1G'\n"
    )
    logger = logging.getLogger(HUB)
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "handlers", [])
    loaded(run(path, is_own=True), monkeypatch)
    for handler in logger.handlers:
        handler.close()
    said = [record.getMessage() for record in caplog.records if record.name == HUB]
    assert said == ["c.KubeSpwner: no such class; did you mean KubeSpawner?"]


def test_the_hub_of_the_demo_stops_servers_whose_pods_end_with_it(run, tmp_path, monkeypatch):
    c, _ = loaded(run(), monkeypatch)
    assert c.JupyterHub.cleanup_servers
    path = tmp_path / "own.py"
    path.write_text("c.JupyterHub.cleanup_servers = False")
    own, outcome = loaded(run(path, is_own=True), monkeypatch)
    assert "cleanup_servers" not in own.JupyterHub
    assert outcome.left_out == ["JupyterHub.cleanup_servers"]
