"""What JupyterHub calls: KubeSpawner, its traits, and what its start, stop and poll do.

Here live the spawner class, its configuration, the start, the watch and the end of one server, what is saved
between runs, and the one edge where hooks see model objects. How objects look is `manifests`, what their
state means is `diagnosis`, how they travel is `kube`.
Test for doubt: does it mention ``self.user`` or an order of effects?
"""
