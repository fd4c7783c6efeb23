"""The demo's error."""


class DemoError(Exception):
    """The demo cannot continue. The message is one sentence that names the key and the value."""
