"""The hub and its users' servers speak TLS."""

c = get_config()  # noqa: F821

c.JupyterHub.internal_ssl = True
