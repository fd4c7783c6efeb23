from devkit.bench.beside.plots import (
    POINTS,
    bars,
    by_servers,
    merged,
    ready_over_time,
    series,
    with_dark_colours,
)

SMALL = {"hub alone": {"quiet.cpu": 1.5}, "k8s_hub": {"quiet.cpu": 1.25, "burst.ready": [2.5, 1.0]}}
LARGE = {"k8s_hub": {"quiet.cpu": 4.0}, "k8s_hub file": {"quiet.cpu": 9.0}}
RESULTS = {"2,000 users": LARGE, "300 users": SMALL, "a class of 300": {"k8s_hub": {"class.wall": 11.0}}}


def test_bursts_are_in_the_order_of_their_size_and_a_class_is_none():
    assert list(by_servers(RESULTS)) == [300, 2000]


def test_a_line_has_a_point_for_each_run_with_the_figure():
    assert series(RESULTS, "quiet.cpu") == {"hub alone": [(300, 1.5)], "k8s_hub": [(300, 1.25), (2000, 4.0)]}


def test_bars_leave_out_subjects_without_the_figure():
    assert bars(SMALL, "burst.ready") == {"k8s_hub": [2.5, 1.0]}


def test_a_curve_begins_without_a_server_and_counts_them_as_they_come():
    assert ready_over_time(SMALL) == {"k8s_hub": [(0.0, 0), (1.0, 1), (2.5, 2)]}


def test_a_long_curve_is_thinned_and_ends_with_the_last_server():
    many = {"k8s_hub": {"burst.ready": [number / 10 for number in range(1, 2001)]}}
    curve = ready_over_time(many)["k8s_hub"]
    assert POINTS / 2 < len(curve) <= POINTS + 2
    assert curve[-1] == (200.0, 2000)
    assert all(second == number / 10 for second, number in curve)


def test_a_later_run_adds_subjects_and_replaces_those_of_the_same_situation():
    later = {"300 users": {"k8s_hub": {"quiet.cpu": 1.0}}}
    assert merged([RESULTS, later])["300 users"] == {**SMALL, "k8s_hub": {"quiet.cpu": 1.0}}
    assert merged([RESULTS, later])["2,000 users"] == LARGE


def test_a_picture_brings_its_colours_for_dark_pages():
    svg = with_dark_colours("<svg><defs></defs><path style='fill: #ffffff'/></svg>")
    assert svg.startswith("<svg><defs>\n  <style>@media (prefers-color-scheme: dark)")
    assert '[style*="fill: #ffffff"] { fill: #1e2129 !important }' in svg
