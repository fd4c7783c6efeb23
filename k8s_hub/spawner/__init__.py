"""The spawner that JupyterHub calls: KubeSpawner, its traits, and its start, stop and poll.

This package holds the spawner class, its configuration, the start, watch and end of one server, and its
saved state. It also holds the one place where hooks see model objects. `manifests` builds objects,
`diagnosis` judges their state, and `kube` exchanges them with the API server.
Test for doubt: does it mention ``self.user`` or an order of effects?
"""
