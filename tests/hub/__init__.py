"""Tests of hub: errors, users, retries, and the calls against a real hub."""
