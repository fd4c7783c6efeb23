"""Expressions in bounded time, and nothing left behind of the timer."""

import signal
import threading

import pytest

from k8s_hub.profiles.selection import Allowance, TooSlow

FOR_EVER = ("(a|a)*b", "a" * 40)


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("a+", "aaa", True),
        ("a+", "aaab", False),
        ("a|ab", "ab", True),
        ("^a$", "a\n", False),
        ("(?i)ABC", "abc", True),
        ("", "", True),
    ],
)
def test_the_whole_text_must_match(expression, text, expected):
    assert Allowance().matches(expression, text) is expected


def test_one_allowance_is_for_all_expressions_together():
    allowance = Allowance()
    with pytest.raises(TooSlow):
        allowance.matches(*FOR_EVER)

    with pytest.raises(TooSlow):
        allowance.matches("a", "a")
    assert Allowance().matches("a", "a")


def test_signals_and_timers_are_as_they_were():
    heard = []
    before = signal.signal(signal.SIGVTALRM, lambda *_: heard.append("signal"))
    try:
        with pytest.raises(TooSlow):
            Allowance().matches(*FOR_EVER)
        assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
        signal.raise_signal(signal.SIGVTALRM)
        assert heard == ["signal"]
    finally:
        signal.signal(signal.SIGVTALRM, before)


def test_another_thread_than_the_hubs_matches_too():
    results = []
    thread = threading.Thread(target=lambda: results.append(Allowance().matches("a+", "aaa")))
    thread.start()
    thread.join()

    assert results == [True]
