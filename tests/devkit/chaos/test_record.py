import io
from dataclasses import replace
from itertools import islice

import pytest

from devkit.chaos.faults import FAULTS, schedule
from devkit.chaos.observer import _targets
from devkit.chaos.record import (
    Change,
    Cull,
    Recorder,
    Request,
    Sample,
    change_of,
    culls_in,
    read,
    requests_in,
    server_key,
)
from devkit.chaos.users import KINDS, kind_of, next_step


def test_events_are_read_as_they_were_written(tmp_path):
    change = Change(
        at=1.5,
        kind="ADDED",
        resource="pods",
        name="a",
        uid="1",
        server="u1/",
        release="r",
        version="7",
        owners=("2",),
    )
    events = [change, Sample(at=2, servers=None), Cull(at=3, server="u1/")]
    file = io.StringIO()
    recorder = Recorder(file)
    for event in events:
        recorder.add(event)
    (tmp_path / "record.jsonl").write_text(file.getvalue())
    assert read(tmp_path / "record.jsonl") == recorder.events == events


@pytest.mark.parametrize(
    "username, key", [("u007", "u007/lab"), ("u007-r12", "u007/lab"), ("somebody", "somebody/lab")]
)
def test_a_renamed_person_keeps_their_server(username, key):
    assert server_key(username, "lab") == key


def test_a_change_has_what_the_judge_needs():
    pod = {
        "metadata": {
            "name": "jupyter-u007",
            "uid": "1",
            "resourceVersion": "5",
            "deletionTimestamp": "2030-01-01T00:00:00Z",
            "labels": {"app.kubernetes.io/instance": "jhub"},
            "annotations": {"hub.jupyter.org/username": "u007-r1", "hub.jupyter.org/servername": "lab"},
        },
        "status": {
            "phase": "Running",
            "podIP": "127.1.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    change = change_of(1, "MODIFIED", "pods", pod)
    assert (change.server, change.release, change.address) == ("u007/lab", "jhub", "127.1.0.1")
    assert change.is_ready
    assert change.is_terminating
    assert not change.is_alive


def test_culls_are_read_from_the_hub_s_log():
    log = [
        "[I 2030-01-01 00:00:01.500 JupyterHub log:192] 202 DELETE /hub/api/users/u007-r1/servers/lab (culler@127.0.0.1) 9ms",
        "[I 2030-01-01 00:00:02.000 JupyterHub log:192] 204 DELETE /hub/api/users/u008/server (culler@127.0.0.1) 9ms",
        "[I 2030-01-01 00:00:02.000 JupyterHub log:192] 204 DELETE /hub/api/users/u009/server (users@127.0.0.1) 9ms",
        "[W 2030-01-01 00:00:02.000 JupyterHub log:192] 404 DELETE /hub/api/users/u010/server (culler@127.0.0.1) 9ms",
        "a traceback",
    ]
    assert [(cull.server, cull.at) for cull in culls_in(log)] == [
        ("u007/lab", 1893456001.5),
        ("u008/", 1893456002.0),
    ]


def test_requests_of_hubs_alone_are_read_from_the_audit_log():
    line = (
        '{"user": {"username": "system:serviceaccount:x:%s"}, "verb": "delete", '
        '"objectRef": {"resource": "pods", "name": "a"}, "stageTimestamp": "2030-01-01T00:00:00.000000Z", '
        '"responseStatus": {"code": 200}}'
    )
    found = list(requests_in([line % account for account in ("hub", "default", "other-hub")], "x"))
    request = Request(at=1893456000.0, verb="delete", resource="pods", name="a", code=200)
    assert found == [request, replace(request, account="other-hub")]
    assert list(requests_in([line % "hub"], "y")) == []


def test_routes_are_read_by_server():
    routes = {
        "/": {"target": "http://127.0.0.1:8081"},
        "/user/u007-r1/": {"target": "http://127.1.0.1:8888"},
        "/user/u007-r1/lab/": {"target": "http://127.1.0.2:8888"},
    }
    assert _targets(routes) == {"u007/": "127.1.0.1", "u007/lab": "127.1.0.2"}


def test_a_seed_draws_the_same_faults_again_and_each_before_any_comes_twice():
    first, again, other = (list(islice(schedule(seed), len(FAULTS))) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(first) == sorted(FAULTS)


def test_a_seed_draws_the_same_people_and_every_kind_of_them():
    import random

    kinds = [kind_of(1, f"u{number:03}") for number in range(100)]
    assert kinds == [kind_of(1, f"u{number:03}") for number in range(100)]
    assert set(kinds) == set(KINDS)
    steps = [[next_step("busy", random.Random(7), 5) for _ in range(1)] for _ in range(2)]
    assert steps[0] == steps[1]
