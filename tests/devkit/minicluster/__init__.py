"""Tests of the mini cluster's own promises; what it shares with a real server is in tests/conformance."""
