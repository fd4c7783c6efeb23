"""Names that would forge a line of the table, or what prune says."""

import pytest

from devkit.testing.inmemoryhub import NOW
from k8s_hub.claims.lookup import username_of
from k8s_hub.cli import volumes
from k8s_hub.volumes import table
from k8s_hub.volumes.plan import OwnerIndex, PruneOptions, plan
from k8s_hub.volumes.pruning import ClaimDeleted, ClaimKept, ClaimUnclear
from tests.volumes.objects import claim, server, user

OPTIONS = PruneOptions(now=NOW)
FORGED = "x\r\x1b[2Kwould delete jhub/claim-boss (boss)\nkeep         jhub/claim-eve\u202e"
BOSS = user("boss", default=server("claim-boss"))
CLAIMS = [
    claim("claim-boss", "boss"),
    claim("claim-eve", "eve", FORGED),
    claim("claim-gone", FORGED),
    claim("claim-class", "boss", storage_class=FORGED, requested="1Gi"),
]


def findings(*users):
    return plan(CLAIMS, {}, OwnerIndex.of([BOSS, *users], ()), OPTIONS).findings


RUNS = pytest.mark.parametrize(
    "users",
    [(), (user("eve", **{FORGED: server("claim-eve")}),), (user("eve", **{FORGED: server()}),)],
    ids=["gone", "lives", "state without a claim"],
)


@RUNS
def test_each_claim_is_one_line_of_the_table(users):
    lines = table.claims_table(findings(*users), NOW)
    assert len(lines) == 1 + len(CLAIMS) + 1
    assert all(line.isprintable() for line in lines)


@RUNS
def test_each_claim_is_one_line_of_what_prune_says(users, capsys):
    found = findings(*users)
    volumes._show_plan(found, OPTIONS, is_json=False)
    report = volumes.PruneReport(options=OPTIONS, is_json=False)
    for each in found:
        for outcome in (
            ClaimDeleted(),
            ClaimKept(reason=f"it belongs to {FORGED}"),
            ClaimUnclear(error=FORGED),
        ):
            report.on_outcome(each, outcome)
    printed = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in printed)
    assert not [line for line in printed if line.startswith("would delete jhub/claim-boss")]
    assert len([line for line in printed if "claim-gone (" in line]) >= 4


def test_programs_get_the_names_as_they_are():
    (gone,) = [found for found in findings() if username_of(found.claim) == FORGED]
    assert table.as_json(gone, NOW)["user"] == FORGED
