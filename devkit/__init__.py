"""The development kit: what runs from a checkout of the repository only, for the demo, tests and figures.

The package ``k8s_hub`` knows nothing of it.
"""
