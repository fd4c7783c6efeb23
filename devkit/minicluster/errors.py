"""Errors of a cluster. Each message is one sentence with the object and the reason.

ClusterError
├── PlatformError
├── DirectoryError
└── PortTakenError
"""


class ClusterError(Exception):
    """The cluster cannot start or continue."""


class PlatformError(ClusterError):
    """This machine cannot run it."""


class DirectoryError(ClusterError):
    """The cluster's directory cannot be used."""


class PortTakenError(ClusterError):
    """The port is in use."""
