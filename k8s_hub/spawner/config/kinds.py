"""Kinds of options that traitlets does not have."""

from typing import Any

from traitlets import Type, Union


class OneOf(Union):
    """Takes values of several kinds; its default, which the help shows, is that of the first kind.

    Each spawner gets its own default. A ``default_value`` would be one list for all users: code that appends to
    it for one user would change everybody's pod.
    """

    def __init__(self, kinds: list[Any], **metadata: Any) -> None:
        super().__init__(kinds, **metadata)

    def default_value_repr(self) -> str:
        """Return the default as Python, for the help and the generated configuration."""
        return repr(self.default())


class ClassOrNone(Type):  # type: ignore[type-arg]
    """Takes a class or its name, and is None by default; traitlets' `Type` cannot write help for that default."""

    def __init__(self, klass: type, **metadata: Any) -> None:
        super().__init__(None, klass=klass, allow_none=True, **metadata)

    def default_value_repr(self) -> str:
        """Return the default as Python."""
        return repr(self.default_value)
