"""culler: stops servers that nobody uses, and on request deletes users that nobody is.

Here live the policy (pure: what to do with one server, and why), the sweep (one pass over all of them), the
service (sweep after sweep, as long as its hub lives) and IdleCuller, its configuration.
It knows the hub's REST API only: no Kubernetes, no jupyterhub. Volumes are not its matter.
The test for doubt: does it help to decide, do or tell which servers are stopped?
"""
