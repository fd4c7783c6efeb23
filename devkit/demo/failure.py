"""Why the demo cannot go on: one sentence that names the key and the value."""


class DemoError(Exception):
    """One sentence for the person who started the demo."""
