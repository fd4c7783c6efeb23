"""The pure half of kube: what the API server says, what is to be done next, and what is known by then.

No file here has I/O, a clock or an event loop; an import contract watches the folder.
"""
