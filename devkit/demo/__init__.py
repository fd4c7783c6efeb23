"""The demo: the whole story of a user's day on one machine, to try by hand or to check by itself.

It runs a mini cluster, a proxy and a hub as processes (`stack`), adds to the hub's configuration what there is to see
(`configuration`), and tells what happens (`narrator`). `session` is a user at a browser, `check` the story as steps.
Nothing here is needed by a real hub.
Test for doubt: would an admin miss it in production? Then it belongs elsewhere.
"""
