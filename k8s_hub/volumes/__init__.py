"""volumes: which claims belong to whom, which to nobody any more, and the removal of those that nobody can miss.

Here live the look at cluster and hub, the pure plan made of it, its words, and the act. Which claim a server gets is
not decided here (claims), and nothing here runs in the hub.
The test for doubt: would an admin ask it about volumes, on a command line?
"""
