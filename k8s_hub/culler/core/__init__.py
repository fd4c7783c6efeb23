"""Decisions of the culler as values and pure functions, without I/O, clock or framework."""
