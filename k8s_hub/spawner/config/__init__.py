"""The configuration of KubeSpawner, one group of traits per topic.

A group holds traits, their defaults and their validators, and does no I/O. Groups are `HasTraits`, so an
administrator sets every option as ``c.KubeSpawner.<name>``, and no group becomes its own section.

docs/architecture.md says what else a new trait of the pod needs.
Test for doubt: could an administrator set it in ``jupyterhub_config.py``?
"""
