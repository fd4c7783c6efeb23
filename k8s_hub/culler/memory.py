"""The culler's memory: what users asked for and were told, in a small file that survives restarts."""
