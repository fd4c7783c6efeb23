"""culler: stops servers that nobody uses, and on request deletes users that nobody is.

Its rooms, from below: ruling (which limits hold), judging (facts to a decision), asking (the servers themselves),
sweeping (one pass after the other), seeing (metrics, health, log) and page (for users and admins). Beside them are
the configuration (application, options), what users wished for (keeping, memory) and wiring, which joins all.
It knows the hub's REST API only: no Kubernetes, and jupyterhub just for the page. Volumes are not its matter.
The test for doubt: does it help to decide, do or tell which servers are stopped?
"""
