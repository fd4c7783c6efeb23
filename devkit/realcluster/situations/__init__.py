"""Situations in which a server does not start or does not live, produced on the real control plane.

Here lives how each is brought about. Not here: what is said about it to a user (that is diagnosis).
In doubt: would an administrator meet it on a cluster that has no hub?
"""
