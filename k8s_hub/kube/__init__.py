"""kube: the only speaker to the Kubernetes API, and the holder of what was heard from it.

Here live the connection, its errors, the calls, the watch, the store and the informer. What the
objects mean is not known here: projections, conditions and indexes are arguments.
The test for doubt: does it speak HTTP to the API server, or hold what the API server said?
"""
