"""Hubs under faults, on a real API server: the soak (`make chaos`), its judge, and the base for other campaigns.

`world` runs control plane, fault proxy, hub and culler; `users` is the load; `faults` the schedule; `checker` judges
afterwards from what was recorded, and `report` prints. `checker`, `report` and the drawing of load and faults are pure.
"""
