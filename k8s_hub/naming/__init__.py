"""What things are called, and whose they are: slugs, templates, and the words for ownership.

Here lives how a user's and a server's name become the names of objects, bit-exact with KubeSpawner 7.1.0,
because a name that changes is a home that is lost. Not here: which claim is a home (claims).
The test for doubt: does it answer "what is it called?" or "is it this server's?" from values alone?
"""
