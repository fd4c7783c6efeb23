"""`python -m tests.box`: a control plane until Ctrl-C; prints the path of the administrator's kubeconfig."""

import signal
import sys

from tests.box.build import BoxUnavailableError
from tests.box.controlplane import control_plane
from tests.box.process import ProcessFailedError


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with control_plane() as plane:
            print(plane.layout.kubeconfig, flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (BoxUnavailableError, ProcessFailedError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0  # another signal ended the pause


if __name__ == "__main__":
    sys.exit(main())
