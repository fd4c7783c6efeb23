"""A real Kubernetes control plane on this machine, for tests only.

Holds its binaries (built from pinned Go modules), its processes, nodes that kwok simulates or that run containers, and the
command that records answers of the real server. It contains no tests, and a hub needs none of it.
"""
