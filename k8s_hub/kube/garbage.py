"""Python's garbage collector in a process that must not stand still.

A full collection visits every list, dict, class and function of the process in one piece. A hub has 300,000 of them
before its first server: 150 ms in which nobody is served, and reading a list of 2,000 pods brings two such pauses.
"""

import gc
from functools import cache


@cache
def exempt_what_is_there() -> None:
    """Leave what the process is made of by now out of all full collections; once, and in no time.

    What loses its last reference is freed as ever. Only reference cycles of this moment's objects stay: the 900
    objects of garbage that a hub's start leaves, and at most the users and servers it begins with, once.
    """
    gc.freeze()
