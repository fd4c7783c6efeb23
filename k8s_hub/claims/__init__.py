"""Whose claim is this, which claim is a server's home, may it be deleted.

Here lives the judgement of ``docs/lifecycle.md``, "Whose claim is it?": a user never gets an empty home while
theirs exists, and nobody's files are removed on a doubt. Not here: what a new claim looks like (manifests),
whether a claim is healthy (diagnosis), the calls (spawner).
The test for doubt: could it be decided from a list of claims on paper?
"""
