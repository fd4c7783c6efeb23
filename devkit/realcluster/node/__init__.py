"""One real node: containerd and a kubelet in their own namespaces, on their own bridge. It needs root.

All its processes descend from one process in a PID and a mount namespace. When that one ends, the kernel ends the containers
and removes the mounts. A folder, a bridge and cgroups with the cluster's name remain.
"""
