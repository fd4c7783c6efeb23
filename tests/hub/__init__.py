"""Tests of hub: errors, users, and the calls against a real hub."""
