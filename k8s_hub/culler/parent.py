"""Find out whether the hub started this process; if so, the process ends with the hub."""

import os
from pathlib import Path


def hub_that_started_us() -> int | None:
    """Return the process of the hub, where this one is its managed service; None: whoever started it may end.

    A hub names the service, gives it a session of its own, and is a Python program. An external service may have the
    name as well, for its page, and is started by a shell, a script or an init system.
    """
    if "JUPYTERHUB_SERVICE_NAME" not in os.environ or os.getsid(0) != os.getpid():
        return None
    parent = os.getppid()
    try:
        program = Path(f"/proc/{parent}/exe").readlink().name
    except OSError:  # it has just ended, or this system does not say
        return parent
    return parent if "python" in program else None
