"""kube: the only speaker to the Kubernetes API, and the holder of what it has said.

Here live the connection, the calls, the watch loop and the informer; ``core`` has the watch protocol, the store and
the errors, all pure. What the objects mean is not known here: projections, conditions and indexes are arguments.
The test for doubt: does it speak HTTP to the API server, or hold what the API server said?
"""
