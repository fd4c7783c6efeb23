"""Find out whether the hub started this process; if so, the process ends with the hub.

Imports little, because `__main__` asks this before its slow imports.
"""

import os
from pathlib import Path


def hub_that_started_us() -> int | None:
    """Return the PID of the hub if this process is its managed service, else None.

    A hub sets the service name, starts the service in its own session, and is a Python program. An external service
    with a page has the name, too, but a shell, a script or an init system starts it.
    """
    if "JUPYTERHUB_SERVICE_NAME" not in os.environ or os.getsid(0) != os.getpid():
        return None
    parent = os.getppid()
    try:
        program = Path(f"/proc/{parent}/exe").readlink().name
    except OSError:  # it has just ended, or this system has no /proc
        return parent
    return parent if "python" in program else None
