"""How a server ends."""

from traitlets import Bool, HasTraits, Integer


class LifetimeTraits(HasTraits):
    """Grace, time-outs and the removal of ended pods."""

    delete_grace_period = Integer(
        1,
        config=True,
        help="""
        Seconds that a pod's processes get to end before they are killed.
        """,
    )

    delete_stopped_pods = Bool(
        True,
        config=True,
        help="""
        Whether a pod whose server ended by itself is removed. False keeps it for inspection until the
        next start.
        """,
    )

    stop_timeout = Integer(
        60,
        config=True,
        help="""
        Seconds that a stop waits for the pod to be gone. After that the cause is logged and the API server
        finishes alone; the next start waits for it.
        """,
    )
