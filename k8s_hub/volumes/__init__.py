"""volumes: the owners of claims, and the deletion of claims without an owner.

Holds what ``k8s-hub volumes`` does: read cluster and hub, make a plan (pure), print it, delete. The rules for a server's
claims are in ``claims``. No code here runs in the hub.
"""
