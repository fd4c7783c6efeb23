"""How a container's words become a process's."""

from pathlib import Path

import pytest

from devkit.minicluster.launcher import Machine, compose
from devkit.minicluster.runtime import Order, StartError

HOME = Path("/cluster/volumes/default/home")


@pytest.fixture
def machine(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("jupyterhub-singleuser", "tool"):
        (programs / name).write_text("")
        (programs / name).chmod(0o755)
    return Machine(programs=programs, path="/usr/bin:/bin", language="C.UTF-8", is_root=False)


def order(*words, env=(), **container):
    container = {"name": "notebook", "args": list(words), "env": list(env)} | container
    container["volumeMounts"] = [
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "home", "mountPath": "/home/jovyan"},
    ]
    volumes = [
        {"name": "shm", "emptyDir": {}},
        {"name": "home", "persistentVolumeClaim": {"claimName": "home"}},
    ]
    pod = {
        "metadata": {"name": "a", "namespace": "default", "uid": "u-1"},
        "spec": {"containers": [container], "volumes": volumes},
    }
    return Order(
        pod=pod,
        container=container,
        address="127.9.0.1",
        port=8888,
        home=HOME,
        log=Path("/cluster/log"),
        find_secret={"token": {"data": {"k": "c2VjcmV0"}}}.get,
    )


def variable(name, value):
    return {"name": name, "value": value}


def test_programs_of_this_python_environment_come_first(machine):
    command = compose(order("tool", "--flag"), machine)
    assert command.arguments == (str(machine.programs / "tool"), "--flag")
    assert command.environment["PATH"] == f"{machine.programs}:/usr/bin:/bin"


def test_command_stands_before_args(machine):
    assert compose(order("x", command=["sh", "-c"]), machine).arguments[1:] == ("-c", "x")


def test_home_is_the_working_directory_whatever_the_pod_says(machine):
    command = compose(order("tool", env=[variable("HOME", "/root")]), machine)
    assert (command.environment["HOME"], command.directory) == (str(HOME), HOME)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://0.0.0.0:8888/user/a/", "http://127.9.0.1:8888/user/a/"),
        ("http://[::]:8888/", "http://127.9.0.1:8888/"),
        ("http://:8888/", "http://127.9.0.1:8888/"),
        ("https://0.0.0.0/user/a/", "https://127.9.0.1/user/a/"),
        ("http://127.0.0.1:9999/", "http://127.0.0.1:9999/"),
    ],
)
def test_a_server_of_all_addresses_listens_on_its_own(machine, url, expected):
    command = compose(order("tool", env=[variable("JUPYTERHUB_SERVICE_URL", url)]), machine)
    assert command.environment["JUPYTERHUB_SERVICE_URL"] == expected


@pytest.mark.parametrize(("is_root", "options"), [(True, ("--allow-root", "--x")), (False, ("--x",))])
def test_a_server_run_by_root_is_told_that_it_may(machine, is_root, options):
    machine = Machine(programs=machine.programs, path=machine.path, language="C", is_root=is_root)
    assert compose(order("jupyterhub-singleuser", "--x"), machine).arguments[1:] == options
    assert "--allow-root" not in compose(order("tool"), machine).arguments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(NAME)/lab", "ada/lab"),
        ("$$(NAME)", "$(NAME)"),
        ("$(NOBODY)", "$(NOBODY)"),
        ("$NAME", "$NAME"),
    ],
)
def test_references_to_variables_are_filled_in(machine, text, expected):
    env = [variable("NAME", "ada"), variable("TEXT", text)]
    command = compose(order("tool", text, env=env), machine)
    assert (command.arguments[1], command.environment["TEXT"]) == (expected, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/jovyan", str(HOME)),
        ("/home/jovyan/work", f"{HOME}/work"),
        ("/home/jovyana", "/home/jovyana"),
        ("/dev/shm/x", "/dev/shm/x"),
    ],
)
def test_paths_in_the_home_are_where_its_files_are(machine, text, expected):
    command = compose(order("tool", text, env=[variable("ROOT", text)]), machine)
    assert (command.arguments[1], command.environment["ROOT"]) == (expected, expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "a"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "u-1"),
        ("status.podIP", "127.9.0.1"),
    ],
)
def test_fields_of_the_pod_can_be_variables(machine, path, expected):
    env = [{"name": "FIELD", "valueFrom": {"fieldRef": {"fieldPath": path}}}]
    assert compose(order("tool", env=env), machine).environment["FIELD"] == expected


def of_secret(name, key, **more):
    return {"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": key, **more}}}


def test_a_variable_can_come_from_a_secret(machine):
    assert compose(order("tool", env=[of_secret("token", "k")]), machine).environment["X"] == "secret"


@pytest.mark.parametrize(
    ("name", "key", "problem"),
    [("gone", "k", 'secret "gone" not found'), ("token", "x", "couldn't find key x in Secret token")],
)
def test_a_secret_that_is_not_there_is_an_error_unless_it_is_optional(machine, name, key, problem):
    with pytest.raises(StartError, match=problem) as caught:
        compose(order("tool", env=[of_secret(name, key)]), machine)
    assert caught.value.reason == "CreateContainerConfigError"
    command = compose(order("tool", env=[of_secret(name, key, optional=True)]), machine)
    assert "X" not in command.environment


@pytest.mark.parametrize(
    "source",
    [{"configMapKeyRef": {"name": "s", "key": "k"}}, {"fieldRef": {"fieldPath": "spec.nodeName"}}],
)
def test_a_variable_from_anything_else_is_an_error_that_names_it(machine, source):
    with pytest.raises(StartError, match="the environment variable X cannot be set") as caught:
        compose(order("tool", env=[{"name": "X", "valueFrom": source}]), machine)
    assert caught.value.reason == "CreateContainerConfigError"


def test_nothing_to_run_is_an_error(machine):
    with pytest.raises(StartError, match="no command specified"):
        compose(order(), machine)
