"""What the progress page says when a start takes long."""

from traitlets import HasTraits, Integer, TraitError, Unicode, validate
from traitlets.utils.bunch import Bunch


class PatienceTraits(HasTraits):
    """A message with the time waited, beside what is known about the start."""

    slow_spawn_message_threshold = Integer(
        60,
        config=True,
        help="""
        Seconds of a start after which its user is told how long it has taken so far. 0: never.
        """,
    )

    slow_spawn_message_frequency = Integer(
        5,
        config=True,
        help="""
        Seconds between two such messages, 1 at least.
        """,
    )

    slow_spawn_message = Unicode(
        "This takes longer than usual: {seconds} seconds so far. {message}",
        config=True,
        help="""
        The message: {seconds} is the time waited, {message} what the start waits for.
        """,
    )

    @validate("slow_spawn_message")
    def _can_be_filled_in(self, proposal: Bunch) -> object:
        try:
            proposal.value.format(seconds=1, message="")
        except (LookupError, ValueError, AttributeError) as error:
            raise TraitError(
                f"KubeSpawner.slow_spawn_message: {proposal.value!r} has another field than {{seconds}} and "
                f"{{message}} ({error!r}); literal braces are written {{{{ and }}}}"
            ) from error
        return proposal.value
