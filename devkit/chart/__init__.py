"""The chart as far as k8s_hub meets it: its values, what its hub makes of them, and hubs that run so."""
