"""Why a cluster cannot start: each message is one sentence that names the thing and the reason.

ClusterError
├── PlatformError
├── DirectoryError
└── PortTakenError
"""


class ClusterError(Exception):
    """The cluster cannot start, or not go on."""


class PlatformError(ClusterError):
    """This machine cannot run it."""


class DirectoryError(ClusterError):
    """The cluster's directory cannot be used."""


class PortTakenError(ClusterError):
    """Nothing can listen there."""
