"""Limits: when something has lived long enough."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When something has lived long enough."""

    idle: timedelta
    age: timedelta | None = None  # whatever the activity; None: any age is fine
    busy: timedelta | None = None  # the idle limit while kernels are busy, if that is longer; None: none
    exempt: bool = False  # True: it is never stopped, nor its user deleted
    default_servers: bool = True  # False: default servers are exempt
    named_servers: bool = True  # False: named servers are exempt
    admins: bool = True  # False: admins are exempt from being deleted; their servers are not
