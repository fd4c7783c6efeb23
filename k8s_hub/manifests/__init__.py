"""Resolved values in, plain dicts out: the pod, the claim, and what is written on them.

Every value comes resolved: templates expanded, callables awaited, the client library's models serialised.
What goes out equals what KubeSpawner 7.1.0 makes of the same traits. Nothing given is changed, nothing
given is shared with the result.
The test for doubt: could it run in a browser?
"""
