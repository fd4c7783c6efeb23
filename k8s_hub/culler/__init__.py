"""culler: stops idle servers and, where configured, deletes inactive users.

``core`` is pure and decides: facts, rules, schedules, policy, decisions. ``sweep`` runs one sweep over all servers with
the help of ``probe`` (asks servers for their activity), ``decider`` and ``actions`` (stops and deletes). ``service``
repeats sweeps. ``state`` owns the state file, ``event_bus`` hands decisions to log, metrics and page, ``web`` serves the
page. ``application`` and ``options`` read the configuration, and ``wiring`` connects the parts.

The culler talks to the hub's REST API and to single-user servers, never to Kubernetes. Only ``web`` imports jupyterhub.
Code belongs here if it helps to decide, do or show which servers the culler stops.
"""
