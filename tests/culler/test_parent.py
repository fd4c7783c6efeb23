"""Which process is the hub that started a culler, if one did."""

import os
import subprocess
import sys

import pytest

ASKS = "from k8s_hub.culler.parent import hub_that_started_us; print(hub_that_started_us())"


def answer(*, named, session, through=()):
    """What a process says that this one starts as told: this one is Python, as a hub is."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("JUPYTERHUB_")}
    done = subprocess.run(
        [*through, sys.executable, "-c", ASKS],
        env=environment | ({"JUPYTERHUB_SERVICE_NAME": "idle-culler"} if named else {}),
        start_new_session=session,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("named", "session", "is_managed"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_a_hub_names_its_service_and_gives_it_a_session(named, session, is_managed):
    assert answer(named=named, session=session) == (str(os.getpid()) if is_managed else "None")


def test_a_shell_is_no_hub_whatever_it_gives():
    shell = ("sh", "-c", '"$@"; true', "sh")
    assert answer(named=True, session=True, through=shell) == "None"
    assert answer(named=True, session=False, through=(*shell, "setsid", "--wait")) == "None"
