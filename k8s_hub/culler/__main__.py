"""``python -m k8s_hub.culler``: the idle culler as a managed service of a hub, or beside one."""

import os

# Asked first of all: a hub that dies while the rest is loaded cannot be told from whoever inherits its children.
parent_pid = os.getppid()

from k8s_hub.culler.application import IdleCuller  # noqa: E402

if __name__ == "__main__":
    IdleCuller.launch_instance(parent_pid=parent_pid)
