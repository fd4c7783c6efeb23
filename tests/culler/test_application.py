"""IdleCuller: every flag in every spelling, the chart's command lines, the config file, the hook, the mistakes."""

import json
import logging
from datetime import datetime, timedelta

import pytest

import k8s_hub
from devkit.testing.inmemoryhub import NOW, server, user
from k8s_hub.culler.application import BadOptions, IdleCuller, LineFormatter
from k8s_hub.culler.core.policy import Cause, Facts, Verdict
from k8s_hub.culler.core.rules import Limits
from k8s_hub.culler.decider import Decider
from k8s_hub.culler.sweep import SweepOptions
from k8s_hub.hub.users import Server

URL = "http://localhost:8081/hub/api"


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("JUPYTERHUB_API_URL", URL)
    for variable in ("JUPYTERHUB_REQUEST_TIMEOUT", "IDLE_CULLER_WARN_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def culler(*arguments: str) -> IdleCuller:
    app = IdleCuller()
    app.initialize(list(arguments))
    return app


@pytest.mark.parametrize("option", ["max_age", "busy_limit"])
def test_false_in_the_config_file_is_no_limit(tmp_path, option):
    (tmp_path / "config.py").write_text(f"c.IdleCuller.{option} = False")
    limits = culler(f"--config={tmp_path / 'config.py'}", "--url=http://hub/hub/api").plan().decider.limits
    assert getattr(limits, option) is None


async def verdict_of(app: IdleCuller, subject: Server, now: datetime) -> Verdict:
    facts = Facts(server=subject, user=user(subject.user, subject))
    return (await app.plan().decider.decide(facts, now)).verdict


def refusal(capfd, *arguments: str) -> str:
    """Return the last line of what a refused command line prints."""
    with pytest.raises(SystemExit) as caught:
        culler(*arguments).plan()
    assert caught.value.code in {1, 2}
    printed = capfd.readouterr().err.strip()
    assert "Traceback" not in printed
    assert len(printed.splitlines()) == 1
    return printed


def test_defaults():
    app = culler()
    assert app.plan().sweep_options == SweepOptions(concurrency=10)
    assert app.plan().decider == Decider(
        limits=Limits(timeout=timedelta(seconds=600), busy_limit=timedelta(days=1))
    )
    assert app.plan().interval == timedelta(seconds=300)
    settings = app.plan().hub
    assert (settings.url, settings.token, settings.request_timeout) == (URL, "secret", 60)
    assert "secret" not in repr(settings)


INTEGERS = [
    "activity_interval", "api_page_size", "ask_concurrency", "ask_limit", "ask_timeout", "brake_percent",
    "busy_limit", "concurrency", "cull_every", "keep_longest", "keep_per_week", "log_file_max_size",
    "log_file_num_backups", "log_rotate_interval", "max_age", "metrics_port", "timeout", "user_max_age", "user_timeout",
]  # fmt: skip
BOOLEANS = [
    "ask_servers", "ask_with_own_token", "dry_run", "log_to_stderr", "once", "spread", "cull_admin_users", "cull_default_servers", "cull_named_servers", "cull_users", "remove_named_servers",
    "ssl_enabled",
]  # fmt: skip
STRINGS = [
    "decision_log", "internal_certs_location", "log_rotate_when", "metrics_ip", "server_url_template", "state_file", "url",
]  # fmt: skip


@pytest.mark.parametrize("trait", [*INTEGERS, *STRINGS])
@pytest.mark.parametrize("dashes", [True, False])
def test_flags_with_a_value(trait, dashes):
    name = "--" + (trait.replace("_", "-") if dashes else trait)
    for app in (culler(f"{name}=7"), culler(name, "7")):
        assert getattr(app, trait) == (7 if trait in INTEGERS else "7")


@pytest.mark.parametrize("trait", BOOLEANS)
@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ([""], True), (["=true"], True), (["=True"], True), (["=1"], True), (["", "true"], True),
        (["=false"], False), (["=False"], False), (["=0"], False), (["", "false"], False),
    ],
)  # fmt: skip
def test_boolean_flags(trait, rest, expected):
    for name in {trait, trait.replace("_", "-")}:
        app = culler(f"--{name}{rest[0]}", *rest[1:], "--timeout=5")
        assert getattr(app, trait) is expected
        assert app.timeout == 5


CHART = {
    "timeout": [None, 3600],
    "every": [None, 600],
    "concurrency": [None, 20],
    "maxAge": [None, 86400],
    "users": [False, True],
    "adminUsers": [True, False],
    "removeNamedServers": [False, True],
}


LEFT, RIGHT = ({key: values[side] for key, values in CHART.items()} for side in (0, 1))


@pytest.mark.parametrize(
    "values",
    [LEFT, RIGHT, *(LEFT | {key: RIGHT[key]} for key in CHART), *(RIGHT | {key: LEFT[key]} for key in CHART)],
    ids=str,
)
def test_command_lines_of_the_chart(values):
    """Each of the cull.* values alone and missing alone, as the chart's jupyterhub_config.py makes arguments of them."""
    arguments = [
        "--url=http://localhost:8081/hub/api",
        *([f"--timeout={values['timeout']}"] if values["timeout"] else []),
        *([f"--cull-every={values['every']}"] if values["every"] else []),
        *([f"--concurrency={values['concurrency']}"] if values["concurrency"] else []),
        *(["--cull-users"] if values["users"] else []),
        *([] if values["adminUsers"] else ["--cull-admin-users=false"]),
        *([f"--max-age={values['maxAge']}"] if values["maxAge"] else []),
        *(["--remove-named-servers"] if values["removeNamedServers"] else []),
    ]
    app = culler(*arguments)
    timeout = values["timeout"] or 600
    assert app.plan().decider == Decider(
        limits=Limits(
            timeout=timedelta(seconds=timeout),
            max_age=timedelta(seconds=values["maxAge"]) if values["maxAge"] else None,
            busy_limit=timedelta(days=1),
            admins=values["adminUsers"],
        )
    )
    plan = app.plan()
    assert (plan.probe, plan.warning, plan.page, plan.state_file) == (None, None, None, None)
    assert not plan.decision_log
    assert not plan.metrics_port
    assert app.plan().sweep_options == SweepOptions(
        concurrency=values["concurrency"] or 10,
        cull_users=values["users"],
        remove_named_servers=values["removeNamedServers"],
    )
    assert app.plan().interval == timedelta(seconds=values["every"] or timeout // 2)


@pytest.mark.parametrize(("timeout", "every"), [(1, 1), (3, 1), (600, 300)])
def test_sweeps_come_at_half_the_timeout_but_not_faster_than_each_second(timeout, every):
    assert culler(f"--timeout={timeout}").plan().interval == timedelta(seconds=every)


def test_the_config_file_is_read_and_flags_go_before_it(tmp_path):
    (tmp_path / "idle_culler_config.py").write_text(
        "c.IdleCuller.timeout = 5\nc.IdleCuller.concurrency = 6\n"
    )
    app = culler("--concurrency=7")
    assert (app.timeout, app.concurrency) == (5, 7)


@pytest.mark.parametrize("form", ["--config=other.py", "--config other.py"])
def test_another_config_file(tmp_path, form):
    (tmp_path / "other.py").write_text("c.IdleCuller.max_age = 5")
    assert culler(*form.split()).max_age == 5


def test_a_generated_config_file_is_a_config_file(tmp_path, capsys):
    """It names every setting, and says nothing until something is uncommented."""
    culler("--generate-config").start()
    text = capsys.readouterr().out
    for trait in [
        *INTEGERS,
        *BOOLEANS,
        *STRINGS,
        "cull_arbiter_hook",
        "rules",
        "rules_file",
        "user_rules",
        "log_file_prefix",
        "warn_before",
        "warn_hook",
        "warn_url",
    ]:
        assert f"# c.IdleCuller.{trait} = " in text
    (tmp_path / "generated.py").write_text(text)
    assert culler("--config=generated.py").plan().sweep_options == culler().plan().sweep_options


def test_the_public_name():
    assert k8s_hub.IdleCuller is IdleCuller


# --- The arbiter hook ---


def with_hook(tmp_path, body: str) -> IdleCuller:
    (tmp_path / "idle_culler_config.py").write_text(f"{body}\nc.IdleCuller.cull_arbiter_hook = hook\n")
    return culler("--timeout=3600", "--max-age=360000")


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_hook_decides_in_place_of_the_timeout(tmp_path, kind):
    app = with_hook(
        tmp_path,
        f"{kind} hook(inactive, inactive_limit, server):\n"
        "    return server['name'] == 'lab' and inactive.total_seconds() >= inactive_limit / 2\n",
    )
    half_an_hour = timedelta(minutes=30)
    assert (await verdict_of(app, server("a", "lab", idle=half_an_hour), NOW)).culls
    assert (await verdict_of(app, server("a", "big", idle=timedelta(days=2)), NOW)).cause is Cause.SPARED


async def test_a_hook_is_asked_about_time_only(tmp_path):
    """Not where the server's state, age or unknown activity has decided."""
    app = with_hook(tmp_path, "def hook(inactive, inactive_limit, server):\n    raise AssertionError")
    for subject, cause in (
        (server("a", pending="stop"), Cause.PENDING),
        (server("a", ready=False), Cause.NOT_READY),
        (server("a", idle=None, age=None), Cause.UNKNOWN),
        (server("a", age=timedelta(days=9)), Cause.OLD),
    ):
        assert (await verdict_of(app, subject, NOW)).cause is cause
    with pytest.raises(AssertionError):
        await verdict_of(app, server("a"), NOW)


@pytest.mark.looptime
async def test_a_hook_that_never_answers_costs_a_minute_and_its_server_only(tmp_path, looptime):
    app = with_hook(
        tmp_path,
        "import asyncio\nasync def hook(inactive, inactive_limit, server):\n    await asyncio.Event().wait()\n",
    )
    with pytest.raises(TimeoutError):
        await verdict_of(app, server("a"), NOW)
    assert looptime == pytest.approx(60, abs=0.1)


async def test_without_a_hook_the_timeout_decides():
    app = culler("--timeout=3600")
    assert (await verdict_of(app, server("a"), NOW)).cause is Cause.IDLE
    assert (await verdict_of(app, server("a", idle=timedelta(minutes=59)), NOW)).cause is Cause.IN_USE


# --- Mistakes: one sentence that names key and value ---


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--timeout=soon"], ["timeout", "'soon'", "It is a number of seconds."]),
        (["--max-age=8h"], ["max_age", "'8h'. It is a number of seconds: did you mean 28800?"]),
        (["--timeout=0"], ["timeout", "0"]),
        (["--timeout", "-3"], ["timeout", "-3"]),
        (["--cull-every=-1"], ["cull_every", "-1"]),
        (["--cull-users=maybe"], ["cull_users", "'maybe'"]),
        (["--cull-user"], ["'--cull-user'", "--cull-users"]),
        (["--concurrency"], ["--concurrency needs a value"]),
        (["now"], ["unexpected argument 'now'"]),
        (["--config=missing.py"], ["'missing.py' does not exist"]),
        (["--config=culler.yaml"], ["'culler.yaml'"]),
        (["--timeout=99999999999999999999"], ["timeout", "99999999999999999999"]),
        (["--max-age=99999999999"], ["max_age", "99999999999"]),
        (["--cull-every=99999999999"], ["cull_every", "99999999999"]),
        (["--url=localhost:8081"], ["url", "'localhost:8081'"]),
        (["--url=http://"], ["url", "'http://'"]),
        (["--url=http://localhost:99999/"], ["url", "'http://localhost:99999/'"]),
        (["--url=http://[::1/"], ["url", "'http://[::1/'"]),
        (["--config=."], ["'.'"]),
        (["--url="], ["JUPYTERHUB_API_URL"]),
        (["--ask-timeout=0"], ["ask_timeout", "0"]),
        (["--ask-concurrency=0"], ["ask_concurrency", "0"]),
        (["--ask-limit=0"], ["ask_limit", "0"]),
        (["--brake-percent=101"], ["brake_percent", "101"]),
        (["--metrics-port=65536"], ["metrics_port", "65536"]),
        (["--keep-longest=-1"], ["keep_longest", "-1"]),
        (["--keep-per-week=-1"], ["keep_per_week", "-1"]),
        (["--warn-before=60"], ["warn_before is 60", "warn_url", "warn_hook"]),
        (["--rules-file=rules.toml"], ["rules_file 'rules.toml'"]),
        (["--rules-file=missing.yaml"], ["rules_file 'missing.yaml'", "No such file"]),
        (["--ask-servers", "--server-url-template={x}"], ["server_url_template", "'{x}'"]),
        (["--ssl-enabled", "--internal-certs-location=/nowhere"], ["ssl-enabled", "'/nowhere'"]),
    ],
)
def test_a_wrong_flag_is_one_sentence(capfd, arguments, words):
    printed = refusal(capfd, *arguments)
    assert all(word in printed for word in words), printed


HOOK = "https://chat.example.org/hooks/t0p-s3cret"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["warn_before is 0"]),
        (["--once", "--warn-before=60"], ["once", "60", "state_file"]),
        (["--warn-before=600"], ["warn_before", "600"]),
    ],
)
def test_a_webhook_that_would_warn_nobody_is_refused(capfd, monkeypatch, arguments, words):
    monkeypatch.setenv("IDLE_CULLER_WARN_URL", HOOK)
    printed = refusal(capfd, *arguments)
    assert all(word in printed for word in words), printed
    assert "s3cret" not in printed


def test_a_webhook_comes_from_the_environment_or_the_config_file_which_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("IDLE_CULLER_WARN_URL", f"{HOOK}\n")
    assert culler("--warn-before=60").plan().warning.url == HOOK
    (tmp_path / "idle_culler_config.py").write_text("c.IdleCuller.warn_url = 'https://example.org/'")
    assert culler("--warn-before=60").plan().warning.url == "https://example.org/"


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--warn-url={HOOK}"],
        [f"--warn_url={HOOK}"],
        ["--warn-url", HOOK],
        [f"--IdleCuller.warn_url={HOOK}"],
        [f"-warn-url={HOOK}"],
        ["--warn-url="],
        ["--warn-url"],
        ["--once", f"--warn-url={HOOK}", "--concurrency=5"],
    ],
)
def test_a_webhook_on_the_command_line_is_refused_without_being_shown(capfd, arguments):
    printed = refusal(capfd, *arguments)
    assert "warn" in printed.partition("is not a flag, because everybody can read a command line: set ")[0]
    assert printed.endswith(
        "IDLE_CULLER_WARN_URL in the environment, or c.IdleCuller.warn_url in the config file"
    )
    assert "s3cret" not in printed


@pytest.mark.parametrize("flag", ["--warn-ulr", "--warn.url", "--webhook", "-w", "--WarningOptions.warn_url"])
@pytest.mark.parametrize("form", ["{}={}", "{} {}"])
def test_a_misspelt_webhook_is_not_shown_either(capfd, flag, form):
    printed = refusal(capfd, *form.format(flag, HOOK).split())
    assert "unknown flag" in printed
    assert "s3cret" not in printed


@pytest.mark.parametrize(
    "value",
    ["'t0p-s3cret'", "['https://example.org/t0p-s3cret']", "{'t0p-s3cret': 1}"],
)
def test_a_webhook_that_is_none_is_refused_without_being_shown(capfd, tmp_path, value):
    (tmp_path / "idle_culler_config.py").write_text(f"c.IdleCuller.warn_url = {value}")
    with pytest.raises(SystemExit):
        culler("--warn-before=60", "--debug")
    printed = capfd.readouterr().err
    assert "warn_url must be" in printed
    assert "s3cret" not in printed


def test_a_wrong_value_in_the_config_file_is_one_sentence(capfd, tmp_path):
    (tmp_path / "idle_culler_config.py").write_text("c.IdleCuller.timeout = 'soon'")
    assert "'timeout'" in refusal(capfd)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "c.IdleCuller.timeout = (", ["SyntaxError", "line 1"]),
        ("a.py", "\nimport nowhere", ["line 2", "No module named 'nowhere'"]),
        ("a.py", "def f():\n    1 / 0\nf()", ["line 2", "ZeroDivisionError"]),
        ("a.json", "{", ["line 1"]),
        ("a.py", b"\xff\xfe", ["SyntaxError"]),
    ],
)
def test_a_broken_config_file_is_one_sentence(capfd, tmp_path, name, text, words):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    printed = refusal(capfd, f"--config={name}")
    assert all(word in printed for word in [f"'{name}'", *words]), printed


def test_a_directory_is_no_config_file(capfd, tmp_path):
    (tmp_path / "culler.py").mkdir()
    assert "'culler.py' does not exist" in refusal(capfd, "--config=culler.py")


@pytest.mark.parametrize("value", ["soon", "0", " 0 ", "-1", "1.5", "60s", "+", "++5", "²"])
def test_a_wrong_request_timeout_is_one_sentence(capfd, monkeypatch, value):
    monkeypatch.setenv("JUPYTERHUB_REQUEST_TIMEOUT", value)
    assert f"JUPYTERHUB_REQUEST_TIMEOUT must be a whole number of seconds, not {value!r}" in refusal(capfd)


def test_a_request_timeout_without_end_is_one_sentence(capfd, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_REQUEST_TIMEOUT", "9" * 5000)
    assert len(refusal(capfd)) < 200


@pytest.mark.parametrize(
    ("value", "seconds"), [("", 60), (" ", 60), (" 90 ", 90), ("+60", 60), ("\t7\n", 7), ("060", 60)]
)
def test_a_request_timeout_is_read_as_idle_culler_does(monkeypatch, value, seconds):
    """A compose file writes ${TIMEOUT:-} for none."""
    monkeypatch.setenv("JUPYTERHUB_REQUEST_TIMEOUT", value)
    assert culler().plan().hub.request_timeout == seconds


@pytest.mark.parametrize(
    "url",
    [
        "http://me:pass-word@hub:8081/hub/api",
        "https://pass-word@hub/hub/api",
        "http://me:pass-word@[::1]:8081/",
        "http://me:pass-word@hub:99999/",  # no port that there is
        "http://me:pass-word@/hub/api",
        "me:pass-word@hub:8081",
        "http://me:pass-word@hub:8081?x=1",
    ],
)
@pytest.mark.parametrize("where", ["flag", "environment", "file"])
def test_a_url_with_user_and_password_is_refused_without_showing_them(
    capfd, monkeypatch, tmp_path, url, where
):
    """The API token goes where they would go."""
    if where == "environment":
        monkeypatch.setenv("JUPYTERHUB_API_URL", url)
    if where == "file":
        (tmp_path / "idle_culler_config.py").write_text(f"c.IdleCuller.url = {url!r}")
    printed = refusal(capfd, *([f"--url={url}"] if where == "flag" else []))
    assert "without user and password" in printed
    assert "pass-word" not in printed


def test_an_at_sign_in_the_path_is_no_password():
    assert culler("--url=http://hub:8081/user@example.org/hub/api").plan().hub.url.endswith("/hub/api")


# --- Command lines of idle-culler 1.4 ---


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--logging=debug"], {"log_level": logging.DEBUG}),
        (["-timeout=3600"], {"timeout": 3600}),
        (["--cull-users=yes"], {"cull_users": True}),
        (["--cull-users=f"], {"cull_users": False}),
        (["--timeout=3600", "--timeout=60"], {"timeout": 60}),
        (
            ["--log_rotate_mode=time", "--log_rotate_when=H"],
            {"log_rotate_mode": "time", "log_rotate_when": "H"},
        ),
        (["--state-file=a", "--ask-servers", "--ask-servers", "--state-file=a"], {"state_file": "a"}),
    ],
)
def test_flags_of_earlier_versions(arguments, expected):
    app = culler(*arguments)
    assert {name: getattr(app, name) for name in expected} == expected
    assert app.plan().once is ("--once" in arguments)


@pytest.mark.parametrize(
    "more", [[], ["--log_rotate_mode=time"], ["--log_to_stderr"], ["--log_file_max_size=1000"]], ids=str
)
def test_the_log_goes_to_a_file_where_that_is_wanted(tmp_path, capfd, more):
    app = culler("--log_file_prefix=cull.log", *more)
    app.log.info("of the application")
    logging.getLogger("k8s_hub.culler").info("of the package")
    for handler in app.log.handlers:
        handler.close()
    written = (tmp_path / "cull.log").read_text()
    assert "of the application" in written
    assert "of the package" in written
    assert ("of the package" in capfd.readouterr().err) is ("--log_to_stderr" in more)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--log_file_prefix=/nowhere/cull.log"], ["log_file_prefix '/nowhere/cull.log'", "No such file"]),
        (
            ["--log_file_prefix=a", "--log_rotate_mode=time", "--log_rotate_when=soon"],
            ["log_rotate_when must be", "'soon'"],
        ),
        (["--log_rotate_mode=never"], ["log_rotate_mode", "'never'"]),
        (["--logging=loud"], ["log_level", "'loud'"]),
    ],
)
def test_a_log_that_cannot_be_is_one_sentence(capfd, arguments, words):
    printed = refusal(capfd, *arguments)
    assert all(word in printed for word in words), printed


# --- When users are deleted ---


def user_limits(*arguments):
    decider = culler(*arguments).plan().decider
    return decider.user_limits or decider.limits


def test_users_have_the_limits_of_servers_unless_they_have_their_own(tmp_path):
    day, hour = timedelta(days=1), timedelta(hours=1)
    assert user_limits("--timeout=3600", "--max-age=86400").timeout == hour
    assert user_limits("--timeout=3600", "--max-age=86400").max_age == day
    own = user_limits("--timeout=3600", "--user-timeout=86400", "--cull-admin-users=false")
    assert (own.timeout, own.max_age, own.admins) == (day, None, False)
    assert user_limits("--max-age=3600", "--user-max-age=0").max_age is None
    assert user_limits("--max-age=3600", "--user-max-age=86400").max_age == day


def test_rules_of_servers_change_no_limit_of_users_and_rules_of_users_do(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "rules:\n  - {timeout: 15m}\nusers:\n  - {match: {user: 'tmp-*'}, timeout: 1d}\n"
    )
    decider = culler("--timeout=3600", "--rules-file=r.yaml").plan().decider
    assert decider.decide_user(user("ada"), NOW).matched.limits.timeout == timedelta(hours=1)
    assert decider.decide_user(user("tmp-1"), NOW).matched.limits.timeout == timedelta(days=1)


def test_rules_of_users_are_checked_at_the_start(capfd, tmp_path):
    (tmp_path / "r.yaml").write_text("users:\n  - {match: {server: a}, timeout: 1d}\n")
    assert "r.yaml: users[0].match.server: is unknown" in refusal(capfd, "--rules-file=r.yaml")
    (tmp_path / "idle_culler_config.py").write_text("c.IdleCuller.user_rules = [{'timeout': '1d'}]")
    (tmp_path / "r.yaml").write_text("[]")
    assert "user_rules and rules_file 'r.yaml' are both set" in refusal(capfd, "--rules-file=r.yaml")


# --- Tokens ---


def test_the_own_token_is_shown_to_servers_only_where_that_is_ordered():
    assert culler("--ask-servers").plan().probe.token == ""
    assert culler("--ask-servers", "--ask-with-own-token").plan().probe.token == "secret"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.yaml", "- match:\n  - [", ["'r.yaml', line 2"]),
        (
            "r.yaml",
            "- match: {user: a}\n  timeout: 60\n  timeout: 70\n",
            ["line 3", "'timeout' appears twice"],
        ),
        ("r.yaml", "- match: {usr: a}\n  timeout: 60\n", ["r.yaml: rules[0].match", "usr"]),
        ("r.json", "[\n{", ["'r.json', line 2"]),
        ("r.json", '[{"timeout": 1, "timeout": 2}]', ["'timeout' twice"]),
        ("r.json", b"\xff", ["not UTF-8"]),
        # What PyYAML reads as a number of another kind.
        ("r.yaml", "rules:\n  - timeout: 1:30\n", ["line 2", "'1:30' as 90", "1h 30m"]),
        ("r.yaml", "rules:\n  - timeout: 010\n", ["line 2", "'010' as 8"]),
        ("r.yaml", "rules:\n  - timeout: 0x10\n", ["line 2", "'0x10' as 16"]),
        ("r.yaml", "- timeout: 1:30:00\n", ["line 1", "'1:30:00' as 5400"]),
        ("r.yaml", "- timeout: 1:30.5\n", ["line 1", "'1:30.5' as 90.5"]),
        ("r.yaml", "- {timeout: 60, match: {user: 007}}\n", ["line 1", "'007' as 7", "in quotes"]),
        ("r.yaml", "- {timeout: 60, schedule: {hours: 10:00}}\n", ["line 1", "'10:00' as 600", "in quotes"]),
        ("r.yaml", "- {timeout: 60, match: {options: {010: a}}}\n", ["line 1", "'010' as 8"]),
        ("r.json", '[{"timeout": ' + "9" * 5000 + "}]", ["'r.json'", "4300"]),
        # What is not a date, though it has the form or the tag of one.
        (
            "r.yaml",
            "- timeout: 60\n  schedule: {dates: 2026-02-30}\n",
            ["line 2: '2026-02-30' is not a date"],
        ),
        ("r.yaml", "- timeout: !!timestamp soon\n", ["line 1: 'soon' is not a date"]),
    ],
)
def test_a_broken_rules_file_is_one_sentence(capfd, tmp_path, name, text, words):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    printed = refusal(capfd, f"--rules-file={name}")
    assert all(word in printed for word in words), printed


@pytest.mark.parametrize("trait", ["state_file", "rules_file", "decision_log", "metrics_ip"])
def test_a_null_character_is_refused_in_one_sentence(capfd, tmp_path, trait):
    (tmp_path / "c.json").write_text(f'{{"IdleCuller": {{"{trait}": "a\\u0000b"}}}}')
    assert f"{trait} 'a\\x00b' has a null character" in refusal(capfd, "--config=c.json")


def refusals(capfd, *arguments: str) -> list[str]:
    """Return all lines that a refused command line prints."""
    with pytest.raises(SystemExit):
        culler(*arguments).plan()
    return capfd.readouterr().err.strip().splitlines()


def test_all_mistakes_of_one_configuration_are_told_at_once(capfd, tmp_path, monkeypatch):
    """Each run of a culler in a hub's pod takes a restart of the hub."""
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN")
    (tmp_path / "c.py").write_text(
        "c.IdleCuller.timeout = 'soon'\n"
        "c.IdleCuller.max_agee = 5\n"
        "c.IdleCuller.concurrency = -1\n"
        "c.IdleCuller.warn_before = 900\n"
        "c.IdleCuller.rules_file = 'r.json'\n"
    )
    (tmp_path / "r.json").write_text(
        '{"rules": [{"timeout": "1 hor", "exempt": "yes", "match": {"user": 7, "grup": "a"}}, {"timeot": 60}],'
        ' "users": [{"timeout": 0}]}'
    )
    unknown, *said = refusals(capfd, "--config=c.py", "--brake-percent=101")
    assert "Config option `max_agee` not recognized by `IdleCuller`." in unknown
    expected = [
        ("'brake_percent'", "101"),
        ("config file 'c.py': ", "'timeout'", "'soon'"),
        ("config file 'c.py': ", "'concurrency'", "-1"),
        ("warn_before is 900, but neither warn_url nor warn_hook is set",),
        ("r.json: rules[0].timeout: '1 hor' is not a duration",),
        ("r.json: rules[0].exempt: must be true or false, not 'yes'",),
        ("r.json: rules[0].match.grup: is unknown; did you mean group?",),
        ("r.json: rules[0].match.user: must be text, not 7",),
        ("r.json: rules[1].timeot: is unknown; did you mean timeout?",),
        ("r.json: users[0].timeout: 0 is not a limit",),
        ("JUPYTERHUB_API_TOKEN is not set",),
    ]
    for line, words in zip(said, expected, strict=True):
        assert line.startswith("idle-culler: ")
        assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("options", "number"),
    [
        # warn_before is compared with a timeout that is not the default: no error that the admin did not make.
        ({"timeout": "soon", "warn_before": 900, "warn_url": "https://example.org/"}, 1),
        ({"timeout": 9000, "warn_before": 900, "warn_url": "https://example.org/", "max_age": "x"}, 1),
        ({"max_age": "x", "timeout": 900, "warn_before": 900, "warn_url": "https://example.org/"}, 2),
        ({"rules": 5, "user_rules": 6, "timeout": -1}, 3),
        ({"rules": [{"timeout": 60, "schedule": {"hours": "25:00-26:00", "weekdays": "moon"}}]}, 2),
    ],
)
def test_a_mistake_causes_no_error_about_another_option(capfd, tmp_path, options, number):
    (tmp_path / "c.json").write_text(json.dumps({"IdleCuller": options}))
    said = refusals(capfd, "--config=c.json")
    assert len(said) == number, said


RULES = {"users": [{"timeot": 60}], "rules": [{"match": {"grup": "a"}, "timeout": "1 hor"}]}
OF_RULES = [
    "r.json: rules[0].timeout: '1 hor' is not a duration",
    "r.json: rules[0].match.grup: is unknown; did you mean group?",
    "r.json: users[0].timeot: is unknown; did you mean timeout?",
]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--timout", "3"], ["unknown flag '--timout'; did you mean --timeout?"]),
        # Perhaps the URL and a longer timeout were meant.
        (["--ulr=http://x/", "--warn-before=900"], ["unknown flag '--ulr'; did you mean --url?"]),
        (["--zzz", "--warn-url=https://a/"], ["unknown flag '--zzz'", "--warn-url is not a flag"]),
        (["--cull-every"], ["--cull-every needs a value"]),
        (["--timout=3", "--concurrency=-1"], ["unknown flag '--timout=3'", "'concurrency'"]),
        (["3600"], ["unexpected argument '3600'"]),
        (["--config=none.py"], ["config file 'none.py' does not exist"]),
        (
            ["--config=raises.py", "--timout=3"],
            ["unknown flag '--timout=3'", "config file 'raises.py', line 1"],
        ),
    ],
)
def test_a_mistake_in_the_flags_hides_none_in_the_rules(capfd, tmp_path, monkeypatch, flags, expected):
    monkeypatch.delenv("JUPYTERHUB_API_URL")
    (tmp_path / "raises.py").write_text("1 / 0")
    (tmp_path / "r.json").write_text(json.dumps(RULES))
    said = refusals(capfd, "--rules-file=r.json", *flags)
    for line, words in zip(said, [*expected, *OF_RULES], strict=True):
        assert words in line


def test_a_value_that_yaml_would_change_hides_no_other_mistake(capfd, tmp_path):
    (tmp_path / "r.yaml").write_text(
        "rules:\n- timeout: 1:30\n  match: {usr: x}\n- {timeout: 010, timeout: 5, exempt: 1}\n"
    )
    said = refusals(capfd, "--timout=60", "--rules-file=r.yaml")
    expected = [
        "unknown flag '--timout=60'; did you mean --timeout?",
        "rules_file 'r.yaml', line 4: the key 'timeout' appears twice",
        "rules_file 'r.yaml', line 2: YAML would read '1:30' as 90",
        "rules_file 'r.yaml', line 4: YAML would read '010' as 8",
        "r.yaml: rules[0].match.usr: is unknown; did you mean user?",
        "r.yaml: rules[1].exempt: must be true or false, not 1",
    ]
    assert len(said) == len(expected)
    assert all(any(words in line for line in said) for words in expected), said


def test_a_date_that_does_not_exist_hides_no_other_mistake_and_is_told_once(capfd, tmp_path):
    (tmp_path / "r.yaml").write_text(
        "- {timeot: 5, schedule: {dates: 2026-02-30, hours: '08:00-10:00', time_zone: UTC}}\n"
    )
    said = refusals(capfd, "--rules-file=r.yaml")
    assert [line.partition("r.yaml")[2] for line in said] == [
        "', line 1: '2026-02-30' is not a date",
        ": rules[0].timeot: is unknown; did you mean timeout?",
    ]


def test_a_repeated_key_of_json_hides_no_other_mistake(capfd, tmp_path):
    (tmp_path / "r.json").write_text('[{"timeout": 5, "timeout": 6, "match": {"usr": "x"}}]')
    said = refusals(capfd, "--rules-file=r.json")
    assert [line.partition("r.json")[2] for line in said] == [
        "' has the key 'timeout' twice in one place",
        ": rules[0].match.usr: is unknown; did you mean user?",
    ]


def test_sentences_are_joined_with_one_mark_each():
    sentences = ["did you mean --timeout?", "rules_file is empty", "It is a number.", "last"]
    assert BadOptions(sentences, 2).paragraph == (
        "did you mean --timeout? rules_file is empty. It is a number. last"
    )


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["explian", "ada"], "unexpected argument 'explian'; did you mean explain?"),
        (["--timeout=60", "explain", "ada"], "unexpected argument 'explain': write explain before the flags"),
        (["stop"], "unexpected argument 'stop'"),
    ],
)
def test_a_misspelled_verb_is_named_with_the_right_one(capfd, arguments, hint):
    assert refusals(capfd, *arguments) == [f"idle-culler: {hint}"]


def test_a_mistake_in_the_url_hides_none_of_the_page(capfd, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_SERVICE_NAME", "")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", "http://127.0.0.1:1/")
    said = refusals(capfd, "--url=hub")
    assert "url must be a URL" in said[0]
    assert "JUPYTERHUB_SERVICE_NAME is not set" in said[1]


@pytest.mark.parametrize("section", ["timeout", "IdleCullr", "idle_culler"])
def test_a_section_of_the_config_file_without_effect_is_told(capfd, tmp_path, section):
    """traitlets itself tells of unknown options only, and what was meant as a limit would be none."""
    value = "7200" if section == "timeout" else '{"timeout": 7200}'
    (tmp_path / "c.json").write_text(f'{{"{section}": {value}, "Application": {{"log_level": 20}}}}')
    culler("--config=c.json")
    (told,) = capfd.readouterr().err.splitlines()
    assert f"config file 'c.json': section '{section}' has no effect" in told
    assert "the section IdleCuller" in told


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--user-timeout=60"], ["user_timeout is set, but has no effect without cull_users"]),
        (["--IdleCuller.user_max_age=60", "--cull-users=no"], ["user_max_age is set, but has no effect"]),
        (["--ask-with-own-token", "--busy-limit=0"], ["ask_with_own_token is set"]),
        (["--metrics-ip=127.0.0.1"], ["metrics_ip is set, but has no effect without metrics_port"]),
        (["--user-timeout=60", "--cull-users"], []),
        (["--ask-limit=5", "--ask-servers", "--metrics-ip=::1", "--metrics-port=9"], []),
        ([], []),
    ],
)
def test_an_option_without_effect_is_told(capfd, flags, told):
    culler(*flags)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == len(told)
    assert all(words in line for words, line in zip(told, lines, strict=True))


def test_rules_come_from_one_place(capfd, tmp_path):
    rule = "{'match': {'user': 'a*'}, 'timeout': '15m'}"
    (tmp_path / "idle_culler_config.py").write_text(f"c.IdleCuller.rules = [{rule}]")
    (tmp_path / "rules.yaml").write_text("- match: {user: a*}\n  timeout: 15m\n")
    (tmp_path / "none.py").write_text("")
    assert (
        culler("--rules-file=rules.yaml", "--config=none.py").plan().decider.rules
        == culler().plan().decider.rules
    )
    assert "rules_file 'rules.yaml'" in refusal(capfd, "--rules-file=rules.yaml")


def test_a_rule_with_a_timeout_below_the_warning_is_refused(capfd, tmp_path, monkeypatch):
    (tmp_path / "r.json").write_text('[{"name": "nights", "match": {"user": "a"}, "timeout": "15m"}]')
    monkeypatch.setenv("IDLE_CULLER_WARN_URL", HOOK)
    printed = refusal(capfd, "--rules-file=r.json", "--timeout=3600", "--warn-before=900")
    assert "not 900: the timeout of nights is 900" in printed
    assert culler("--rules-file=r.json", "--timeout=3600", "--warn-before=899").plan().decider.notice


def test_help_shows_each_option_once(capsys):
    with pytest.raises(SystemExit):
        culler("--help")
    text = capsys.readouterr().out
    assert text.count("c.IdleCuller.warn_url = ...") == 1
    for trait in [*INTEGERS, *BOOLEANS, *STRINGS, "rules_file"]:
        name = "--" + trait.replace("_", "-")
        assert sum(line.startswith((f"{name}=", f"{name}[")) for line in text.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "has_page"),
    [
        ("", False),
        ("http://127.0.0.1:0/", False),  # of JupyterHub 5 to a service without url
        ("http://127.0.0.1:10101", True),
    ],
)
def test_a_page_is_served_where_the_hub_gives_an_address(monkeypatch, url, has_page):
    monkeypatch.setenv("JUPYTERHUB_SERVICE_NAME", "idle-culler")
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", url)
    assert (culler().plan().page is not None) is has_page


def test_a_missing_token_is_one_sentence(capfd, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN")
    assert "JUPYTERHUB_API_TOKEN is not set" in refusal(capfd)


def test_a_token_may_end_with_a_newline(monkeypatch):
    """Many a Secret was made with echo."""
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret\n")
    assert culler().plan().hub.token == "secret"


def test_what_cannot_be_a_token_is_not_shown(capfd, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "sec\nret")
    printed = refusal(capfd)
    assert "JUPYTERHUB_API_TOKEN" in printed
    assert "ret" not in printed.replace("JUPYTERHUB_API_TOKEN", "")


def test_a_missing_url_is_one_sentence(capfd, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_API_URL")
    assert "set --url or JUPYTERHUB_API_URL" in refusal(capfd)


@pytest.mark.parametrize(
    ("written", "seconds"), [("900", 900), ("+900", 900), ("1_000", 1000), ("15m", 900), ("'900'", 900)]
)
def test_plain_numbers_of_yaml_are_read(tmp_path, written, seconds):
    (tmp_path / "r.yaml").write_text(f"- timeout: {written}\n")
    (rule,) = culler("--rules-file=r.yaml").plan().decider.rules.rules
    assert rule.limits == {"timeout": timedelta(seconds=seconds)}


def test_the_request_timeout_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_REQUEST_TIMEOUT", "7")
    assert culler().plan().hub.request_timeout == 7


def test_a_log_format_of_idle_culler_with_the_fields_of_tornado_s_formatter():
    formatter = LineFormatter("%(color)s[%(levelname)1.1s %(name)s]%(end_color)s %(message)s")
    record = logging.LogRecord("culler", logging.INFO, "", 0, "Sweep: done", None, None)
    assert formatter.format(record) == "[I culler] Sweep: done"
