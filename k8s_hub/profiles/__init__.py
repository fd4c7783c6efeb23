"""profiles: ``profile_list``, the form, a user's choice, and the overrides that follow from it.

All functions are pure and never change their arguments. Profiles stay plain dictionaries, because administrators' templates
and subclasses read them. Not here: the traits, the evaluation of callables, the user's groups (spawner).
"""
