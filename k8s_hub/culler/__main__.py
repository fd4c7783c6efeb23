"""``python -m k8s_hub.culler``: the idle culler as a managed service of a hub, or beside one."""

from k8s_hub.culler.application import IdleCuller

if __name__ == "__main__":
    IdleCuller.launch_instance()
