"""How long a trouble that may pass by itself is watched before the start fails: the policy, in seconds."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Each trouble with its time; what is not listed waits for the spawner's deadline.

    A person who waits for a server looks away after a minute and gives up after some; a trouble that only
    an administrator can end should fail well before that, one that the cluster often ends should not.
    """

    #: A Secret, ConfigMap or claim that is named but missing: it may be on its way, created by the same hook.
    missing_object: timedelta = timedelta(seconds=10)
    #: A registry that does not answer, answers 429 or 5xx: the kubelet tries at 0, 10, 30, 70 and 150 seconds.
    image_pull: timedelta = timedelta(seconds=120)
    #: The autoscaler said that no machine of its groups can be added or would fit. Another server may still
    #: end and make room, and the autoscaler may change its mind once a failed group leaves its back-off.
    no_scale_up: timedelta = timedelta(seconds=120)
    #: A claim without a volume and without a storage class that could make one: an administrator may be
    #: adding the volume by hand.
    unbound_claim: timedelta = timedelta(seconds=60)
    #: A server that is shutting down: after this, the user reads what it waits for.
    shutdown: timedelta = timedelta(seconds=20)
