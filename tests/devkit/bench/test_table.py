from devkit.bench.beside.metrics import Seen, hub_requests, since
from devkit.bench.beside.plan import BARE_SCRIPT, HUB_ALONE, OURS, PEER, parse
from devkit.bench.beside.table import Row, above_hub, at_most, of_peer, table, verdict

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",resource="pods",scope="namespace",subresource="",verb="LIST"} 3
apiserver_request_total{code="410",resource="pods",scope="namespace",subresource="",verb="LIST"} 1
apiserver_request_total{code="200",resource="pods",scope="cluster",subresource="",verb="LIST"} 100
apiserver_request_total{code="200",resource="pods",scope="resource",subresource="status",verb="PATCH"} 50
apiserver_request_total{code="201",resource="pods",scope="resource",subresource="",verb="POST"} 7
apiserver_request_total{code="200",resource="leases",scope="resource",subresource="",verb="PUT"} 9
# TYPE apiserver_longrunning_requests gauge
apiserver_longrunning_requests{resource="pods",scope="namespace",subresource="",verb="WATCH"} 1
apiserver_longrunning_requests{resource="persistentvolumeclaims",scope="namespace",subresource="",verb="WATCH"} 1
apiserver_longrunning_requests{resource="events",scope="namespace",subresource="",verb="WATCH"} 1
apiserver_longrunning_requests{resource="pods",scope="cluster",subresource="",verb="WATCH"} 4
apiserver_longrunning_requests{resource="pods",scope="resource",subresource="log",verb="CONNECT"} 5
process_start_time_seconds 1.79625812345e+09
"""


def test_only_what_a_hub_asks_is_counted():
    assert hub_requests(METRICS) == {"LIST": 4, "POST": 7}


def test_only_the_watches_of_hubs_count_and_a_restart_shows():
    assert Seen.of(METRICS) == Seen(started=1796258123.45, watches=2)


def test_what_was_asked_in_between():
    assert since({"LIST": 4, "POST": 7}, {"LIST": 6, "POST": 7, "GET": 1}) == {"GET": 1, "LIST": 2}


def test_every_aim_of_a_row_has_to_be_reached():
    row = Row("wall", "burst.wall", "s", (of_peer(0.65), above_hub(4, "s")))
    others = {PEER.name: 100.0, HUB_ALONE.name: 60.0}
    assert verdict(row, {**others, OURS.name: 64.0}) == "yes"
    assert verdict(row, {**others, OURS.name: 64.5}) == "no: 64 s"


def test_one_exceeded_aim_is_enough_for_a_no_and_not_for_a_yes():
    row = Row("wall", "burst.wall", "s", (of_peer(0.65), above_hub(4, "s")))
    assert verdict(row, {PEER.name: 100.0, OURS.name: 65.5}) == "no: 65 s"
    assert not verdict(row, {PEER.name: 100.0, OURS.name: 64.0})


def test_only_the_smallest_burst_has_all_subjects():
    plan = parse(["--users", "2000", "300", "--subjects", "bare-script", "kubespawner", "k8s_hub"])
    assert [subject.name for subject in plan.burst_subjects(300)] == ["bare script", "kubespawner", "k8s_hub"]
    assert [subject.name for subject in plan.burst_subjects(2000)] == ["kubespawner", "k8s_hub"]


def test_without_the_other_there_is_no_verdict():
    assert not verdict(Row("wall", "burst.wall", "s", (of_peer(0.65),)), {OURS.name: 1.0})
    assert verdict(Row("lists", "quiet.lists", "", (at_most(0),)), {OURS.name: 0.0}) == "yes"


def test_a_table_has_the_figures_that_were_taken():
    figures = {BARE_SCRIPT.name: {"burst.wall": 8.25}, OURS.name: {"burst.wall": 9.0, "burst.cpu": 1234.5}}
    assert list(table("20 users", figures)) == [
        "| 20 users | bare script | k8s_hub | aim of k8s_hub | reached |",
        "|---|--:|--:|---|---|",
        "| burst start, wall | 8.25 s | 9 s | <= 0.65 x kubespawner and <= 1.1 x the larger of hub alone and bare script |  |",
        "| hub CPU per spawn | - | 1,234 ms | <= hub alone + 4 ms |  |",
    ]
