"""Benchmarks: figures a reader can repeat (`make bench`), printed and never asserted.

Here live the load and the stop-watches. What must hold on every machine is a test and lives with its package.
"""
