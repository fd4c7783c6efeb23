"""The culler's pages: what users and admins see of it, as a service of the hub with its own login.

What it needs, on JupyterHub 5.5 and 6.1 alike:
- of the hub's configuration of the service: ``url`` (where the page listens, as the proxy reaches it) and
  ``oauth_no_confirm: True`` (otherwise everybody is asked once whether the service may know their name);
- of its users: the scope ``access:services!service=<name>``, for instance by a role
  ``{"name": "user", "scopes": ["self", "access:services!service=<name>"]}``; admins have it;
- of its own token: what the core needs, nothing more.
A service that the hub does not start itself needs JUPYTERHUB_SERVICE_NAME, JUPYTERHUB_SERVICE_URL,
JUPYTERHUB_SERVICE_PREFIX, JUPYTERHUB_BASE_URL and JUPYTERHUB_API_URL in its environment, and ``api_token`` in
the hub's configuration and in JUPYTERHUB_API_TOKEN.

Only `app`, `base` and `handlers` know tornado and jupyterhub; they are imported where a page is served.
"""
