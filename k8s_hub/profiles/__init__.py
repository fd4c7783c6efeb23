"""Profiles: what an administrator offers, what one user chose of it, and what that changes.

Profiles stay the dictionaries as which they are configured, because administrators' templates and subclasses read
them. Nothing given is changed. Not here: the traits, the evaluation of callables, the user's groups in the hub
(spawner).
The test for doubt: could it be told from a list of profiles, a form's fields and a user's name, on paper?
"""
