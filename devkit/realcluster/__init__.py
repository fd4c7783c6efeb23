"""A real Kubernetes control plane on this machine, for tests only.

Here live its binaries (built from pinned Go modules), its processes, its nodes that kwok plays, and the
command that records what the real server answers. Not here: anything a running hub needs, and no test.
In doubt: would it still make sense if k8s_hub did not exist?
"""
