"""hub: JupyterHub's REST API as typed calls, for programs beside the hub.

Here live the connection, its errors, the calls, and users and servers as the hub describes them.
What to do with them is not known here, and jupyterhub itself is never imported: its API is the border.
The test for doubt: would any client of the hub's REST API need it?
"""
