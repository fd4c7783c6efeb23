"""The spellings of flags, and what is none."""

import pytest

from k8s_hub.culler.core.flags import normalised

SWITCHES = {"cull-users", "help", "h"}
VALUED = {"cull-users", "timeout", "cull-every", "url", "logging", "log-level", "IdleCuller.cull_users"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--cull_every=3"], ["--cull-every=3"]),
        (["--cull_every", "3"], ["--cull-every=3"]),
        (["--cull_users"], ["--cull-users=true"]),
        (["--cull_users", "--timeout=3"], ["--cull-users=true", "--timeout=3"]),
        (["--url=http://a_b/hub/api"], ["--url=http://a_b/hub/api"]),
        (["--url", "http://a_b/hub/api"], ["--url=http://a_b/hub/api"]),
        (["--url=http://a/?b=c=d"], ["--url=http://a/?b=c=d"]),
        (["--timeout", "-3"], ["--timeout=-3"]),
        (["--url", "-"], ["--url=-"]),
        (["--IdleCuller.cull_users=True"], ["--IdleCuller.cull_users=true"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
        (["--url=a", "--timeout=3", "--url=a"], ["--timeout=3", "--url=a"]),
        (["--timeout", "3", "--cull-every", "3"], ["--timeout=3", "--cull-every=3"]),
        ([], []),
        # As tornado takes them, which reads the flags of 1.4.
        (["-timeout=3"], ["--timeout=3"]),
        (["-cull_users"], ["--cull-users=true"]),
        (["--logging=debug"], ["--log-level=DEBUG"]),
        (["--logging=WARNING"], ["--log-level=WARN"]),
        (["--logging=none"], ["--log-level=CRITICAL"]),
        (["--logging=loud"], ["--log-level=loud"]),
        # Of two alike, the last.
        (["--timeout=3600", "--timeout=60"], ["--timeout=60"]),
        (["--timeout=60", "--url=a", "--timeout=60"], ["--url=a", "--timeout=60"]),
        (["--cull_every=3", "--cull-every=4"], ["--cull-every=4"]),
        (["--cull-users", "--cull-users=false"], ["--cull-users=false"]),
        (["--cull-users=false", "--cull_users"], ["--cull-users=true"]),
        (["--IdleCuller.cull_users=true", "--cull-users=no"], ["--cull-users=false"]),
        (["--logging=debug", "--log-level=ERROR"], ["--log-level=ERROR"]),
        # What is no flag, and no word for true or false, is not a switch's value.
        (["ann", "--cull-users", "--timeout=3"], ["ann", "--cull-users=true", "--timeout=3"]),
        (["--cull-users", "ann"], ["ann", "--cull-users=true"]),
    ],
)
def test_all_spellings(given, expected):
    assert normalised(given, switches=SWITCHES, valued=VALUED) == (expected, [])


WORDS = {
    "true": ["true", "True", "TRUE", "t", "1", "yes", "Y", "on"],
    "false": ["false", "False", "f", "0", "no", "N", "off"],
}


@pytest.mark.parametrize(
    ("meant", "word"), [(meant, word) for meant, words in WORDS.items() for word in words]
)
@pytest.mark.parametrize("together", [True, False])
def test_words_for_true_and_false(meant, word, together):
    given = [f"--cull-users={word}"] if together else ["--cull-users", word]
    assert normalised(given, switches=SWITCHES, valued=VALUED) == ([f"--cull-users={meant}"], [])


def test_another_word_is_left_to_be_refused():
    given = ["--cull-users=maybe"]
    assert normalised(given, switches=SWITCHES, valued=VALUED) == (given, [])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--timout=3"], "unknown flag '--timout=3'; did you mean --timeout?"),
        (["--zzz"], "unknown flag '--zzz'; --help lists all flags"),
        (["-x"], "unknown flag '-x'; --help lists all flags"),
        (["-timout=3"], "unknown flag '-timout=3'; did you mean --timeout?"),
        (["---timeout=3"], "unknown flag '---timeout=3'; did you mean --timeout?"),
        (["--h"], "unknown flag '--h'; did you mean -h?"),
        (
            ["--IdleCuler.cull_users=true"],
            "unknown flag '--IdleCuler.cull_users=true'; did you mean --IdleCuller.cull_users?",
        ),
        (
            ["--IdleCuller.cul_users=true"],
            "unknown flag '--IdleCuller.cul_users=true'; did you mean --IdleCuller.cull_users?",
        ),
        (["--timeout"], "--timeout needs a value"),
        (["--timeout", "--cull-users"], "--timeout needs a value"),
    ],
)
def test_mistakes(given, sentence):
    assert normalised(given, switches=SWITCHES, valued=VALUED)[1] == [sentence]


def test_a_mistake_hides_no_other_flag():
    arguments, mistakes = normalised(
        ["--timout", "3", "--url=a", "--zzz", "--timeout=60"], switches=SWITCHES, valued=VALUED
    )
    assert arguments[-2:] == ["--url=a", "--timeout=60"]
    assert len(mistakes) == 2
