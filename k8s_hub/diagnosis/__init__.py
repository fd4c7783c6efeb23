"""Diagnosis: what a pod, its claim, their events or a refused request mean, in one sentence for the user.

Here live ordered rules and the sentences they say; nothing here asks the cluster, waits or remembers.
For doubt: could you answer from files saved with ``kubectl -o json``, and a time?
"""
