"""manifests: pure functions from resolved values to the manifests of pods, claims, Secrets and Services.

Callers expand templates, await callables and serialise the client library's models first. The manifests equal those that
KubeSpawner 7.1.0 makes of the same traits. They share nothing with the inputs, and the inputs are never changed.
"""
