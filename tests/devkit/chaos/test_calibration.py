import ast

import pytest

from devkit.chaos.calibration import PACKAGE, bugs
from devkit.chaos.command import parser
from devkit.perturb.scenarios import SCENARIOS
from devkit.perturb.views import VIEW_CASES

every_bug = pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)


@every_bug
def test_a_bug_can_still_be_planted(bug):
    planted = bug.planted_in((PACKAGE / bug.file).read_text())

    assert ast.parse(planted)


@every_bug
def test_its_campaign_still_exists(bug):
    verb, *arguments = bug.campaign

    if verb == "chaos":
        assert parser().parse_args(arguments)
    else:
        assert any(bug.only in name for name in [*map(str, VIEW_CASES), *(each.name for each in SCENARIOS)])


def test_a_bug_whose_code_has_changed_is_not_planted():
    with pytest.raises(ValueError, match="not exactly one"):
        bugs()[0].planted_in("other code")
