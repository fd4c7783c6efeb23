"""The configuration of KubeSpawner, one group of traits per topic.

A group holds traits, their defaults and their validators: no methods and no I/O. Groups are `HasTraits`,
so that every option is set as ``c.KubeSpawner.<name>`` and no group becomes a section of its own.
Test for doubt: could an administrator set it in ``jupyterhub_config.py``?
"""
