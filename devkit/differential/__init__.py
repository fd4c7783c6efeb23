"""KubeSpawner 7.1.0 and this spawner side by side: the same configuration, user and choices, the same result.

What differs on purpose is listed in `differences.py`, each with its reason; everything else is a failure.
"""
