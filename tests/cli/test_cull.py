"""``k8s-hub cull``: the culler, and what explains it."""

import pytest

from k8s_hub.cli.main import main
from k8s_hub.culler.application import IdleCuller
from k8s_hub.culler.explain import Explain


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], "cull explain USER"),
        (["cull", "--help"], "--cull-every=<number>"),
        (["cull", "--help"], "k8s-hub cull explain USER[/SERVER] [flags]"),
        (["cull", "--help-all"], "k8s-hub cull explain USER[/SERVER] [flags]"),
        (["cull", "explain", "--help"], "explain USER[/SERVER]"),
    ],
)
def test_help(capsys, arguments, words):
    try:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
    finally:
        for kind in (Explain, IdleCuller):
            kind.clear_instance()
    assert caught.value.code == 0
    assert words in capsys.readouterr().out
