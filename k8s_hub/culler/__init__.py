"""culler: stops idle servers and, where configured, deletes inactive users.

``core`` decides, and is pure: facts, rules, schedules, policy, decisions. Around it: ``probe`` asks the servers
themselves, ``sweep`` is one pass over all and ``actions`` what it does, ``service`` repeats it; ``state`` is what is
stored, ``event_bus`` hands decisions to log, metrics and page, ``web`` is the page; ``application`` and ``options``
are the configuration, and ``wiring`` joins all.
It knows the hub's REST API only: no Kubernetes, and jupyterhub just for the page. Volumes are not its matter.
The test for doubt: does it help to decide, do or show which servers are stopped?
"""
