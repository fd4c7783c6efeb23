"""doctor: what stands in the way of this package on a cluster, found before users find it.

Here live the checks, their findings and the table of them. Nothing is changed, anywhere: a check that would have to
write asks the API server whether it may. What runs in the hub is not here.
The test for doubt: would an admin run it before the change, and again when something is wrong?
"""
