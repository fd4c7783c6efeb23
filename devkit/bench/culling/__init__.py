"""Compares cullers: the same hub for each, a gateway that records their requests, and the cullers as processes.

`bench_culler` measures. `hub_config` runs in the hub's process.
"""
