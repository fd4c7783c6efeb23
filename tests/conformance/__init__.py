"""What this project relies on a Kubernetes API for, held against the real server and the mini cluster.

The mini cluster is trusted only for what passes here on both. Not here: k8s_hub's own client (the suite
speaks plain HTTP), and anything a hub without special rights cannot see.
"""
