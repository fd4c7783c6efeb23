"""Kinds of options that traitlets does not have."""

from typing import Any

from traitlets import Type, Union


class OneOf(Union):
    """Takes values of several kinds; the default is the first kind's, and the help shows it.

    Each spawner gets a default of its own: a ``default_value`` would be the same list for all users, and what code
    appends for one would be in everybody's pod.
    """

    def __init__(self, kinds: list[Any], **metadata: Any) -> None:
        super().__init__(kinds, **metadata)

    def default_value_repr(self) -> str:
        """Return the default as Python, for the help and the generated configuration."""
        return repr(self.default())


class ClassOrNone(Type):  # type: ignore[type-arg]
    """Takes a class, or its name, and is None by default, of which traitlets' own kind cannot write help."""

    def __init__(self, klass: type, **metadata: Any) -> None:
        super().__init__(None, klass=klass, allow_none=True, **metadata)

    def default_value_repr(self) -> str:
        """Return the default as Python."""
        return repr(self.default_value)
