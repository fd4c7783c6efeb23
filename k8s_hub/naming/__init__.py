"""naming: slugs, templates and ownership annotations.

The names of objects are bit-exact with KubeSpawner 7.1.0, because a changed name would lose a home. Which claim is a home is
decided in ``claims``.
"""
