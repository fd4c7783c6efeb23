"""hub: JupyterHub's REST API as typed calls, for programs beside the hub.

Holds the connection, its errors, the calls, and users and servers as the API describes them: everything that any client of
the API needs. This package never imports jupyterhub.
"""
