"""A small Kubernetes API with one node. It needs Linux.

Holds objects and their history, the HTTP server, controllers, a node that runs pods as processes or listeners, and rules that
plant faults. It knows nothing about hubs, users and spawners. For an unsupported request it returns a clear Status.
"""
