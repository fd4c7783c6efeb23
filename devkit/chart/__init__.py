"""The Zero to JupyterHub chart: its values, the hub configuration that it makes of them, and hubs with it."""
