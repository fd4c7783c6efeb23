"""True statements about Kubernetes JSON: keys, owner references, selectors, quantities, timestamps.

Here lives what holds for every object of every cluster. Not here: what a pod of this project looks like
(manifests), what its state means for a user (diagnosis), how it is fetched (kube).
The test for doubt: would the mini cluster and the spawner both need it?
"""
