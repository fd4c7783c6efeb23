"""The acceptance table: the same decisions from library, dry run, explain and page."""

import pytest

from tests.culler import table

ROWS = pytest.mark.parametrize("row", table.rows(), ids=lambda row: row.what)


def test_the_table_is_as_large_as_promised():
    rows = table.rows()
    assert len(rows) >= 60
    assert len({row.what for row in rows}) == len(rows)
    assert all("#" in row.source for row in rows)


@ROWS
async def test_library(row):
    decision = await row.decider.decide(row.facts(), row.now)
    verdict, expected = decision.verdict, row.expected
    assert ("stop" if verdict.culls else "keep", verdict.cause.value, decision.ruling.rule) == (
        expected.verdict,
        expected.cause,
        expected.rule,
    )
    if expected.looks_at_due:
        assert verdict.due == expected.due
