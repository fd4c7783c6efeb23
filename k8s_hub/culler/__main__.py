"""``python -m k8s_hub.culler``: the idle culler as a managed service of a hub, or beside one."""

from k8s_hub.culler.parent import hub_that_started_us

# Find out before the slow imports: if the hub dies meanwhile, the new parent would look like a hub.
hub_pid = hub_that_started_us()

from k8s_hub.culler.application import IdleCuller  # noqa: E402

if __name__ == "__main__":
    IdleCuller.launch_instance(hub_pid=hub_pid)
