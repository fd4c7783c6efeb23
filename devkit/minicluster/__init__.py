"""A Kubernetes API and one node, small enough to read in an afternoon; Linux only.

Here live the objects and their history, the HTTP that serves them, the controllers, the node that runs pods
as processes or as listeners, and the fault rules that plant what real clusters do on bad days. Not here:
anything that knows of hubs, users or spawners. What is not supported gets a clear Status, never a guess.
The test for doubt: would it make sense if the spawner did not exist?
"""
