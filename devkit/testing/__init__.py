"""Helpers for tests and benchmarks: real hubs, spawners without a hub, and waiting for a condition."""
