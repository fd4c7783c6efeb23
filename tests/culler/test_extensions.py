"""What users may keep, from values."""

from datetime import UTC, datetime, timedelta

import pytest

from k8s_hub.culler.core.extensions import (
    Extension,
    ExtensionLimits,
    ExtensionRefused,
    extend,
    extended_until,
    lasting,
    quota,
    release,
)

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIMITS = ExtensionLimits(longest=4 * HOUR, per_week=2)


def kept(ago, length=HOUR, server=""):
    return Extension(server=server, at=NOW - ago, until=NOW - ago + length)


def test_a_server_is_kept_until_the_longest_of_its_keeps_ends():
    extensions = (kept(timedelta(0), 3 * HOUR), kept(HOUR, HOUR * 2), kept(timedelta(0), 4 * HOUR, "lab"))
    assert extended_until(extensions, "", LIMITS, NOW) == NOW + 3 * HOUR
    assert extended_until(extensions, "lab", LIMITS, NOW) == NOW + 4 * HOUR
    assert extended_until(extensions, "other", LIMITS, NOW) is None
    assert extended_until(extensions, "", LIMITS, NOW + 3 * HOUR) is None, "its end is not part of it"


def test_a_lowered_limit_holds_for_what_was_kept_before():
    extensions = (kept(HOUR, 30 * HOUR),)
    assert extended_until(extensions, "", LIMITS, NOW) == NOW + 3 * HOUR


@pytest.mark.parametrize(
    ("extensions", "left", "again"),
    [
        ((), 2, None),
        ((kept(DAY),), 1, None),
        ((kept(DAY), kept(2 * DAY)), 0, NOW + 5 * DAY),
        ((kept(DAY), kept(2 * DAY), kept(3 * DAY)), 0, NOW + 5 * DAY),
        ((kept(DAY), kept(7 * DAY)), 1, None),
        ((kept(DAY), kept(7 * DAY - timedelta(seconds=1))), 0, NOW + timedelta(seconds=1)),
    ],
)
def test_what_is_left_of_any_seven_days(extensions, left, again):
    allowed = quota(extensions, LIMITS, NOW)
    assert (allowed.left, allowed.again) == (left, again)
    if again is not None:
        assert quota(extensions, LIMITS, again).left == 1


@pytest.mark.parametrize(
    ("extensions", "length", "limits", "sentence"),
    [
        ((), HOUR, ExtensionLimits(per_week=0), "Your administrator has turned extensions off."),
        ((), HOUR, ExtensionLimits(longest=timedelta(0)), "Your administrator has turned extensions off."),
        ((), timedelta(0), LIMITS, "An extension must be longer than zero"),
        ((), -HOUR, LIMITS, "An extension must be longer than zero"),
        ((), 5 * HOUR, LIMITS, "An extension can last at most 4 h."),
        (
            (kept(timedelta(0), 2 * HOUR),),
            HOUR,
            LIMITS,
            "The server is already extended until 2026-07-01 14:00 UTC. Choose a longer extension.",
        ),
        (
            (kept(DAY), kept(2 * DAY)),
            HOUR,
            LIMITS,
            "You have used all 2 extensions of these seven days. You can extend again from 2026-07-06 12:00 UTC.",
        ),
    ],
)
def test_what_is_refused(extensions, length, limits, sentence):
    with pytest.raises(ExtensionRefused, match=sentence):
        extend(extensions, "", length, limits, NOW)


def test_releasing_gives_nothing_back():
    extensions = release(extend((), "lab", HOUR, LIMITS, NOW), "lab", NOW)
    assert extended_until(extensions, "lab", LIMITS, NOW) is None
    assert quota(extensions, LIMITS, NOW).left == 1


def test_an_admin_s_keep_is_no_use_of_the_user_s_and_not_bound_by_the_quota():
    extensions = ()
    for number in range(5):
        extensions = extend(extensions, f"lab-{number}", HOUR, LIMITS, NOW, by_admin=True)
    assert extended_until(extensions, "lab-4", LIMITS, NOW) == NOW + HOUR
    assert quota(extensions, LIMITS, NOW).left == 2
    extensions = release(extensions, "lab-4", NOW)
    assert quota(extensions, LIMITS, NOW).left == 2
    extensions = extend(extend(extensions, "lab", HOUR, LIMITS, NOW), "lab", 2 * HOUR, LIMITS, NOW)
    with pytest.raises(ExtensionRefused, match="all 2 extensions"):
        extend(extensions, "lab", 3 * HOUR, LIMITS, NOW)
    extend(extensions, "lab", 3 * HOUR, LIMITS, NOW, by_admin=True)


def test_an_admin_can_keep_where_users_cannot_but_not_longer_than_the_longest():
    none = ExtensionLimits(longest=4 * HOUR, per_week=0)
    assert extend((), "", HOUR, none, NOW, by_admin=True)
    for limits, length in ((none, 5 * HOUR), (ExtensionLimits(longest=timedelta(0)), HOUR)):
        with pytest.raises(ExtensionRefused):
            extend((), "", length, limits, NOW, by_admin=True)


def test_what_neither_holds_nor_counts_is_forgotten():
    counts, lasts, over = kept(6 * DAY), kept(8 * DAY, 9 * DAY), kept(7 * DAY)
    assert lasting((counts, lasts, over), NOW) == (counts, lasts)
