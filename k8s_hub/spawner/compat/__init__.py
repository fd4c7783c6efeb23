"""Support for configurations and subclasses written for KubeSpawner: old names, removed names, model classes.

Test for doubt: would it go if nobody had ever used KubeSpawner?
"""
