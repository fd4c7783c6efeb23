"""The configuration of KubeSpawner, one group of traits per topic.

A group holds traits, their defaults and their validators: no I/O. Groups are `HasTraits`, so that every option is
set as ``c.KubeSpawner.<name>`` and no group becomes a section of its own.

A new trait of the pod is a trait here with its help, a line of `resolve.pod_inputs`, and a field of
`manifests.pod.PodInputs` with its place in the manifest; ``make reference`` writes docs/reference/traits.md.
Test for doubt: could an administrator set it in ``jupyterhub_config.py``?
"""
