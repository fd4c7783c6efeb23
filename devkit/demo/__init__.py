"""The demo: a user's day on one machine, interactive or as an automatic check.

It runs a mini cluster, a proxy and a hub as processes (`stack`), adds features to the hub's configuration
(`configuration`), and tells what happens (`narrator`). `session` is a user with a browser, and `check` plays the story step
by step. A real hub needs none of this code.
"""
