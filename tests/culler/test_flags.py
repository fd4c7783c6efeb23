"""The spellings of flags, and what is none."""

import pytest

from k8s_hub.culler.flags import UsageError, normalised

SWITCHES = {"cull-users", "help", "h"}
VALUED = {"cull-users", "timeout", "cull-every", "url", "IdleCuller.cull_users"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--cull_every=3"], ["--cull-every=3"]),
        (["--cull_every", "3"], ["--cull-every", "3"]),
        (["--cull_users"], ["--cull-users"]),
        (["--cull_users", "--timeout=3"], ["--cull-users", "--timeout=3"]),
        (["--cull-users", "true"], ["--cull-users", "true"]),
        (["--url=http://a_b/hub/api"], ["--url=http://a_b/hub/api"]),
        (["--url", "http://a_b/hub/api"], ["--url", "http://a_b/hub/api"]),
        (["--timeout", "-3"], ["--timeout", "-3"]),
        (["--IdleCuller.cull_users=True"], ["--IdleCuller.cull_users=True"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
        (["--url=a", "--timeout=3", "--url=a"], ["--timeout=3", "--url=a"]),
        (["--timeout", "3", "--cull-every", "3"], ["--timeout", "3", "--cull-every", "3"]),
        ([], []),
    ],
)
def test_both_spellings(given, expected):
    assert normalised(given, switches=SWITCHES, valued=VALUED) == expected


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--timout=3"], "unknown flag '--timout=3'; is --timeout meant?"),
        (["--zzz"], "unknown flag '--zzz'"),
        (["-x"], "unknown flag '-x'"),
        (["-timeout=3"], "unknown flag '-timeout=3'; is --timeout meant?"),
        (
            ["--IdleCuler.cull_users=true"],
            "unknown flag '--IdleCuler.cull_users=true'; is --IdleCuller.cull_users meant?",
        ),
        (
            ["--IdleCuller.cul_users=true"],
            "unknown flag '--IdleCuller.cul_users=true'; is --IdleCuller.cull_users meant?",
        ),
        (["--timeout"], "--timeout needs a value"),
        (["--timeout", "--cull-users"], "--timeout needs a value"),
    ],
)
def test_mistakes(given, sentence):
    with pytest.raises(UsageError) as caught:
        normalised(given, switches=SWITCHES, valued=VALUED)
    assert str(caught.value) == sentence
