"""The end of a server, and the message on the progress page during a slow start."""

from traitlets import Bool, Enum, Float, HasTraits, Integer, TraitError, Unicode, validate
from traitlets.utils.bunch import Bunch


class LifecycleTraits(HasTraits):
    """Grace, time-outs, the removal of ended pods and of orphans, and the message of a slow start."""

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

    orphans = Enum(
        ["report", "remove"],
        "report",
        config=True,
        help="""
        What happens to pods, Secrets and Services of this hub without a server: the hub does not have it, or has
        stopped it. They are left where a hub died, or lost its database.

        "report": each is logged once, and the metric `k8s_hub_orphans` counts them. "remove": they are deleted, a
        running pod with the work in it, unless most of the hub's objects would go. Both delete pods that have ended,
        with `delete_stopped_pods`. Claims are never touched.
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

    concurrent_starts = Integer(
        0,
        min=0,
        config=True,
        help="""
        How many servers of the hub start at once. Later starts wait in a queue, and their users read their place. The
        servers of one user take turns with those of others, and waiting does not count against `start_timeout`. 0: no
        limit.

        Set one value for the hub: users with another value, for example by `group_overrides`, have a queue of their own.

        JupyterHub refuses starts beyond its own limit with 429: set `JupyterHub.concurrent_spawn_limit` to 0 (chart:
        `hub.concurrentSpawnLimit`).
        """,
    )

    start_rate = Float(
        0.0,
        min=0.0,
        config=True,
        help="""
        How many starts of the hub begin per second; others wait in the same queue. 0: no limit.
        """,
    )

    slow_spawn_message_threshold = Integer(
        60,
        config=True,
        help="""
        Seconds after which the progress page says how long a start has taken so far. 0: never.
        """,
    )

    slow_spawn_message_frequency = Integer(
        None,
        allow_none=True,
        config=True,
        help="""
        Seconds between two such messages, at least 1. Unset: they come after 1, 2, 3 and 5 minutes, and then every
        5 minutes.
        """,
    )

    slow_spawn_message = Unicode(
        "Your server is taking longer than usual to start ({waited} so far). {message}",
        config=True,
        help="""
        The message of a slow start. {waited} is the time since it began, such as "2 min 30 s", {seconds} the same in
        seconds, {message} what it is waiting for.
        """,
    )

    @validate("slow_spawn_message")
    def _can_be_filled_in(self, proposal: Bunch) -> object:
        try:
            proposal.value.format(seconds=1, waited="", message="")
        except (LookupError, ValueError, AttributeError) as error:
            raise TraitError(
                f"KubeSpawner.slow_spawn_message: {proposal.value!r} has another field than {{waited}}, {{seconds}} "
                f"and {{message}} ({error!r}); literal braces are written {{{{ and }}}}"
            ) from error
        return proposal.value
