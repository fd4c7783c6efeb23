"""objects: helpers for any Kubernetes JSON: keys, owner references, quantities, timestamps.

Both the spawner and the mini cluster use them. Not here: this project's manifests (manifests), the meaning of an object's
state (diagnosis), requests (kube).
"""
