"""Cullers side by side: the same hub for each, a gateway that notes what they ask, and the cullers as processes.

`bench_culler` says what is measured. `hub_config` is what runs in the hub's process.
"""
