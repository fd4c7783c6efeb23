"""One real node: containerd and a kubelet, in namespaces of their own on a bridge of their own; needs root.

Everything of it descends from one process in a PID and a mount namespace. When that one ends, however it ends,
the kernel ends the containers and takes the mounts; a folder, a bridge and cgroups remain, which bear its name.
"""
