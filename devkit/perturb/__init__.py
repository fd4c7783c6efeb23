"""Kills the hub at each of its writes to the Kubernetes API, and spoils each view that it decides by.

`scenarios` says what is done, `cases` makes one case per write and moment from the API server's audit log, `invariants` says what
must hold afterwards: all three are pure. `proxy` and `world` have the processes, `campaign` runs the cases.
`make perturb` runs everything on a real API server.
"""
