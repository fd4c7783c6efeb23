"""The development kit, which runs only from a checkout: the demo, clusters for tests, and benchmarks.

The package ``k8s_hub`` never imports it.
"""
