"""What the user reads of a volume that another server has: one sentence each, and that server by its name."""

from datetime import timedelta

import pytest

from k8s_hub.diagnosis import sharing
from k8s_hub.diagnosis.diagnosis import Reason, Stage
from k8s_hub.objects.keys import Key

CLAIM = Key("jhub", "claim-ada")


@pytest.mark.parametrize(
    "diagnosis",
    [
        sharing.in_exclusive_use("GPU", CLAIM),
        sharing.torn_apart(("GPU", ""), ("one", "two")),
        sharing.on_another_machine("GPU", CLAIM, node="one", wanted="two"),
        sharing.unfit_machine("GPU", "0/2 nodes are available"),
    ],
)
def test_a_volume_that_is_not_to_be_had_ends_the_start_and_says_what_to_do(diagnosis):
    assert (diagnosis.reason, diagnosis.fatal) == (Reason.VOLUME_IN_USE, True)
    assert 'our server "GPU"' in diagnosis.sentence
    assert diagnosis.sentence.endswith(" first.")
    assert diagnosis.detail


def test_a_server_that_is_placed_beside_another_is_no_trouble():
    diagnosis = sharing.placed_beside("", CLAIM, "one")
    assert (diagnosis.stage, diagnosis.reason, diagnosis.fatal) == (Stage.STORAGE, None, False)
    assert diagnosis.sentence.startswith("Your default server uses the same volume")
    assert "node one" in diagnosis.detail


def test_a_server_that_waits_for_the_machine_of_another_counts():
    diagnosis = sharing.waits_for_other_server("GPU", CLAIM, timedelta(minutes=2))
    assert diagnosis.message.endswith("on the same machine (2 minutes so far).")
    assert not diagnosis.fatal
