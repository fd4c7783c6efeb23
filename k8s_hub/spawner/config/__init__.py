"""The configuration of KubeSpawner, one group of traits per topic.

A group holds traits, their defaults and their validators, and does no I/O. Groups are `HasTraits`, so an
administrator sets every option as ``c.KubeSpawner.<name>``, and no group becomes its own section.

To add a trait of the pod, add the trait with its help here and a line in `resolve.pod_inputs`. Also add a field
in `manifests.pod.PodInputs` with its place in the manifest. Then run ``make reference``, which writes
docs/reference/traits.md.
Test for doubt: could an administrator set it in ``jupyterhub_config.py``?
"""
