"""doctor: finds problems of a cluster and a hub before users do.

Holds the checks, their findings and the table. The doctor changes nothing: instead of trying a write, a check asks
the API server whether the account may do it. Code that runs in the hub is not here.
The test for doubt: would an admin run it before the change, and again when something is wrong?
"""
