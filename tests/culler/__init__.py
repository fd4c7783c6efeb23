"""Tests of the culler: its policy, its sweeps in virtual time, and the whole of it against a real hub."""
