"""The culler's decisions as values and pure functions, without I/O, clock or framework."""
