"""How long a trouble that may pass by itself is watched before the start fails: the policy, in one place."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Each trouble with its time; what is not listed here waits for the spawner's deadline.

    A person looks away after a minute and gives up after some. So a trouble that only an administrator can
    end fails well before that, and one that the cluster often ends by itself is given its time.
    """

    #: A Secret, ConfigMap or claim that is named but missing: it may be on its way, made by the same hook.
    missing_object: timedelta = timedelta(seconds=10)
    #: A registry that does not answer, or answers 429 or 5xx: the kubelet tries again after 10, 20, 40, ... s.
    image_pull: timedelta = timedelta(seconds=120)
    #: The autoscaler said that no machine can be added. Another server may still end and make room, and the
    #: autoscaler may change its mind when a failed group leaves its back-off.
    no_scale_up: timedelta = timedelta(seconds=120)
    #: A claim without a volume and without a storage class to make one: somebody may be adding it by hand.
    unbound_claim: timedelta = timedelta(seconds=60)
    #: A server that shuts down: after this, the user reads what it waits for.
    shutdown: timedelta = timedelta(seconds=20)
