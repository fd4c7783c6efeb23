"""The pure half of kube: decoding, the watch protocol, the store and the errors.

No file here has I/O, a clock or an event loop. An import contract checks this.
"""
