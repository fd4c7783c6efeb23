"""The demo: the whole story of a user's day on one machine, to try by hand or to check by itself.

Here live the processes it is made of (mini cluster, proxy, hub), a user as a browser would be one, and
the story as steps that print what they prove. Nothing here is needed by a real hub.
Test for doubt: would an admin miss it in production? Then it belongs elsewhere.
"""
