"""The culler's pages for users and admins: a service of the hub, with login through the hub.

Requirements, for JupyterHub 5.5 and 6.1 alike:
- the configuration of the service has ``url``, the address where the proxy reaches the page, and
  ``oauth_no_confirm: True``; without it, the hub asks each user once for permission to show their name to the page;
- users have the scope ``access:services!service=<name>``, for instance by a role
  ``{"name": "user", "scopes": ["self", "access:services!service=<name>"]}``; admins have it anyway;
- the service's own token needs no further scopes.
A service that the hub does not start itself needs JUPYTERHUB_SERVICE_NAME, JUPYTERHUB_SERVICE_URL,
JUPYTERHUB_SERVICE_PREFIX, JUPYTERHUB_BASE_URL and JUPYTERHUB_API_URL in its environment, and ``api_token`` in
the hub's configuration and in JUPYTERHUB_API_TOKEN.

Only `app`, `base` and `handlers` import tornado and jupyterhub, and only a culler with a page imports them.
"""
