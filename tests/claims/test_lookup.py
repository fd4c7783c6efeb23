"""A claim grows to what is configured, and never the other way."""

import pytest

from k8s_hub.claims.lookup import missing_growth, owners_of, username_of
from tests.claims.objects import claim, made_for, user_id

HOME = claim("claim-ada", "ada")
PLAIN = claim("prepared")


def test_a_claim_is_filed_under_its_user():
    assert username_of(HOME) == "ada"
    assert owners_of(HOME) == ("ada",)
    marked = claim("claim-ada", "ada", annotations=made_for(user_id(7)))
    assert owners_of(marked) == ("ada", 7)


def test_a_claim_without_annotation_is_nobodys():
    assert username_of(PLAIN) is None
    assert owners_of(PLAIN) == ()


def sized(size="10Gi", **more):
    spec = {} if size is None else {"resources": {"requests": {"storage": size}}}
    return {**claim("claim-ada", "ada", **more), "spec": spec}


@pytest.mark.parametrize(
    "asked, capacity, growth",
    [
        ("10Gi", "20Gi", "20Gi"),
        ("10Gi", "10.5Gi", "10.5Gi"),
        ("10Gi", "10Gi", None),
        ("10Gi", "10240Mi", None),
        ("10Gi", "5Gi", None),
        ("10Gi", "10G", None),
        ("10Gi", None, None),
        (None, "10Gi", None),
    ],
)
def test_only_more_is_asked_for(asked, capacity, growth):
    assert missing_growth(sized(asked), capacity) == growth


@pytest.mark.parametrize("phase", ["Pending", "Lost"])
def test_a_claim_without_a_volume_stays_as_it_is(phase):
    assert missing_growth(sized(phase=phase), "20Gi") is None


def test_a_claim_that_is_being_deleted_stays_as_it_is():
    assert missing_growth(sized(deletionTimestamp="2026-07-01T12:00:00Z"), "20Gi") is None
