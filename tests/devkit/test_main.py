import pytest

from devkit import __main__ as command


@pytest.mark.parametrize("verb", command.VERBS)
def test_each_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([verb, "--help"])
    assert ended.value.code == 0
    assert "--" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["demo", "--idle", "0"], "argument --idle: '0' is not a number of seconds from 1"),
        (["demo", "--idle", "soon"], "argument --idle: 'soon' is not a number of seconds"),
        (["demo", "--port", "99999"], "argument --port: '99999' is not a port from 0 to 65535"),
        (
            ["cluster", "--directory", "x", "--port", "-1"],
            "argument --port: '-1' is not a port from 0 to 65535",
        ),
        (["cluster"], "the following arguments are required: --directory"),
    ],
)
def test_a_bad_value_is_wrong_usage_and_named(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["demo", "--kubeconfig", "/nowhere", "--image", "x"],
            "demo: --kubeconfig /nowhere: there is no such file",
        ),
        (["demo", "--image", "x"], "demo: --image x needs --kubeconfig"),
        (["cluster", "--directory", "/proc/x"], "cluster: The directory /proc/x cannot be used"),
    ],
)
def test_what_cannot_be_done_is_a_failure_in_one_sentence(arguments, said, capsys):
    assert command.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert error.count("\n") == 1
