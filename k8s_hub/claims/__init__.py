"""claims: which claim is a server's home, who owns a claim, and whether it may be deleted.

Holds the rules of ``docs/lifecycle.md``, "Whose claim is it?". A user never gets an empty home while theirs exists, and no
files are deleted in doubt. Not here: the manifest of a new claim (manifests), the health of a claim (diagnosis), the calls
(spawner). Everything is pure: it decides from lists of claims.
"""
