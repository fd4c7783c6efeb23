"""What is wrong ends in exit code 1; what is only unknown or worth a note does not."""

import pytest

from k8s_hub.doctor.checks.findings import Finding, Status, findings_table, is_well, not_served


def found(status, subject="create pods", **more):
    return Finding(check="rights", subject=subject, status=status, **more)


@pytest.mark.parametrize("status", Status)
def test_only_what_is_wrong_is_not_well(status):
    assert is_well([found(Status.FINE), found(status)]) is (status is not Status.WRONG)


def test_the_table_has_what_to_do_below_each_line_and_joins_what_is_fine():
    findings = [
        *(found(Status.FINE, subject) for subject in ("get pods", "list pods", "watch pods")),
        found(Status.WRONG, "create pods", message="not allowed", advice="add it"),
        Finding(check="storage", subject="default class", status=Status.FINE, message="fast"),
    ]
    heading, joined, wrong, advice, fine, total = findings_table(findings)
    assert heading.split() == ["CHECK", "SUBJECT", "FINDING"]
    assert joined.split("  ")[0] == "ok"
    assert "get pods ... watch pods" in joined
    assert joined.endswith("all 3")
    assert wrong.startswith("wrong")
    assert wrong.endswith("not allowed")
    assert advice.strip() == "-> add it"
    assert fine.endswith("fast")
    assert total == "4 ok, 1 wrong"


def test_a_name_with_a_line_break_forges_no_line():
    odd = found(Status.WRONG, subject="a\nok", message="b\x1b[2K", advice="c\nd\u202e")
    lines = findings_table([odd])
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_as_json():
    assert found(Status.UNKNOWN, message="m").as_json() == {
        "check": "rights",
        "subject": "create pods",
        "status": "unknown",
        "message": "m",
        "advice": "",
    }


def test_where_the_api_server_has_no_such_object_no_other_account_is_advised():
    found = not_served("network", "network policies", "network policies")
    assert (found.status, found.advice) == (Status.UNKNOWN, "")
