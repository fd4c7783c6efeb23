"""kube: the client of the Kubernetes API. No other package talks to the API server.

Holds the connection, the calls, the watch loop and the informers. ``core`` has the watch protocol, the store and the
errors, all pure. This package does not know what objects mean: projections, conditions and indexes are arguments.
"""
