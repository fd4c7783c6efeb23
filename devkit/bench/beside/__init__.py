"""Compares spawners with the same hub, cluster and users.

`python -m devkit.bench.beside` starts the real API server once and a hub of its own for each subject: one whose
spawner does nothing (the floor of the hub), KubeSpawner of PyPI in `.venv-peer`, and this package; and a bare script
that creates the same objects (the floor of the cluster). `inside` is what runs in the hubs' processes.
"""
