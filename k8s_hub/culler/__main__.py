"""``python -m k8s_hub.culler``: the idle culler as a managed service of a hub, or beside one."""

from k8s_hub.culler.parent import hub_that_started_us

# Asked first of all: a hub that dies while the rest is loaded cannot be distinguished from whoever inherits its children.
hub_pid = hub_that_started_us()

from k8s_hub.culler.application import IdleCuller  # noqa: E402

if __name__ == "__main__":
    IdleCuller.launch_instance(hub_pid=hub_pid)
